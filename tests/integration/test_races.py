"""Races between real processes on one state directory: the directory backend, SQLite, file locks."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import (
    CONTEXT,
    SECONDS,
    Gate,
    NoLocks,
    assert_at_rest,
    child,
    ended,
    manifest,
    open_manager,
    share_tree,
    snapshot_tree,
    wait_until,
    watching,
    write_tree,
)

from revertkit.errors import Conflict, RevertkitError
from revertkit.manager import ShareManager
from revertkit.models import Share, Snapshot
from revertkit.operations import recover as recovery
from revertkit.status import Status
from revertkit.system import processes
from revertkit.system.run import Moment, StepEvent, run

VERBS: dict[str, Callable[[ShareManager], Any]] = {
    "revert": lambda m: m.revert_to_snapshot(CONTEXT, "snapshot"),
    "create snapshot": lambda m: m.create_snapshot(CONTEXT, "share", name="another"),
    "delete snapshot": lambda m: m.delete_snapshot(CONTEXT, "snapshot"),
    "extend": lambda m: m.extend_share(CONTEXT, "share", 2),
    "delete share": lambda m: m.delete_share(CONTEXT, "share"),
    "set status": lambda m: m.set_share_status(CONTEXT, "share", Status.ERROR),
    "allow access": lambda m: m.allow_access(CONTEXT, "share", "10.0.0.1"),
}


@dataclass
class World:
    """A share, a snapshot of it, and what is in both."""

    state: Path
    manager: ShareManager
    share: Share
    snapshot: Snapshot

    @property
    def content(self) -> dict[str, Any]:
        """What is in the share."""
        return manifest(share_tree(self.manager, self.share))

    @property
    def kept(self) -> dict[str, Any]:
        """What is in the snapshot."""
        return manifest(snapshot_tree(self.state, self.share, self.snapshot))

    @property
    def statuses(self) -> tuple[Status, Status]:
        """Of both."""
        return (
            self.manager.share(CONTEXT, self.share.id).status,
            self.manager.snapshot(CONTEXT, self.snapshot.id).status,
        )


@pytest.fixture
def world(state: Path, directory: ShareManager) -> World:
    """Something to race for."""
    share = directory.create_share(CONTEXT, 1, name="share")
    write_tree(share_tree(directory, share), "old")
    snapshot = directory.create_snapshot(CONTEXT, share.id, name="snapshot")
    write_tree(share_tree(directory, share), "now")
    return World(state, directory, share, snapshot)


def at_gate(gate: Gate) -> Callable[[StepEvent], None]:
    """Stand at the gate in the first step that there is."""
    once: list[StepEvent] = []

    def watch(event: StepEvent) -> None:
        if not once and event.moment is Moment.BEFORE:
            once.append(event)
            gate.stand()

    return watch


def compete(state: Path, start: Gate, gate: Gate, number: int, verb: str, locked: bool) -> None:
    """Wait for the start, ask, stand at the gate if it is accepted, and write down how it ended."""
    manager = open_manager(state)
    if not locked:
        manager.site.locks = NoLocks()
    (state / f"ready-{number}").touch()
    start.stand()
    try:
        with watching(at_gate(gate)):
            VERBS[verb](manager)
        answer = "done"
    except RevertkitError as refused:
        answer = f"{'conflict' if isinstance(refused, Conflict) else 'other'} {type(refused).__name__}: {refused}"
    (state / f"answer-{number}.part").write_text(answer)
    (state / f"answer-{number}.part").rename(state / f"answer-{number}")


def answers(state: Path) -> list[str]:
    """Read what has been answered so far."""
    return [path.read_text() for path in state.glob("answer-*") if path.suffix != ".part"]


@pytest.mark.parametrize("locked", [True, False], ids=["with locks", "by the transaction alone"])
def test_eight_ask_for_one_revert(world: World, tmp_path: Path, locked: bool) -> None:
    """Races, behaviour 20: 8 processes ask to revert one share at once: exactly one runs, seven get the conflict.

    Also when no lock ever refuses: it is the transaction that decides.
    """
    (tmp_path / "start").mkdir()
    start, gate = Gate(tmp_path / "start"), Gate(tmp_path)
    with ExitStack() as stack:
        children = [
            stack.enter_context(child(compete, world.state, start, gate, number, "revert", locked))
            for number in range(8)
        ]
        wait_until(lambda: len(list(world.state.glob("ready-*"))) == 8, "eight processes to be ready")
        start.let_go()
        wait_until(lambda: len(answers(world.state)) == 7, "seven answers")
        gate.wait()
        assert all(answer.startswith("conflict") for answer in answers(world.state)), answers(world.state)
        assert world.statuses == (Status.REVERTING, Status.RESTORING)
        gate.let_go()
        assert [ended(process) for process in children] == [0] * 8
    assert sorted(answer.split()[0] for answer in answers(world.state)) == ["conflict"] * 7 + ["done"]
    assert world.content == world.kept
    assert world.statuses == (Status.AVAILABLE, Status.AVAILABLE)
    assert_at_rest(world.manager)
    with world.manager.site.store.read() as tx:
        ran = tx.exec_driver_sql("SELECT count(*) FROM operations WHERE kind = 'revert_to_snapshot'").scalar()
    assert ran == 1


@contextmanager
def at_work(world: World, tmp_path: Path, verb: str) -> Iterator[tuple[Any, Gate]]:
    """Have another process in the middle of an operation."""
    (tmp_path / "start").mkdir()
    start, gate = Gate(tmp_path / "start"), Gate(tmp_path)
    start.let_go()
    with child(compete, world.state, start, gate, 0, verb, True) as process:
        gate.wait()
        yield process, gate


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "allow access"])
def test_nothing_else_begins_while_another_process_reverts(world: World, tmp_path: Path, verb: str) -> None:
    """Rule 4, behaviour 20: revert against each other operation: the conflict, with nothing changed."""
    with at_work(world, tmp_path, "revert") as (process, gate):
        before = world.kept
        with pytest.raises(Conflict):
            VERBS[verb](world.manager)
        assert world.statuses == (Status.REVERTING, Status.RESTORING)
        gate.let_go()
        assert ended(process) == 0
    assert answers(world.state) == ["done"]
    assert world.content == world.kept == before
    assert [s.id for s in world.manager.snapshots(CONTEXT)] == [world.snapshot.id]


@pytest.mark.parametrize("verb", ["create snapshot", "delete snapshot"])
def test_no_revert_begins_while_another_process_works(world: World, tmp_path: Path, verb: str) -> None:
    """Behaviour 20, turned round: a snapshot being taken or deleted elsewhere is never reverted past."""
    with at_work(world, tmp_path, verb) as (process, gate):
        now = world.content
        with pytest.raises(Conflict):
            VERBS["revert"](world.manager)
        gate.let_go()
        assert ended(process) == 0
    assert answers(world.state) == ["done"]
    assert world.content == now
    assert_at_rest(world.manager)
    if verb == "create snapshot":
        with pytest.raises(Conflict, match="another"):
            VERBS["revert"](world.manager)


def test_a_living_owner_is_never_raced(world: World, tmp_path: Path) -> None:
    """A command beside a running operation never takes it over; one that is stopped (SIGSTOP) is alive all the same."""
    with at_work(world, tmp_path, "revert") as (process, gate):
        os.kill(process.pid, signal.SIGSTOP)
        for _ in range(3):
            (told,) = world.manager.recover()
            assert "its process is alive" in told.found
            assert world.manager.interrupted() == []
        with pytest.raises(Conflict):
            VERBS["revert"](world.manager)
        with pytest.raises(Conflict):
            world.manager.delete_snapshot(CONTEXT, world.snapshot.id, force=True)
        assert world.statuses == (Status.REVERTING, Status.RESTORING)
        os.kill(process.pid, signal.SIGCONT)
        gate.let_go()
        assert ended(process) == 0
    assert world.content == world.kept
    assert world.statuses == (Status.AVAILABLE, Status.AVAILABLE)
    assert world.manager.recover() == []


def revert_with_a_slow_tool(state: Path, gate: Gate) -> None:
    """Revert, and in the first step start a tool that stands at the gate; it outlives us."""
    once: list[StepEvent] = []

    def watch(event: StepEvent) -> None:
        if not once:
            once.append(event)
            script = f"touch {gate.here}; while [ ! -e {gate.open} ]; do sleep 0.02; done; touch {gate.here}.ended"
            run(["sh", "-c", script], changes=False)

    with watching(watch):
        VERBS["revert"](open_manager(state))


def test_recovery_waits_for_a_dead_owners_tools(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recover: nothing is touched until no child of the dead owner is left; the wait is bounded."""
    gate = Gate(tmp_path)
    last = Path(f"{gate.here}.ended")
    with child(revert_with_a_slow_tool, world.state, gate) as owner:
        gate.wait()
        os.kill(owner.pid, signal.SIGKILL)
        assert ended(owner) == -signal.SIGKILL
    with monkeypatch.context() as patched:
        patched.setattr(recovery, "CHILDREN_SECONDS", 0.1)
        (told,) = world.manager.recover()
    assert not told.at_rest
    assert "still run" in told.found
    assert world.statuses == (Status.REVERTING, Status.RESTORING)
    waiting, wait = threading.Event(), processes.wait_for_end

    def waited(pids: list[int], seconds: float) -> list[int]:
        waiting.set()
        left = wait(pids, seconds)
        assert last.exists(), "recovery went on before the tool had ended"
        return left

    monkeypatch.setattr(processes, "wait_for_end", waited)
    found: list[Any] = []
    recovering = threading.Thread(target=lambda: found.extend(world.manager.recover()), daemon=True)
    recovering.start()
    assert waiting.wait(SECONDS)
    assert world.statuses == (Status.REVERTING, Status.RESTORING)
    gate.let_go()
    recovering.join(SECONDS)
    assert not recovering.is_alive()
    assert [told.at_rest for told in found] == [True]
    assert world.statuses == (Status.AVAILABLE, Status.AVAILABLE)
    VERBS["revert"](world.manager)
    assert world.content == world.kept


