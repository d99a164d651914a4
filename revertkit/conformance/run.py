"""One run of the suite: what was asked for, the stage that it has, and what became of each case."""

from __future__ import annotations

import inspect
import platform
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

import pytest

from revertkit import registry
from revertkit.conformance import interruptions
from revertkit.conformance.children import preload
from revertkit.conformance.harness import Harness
from revertkit.conformance.options import Options
from revertkit.conformance.report import Report, Skipped, Swept
from revertkit.conformance.requirements import Kind, Unmet
from revertkit.conformance.signals import ended_as_by_ctrl_c
from revertkit.conformance.stage import Stage
from revertkit.conformance.sweep import AT

UNDER_WAY = "under way"
"""What becomes of a case in which the run is interrupted: nothing."""


@dataclass
class Outcome:
    """What became of one case."""

    behaviours: set[int] = field(default_factory=set)
    needs: set[str] = field(default_factory=set)
    outcome: str = UNDER_WAY
    why: str = ""


RUN = pytest.StashKey["Run"]()
"""Where pytest's configuration keeps the run."""


class Run:
    """The run. It is opened when there is something to do, and then has a stage."""

    stage: Stage

    def __init__(self, options: Options) -> None:
        self.options = options
        self.opened = False
        self.collected: set[str] = set()
        self.outcomes: dict[str, Outcome] = {}
        self.skips: dict[str, Unmet] = {}
        self.lacking: dict[str, str] = {}
        self.points: list[Swept] = []
        self.left: list[str] = []
        self._stack = ExitStack()

    @cached_property
    def harness(self) -> Harness:
        """The harness; as :meth:`Options.make_harness`."""
        return self.options.make_harness()

    @cached_property
    def known_failures(self) -> dict[str, str]:
        """Every case that is known to fail, with the reason.

        Raises:
            LookupError: one of them is no case.
        """
        from revertkit.conformance import cases

        known = {**(self.harness.known_failures if self.options.name else {}), **self.options.known_failures}
        for case in known:
            if not inspect.isfunction(getattr(cases, case.partition("[")[0], None)):
                raise LookupError(f"known failure {case!r}: there is no such case")
        return known

    def open(self) -> None:
        """Enter the storage and open a stage on it.

        Raises:
            LookupError, ValueError, RevertkitError: why it cannot be.
        """
        self._stack.enter_context(ended_as_by_ctrl_c())
        self._home = Path(tempfile.mkdtemp(prefix="revertkit-conformance-"))
        self._stack.callback(shutil.rmtree, self._home, ignore_errors=True)
        self.harness.options = dict(self._stack.enter_context(self.harness.storage(self._home)))
        self._new_stage()
        preload(interruptions.__name__, type(self.stage.driver).__module__)
        self.opened = True

    def _new_stage(self) -> None:
        home = Path(tempfile.mkdtemp(prefix="stage-", dir=self._home))
        self.stage = Stage(self.harness, home, repeat=self.options.repeat)

    def cleared(self) -> list[str]:
        """Empty the stage; where something stays, answer it, and go on with other records."""
        left = self.stage.clear()
        if left:
            self.left += left
            self._new_stage()
        return left

    def close(self) -> None:
        """Leave the storage."""
        self._stack.close()

    # --- what became of it

    def skipped(self, case: str, unmet: Unmet) -> None:
        """Keep why a case was not run."""
        self.skips[case] = unmet

    def keep(self, case: str, behaviours: set[int], needs: set[str], found: pytest.TestReport) -> None:
        """Keep one phase of a case; what went wrong first stays."""
        kept = self.outcomes.setdefault(case, Outcome(behaviours, needs))
        if kept.outcome == UNDER_WAY and (found.when, found.outcome) == ("call", "passed"):
            kept.outcome = "passed"
        elif kept.outcome in (UNDER_WAY, "passed") and found.outcome != "passed":
            known = found.outcome == "skipped" and hasattr(found, "wasxfail")
            kept.outcome = "known failure" if known else found.outcome
            kept.why = str(getattr(found, "wasxfail", "")) if known else _first_line(found)

    def _named(self, outcome: str) -> dict[str, str]:
        return {case: kept.why for case, kept in self.outcomes.items() if kept.outcome == outcome}

    @property
    def missed(self) -> bool:
        """Whether points are asked for by name, and none is called so."""
        return self.options.points.named and not any(one.swept for one in self.points) and not self._named("failed")

    def write_report(self) -> None:
        """Write the report where it was asked for."""
        if self.options.report:
            self.options.report.write_text(self.report.model_dump_json(indent=2) + "\n")

    @cached_property
    def report(self) -> Report:
        """All of it; made when everything is over."""
        stage, cls = self.stage, registry.check(self.harness.driver)
        other = {case: why for case, why in self._named("skipped").items() if case not in self.skips}
        skipped = [Skipped(case=c, kind=u.kind, requirement=u.name, why=u.why) for c, u in self.skips.items()]
        skipped += [Skipped(case=case, kind="other", requirement="", why=why) for case, why in other.items()]
        return Report(
            driver=self.harness.driver,
            backend=self.harness.backend,
            target=f"{cls.__module__}:{cls.__qualname__}",
            driver_version=_version_of(cls),
            api_version=cls.api_version,
            revertkit_version=version("revertkit"),
            python_version=platform.python_version(),
            system=f"{platform.release()} {platform.machine()}",
            ended_at=datetime.now(UTC),
            options={name: str(value) for name, value in self.harness.options.items()},
            claimed=stage.claimed,
            not_claimed={c.name.lower(): why for c, why in stage.lacks.items() if why},
            proven=[name for name in stage.claimed if self._held(name) and self._whole(name)],
            partly=[name for name in stage.claimed if self._held(name) and not self._whole(name)],
            broken=[name for name in stage.claimed if self._failed(name)],
            required=sorted(self.options.required),
            passed=list(self._named("passed")),
            failed=self._named("failed"),
            skipped=skipped,
            known_failures=self._named("known failure"),
            behaviours=self._behaviours(),
            points=self.points,
            sample=self.options.points.asked,
            seed=self.options.points.seed,
            deaths="SIGKILL" if self.harness.outlives_process else "played",
            repeat=self.options.repeat,
            left=self.left,
        )

    def _held(self, name: str) -> bool:
        return "passed" in self._outcomes(name) and not self._failed(name)

    def _failed(self, name: str) -> bool:
        return not self._outcomes(name).isdisjoint({"failed", "known failure"})

    def _outcomes(self, name: str) -> set[str]:
        return {kept.outcome for kept in self.outcomes.values() if name in kept.needs}

    def _whole(self, name: str) -> bool:
        """Whether every case that needs this was run, none for want of a hook left out, and every point swept."""
        needed = {case for case, needs in _needs_of_cases().items() if name in needs}
        ended = {case for case, kept in self.outcomes.items() if kept.outcome != UNDER_WAY}
        tried = {*ended, *(case.partition("[")[0] for case in ended)}
        blind = {case for case, unmet in self.skips.items() if unmet.kind is Kind.HOOK}
        unseen = any(name in self.outcomes[case].needs for case in blind & ended)
        ran = needed <= tried and self.collected <= ended
        return self.options.points.all and ran and not unseen

    def _behaviours(self) -> dict[int, str]:
        found: dict[int, set[str]] = {}
        for kept in self.outcomes.values():
            for number in kept.behaviours:
                found.setdefault(number, set()).add(kept.outcome)
        order = {"failed": "failed", "known failure": "known failure", "passed": "held"}
        return {
            number: next((told for outcome, told in order.items() if outcome in outcomes), "not tried")
            for number, outcomes in sorted(found.items())
        }


