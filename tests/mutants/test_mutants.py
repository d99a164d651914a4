"""A suite that lets one of these pass is broken: each broken driver is caught, by the case that it names.

That the same cases hold on the drivers that are not broken is seen in tests/conformance.
"""

from __future__ import annotations

from pathlib import Path

import broken
import pytest
from conforming import run_suite

from revertkit.conformance import cases
from revertkit.conformance.report import Report
from revertkit.driver import ShareDriver
from revertkit.drivers.directory import DirectoryDriver


@pytest.fixture(autouse=True)
def _in_memory(fast_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tested here is not the disk."""
    monkeypatch.setattr("tempfile.tempdir", str(fast_root))


def run(driver: type[ShareDriver], case: str, tmp_path: Path) -> Report:
    """Run one case on one driver."""
    harness = "InDirectories" if issubclass(driver, DirectoryDriver) else "InMemory"
    module = getattr(cases, case.partition("[")[0]).__module__
    named = f"{driver.__module__}:{driver.__name__}"
    ran = run_suite(tmp_path, "--pyargs", f"{module}::{case}", "--harness", f"broken:{harness}", "--driver", named)
    return ran.found


@pytest.mark.parametrize("mutant", broken.MUTANTS, ids=lambda cls: cls.__name__)
def test_it_is_caught(mutant: type[ShareDriver], tmp_path: Path) -> None:
    """The case that the mutant names fails on it, in its own assertions and not before."""
    case = mutant.seen_by  # type: ignore[attr-defined]
    found = run(mutant, case, tmp_path)
    assert list(found.failed) == [case], f"{mutant.__name__} passes {case}"
    print("CAUGHT", mutant.__name__, found.failed[case])


def test_there_are_enough() -> None:
    """At least twenty, and each is another one."""
    assert len(broken.MUTANTS) >= 20
    assert len({mutant.__doc__ for mutant in broken.MUTANTS}) == len(broken.MUTANTS)
