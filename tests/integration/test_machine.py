"""A state machine over all operations: never two winners, never a lost snapshot, never a status nobody will leave."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from support import (
    CONTEXT,
    Gate,
    Killed,
    assert_at_rest,
    assert_quota_is_the_sum,
    child,
    ended,
    manifest,
    mountable,
    open_manager,
    points,
    share_tree,
    snapshot_tree,
    wait_until,
    write_tree,
)

from revertkit.drivers.memory import MemoryDriver
from revertkit.drivers.memory.storage import STORAGE
from revertkit.errors import (
    BackendError,
    Conflict,
    InvalidInput,
    NotFound,
    OperationFailed,
    QuotaExceeded,
    RevertkitError,
)
from revertkit.manager import ShareManager
from revertkit.models import RevertState
from revertkit.status import Status
from revertkit.store import snapshots as stored_snapshots


@dataclass
class Kept:
    """A snapshot as it has to be."""

    id: str
    size: int
    content: dict[str, bytes]


@dataclass
class Model:
    """A share as it has to be; the last snapshot is the latest."""

    size: int
    content: dict[str, bytes] = field(default_factory=dict)
    snapshots: list[Kept] = field(default_factory=list)


def fault_of(points: int) -> st.SearchStrategy[Any]:
    """Say what goes wrong in an operation of so many points: nothing, or an error or a death at one of them."""
    return st.one_of(st.none(), st.tuples(st.integers(1, points), st.sampled_from(["error", "death", "death"])))


FAULT, FAULT_OF_REVERT = fault_of(8), fault_of(28)
WHICH = st.integers(0, 5)


class Machine(RuleBasedStateMachine):
    """The manager on the memory backend against a dictionary."""

    template: Path
    root: Path
    ended: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        MemoryDriver.reset()
        self.state = Path(tempfile.mkdtemp(dir=self.root))
        shutil.copytree(self.template, self.state, dirs_exist_ok=True)
        self.manager = open_manager(self.state, "memory")
        self.models: dict[str, Model] = {}
        self.word = 0

    @initialize()
    def limits(self) -> None:
        """Let quota be met now and then, and every snapshot be mounted."""
        mountable(self.manager)
        self.manager.set_quota(CONTEXT.project_id, "shares", 4)
        self.manager.set_quota(CONTEXT.project_id, "gigabytes", 40)
        self.manager.set_quota(CONTEXT.project_id, "snapshots", 8)

    def teardown(self) -> None:
        """Forget it."""
        self.manager.site.store.engine.dispose()
        shutil.rmtree(self.state)

    # --- how

    @property
    def driver(self) -> MemoryDriver:
        """The backend."""
        found = self.manager.site.driver("fast")
        assert isinstance(found, MemoryDriver)
        return found

    def attempt(self, fault: Any, verb: str, *arguments: Any, **more: Any) -> tuple[str, Any]:
        """Run a verb with its fault; count how it ended."""
        end, answer = self._attempt(fault, verb, *arguments, **more)
        self.ended[f"{verb} {end}"] += 1
        return end, answer

    def _attempt(self, fault: Any, verb: str, *arguments: Any, **more: Any) -> tuple[str, Any]:
        """Run a verb with its fault; after a death start anew and recover. Answer how it ended, and its answer."""
        number, kind = fault or (0, "")
        reached: list[str] = []

        def point(name: str) -> None:
            reached.append(name)
            if len(reached) == number:
                raise Killed if kind == "death" else BackendError("injected")

        try:
            with points(point):
                answer = getattr(self.manager, verb)(CONTEXT, *arguments, **more)
            if fault:
                self.manager.recover()  # it is done, and told that a snapshot could not be mounted
            return "done", answer
        except Killed:
            self.manager.site.store.engine.dispose()
            self.manager = open_manager(self.state, "memory")
            self.manager.recover()
            return "died", None
        except (Conflict, QuotaExceeded, NotFound, InvalidInput) as refused:
            return "refused", refused
        except (OperationFailed, BackendError) as failure:
            self.manager.recover()
            return "failed", failure

    def files(self, share_id: str) -> Any:
        """Reach a share's content."""
        return self.driver.files(self.manager.share(CONTEXT, share_id).replica)

    def pick(self, which: int, snapshots: int = 0) -> str:
        """Name a share that has so many snapshots; nothing if there is none."""
        fitting = [share for share, model in self.models.items() if len(model.snapshots) >= snapshots]
        return fitting[which % len(fitting)] if fitting else ""

    def settle(self, share_id: str) -> None:
        """Set by hand what only a hand can: a resize that failed leaves its own error status."""
        status = self.manager.share(CONTEXT, share_id).status
        if status in (Status.EXTENDING_ERROR, Status.SHRINKING_ERROR, Status.ERROR):
            self.manager.set_share_status(CONTEXT, share_id, Status.AVAILABLE)
            self.manager.recover()

    def take_over(self, share_id: str, *sizes: int) -> None:
        """After a fault, the size may be the old or the new one; nothing else may."""
        size = self.manager.share(CONTEXT, share_id).size
        assert size in sizes
        self.models[share_id].size = size

    # --- what can be done

    @precondition(lambda self: len(self.models) < 3)
    @rule(size=st.integers(1, 12), fault=FAULT)
    def create(self, size: int, fault: Any) -> None:
        """Make a share."""
        known = set(self.models)
        end, answer = self.attempt(fault, "create_share", size, share_type="mountable")
        if end == "refused":
            assert isinstance(answer, QuotaExceeded)
        self.born(known, size, {})

    @precondition(lambda self: self.pick(0, snapshots=1))
    @rule(which=WHICH, more=st.integers(0, 2), fault=FAULT)
    def copy(self, which: int, more: int, fault: Any) -> None:
        """Make a share of another's latest snapshot."""
        source = self.pick(which, snapshots=1)
        known, kept = set(self.models), self.models[source].snapshots[-1]
        self.attempt(fault, "create_share", kept.size + more, snapshot=kept.id)
        self.born(known, kept.size + more, kept.content)

    def born(self, known: set[str], size: int, content: dict[str, bytes]) -> None:
        """Take a new share into the model, or see that there is none; one in error is deleted."""
        fresh = [share for share in self.manager.shares(CONTEXT) if share.id not in known]
        assert len(fresh) <= 1
        for share in fresh:
            if share.status is Status.AVAILABLE:
                self.models[share.id] = Model(size, dict(content))
                continue
            assert share.status is Status.ERROR
            self.manager.delete_share(CONTEXT, share.id)

    @precondition(lambda self: self.models)
    @rule(which=WHICH)
    def write(self, which: int) -> None:
        """Be a client."""
        share = self.pick(which)
        self.word += 1
        self.files(share)[f"file-{self.word % 3}"] = b"%d" % self.word
        self.models[share].content[f"file-{self.word % 3}"] = b"%d" % self.word

    @precondition(lambda self: self.models)
    @rule(which=WHICH, fault=FAULT)
    def snapshot(self, which: int, fault: Any) -> None:
        """Take a snapshot; one in error is in the way of a revert until it is deleted."""
        share = self.pick(which)
        model = self.models[share]
        known = {kept.id for kept in model.snapshots}
        self.attempt(fault, "create_snapshot", share)
        fresh = [s for s in self.manager.snapshots(CONTEXT, share) if s.id not in known]
        assert len(fresh) <= 1
        for one in fresh:
            if one.status is Status.AVAILABLE:
                model.snapshots.append(Kept(one.id, one.size, dict(model.content)))
                continue
            assert one.status is Status.ERROR
            for kept in model.snapshots[-1:]:
                with pytest.raises(Conflict, match=one.id):
                    self.manager.revert_to_snapshot(CONTEXT, kept.id)
            self.manager.delete_snapshot(CONTEXT, one.id)

    @precondition(lambda self: self.pick(0, snapshots=2))
    @rule(which=WHICH)
    def revert_to_an_older_one(self, which: int) -> None:
        """Only the latest snapshot will do; the refusal names it."""
        snapshots = self.models[self.pick(which, snapshots=2)].snapshots
        end, answer = self.attempt(None, "revert_to_snapshot", snapshots[which % (len(snapshots) - 1)].id)
        assert end == "refused"
        assert snapshots[-1].id in str(answer)

    @precondition(lambda self: self.pick(0, snapshots=1))
    @rule(which=WHICH, fault=FAULT_OF_REVERT)
    def revert(self, which: int, fault: Any) -> None:
        """Turn a share back to its latest snapshot."""
        share = self.pick(which, snapshots=1)
        model = self.models[share]
        kept, before = model.snapshots[-1], model.size
        end, answer = self.attempt(fault, "revert_to_snapshot", kept.id)
        if end == "refused":
            assert isinstance(answer, QuotaExceeded)
        self.manager.recover()
        assert self.manager.share(CONTEXT, share).status is Status.AVAILABLE
        found = dict(self.files(share))
        assert found in ([kept.content] if end == "done" else [kept.content, model.content])
        self.take_over(share, kept.size, before)
        model.content = found

    @precondition(lambda self: self.pick(0, snapshots=1))
    @rule(which=WHICH, fault=FAULT)
    def delete_snapshot(self, which: int, fault: Any) -> None:
        """Delete the latest."""
        share = self.pick(which, snapshots=1)
        model = self.models[share]
        kept = model.snapshots[-1]
        end, _ = self.attempt(fault, "delete_snapshot", kept.id)
        there = [s for s in self.manager.snapshots(CONTEXT, share) if s.id == kept.id]
        assert not there or end != "done"
        if there and there[0].status is Status.ERROR_DELETING:
            self.manager.delete_snapshot(CONTEXT, kept.id)
            there = []
        if not there:
            model.snapshots.pop()

    @precondition(lambda self: len(self.models) > 1)
    @rule(which=WHICH, fault=FAULT)
    def delete(self, which: int, fault: Any) -> None:
        """Delete a share; one with snapshots stays."""
        share = self.pick(which)
        model = self.models[share]
        end, _ = self.attempt(fault, "delete_share", share)
        there = [one for one in self.manager.shares(CONTEXT) if one.id == share]
        if model.snapshots:
            assert there
            assert end == "refused" or fault
            return
        if there and there[0].status is Status.ERROR_DELETING:
            self.manager.delete_share(CONTEXT, share)
            there = []
        if not there:
            del self.models[share]

    @precondition(lambda self: self.models)
    @rule(which=WHICH, size=st.integers(1, 15), fault=FAULT)
    def resize(self, which: int, size: int, fault: Any) -> None:
        """Extend or shrink."""
        share = self.pick(which)
        model = self.models[share]
        verb = "extend_share" if size > model.size else "shrink_share"
        self.attempt(fault, verb, share, size)
        self.settle(share)
        self.take_over(share, size, model.size)

    @precondition(lambda self: self.models)
    @rule(which=WHICH, last=st.integers(1, 3), fault=FAULT)
    def access(self, which: int, last: int, fault: Any) -> None:
        """Allow or deny; a rule in error is denied, or a revert would be refused for it."""
        share = self.pick(which)
        if self.models[share].snapshots and last < 3:
            self.snapshot_access(which, last, fault)
            return
        known = {rule.access_to for rule in self.manager.access_rules(CONTEXT, share)}
        verb = "deny_access" if f"10.0.0.{last}" in known else "allow_access"
        self.attempt(fault, verb, share, f"10.0.0.{last}")
        for one in self.manager.access_rules(CONTEXT, share):
            if one.state.value == "error":
                self.manager.deny_access(CONTEXT, share, one.id)

    def snapshot_access(self, which: int, last: int, fault: Any) -> None:
        """Let somebody mount the latest snapshot, or no longer; a rule in error is denied, as above."""
        kept = self.models[self.pick(which, snapshots=1)].snapshots[-1]
        known = {rule.access_to for rule in self.manager.snapshot_access_rules(CONTEXT, kept.id)}
        verb = "deny_snapshot_access" if f"10.0.0.{last}" in known else "allow_snapshot_access"
        self.attempt(fault, verb, kept.id, f"10.0.0.{last}")
        for one in self.manager.snapshot_access_rules(CONTEXT, kept.id):
            if one.state.value == "error":
                self.manager.deny_snapshot_access(CONTEXT, kept.id, one.id)

    @precondition(lambda self: self.models)
    @rule(which=WHICH, fault=FAULT, again=FAULT)
    def let_go(self, which: int, fault: Any, again: Any) -> None:
        """Unmanage something and take it back."""
        if which % 2 and self.bare(which):
            self.let_a_share_go(which, fault, again)
        elif self.pick(which, snapshots=1):
            self.let_a_snapshot_go(which, fault, again)

    def let_a_snapshot_go(self, which: int, fault: Any, again: Any) -> None:
        """Unmanage the latest and take it back: the same content under another id, whatever goes wrong."""
        share = self.pick(which, snapshots=1)
        model = self.models[share]
        kept = model.snapshots[-1]
        name = self.name_of(share, kept.id)
        self.attempt(fault, "unmanage_snapshot", kept.id)
        if any(s.id == kept.id for s in self.manager.snapshots(CONTEXT, share)):
            assert fault
            return
        model.snapshots.pop()
        self.attempt(again, "manage_snapshot", share, name)
        known = {one.id for one in model.snapshots}
        for one in [s for s in self.manager.snapshots(CONTEXT, share) if s.id not in known]:
            assert one.size == kept.size
            model.snapshots.append(Kept(one.id, kept.size, kept.content))
            return
        assert again, "it could be taken back"
        STORAGE["fast"][self.replica_of(share)].snapshots.pop(name)

    def let_a_share_go(self, which: int, fault: Any, again: Any) -> None:
        """Unmanage a share that has no snapshots and take it back, with the size that the backend has.

        It may be another than was on record: where a resize failed, set-status has only changed the record.
        """
        share = self.bare(which)
        model, name = self.models[share], self.replica_of(share)
        size = STORAGE["fast"][name].size
        self.attempt(fault, "unmanage_share", share)
        if any(one.id == share for one in self.manager.shares(CONTEXT)):
            assert fault
            return
        del self.models[share]
        self.attempt(again, "manage_share", "fast", name, share_type="mountable")
        for one in [s for s in self.manager.shares(CONTEXT) if s.id not in self.models]:
            self.models[one.id] = Model(size, model.content)
            return
        assert again, "it could be taken back"
        (left,) = [name for name, held in STORAGE["fast"].items() if not held.mark]
        assert (STORAGE["fast"][left].files, STORAGE["fast"][left].size) == (model.content, size)
        del STORAGE["fast"][left]

    def bare(self, which: int) -> str:
        """Name a share that has no snapshots; nothing if there is none."""
        fitting = [share for share, model in self.models.items() if not model.snapshots]
        return fitting[which % len(fitting)] if fitting else ""

    def replica_of(self, share: str) -> str:
        """Say what a share is called on the backend."""
        return self.manager.share(CONTEXT, share).replica.id

    def name_of(self, share: str, snapshot: str) -> str:
        """Say what a snapshot is called on the backend."""
        return STORAGE["fast"][self.replica_of(share)].named(snapshot) or ""

    @rule()
    def recover(self) -> None:
        """Start anew where nothing was interrupted: nothing happens."""
        assert self.manager.recover() == []

    # --- what holds

    @invariant()
    def at_rest(self) -> None:
        """Nothing runs, so nothing is under way; quota is the sum."""
        assert_at_rest(self.manager)
        assert_quota_is_the_sum(self.manager)

    @invariant()
    def as_the_model_says(self) -> None:
        """Shares, contents, sizes, and every snapshot: there, in order, whole, and the last one the latest."""
        found = {share.id: share for share in self.manager.shares(CONTEXT)}
        assert found.keys() == self.models.keys()
        for share_id, model in self.models.items():
            share = found[share_id]
            assert (share.status, share.size) == (Status.AVAILABLE, model.size)
            assert dict(self.files(share_id)) == model.content
            stored = self.manager.snapshots(CONTEXT, share_id)
            assert [(s.id, s.size, s.status) for s in stored] == [
                (kept.id, kept.size, Status.AVAILABLE) for kept in model.snapshots
            ]
            self.backend_agrees(share_id, model)

    def backend_agrees(self, share_id: str, model: Model) -> None:
        """What the backend holds is what is on record, under the identities that are on record."""
        with self.manager.site.store.read() as tx:
            share = self.manager.share(CONTEXT, share_id)
            instances = [stored_snapshots.instance(tx, kept.id, share) for kept in model.snapshots]
            for kept in model.snapshots[-1:]:
                assert stored_snapshots.latest(tx, share_id).id == kept.id
        for kept, instance in zip(model.snapshots, instances, strict=True):
            assert dict(self.driver.snapshot_files(instance)) == kept.content
            exported = self.driver.snapshot_exported_to(instance)
            assert exported is not None, "it is offline"
            assert {rule.access_to for rule in exported} == {rule.access_to for rule in instance.rules}
            assert self.driver.revert_state(instance) is RevertState.UNCHANGED


