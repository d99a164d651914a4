"""Behaviour 17, rule 7: an error or a death, before and after every step and commit, on the memory backend."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support import CONTEXT, Killed, assert_at_rest, assert_quota_is_the_sum, points

from revertkit.drivers.memory import MemoryDriver
from revertkit.errors import BackendError, RevertkitError
from revertkit.manager import ShareManager
from revertkit.models import Share, Snapshot
from revertkit.status import Status
from revertkit.store import snapshots as stored_snapshots

VERBS: dict[str, Callable[[ShareManager], Any]] = {
    "create share": lambda m: m.create_share(CONTEXT, 1, name="fresh"),
    "create share from snapshot": lambda m: m.create_share(CONTEXT, 10, name="fresh", snapshot="newer"),
    "create snapshot": lambda m: m.create_snapshot(CONTEXT, "share", name="fresh"),
    "revert": lambda m: m.revert_to_snapshot(CONTEXT, "newer"),
    "revert to another size": lambda m: m.revert_to_snapshot(CONTEXT, "newer"),
    "delete snapshot": lambda m: m.delete_snapshot(CONTEXT, "newer"),
    "delete share": lambda m: m.delete_share(CONTEXT, "plain"),
    "extend": lambda m: m.extend_share(CONTEXT, "share", 20),
    "shrink": lambda m: m.shrink_share(CONTEXT, "share", 5),
    "allow access": lambda m: m.allow_access(CONTEXT, "share", "10.0.0.9"),
    "deny access": lambda m: m.deny_access(CONTEXT, "share", "10.0.0.1"),
}
OLD, KEPT = {"letter": b"now", "since": b""}, {"letter": b"newer"}


class World:
    """The same pieces each time."""

    def __init__(self, manager: ShareManager, verb: str) -> None:
        MemoryDriver.reset()
        self.manager = manager
        share = manager.create_share(CONTEXT, 10, name="share")
        manager.create_share(CONTEXT, 1, name="plain")
        manager.allow_access(CONTEXT, share.id, "10.0.0.1")
        for name in ("older", "newer"):
            self.files(share)["letter"] = name.encode()
            manager.create_snapshot(CONTEXT, share.id, name=name)
        self.files(share).update(OLD)
        if verb == "revert to another size":
            manager.shrink_share(CONTEXT, share.id, 3)
        self.size = manager.share(CONTEXT, share.id).size

    @property
    def driver(self) -> MemoryDriver:
        """The backend."""
        found = self.manager.site.driver("fast")
        assert isinstance(found, MemoryDriver)
        return found

    def files(self, share: Share) -> Any:
        """What is in a share; it has to be online."""
        return self.driver.files(self.manager.share(CONTEXT, share.id).replica)

    def kept(self, share: Share, snapshot: Snapshot) -> dict[str, bytes]:
        """What is in a snapshot."""
        with self.manager.site.store.read() as tx:
            instance = stored_snapshots.instance(tx, snapshot.id, share)
        return dict(self.driver.snapshot_files(instance))


def until(manager: ShareManager, verb: str, last: int, death: BaseException | None) -> list[str]:
    """Run an operation and raise at its point number `last`; answer the points that were reached."""
    reached: list[str] = []

    def point(name: str) -> None:
        reached.append(name)
        if death and len(reached) == last:
            raise death

    with points(point):
        VERBS[verb](manager)
    return reached


@pytest.mark.parametrize("death", [BackendError("injected"), Killed()], ids=["error", "death"])
@pytest.mark.parametrize("verb", VERBS)
def test_at_every_point(state: Path, manager: ShareManager, verb: str, death: BaseException) -> None:
    """Every row at rest after it (or after the next start), old content or the snapshot's, a retry works."""
    World(manager, verb)
    total = len(until(manager, verb, 0, None))
    assert total >= 5, "accept, a step and an end have at least these"
    for last in range(1, total + 1):
        _clear(manager)
        world = World(manager, verb)
        with suppress(RevertkitError, Killed):
            reached = until(manager, verb, last, death)
            assert len(reached) >= last, "nothing was injected"
            assert verb.startswith("revert"), "only a revert copes with an error by itself: it asks, and goes on"
        try:
            _check(world, verb)
        except BaseException as failure:
            failure.add_note(f"{verb}: {type(death).__name__} at point {last} of {total}")
            raise


def _clear(manager: ShareManager) -> None:
    with manager.site.store.write() as tx:
        for table in ("shares", "operations", "messages"):
            tx.exec_driver_sql(f"DELETE FROM {table}")


def _check(world: World, verb: str) -> None:
    manager = world.manager
    manager.recover()
    manager.recover()
    assert manager.interrupted() == []
    assert_at_rest(manager)
    assert_quota_is_the_sum(manager)
    share = manager.share(CONTEXT, "share")
    if share.status in (Status.EXTENDING_ERROR, Status.SHRINKING_ERROR):
        share = manager.set_share_status(CONTEXT, "share", Status.AVAILABLE)
        manager.recover()
    assert share.status is Status.AVAILABLE
    assert dict(world.files(share)) in ([OLD, KEPT] if verb.startswith("revert") else [OLD])
    assert share.size in {"extend": (10, 20), "shrink": (10, 5)}.get(verb, (world.size, 10))
    for snapshot in manager.snapshots(CONTEXT, share.id):
        if snapshot.status is Status.AVAILABLE:
            assert world.kept(share, snapshot) == (
                OLD if snapshot.name == "fresh" else {"letter": snapshot.name.encode()}
            )
        else:
            assert snapshot.name == "fresh" or verb == "delete snapshot"
    names = {snapshot.name for snapshot in manager.snapshots(CONTEXT, share.id)}
    assert names >= ({"older"} if verb == "delete snapshot" else {"older", "newer"})
    _write_and_recover_again(world, share)
    _retry(world, verb)
    assert_at_rest(manager)


def _write_and_recover_again(world: World, share: Share) -> None:
    before = {**world.files(share), "after": b"written"}
    world.files(share)["after"] = b"written"
    world.manager.recover()
    assert dict(world.files(share)) == before
    del world.files(share)["after"]


def _retry(world: World, verb: str) -> None:
    manager = world.manager
    if verb.startswith("revert") or verb == "create snapshot":
        for broken in [s for s in manager.snapshots(CONTEXT) if s.name == "fresh"]:
            manager.delete_snapshot(CONTEXT, broken.id)
    for broken in [s for s in manager.shares(CONTEXT) if s.name == "fresh"]:
        manager.delete_share(CONTEXT, broken.id)
    for rule in [r for r in manager.access_rules(CONTEXT, "share") if r.access_to == "10.0.0.9"]:
        manager.deny_access(CONTEXT, "share", rule.id)
    if not _done_already(manager, verb):
        VERBS[verb](manager)
    if verb.startswith("revert"):
        assert dict(world.files(manager.share(CONTEXT, "share"))) == KEPT


def _done_already(manager: ShareManager, verb: str) -> bool:
    share = manager.share(CONTEXT, "share")
    return {
        "delete share": all(one.name != "plain" for one in manager.shares(CONTEXT)),
        "delete snapshot": all(one.name != "newer" for one in manager.snapshots(CONTEXT)),
        "extend": share.size == 20,
        "shrink": share.size == 5,
        "deny access": all(rule.access_to != "10.0.0.1" for rule in manager.access_rules(CONTEXT, "share")),
    }.get(verb, False)
