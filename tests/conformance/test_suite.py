"""The suite itself: what it is told, what it lists, and that it cannot be passed by saying nothing."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import Context
from pathlib import Path
from typing import Any, ClassVar

import pytest
from conforming import Ran, run_suite
from typer.testing import CliRunner

from revertkit.cli.app import app
from revertkit.conformance import cases
from revertkit.conformance.harnesses.memory import MemoryHarness
from revertkit.conformance.report import markdown
from revertkit.conformance.requirements import NAMES
from revertkit.drivers.directory import DirectoryDriver
from revertkit.drivers.memory import MemoryDriver
from revertkit.drivers.memory.online import stored
from revertkit.errors import BackendError
from revertkit.models import Pool, Replica, ReplicaReport, Reverted, RevertState, SnapshotInstance
from revertkit.system.run import step

QUICK = "revertkit.conformance.cases.test_data::test_everything_is_as_it_was"
SKIPS = "revertkit.conformance.cases.test_refusals::test_open_share"
CASES = [getattr(cases, name) for name in dir(cases) if name.startswith("test_") and callable(getattr(cases, name))]


@pytest.fixture(autouse=True)
def _in_memory(fast_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tested here is not the disk."""
    monkeypatch.setattr("tempfile.tempdir", str(fast_root))


def run(tmp_path: Path, *argv: str) -> Ran:
    """Run the suite on the driver in memory."""
    return run_suite(tmp_path, "--pyargs", "--driver", "memory", *argv)


def test_every_behaviour_has_a_case() -> None:
    """All but power cuts, which take a machine."""
    assert len(CASES) > 40
    held = {number for case in CASES for mark in case.pytestmark if mark.name == "behaviour" for number in mark.args}
    assert held == set(range(1, 25)) - {19}


def test_every_need_is_in_the_documents() -> None:
    document = Path(__file__, "../../../docs/conformance.md").resolve().read_text()
    said = document.partition("## What can be required")[2].partition("## ")[0]
    assert {*re.findall(r"`(\w+)`", said)} - {"snapshot_tree"} == {*NAMES}


def test_every_need_is_declared() -> None:
    """A case names no requirement that there is not; each case says in a sentence what it holds."""
    named = {name for case in CASES for mark in case.pytestmark if mark.name == "requires" for name in mark.args}
    assert named <= set(NAMES)
    assert all(case.__doc__ for case in CASES)


def test_what_is_skipped_is_listed_with_its_count(tmp_path: Path) -> None:
    """Under its kind, with the reason and the cases; it is no failure unless it is required."""
    ran = run(tmp_path, SKIPS)
    assert ran.status == 0
    assert "skipped, not possible here (1):" in ran.said
    assert "1: test_open_share" in ran.said
    assert [(s.case, s.requirement) for s in ran.found.skipped] == [("test_open_share", "hold")]
    required = run(tmp_path, SKIPS, "--require", "hold")
    assert required.status == 1
    assert "hold is required, and not possible here: memory is not kept open by anybody" in required.said
    assert list(required.found.failed) == ["test_open_share"]
    at_once = required.said.partition("= ERRORS =")[0]
    assert "\ntest_open_share: Failed: hold is required" in at_once