def test_any_sequence_of_operations(template: Path, fast_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All operations in any order, with an error or a death at any point and a recovery after it."""
    Machine.template, Machine.root = template, fast_root
    settings = hypothesis.settings(
        max_examples=60,
        phases=[hypothesis.Phase.generate],  # shrinking takes minutes here, and a run of thirty steps can be read
        stateful_step_count=30,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    Machine.ended = Counter()
    run_state_machine_as_test(Machine, settings=settings)  # type: ignore[no-untyped-call]
    with capsys.disabled():
        print(f"\n  {dict(sorted(Machine.ended.items()))}", end="")
    verbs = ("create_snapshot", "revert_to_snapshot", "delete_snapshot", "extend_share")
    missed = [f"{verb} {end}" for verb in verbs for end in ("done", "died") if not Machine.ended[f"{verb} {end}"]]
    adopting = ("manage_share", "unmanage_share", "manage_snapshot", "unmanage_snapshot", "allow_snapshot_access")
    missed += [verb for verb in adopting if not Machine.ended[f"{verb} done"]]
    assert not missed, "the machine did not come to these often enough to have seen anything"
    assert Machine.ended["revert_to_snapshot refused"] >= 3


# --- several processes on one SQLite file


def rummage(state: Path, start: Gate, number: int, seed: int) -> None:
    """Do a dozen things at random to the same two shares as everybody else; a refusal is fine, anything else is not."""
    manager = open_manager(state)
    chance = random.Random(seed * 100 + number)
    log: list[str] = []
    (state / f"ready-{number}").touch()
    start.stand()
    for _ in range(12):
        share = chance.choice(["one", "two"])
        verb = chance.choice(["snapshot", "snapshot", "revert", "revert", "delete", "extend", "recover"])
        try:
            log.append(_do(manager, verb, share, chance))
        except OperationFailed:
            raise
        except RevertkitError as refused:
            assert refused.exit_code in (2, 3, 4, 5), refused
            log.append(f"{verb} {share}: {type(refused).__name__}")
    (state / f"log-{number}").write_text("\n".join(log))


def _do(manager: ShareManager, verb: str, share: str, chance: random.Random) -> str:
    snapshots = manager.snapshots(CONTEXT, share)
    if verb == "snapshot":
        return f"+{manager.create_snapshot(CONTEXT, share).id}"
    if verb == "extend":
        return f"extended {manager.extend_share(CONTEXT, share, manager.share(CONTEXT, share).size + 1).size}"
    if verb == "recover":
        manager.recover()
    elif snapshots and verb == "revert":
        manager.revert_to_snapshot(CONTEXT, chance.choice(snapshots[-2:]).id)
    elif snapshots and chance.random() < 0.5:
        manager.delete_snapshot(CONTEXT, snapshots[0].id)
        return f"-{snapshots[0].id}"
    return f"{verb} {share}"


@pytest.mark.parametrize("seed", range(3))
def test_several_processes_in_any_order(state: Path, directory: ShareManager, seed: int, tmp_path: Path) -> None:
    """Several processes on one SQLite file: never two winners, never a lost snapshot, all at rest in the end."""
    words = {}
    for name in ("one", "two"):
        share = directory.create_share(CONTEXT, 1, name=name)
        write_tree(share_tree(directory, share), name)
        words[share.id] = manifest(share_tree(directory, share))
    start = Gate(tmp_path)
    with ExitStack() as stack:
        children = [stack.enter_context(child(rummage, state, start, number, seed)) for number in range(4)]
        wait_until(lambda: len(list(state.glob("ready-*"))) == 4, "all to be ready")
        start.let_go()
        assert [ended(one) for one in children] == [0] * 4
    lines = [line for path in state.glob("log-*") for line in path.read_text().splitlines()]
    made = {line[1:] for line in lines if line.startswith("+")}
    gone = [line[1:] for line in lines if line.startswith("-")]
    assert len(gone) == len(set(gone)), "two deleted one snapshot"
    assert made, "nothing was done"
    assert {s.id for s in directory.snapshots(CONTEXT)} == made - set(gone)
    assert_at_rest(directory)
    assert_quota_is_the_sum(directory)
    _check_trees(state, directory, words)


def _check_trees(state: Path, manager: ShareManager, words: dict[str, Any]) -> None:
    """Nobody wrote, so every share and every snapshot still holds what there was; no two moments are one."""
    for share in manager.shares(CONTEXT):
        assert share.status is Status.AVAILABLE
        assert manifest(share_tree(manager, share)) == words[share.id]
        snapshots = manager.snapshots(CONTEXT, share.id)
        assert len({s.created_at for s in snapshots}) == len(snapshots)
        for snapshot in snapshots:
            assert snapshot.status is Status.AVAILABLE
            assert manifest(snapshot_tree(state, share, snapshot)) == words[share.id]
        if snapshots:
            manager.revert_to_snapshot(CONTEXT, snapshots[-1].id)
