"""Every operation, interrupted at each of its steps by errors and deaths, and lied to by each of its commands."""

from __future__ import annotations

import pytest

from revertkit.conformance.requirements import behaviour, requires
from revertkit.conformance.run import Run
from revertkit.conformance.stage import Stage
from revertkit.conformance.sweep import Sweep
from revertkit.conformance.verbs import VERBS

__all__ = ["test_faults", "test_lies"]
EACH = [pytest.param(name, marks=requires(*verb.needs)) for name, verb in VERBS.items()]


@behaviour(17, 18, 21, 22)
@pytest.mark.parametrize("verb", EACH)
def test_faults(stage: Stage, conformance: Run, verb: str) -> None:
    """An error or a death, before and after each step, then recover: nothing is lost, and a retry succeeds.

    What answers success is done. The data is the old or the snapshot's, as the record says, every snapshot is there
    with its content, statuses are at rest, exports are as before, and what a client writes afterwards is still there
    after another recovery. Half way it is shown to nobody; and after a few of the deaths recovery dies too.
    """
    conformance.points += Sweep(stage, verb, VERBS[verb]).interrupted_everywhere(conformance.options.points)


@behaviour(13)
@pytest.mark.parametrize("verb", EACH)
def test_lies(stage: Stage, conformance: Run, verb: str) -> None:
    """A command that answers success and did nothing is found out, or does no harm; then as after any failure."""
    conformance.points.append(Sweep(stage, verb, VERBS[verb]).lied_to_everywhere(conformance.options.points))
