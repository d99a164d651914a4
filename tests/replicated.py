"""What the tests of replication share: a world of one replicated share in memory, and what has to hold in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from support import CONTEXT, SPECS, assert_at_rest, assert_quota_is_the_sum

from revertkit.drivers.memory import MemoryDriver
from revertkit.drivers.memory.storage import STORAGE
from revertkit.errors import BackendError
from revertkit.manager import ShareManager
from revertkit.models import Share, ShareReplica, Snapshot
from revertkit.operations.accepted import Dispatch, here
from revertkit.settings import BackendSettings, Settings
from revertkit.status import ReplicaState, Status
from revertkit.store import replicas as stored_replicas
from revertkit.store import shares as stored_shares
from revertkit.store import snapshots as stored_snapshots
from revertkit.store.tables import replicas as replicas_table

ALL = ("fast", "far", "third")
TYPE = "replicated"


def open_manager(
    state: Path, *backends: str, host: str = "node-1", dispatch: Dispatch = here, **options: Any
) -> ShareManager:
    """Open a manager of some of the memory backends, on a state directory and database that others may share."""
    named = {name: BackendSettings.model_validate({"driver": "memory", **options}) for name in backends or ALL}
    settings = Settings(host=host, state_dir=state, backends=named)
    return ShareManager.open(settings, dispatch=dispatch)


@contextmanager
def on_two_hosts(state: Path, elsewhere: Path) -> Iterator[tuple[ShareManager, ShareManager]]:
    """A manager of ``fast`` and ``third``, and on another host one of ``far``; one database, locks of their own."""
    near = open_manager(state, "fast", "third")
    far = open_manager(elsewhere, "far", host="node-2")
    far.site.store.engine.dispose()
    far.site.store = near.site.store
    yield near, far
    near.site.store.engine.dispose()
    MemoryDriver.reset()


def replicated(manager: ShareManager) -> None:
    """Make the share type, unless it is there."""
    if all(one.name != TYPE for one in manager.types()):
        manager.create_type(TYPE, {**SPECS, "replication_type": "readable", "mount_snapshot_support": "true"})


class World:
    """A share with two snapshots on ``fast``; replicas of it on ``far`` and ``third``, in sync with what came after.

    ``discarded`` is in nothing but what a revert to ``newer`` throws away.
    """

    KEPT = {"letter": b"newer"}  # noqa: RUF012 - read only
    LATER = {"letter": b"later", "discarded": b"!"}  # noqa: RUF012 - likewise

    def __init__(self, manager: ShareManager, far: ShareManager | None = None) -> None:
        MemoryDriver.reset()
        self.manager, self.far_manager = manager, far or manager
        replicated(manager)
        self.share = manager.create_share(CONTEXT, 10, name="share", share_type=TYPE, pool="fast")
        manager.allow_access(CONTEXT, self.share.id, "10.0.0.1")
        for name in ("older", "newer"):
            self.write({"letter": name.encode()})
            manager.create_snapshot(CONTEXT, self.share.id, name=name)
        self.write(self.LATER)
        self.far = self.far_manager.create_replica(CONTEXT, self.share.id, pool="far").id
        self.third = manager.create_replica(CONTEXT, self.share.id, pool="third").id
        self.fast = self.share.replica.id
        self.look()
        assert self.states() == {"fast": "active", "far": "in_sync", "third": "in_sync"}

    def kept(self) -> Callable[[], World]:
        """Remember all that is on record and on the backends; answer how to have it again, which is quick."""
        saved, stored = sqlite3.connect(":memory:"), deepcopy(STORAGE)
        with self.manager.site.store.read() as tx:
            tx.connection.driver_connection.backup(saved)

        def again() -> World:
            STORAGE.clear()
            STORAGE.update(deepcopy(stored))
            with self.manager.site.store.read() as tx:
                saved.backup(tx.connection.driver_connection)
            return self

        return again

    # --- what there is

    def look(self) -> None:
        """Let both hosts look at their replicas."""
        for manager in {id(m): m for m in (self.manager, self.far_manager)}.values():
            manager.look_at_replicas()

    def replica(self, replica_id: str) -> ShareReplica:
        """Read a replica's record."""
        return self.manager.replica(CONTEXT, replica_id)

    def replicas(self) -> list[ShareReplica]:
        """Read all of them."""
        return self.manager.replicas(CONTEXT, "share")

    def states(self) -> dict[str, str]:
        """Say how each replica stands, by backend."""
        return {one.pool.backend: one.replica_state.value for one in self.replicas()}

    def driver(self, backend: str) -> MemoryDriver:
        """Reach a backend behind everybody's back."""
        return MemoryDriver(backend, MemoryDriver.Options())

    def files(self, replica_id: str | None = None) -> Any:
        """Reach the content of the share, or of one replica."""
        if replica_id:
            return self.files_of(self.replica(replica_id))
        share = self.found()
        return self.driver(share.pool.backend).files(share.replica)

    def files_of(self, replica: ShareReplica) -> Any:
        """Reach the content of a replica whose record is read already."""
        return self.driver(replica.pool.backend).files(replica.replica)

    def active(self) -> ShareReplica:
        """Read the active replica's record."""
        (found,) = [one for one in self.replicas() if one.active]
        return found

    def held(self, replica_id: str) -> dict[str, bytes]:
        """Read what the backend holds of a replica, online or not."""
        return dict(STORAGE[self.replica(replica_id).pool.backend][replica_id].files)

    def write(self, content: dict[str, bytes]) -> None:
        """Let this be all that is in the share."""
        files = self.files()
        for path in [path for path in files if path not in content]:
            del files[path]
        files.update(content)

    def snapshot(self, name: str) -> Snapshot:
        """Find a snapshot."""
        return self.manager.snapshot(CONTEXT, name)

    def found(self) -> Share:
        """Read the share's record."""
        return self.manager.share(CONTEXT, "share")

    def status_on(self, replica_id: str, name: str) -> Status:
        """Say the status of a snapshot's instance on a replica."""
        snapshot = self.snapshot(name)
        with self.manager.site.store.read() as tx:
            held = stored_snapshots.on_replica(tx, stored_replicas.get(tx, replica_id).replica)
            (one,) = [one for one in held if one.snapshot_id == snapshot.id]
            return stored_snapshots.status_of(tx, one.id)

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """See that nothing changes: no record of the share, its replicas and snapshots, no content."""
        before = self._everything()
        yield
        assert self._everything() == before

    def _everything(self) -> tuple[Any, ...]:
        content = {name: {one: dict(held.files) for one, held in kept.items()} for name, kept in STORAGE.items()}
        return self.found(), self.replicas(), self.manager.snapshots(CONTEXT, "share"), content


