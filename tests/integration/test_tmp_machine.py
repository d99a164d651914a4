"""A state machine over replicas: whatever is done in whatever order, and cut wherever, nothing discarded comes back."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from replicated import TYPE, open_manager, replicated
from support import CONTEXT, Killed, assert_quota_is_the_sum, points

from revertkit.drivers.memory import MemoryDriver
from revertkit.drivers.memory.storage import STORAGE
from revertkit.errors import BackendError, Conflict, RevertkitError
from revertkit.models import ShareReplica
from revertkit.status import ReplicaState, Status

FAULT = st.one_of(st.none(), st.tuples(st.integers(1, 24), st.sampled_from(["error", "death", "death"])))
WHICH = st.integers(0, 2)
BACKENDS = ("fast", "far", "third")


class Replicas(RuleBasedStateMachine):
    """One share, up to three replicas, each word written once; a word that a revert discarded is dead for good."""

    template: Path
    root: Path
    ended: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        MemoryDriver.reset()
        self.state = Path(tempfile.mkdtemp(dir=self.root))
        shutil.copytree(self.template, self.state, dirs_exist_ok=True)
        self.manager = open_manager(self.state)
        self.words = 0
        self.dead: set[bytes] = set()
        self.away = ""

    @initialize()
    def begin(self) -> None:
        """Make the share, and a replica that is in sync."""
        replicated(self.manager)
        share = self.manager.create_share(CONTEXT, 2, name="share", share_type=TYPE, pool="fast")
        self.manager.create_snapshot(CONTEXT, share.id)
        self.manager.create_replica(CONTEXT, share.id, pool="far")
        self.manager.look_at_replicas()

    def teardown(self) -> None:
        """Forget it."""
        self.manager.site.store.engine.dispose()
        shutil.rmtree(self.state)

    # --- how

    def attempt(self, fault: Any, name: str, call: Callable[[], Any]) -> str:
        """Do something with its fault, one backend being away; after a death start anew. Answer how it ended."""
        number, kind = fault or (0, "")
        reached: list[str] = []

        def point(at: str) -> None:
            reached.append(at)
            if len(reached) == number:
                raise Killed if kind == "death" else BackendError("injected")

        with ExitStack() as stack:
            if self.away:
                stack.enter_context(MemoryDriver.away(self.away))
            try:
                with points(point):
                    call()
                end = "done"
            except Killed:
                self.manager.site.store.engine.dispose()
                self.manager = open_manager(self.state)
                end = "died"
            except Conflict:
                end = "refused"
            except RevertkitError:
                end = "failed"
            self.manager.recover()
        self.away = ""
        self.manager.recover()
        self.tidy()
        self.ended[f"{name} {end}"] += 1
        return end

    def tidy(self) -> None:
        """Do what statuses ask of a person."""
        for one in self.replicas():
            if one.status in (Status.ERROR, Status.ERROR_DELETING):
                self.manager.delete_replica(CONTEXT, one.id)
        for snapshot in self.manager.snapshots(CONTEXT, "share"):
            if snapshot.status in (Status.ERROR, Status.ERROR_DELETING):
                self.manager.delete_snapshot(CONTEXT, snapshot.id)

    def replicas(self) -> list[ShareReplica]:
        """Read them."""
        return self.manager.replicas(CONTEXT, "share")

    def pick(self, which: int) -> ShareReplica:
        """Name one of them."""
        every = self.replicas()
        return every[which % len(every)]

    def files(self) -> Any:
        """Reach the share's content."""
        share = self.manager.share(CONTEXT, "share")
        return MemoryDriver(share.pool.backend, MemoryDriver.Options()).files(share.replica)

    def content(self) -> set[bytes]:
        """Read which words are in the share."""
        return set(dict(self.files()).values())

    # --- what can be done

    @rule(path=st.sampled_from("ab"))
    def write(self, path: str) -> None:
        """Write a word that was never written before."""
        self.words += 1
        self.files()[path] = b"word %d" % self.words

    @rule(which=WHICH)
    def go_away(self, which: int) -> None:
        """Let a backend be out of reach during the next thing that is done."""
        self.away = BACKENDS[which]

    @rule(fault=FAULT)
    def snapshot(self, fault: Any) -> None:
        """Take one."""
        self.attempt(fault, "snapshot", lambda: self.manager.create_snapshot(CONTEXT, "share"))

    @rule(fault=FAULT)
    def delete_newest(self, fault: Any) -> None:
        """Delete the latest."""
        for latest in self.manager.snapshots(CONTEXT, "share")[-1:]:
            self.attempt(fault, "delete snapshot", partial(self.manager.delete_snapshot, CONTEXT, latest.id))

    @rule(fault=FAULT)
    def revert(self, fault: Any) -> None:
        """Turn the share back; what is gone by it is dead."""
        for latest in self.manager.snapshots(CONTEXT, "share")[-1:]:
            before = self.content()
            self.attempt(fault, "revert", partial(self.manager.revert_to_snapshot, CONTEXT, latest.id))
            if self.manager.share(CONTEXT, "share").status is Status.AVAILABLE:
                self.dead |= before - self.content()

    @rule(which=WHICH, fault=FAULT)
    def create(self, which: int, fault: Any) -> None:
        """Make a replica."""
        backend = BACKENDS[which]
        self.attempt(fault, "create", lambda: self.manager.create_replica(CONTEXT, "share", pool=backend))

    @rule(which=WHICH, fault=FAULT)
    def delete(self, which: int, fault: Any) -> None:
        """Delete one; the active one is refused."""
        chosen = self.pick(which)
        end = self.attempt(fault, "delete", lambda: self.manager.delete_replica(CONTEXT, chosen.id))
        assert not (chosen.active and end == "done")

    @rule(which=WHICH, fault=FAULT)
    def look(self, which: int, fault: Any) -> None:
        """Look at one."""
        chosen = self.pick(which)
        self.attempt(fault, "look", lambda: self.manager.resync_replica(CONTEXT, chosen.id))

    @rule()
    def look_at_all(self) -> None:
        """Look at all; undisturbed, each is in sync then, or says why it cannot be."""
        self.away = ""
        for one in self.manager.look_at_replicas():
            assert one.replica_state is ReplicaState.IN_SYNC or "lost" in one.found, one

    @rule(which=WHICH, force=st.booleans(), fault=FAULT)
    def promote(self, which: int, force: bool, fault: Any) -> None:
        """Promote one; without force nothing is lost."""
        chosen, before = self.pick(which), self.content()
        name = "promote by force" if force else "promote"
        end = self.attempt(fault, name, lambda: self.manager.promote_replica(CONTEXT, chosen.id, force=force))
        if not force:
            assert self.content() == before
        if end == "done":
            assert self.manager.replica(CONTEXT, chosen.id).active

    # --- what holds

    @invariant()
    def at_rest(self) -> None:
        """Nothing is under way, quota is the sum, and one replica is active."""
        active = [one for one in self.replicas() if one.active]
        assert [one.status for one in active] == [Status.AVAILABLE]
        assert_quota_is_the_sum(self.manager)

    @invariant()
    def nothing_dead_is_read(self) -> None:
        """Neither in the share, nor in what is called in sync with it."""
        assert not self.content() & self.dead
        for one in self.replicas():
            held = set(STORAGE[one.pool.backend][one.id].files.values())
            assert one.replica_state is not ReplicaState.IN_SYNC or not held & self.dead, one.pool


def test_any_sequence_with_replicas(template: Path, fast_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All that can be done with replicas, in any order, with an error or a death at any point, or one of them away."""
    Replicas.template, Replicas.root, Replicas.ended = template, fast_root, Counter()
    settings = hypothesis.settings(
        max_examples=60,
        phases=[hypothesis.Phase.generate],
        stateful_step_count=40,
        deadline=None,
        derandomize=False,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    run_state_machine_as_test(Replicas, settings=settings)  # type: ignore[no-untyped-call]
    with capsys.disabled():
        print(f"\n  {dict(sorted(Replicas.ended.items()))}", end="")
    wanted = ("revert done", "look done", "promote by force done", "snapshot done", "create done", "revert died")
    assert not [name for name in wanted if not Replicas.ended[name]], "it did not come to these"