def recover_once(state: Path, start: Gate, number: int) -> None:
    """Recover at the same moment as others do."""
    manager = open_manager(state)
    (state / f"ready-{number}").touch()
    start.stand()
    manager.recover()


def test_several_recoveries_at_once_are_one(world: World, tmp_path: Path) -> None:
    """A start of several commands after a crash: one of them recovers, none does it twice or gives up."""
    with at_work(world, tmp_path, "revert") as (process, _gate):
        os.kill(process.pid, signal.SIGKILL)
        ended(process)
    (tmp_path / "again").mkdir()
    start = Gate(tmp_path / "again")
    with ExitStack() as stack:
        children = [stack.enter_context(child(recover_once, world.state, start, n)) for n in range(1, 5)]
        wait_until(lambda: len(list(world.state.glob("ready-*"))) == 5, "all to be ready")
        start.let_go()
        assert [ended(one) for one in children] == [0] * 4
    assert world.statuses == (Status.AVAILABLE, Status.AVAILABLE)
    assert_at_rest(world.manager)
    VERBS["revert"](world.manager)
    assert world.content == world.kept


def create_many(state: Path, start: Gate, number: int, results: Path) -> None:
    """Take what quota there is, in small pieces."""
    manager = open_manager(state)
    (state / f"ready-{number}").touch()
    start.stand()
    made = 0
    for _ in range(4):
        try:
            manager.create_share(CONTEXT, 1)
            made += 1
        except RevertkitError as refused:
            assert refused.exit_code == 5, refused
    (results / f"made-{number}").write_text(str(made))


def test_quota_is_never_taken_twice(state: Path, directory: ShareManager, tmp_path: Path) -> None:
    """Rule 6: several processes at the limit get exactly what there is."""
    directory.set_quota(CONTEXT.project_id, "gigabytes", 5)
    start = Gate(tmp_path)
    with ExitStack() as stack:
        children = [stack.enter_context(child(create_many, state, start, n, tmp_path)) for n in range(3)]
        wait_until(lambda: len(list(state.glob("ready-*"))) == 3, "all to be ready")
        start.let_go()
        assert [ended(one) for one in children] == [0] * 3
    assert sum(int(path.read_text()) for path in tmp_path.glob("made-*")) == 5
    assert len(directory.shares(CONTEXT)) == 5