def assert_whole(world: World) -> None:
    """See that all is at rest and in sync: the same content on every replica, one that is written to, quota a sum."""
    manager = world.manager
    assert_at_rest(manager)
    assert_quota_is_the_sum(manager)
    share, every = world.found(), world.replicas()
    assert share.status is Status.AVAILABLE, share.status
    assert [one.replica_state for one in every if one.active] == [ReplicaState.ACTIVE]
    content = dict(world.files())
    for one in every:
        assert one.status is Status.AVAILABLE, one
        assert one.replica_state in (ReplicaState.ACTIVE, ReplicaState.IN_SYNC), one.found
        assert dict(world.files_of(one)) == content, one.pool
        _check_access(world, share, one)
    _check_snapshots(world, share, every)
    _check_backends(world, every)
    use = manager.quotas(CONTEXT.project_id)
    with manager.site.store.read() as tx:
        count = tx.execute(select(func.count()).select_from(replicas_table)).scalar_one()
        sizes = sum(stored_shares.get(tx, one.share_id).size for one in stored_replicas.listed(tx, None))
    assert (use["share_replicas"].in_use, use["replica_gigabytes"].in_use) == (count, sizes)


def _check_access(world: World, share: Share, one: ShareReplica) -> None:
    held = world.driver(one.pool.backend).exported_to(one.replica)
    levels = {rule.access_to: rule.access_level if one.active else "ro" for rule in share.replica.rules}
    assert {rule.access_to: rule.access_level for rule in held} == levels
    if not one.active:
        try:
            world.files_of(one)["written"] = b"to a replica"
        except BackendError:
            return
        raise AssertionError(f"replica {one.pool} can be written to")


def _check_snapshots(world: World, share: Share, every: list[ShareReplica]) -> None:
    with world.manager.site.store.read() as tx:
        for snapshot in world.manager.snapshots(CONTEXT, share.id):
            instances = {
                one.id: kept
                for one in every
                for kept in stored_snapshots.on_replica(tx, one.replica)
                if kept.snapshot_id == snapshot.id
            }
            assert len(instances) == len(every), "an instance on each replica"
            statuses = {stored_snapshots.status_of(tx, kept.id) for kept in instances.values()}
            assert statuses == {snapshot.status}
            if snapshot.status is Status.AVAILABLE:
                found = [dict(world.driver(one.pool.backend).snapshot_files(instances[one.id])) for one in every]
                assert all(files == found[0] for files in found)
                _check_mounted(world, every, instances)


def _check_mounted(world: World, every: list[ShareReplica], instances: dict[str, Any]) -> None:
    for one in every:
        exported = world.driver(one.pool.backend).snapshot_exported_to(instances[one.id])
        assert (exported is not None) is one.active, "mounted on the active replica, and there alone"


def _check_backends(world: World, every: list[ShareReplica]) -> None:
    """Nothing of ours is on a backend that is not on record there."""
    known = {one.id for one in every}
    assert {name for kept in STORAGE.values() for name, held in kept.items() if held.mark} == known
    snapshots = {snapshot.id for snapshot in world.manager.snapshots(CONTEXT, "share")}
    for held in [held for kept in STORAGE.values() for held in kept.values()]:
        assert {kept.mark for kept in held.snapshots.values()} <= snapshots
        assert held.aside is None
        assert not held.halfway