def test_a_known_failure(tmp_path: Path) -> None:
    """One that passes is a failure; one without a reason, or of no case, is refused."""
    known = tmp_path / "known.toml"
    known.write_text('test_everything_is_as_it_was = "it was broken once"\n')
    ran = run(tmp_path, QUICK, "--known-failures", str(known))
    assert ran.status == 1
    assert list(ran.found.failed) == ["test_everything_is_as_it_was"]
    assert (ran.found.broken, ran.found.partly) == (["revert"], [])
    assert "| revert | FAILED |" in markdown([ran.found])
    for name in ("test_nothing", "test_data"):
        known.write_text(f'{name} = "x"\n')
        assert f"{name!r}: there is no such case" in run(tmp_path, QUICK, "--known-failures", str(known)).said
    known.write_text('test_everything_is_as_it_was = ""\n')
    refused = run(tmp_path, QUICK, "--known-failures", str(known))
    assert refused.status == pytest.ExitCode.USAGE_ERROR
    assert "has no reason" in refused.said


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--driver", "zfs", "--config", "FILE"), "no backend of driver zfs (backends there: one, two)"),
        (("--driver", "directory", "--config", "FILE"), "choose by --backend one|two"),
        (("--driver", "directory", "--config", "FILE", "--backend", "three"), "no backend 'three'"),
        (("--driver", "nobody"), "there is no driver 'nobody'; registered are directory, lvm, memory, zfs"),
        (("--driver", "nobody", "--config", "FILE"), "there is no driver 'nobody'"),
        (("--driver", "revertkit.drivers.directory:DirectoryDriver"), "name a backend of it by --config"),
        (("--driver", ""), "name a driver"),
        (("--driver", "lvm"), "driver lvm needs storage to be tested on: name a backend by --config FILE"),
        (("--harness", "nowhere:Harness"), "No module named 'nowhere'"),
        (("--harness", "revertkit.models:Share"), "is no subclass"),
        (("--require", "everything"), "there is no requirement 'everything'"),
        (("--points", "some"), "--points is 'all', a number from 1"),
        (("--report", "nowhere/report.json"), "there is no directory"),
        (("--repeat", "0"), "--repeat is a number from 1"),
        (("-n", "2"), "leave out -n"),
    ],
)
def test_what_is_asked_wrongly_is_refused(tmp_path: Path, argv: tuple[str, ...], said: str) -> None:
    """Before anything is touched, with what would have been right."""
    file = tmp_path / "revertkit.toml"
    file.write_text(
        "".join(f'[backends.{n}]\ndriver = "directory"\nmount_root = "{tmp_path}"\n' for n in ("one", "two"))
    )
    ran = run(tmp_path, *(str(file) if word == "FILE" else word for word in argv), QUICK)
    assert ran.status == pytest.ExitCode.USAGE_ERROR
    assert said in ran.said
    assert ran.report is None


def test_a_sample_is_drawn_by_its_seed(tmp_path: Path) -> None:
    """As many points of each operation as are asked for, and the same ones again with the same seed."""
    case = "revertkit.conformance.cases.test_sweeps::test_faults[revert]"
    first, again = (run(tmp_path, case, "--points", "3", "--seed", "7").found for _ in range(2))
    assert [one.swept for one in first.points if one.operation == "revert"] == [3]
    assert first.points == again.points
    assert run(tmp_path, case, "--points", "3").found.seed != 7


def test_a_point_is_run_again_by_its_name(tmp_path: Path) -> None:
    """As a failure calls it, with its recovery; it proves nothing, and a name that no point has is a failure."""
    case = "revertkit.conformance.cases.test_sweeps::test_faults[revert]"
    ran = run(tmp_path, case, "--points", "revert: death after step 2 of")
    assert ran.status == 0
    point, recovery = ran.found.points
    assert (point.swept, point.ways) == (1, {"death after": 1})
    assert recovery.swept == recovery.points > 0
    assert not ran.found.proven
    missed = run(tmp_path, case, "--points", "revert: death after step 99")
    assert missed.status == 1
    assert "no point is called 'revert: death after step 99'" in missed.said


def test_every_entry_point_can_be_called_over_and_over(tmp_path: Path) -> None:
    """``--repeat 3``, and the end says so."""
    ran = run(tmp_path, QUICK, "--repeat", "3")
    assert ran.found.passed == ["test_everything_is_as_it_was"]
    assert "every entry point was called 3 times" in ran.said


class Measuring(MemoryDriver):
    """Each look takes another time."""

    api_version = 1
    calls = itertools.count()

    def update_replica_state(self, *looked_at: Any) -> ReplicaReport:
        return super().update_replica_state(*looked_at).model_copy(update={"seconds_behind": float(next(self.calls))})


class Wavering(MemoryDriver):
    """Each look says something else."""

    api_version = 1
    calls = itertools.count()

    def update_replica_state(self, *looked_at: Any) -> ReplicaReport:
        return super().update_replica_state(*looked_at).model_copy(update={"found": f"look {next(self.calls)}"})


@pytest.mark.parametrize(("driver", "holds"), [(Measuring, True), (Wavering, False)])
def test_only_what_is_measured_may_differ_between_calls(tmp_path: Path, driver: type, holds: bool) -> None:
    """A look takes as long as it takes; whatever else it says is the same when it is repeated."""
    case = "test_calling_verbs_of_replicas_again_answers_the_same"
    harness = ("--harness", "revertkit.conformance.harnesses.memory:MemoryHarness")
    named = ("--driver", f"{__name__}:{driver.__name__}")
    ran = run_suite(tmp_path, "--pyargs", f"revertkit.conformance.cases.test_replicas::{case}", *harness, *named)
    assert (ran.found.passed, list(ran.found.failed)) == (([case], []) if holds else ([], [case]))


