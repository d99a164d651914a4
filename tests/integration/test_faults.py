"""Behaviour 17, rule 7: an error or a death, before and after every commit, on the memory backend.

Steps too, of the operations that the conformance suite does not sweep.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support import CONTEXT, Killed, assert_at_rest, assert_quota_is_the_sum, mountable, points, points_in_store

from revertkit.drivers.memory import MemoryDriver
from revertkit.drivers.memory.storage import STORAGE
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
    "allow snapshot access": lambda m: m.allow_snapshot_access(CONTEXT, "newer", "10.0.0.9"),
    "deny snapshot access": lambda m: m.deny_snapshot_access(CONTEXT, "newer", "10.0.0.2"),
    "manage share": lambda m: m.manage_share(CONTEXT, "fast", "foreign", name="fresh"),
    "unmanage share": lambda m: m.unmanage_share(CONTEXT, "plain"),
    "manage snapshot": lambda m: m.manage_snapshot(CONTEXT, "share", "foreign-snapshot", name="fresh"),
    "unmanage snapshot": lambda m: m.unmanage_snapshot(CONTEXT, "newer"),
}
SWEPT = frozenset(VERBS) - {name for name in VERBS if "manage" in name or "snapshot access" in name}
"""What the conformance suite interrupts at each step."""
COPES = ("revert", "unmanage", "create snapshot", "manage snapshot")
"""A revert asks and goes on, letting go is called again, and a snapshot that cannot be mounted is told."""
FOREIGN = {"whose": b"not ours"}
OLD, KEPT = {"letter": b"now", "since": b""}, {"letter": b"newer"}


class World:
    """The same pieces each time."""

    def __init__(self, manager: ShareManager, verb: str) -> None:
        MemoryDriver.reset()
        self.manager = manager
        if all(one.name != "mountable" for one in manager.types()):
            mountable(manager)
        share = manager.create_share(CONTEXT, 10, name="share", share_type="mountable")
        self.files(manager.create_share(CONTEXT, 1, name="plain")).update(FOREIGN)
        manager.allow_access(CONTEXT, share.id, "10.0.0.1")
        for name in ("older", "newer"):
            self.files(share)["letter"] = name.encode()
            manager.create_snapshot(CONTEXT, share.id, name=name)
        manager.allow_snapshot_access(CONTEXT, "newer", "10.0.0.2")
        self.files(share).update(OLD)
        self.driver.plant("foreign", 3, FOREIGN)
        if verb == "manage snapshot":
            self.driver.plant_snapshot(share.replica, "foreign-snapshot")
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

    with points_in_store(point) if verb in SWEPT else points(point):
        VERBS[verb](manager)
    return reached


@pytest.mark.parametrize("death", [BackendError("injected"), Killed()], ids=["error", "death"])
@pytest.mark.parametrize("verb", VERBS)
def test_at_every_point(state: Path, manager: ShareManager, verb: str, death: BaseException) -> None:
    """Every row at rest after it (or after the next start), old content or the snapshot's, a retry works."""
    World(manager, verb)
    total = len(until(manager, verb, 0, None))
    assert total >= 4, "accept and end have at least these"
    for last in range(1, total + 1):
        _clear(manager)
        world = World(manager, verb)
        with suppress(RevertkitError, Killed):
            reached = until(manager, verb, last, death)
            assert len(reached) >= last, "nothing was injected"
            assert verb.startswith(COPES), "only these cope by themselves"
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
    _check_foreign(world, verb)
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
            _check_mounted(world, share, snapshot)
        else:
            assert verb == "delete snapshot" or (snapshot.name == "fresh" and verb == "create snapshot")
    names = {snapshot.name for snapshot in manager.snapshots(CONTEXT, share.id)}
    assert names >= ({"older"} if verb in ("delete snapshot", "unmanage snapshot") else {"older", "newer"})
    _write_and_recover_again(world, share)
    _retry(world, verb)
    assert_at_rest(manager)


def _check_foreign(world: World, verb: str) -> None:
    """What was somebody else's is there, and carries a mark of ours if and only if it is on record."""
    volumes, shares = STORAGE["fast"].values(), {s.replica.id: s for s in world.manager.shares(CONTEXT)}
    found = [held for held in volumes if held.files == FOREIGN]
    assert len(found) == 2 or verb == "delete share"
    for held in found:
        assert held.mark == (shares[held.replica_mark].id if held.replica_mark else "")
        assert held.online is bool(held.mark) or verb == "delete share"
    marks = {held.mark for held in found}
    assert all(s.id in marks for s in shares.values() if s.name == "fresh" and verb == "manage share")
    assert all(s.status is Status.AVAILABLE for s in shares.values() if verb in ("manage share", "unmanage share"))
    kept = {one.mark for held in volumes for one in held.snapshots.values() if one.mark}
    assert kept <= {s.id for s in world.manager.snapshots(CONTEXT)}


def _check_mounted(world: World, share: Share, snapshot: Snapshot) -> None:
    """An available snapshot is online by its rules, and on record with where it is."""
    with world.manager.site.store.read() as tx:
        instance = stored_snapshots.instance(tx, snapshot.id, share)
    exported = world.driver.snapshot_exported_to(instance)
    assert exported is not None, "it is offline"
    assert [rule.access_to for rule in exported] == [rule.access_to for rule in instance.rules]
    assert [at.path for at in snapshot.export_locations] == [f"memory:/fast/{share.replica.id}@{snapshot.id}"]


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
    for broken in [s for s in manager.shares(CONTEXT) if s.name == "fresh" and verb != "manage share"]:
        manager.delete_share(CONTEXT, broken.id)
    if verb == "allow snapshot access":
        for rule in [r for r in manager.snapshot_access_rules(CONTEXT, "newer") if r.access_to == "10.0.0.9"]:
            manager.deny_snapshot_access(CONTEXT, "newer", rule.id)
    if verb == "manage share" and "foreign" not in STORAGE["fast"]:  # it was let go of under its new name
        (name,) = [name for name, held in STORAGE["fast"].items() if held.files == FOREIGN and held.size == 3]
        STORAGE["fast"]["foreign"] = STORAGE["fast"].pop(name)
    for rule in [r for r in manager.access_rules(CONTEXT, "share") if r.access_to == "10.0.0.9"]:
        manager.deny_access(CONTEXT, "share", rule.id)
    if not _done_already(manager, verb):
        VERBS[verb](manager)
    if verb.startswith("revert"):
        assert dict(world.files(manager.share(CONTEXT, "share"))) == KEPT


def _done_already(manager: ShareManager, verb: str) -> bool:
    share = manager.share(CONTEXT, "share")
    names = {one.name for one in manager.snapshots(CONTEXT)}
    rules = manager.snapshot_access_rules(CONTEXT, "newer") if "newer" in names else []
    return {
        "manage share": any(one.name == "fresh" for one in manager.shares(CONTEXT)),
        "unmanage share": all(one.name != "plain" for one in manager.shares(CONTEXT)),
        "manage snapshot": "fresh" in names,
        "unmanage snapshot": "newer" not in names,
        "deny snapshot access": all(rule.access_to != "10.0.0.2" for rule in rules),
        "delete share": all(one.name != "plain" for one in manager.shares(CONTEXT)),
        "delete snapshot": "newer" not in names,
        "extend": share.size == 20,
        "shrink": share.size == 5,
        "deny access": all(rule.access_to != "10.0.0.1" for rule in manager.access_rules(CONTEXT, "share")),
    }.get(verb, False)