def _needs_of_cases() -> dict[str, set[str]]:
    """Say what each case needs; where one is run of several operations that need more each, those are told apart."""
    from revertkit.conformance import cases

    found: dict[str, set[str]] = {}
    for name, case in vars(cases).items():
        if inspect.isfunction(case) and name.startswith("test_"):
            marks = vars(case).get("pytestmark", ())
            values = [value for mark in marks if mark.name == "parametrize" for value in mark.args[1]]
            apart = {f"{name}[{v.id or v.values[0]}]": _needs(v.marks) for v in values if getattr(v, "marks", ())}
            found |= {each: needs | _needs(marks) for each, needs in (apart or {name: set()}).items()}
    return found


def _needs(marks: Iterable[Any]) -> set[str]:
    return {need for mark in marks if mark.name == "requires" for need in mark.args}


def _first_line(found: pytest.TestReport) -> str:
    if isinstance(found.longrepr, tuple):
        return str(found.longrepr[2])
    crash = getattr(found.longrepr, "reprcrash", None)
    lines = str(crash.message if crash else found.longrepr).strip().splitlines()
    return "; ".join([*lines[:1], *(line for line in lines[1:] if line.startswith(AT))]) or found.outcome


def _version_of(cls: type) -> str:
    package = cls.__module__.partition(".")[0]
    try:
        return version(packages_distributions().get(package, [package])[0])
    except PackageNotFoundError:
        return ""