def test_only_all_of_it_is_proof(tmp_path: Path) -> None:
    """Some cases, or some points, are some; what was left out by name shows."""
    ran = run(tmp_path, "revertkit.conformance", "-k", "mountable or mounted or snapshot_access")
    assert (ran.status, ran.found.proven) == (0, [])
    assert "held, but not all of it was tried: " in ran.said


class Interrupted(MemoryDriver):
    """Somebody presses Ctrl-C in the middle of a revert."""

    api_version: ClassVar[int] = 1
    deleted: ClassVar[list[str]] = []

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        raise KeyboardInterrupt

    def delete_share(self, share: Replica) -> None:
        super().delete_share(share)
        self.deleted.append(share.id)


class Terminated(Interrupted):
    """A time limit ends the run there."""

    api_version: ClassVar[int] = 1
    deleted: ClassVar[list[str]] = []

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        os.kill(os.getpid(), signal.SIGTERM)
        return super().revert_to_snapshot(snapshot)


class InterruptedForGood(Interrupted):
    """And the share cannot be removed either."""

    api_version: ClassVar[int] = 1

    def delete_share(self, share: Replica) -> None:
        raise BackendError("busy")


@pytest.mark.parametrize("driver", [Interrupted, Terminated, InterruptedForGood])
def test_an_interrupted_run_takes_its_case_down(tmp_path: Path, driver: type[Interrupted]) -> None:
    """What it had made is removed, what cannot be is named, and the end is told, and reported, as that of any run."""
    harness = ("--harness", "revertkit.conformance.harnesses.memory:MemoryHarness")
    ran = run_suite(tmp_path, "--pyargs", QUICK, *harness, "--driver", f"{__name__}:{driver.__name__}")
    assert ran.status == pytest.ExitCode.INTERRUPTED
    assert "0 held, 0 failed" in ran.said
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if driver is InterruptedForGood:
        assert "busy" in "".join(ran.found.left)
        assert "left on the backend: " in ran.said
    else:
        assert (len(driver.deleted), ran.found.left) == (1, [])


def test_storage_that_stays_costs_no_report(tmp_path: Path) -> None:
    """It is a failure, told at the end and in the report; so is a driver that breaks before the first case."""
    ran = run(tmp_path, QUICK, "--harness", f"{__name__}:Clinging")
    assert ran.status == pytest.ExitCode.TESTS_FAILED
    assert ran.found.passed == ["test_everything_is_as_it_was"]
    assert ran.found.left == ["the storage could not be taken away: OSError('target is busy')"]
    assert "left on the backend: the storage could not be taken away" in ran.said
    Clinging.left = False
    run(tmp_path, QUICK, "--harness", f"{__name__}:Clinging", "--driver", f"{__name__}:BrokenReport")
    assert Clinging.left, "what the harness had made was left behind"


class Clinging(MemoryHarness):
    """Storage that is busy when it has to go."""

    left = False

    @contextmanager
    def storage(self, home: Path) -> Iterator[Mapping[str, Any]]:
        with super().storage(home) as options:
            try:
                yield options
            finally:
                Clinging.left = True
        raise OSError("target is busy")


class BrokenReport(MemoryDriver):
    """Its report has a fault of its own."""

    def pools(self) -> list[Pool]:
        raise AttributeError("pools")


def test_a_requirement_beats_a_known_failure(tmp_path: Path) -> None:
    """What is missing was never tried, and so did not fail as is known."""
    known = tmp_path / "known.toml"
    known.write_text('test_open_share = "it was open once"\n')
    ran = run(tmp_path, SKIPS, "--known-failures", str(known), "--require", "hold")
    assert ran.status == 1
    assert list(ran.found.failed) == ["test_open_share"]
    assert ran.found.known_failures == {}


class KeepsIdentities(MemoryDriver):
    """A revert leaves share and snapshot who they are, and cannot say how far it came."""

    api_version = 1

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        self.check_revert(snapshot)
        held, files = self._share(snapshot.replica), self.snapshot_files(snapshot)
        with step("turn it back"):
            held.online, held.files = False, dict(files)
        return Reverted(share=stored(held), snapshot=stored(self._kept(snapshot)))

    def revert_state(self, snapshot: SnapshotInstance) -> RevertState:
        return RevertState.UNKNOWN


class TurnsBackInOneStep(DirectoryDriver):
    """From its only look to its end nobody can come between."""

    api_version = 1

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        if self.revert_state(snapshot) is not RevertState.REVERTED:
            self.check_revert(snapshot)
            with step("turn it back"):
                Context().run(self._turn_back, snapshot)
        return super().revert_to_snapshot(snapshot)

    def _turn_back(self, snapshot: SnapshotInstance) -> None:
        home = self._home(snapshot.replica)
        self._stage(home, home.snapshot(snapshot.snapshot_id))
        home.go_offline()
        home.exchange()


@pytest.mark.parametrize(
    ("driver", "case", "need"),
    [
        (KeepsIdentities, "test_truth::test_what_was_written_since_is_never_reverted_away", "new_identities"),
        (TurnsBackInOneStep, "test_second_look::test_share_that_is_opened_meanwhile", "second_look"),
    ],
)
def test_what_a_driver_cannot_show_is_a_skip(tmp_path: Path, driver: type, case: str, need: str) -> None:
    """Found out on the way, and listed; required, it is a failure."""
    kind = "memory" if issubclass(driver, MemoryDriver) else "directory"
    harness = ("--harness", f"revertkit.conformance.harnesses.{kind}:{kind.capitalize()}Harness")
    asked = ("--pyargs", f"revertkit.conformance.cases.{case}", *harness, "--driver", f"{__name__}:{driver.__name__}")
    name = case.partition("::")[2]
    assert [(s.case, s.requirement) for s in run_suite(tmp_path, *asked).found.skipped] == [(name, need)]
    assert list(run_suite(tmp_path, *asked, "--require", need).found.failed) == [name]


def test_reports_make_a_table(tmp_path: Path) -> None:
    """What has been tried and held, what is only claimed, and what is not there; one case proves nothing whole."""
    files = []
    for driver in ("memory", "directory"):
        run(tmp_path, QUICK, "--driver", driver)
        files.append(str((tmp_path / "report.json").rename(tmp_path / f"{driver}.json")))
    table = CliRunner().invoke(app, ["driver", "matrix", *files]).stdout.splitlines()
    assert table[:2] == ["|  | memory | directory |", "| --- | --- | --- |"]
    assert "| revert | held, not all tried | held, not all tried |" in table
    assert "| mountable_snapshots | claimed, not proven | no |" in table
    rows = json.loads(CliRunner().invoke(app, ["driver", "matrix", *files, "--format", "json"]).stdout)
    assert {"what": "cases that hold", "memory": 1, "directory": 1} in rows
    (tmp_path / "other.json").write_text("{}")
    refused = CliRunner().invoke(app, ["driver", "matrix", str(tmp_path / "other.json")])
    assert refused.exit_code == 2


AUTHORS = """
from revertkit.conformance.cases.test_data import *
from revertkit.conformance.requirements import requires
from revertkit.conformance.stage import Stage


def test_my_own(stage: Stage) -> None:
    assert stage.share().size == 1


@requires("hold")
def test_my_own_with_a_need(stage: Stage) -> None:
    raise AssertionError("nobody keeps memory open")
"""


def test_cases_in_a_module_of_ones_own(tmp_path: Path) -> None:
    """With the harness in pytest's settings, beside cases of the author's own, whose needs are asked for too."""
    (tmp_path / "test_mine.py").write_text(AUTHORS)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nrevertkit_harness = revertkit.conformance.harnesses.memory:MemoryHarness\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", "three_deep or my_own"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
    assert "2 passed, 1 skipped" in ran.stdout
    assert "claimed: snapshots" in ran.stdout
    assert "my_own_with_a_need" not in ran.stdout
    required = subprocess.run(
        [*command, "--require", "hold"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "hold is required, and not possible here" in required.stdout
    assert required.returncode == 1


def test_others_pay_nothing_for_it(tmp_path: Path) -> None:
    """Where the suite is not meant, its options are nobody's, and no part of revertkit but the door is imported."""
    look = (
        "import sys, pytest; pytest.main(['-q', '--collect-only']); "
        "print(sorted(m for m in sys.modules if m.startswith('revertkit') or m in ('pydantic', 'sqlalchemy')))"
    )
    ran = subprocess.run([sys.executable, "-c", look], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.stdout.splitlines()[-1] == "['revertkit', 'revertkit.conformance', 'revertkit.conformance.plugin']"
    refused = subprocess.run(
        [sys.executable, "-m", "pytest", "--driver", "x"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "unrecognized arguments: --driver" in refused.stderr
