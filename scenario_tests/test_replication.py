"""Replicated shares through a manager, on real ZFS: the active one in one zpool, a replica in another."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import files
import pytest
from ground import ADDRESS, CONTEXT, ROOT, WANTED, Ground
from killing import killed_at

from revertkit import manifest
from revertkit.errors import BackendError, Conflict
from revertkit.manager import ShareManager
from revertkit.models import Share, ShareReplica
from revertkit.settings import Settings
from revertkit.status import ReplicaState, Status

FAR = {"driver": "zfs", "pool": "tank1", "export_address": ADDRESS}


class Twin(Ground):
    """A ground with a second backend in another zpool; its shares can have replicas."""

    def __post_init__(self) -> None:
        super().__post_init__()
        far = FAR | {"mount_root": str(self.home / "far")}
        backends = {"near": self.options, "far": far}
        self.settings = Settings(state_dir=self.home / "state", backends=backends)
        self.manager = self.opened()
        if all(one.name != "replicated" for one in self.manager.types()):
            self.manager.create_type("replicated", WANTED | {"replication_type": "readable"})

    def share(self, size: int = 1, share_type: str = "replicated") -> Share:
        """Make a share on the near backend, which is exported."""
        made = self.manager.create_share(self.context, size, share_type=share_type, pool="near")
        self.manager.allow_access(self.context, made.id, ADDRESS)
        return made

    def replica(self, share: Share) -> ShareReplica:
        """Make a replica of it on the other one, and bring it in sync."""
        made = self.manager.create_replica(self.context, share.id, pool="far")
        return self.in_sync(made)

    def in_sync(self, replica: ShareReplica) -> ShareReplica:
        """Look at a replica, and see that it holds what the share does, byte for byte."""
        found = self.manager.resync_replica(self.context, replica.id)
        assert found.replica_state is ReplicaState.IN_SYNC, found.found
        assert manifest.record(self.at(found)) == manifest.record(self.path(self.of(found)))
        return found

    def of(self, replica: ShareReplica) -> Share:
        """Read the record of a replica's share."""
        return self.manager.share(self.context, replica.share_id)

    @staticmethod
    def at(replica: ShareReplica) -> Path:
        """Where a replica can be read on this host."""
        return next(Path(one.path) for one in replica.export_locations if one.path.startswith("/"))

    def state(self, replica: ShareReplica) -> ReplicaState:
        """Say how it stands, as on record."""
        return self.manager.replica(self.context, replica.id).replica_state

    def reap(self) -> list[str]:
        """Remove replicas first; the rest is as ever."""
        manager = self.opened()
        manager.recover()
        for one in manager.replicas(self.context):
            if not one.active:
                manager.delete_replica(self.context, one.id, force=True)
        return super().reap()


@pytest.fixture
def twin() -> Iterator[Twin]:
    """A ground on both zpools, cleaned afterwards."""
    made = Twin("zfs", ROOT / f"zfs-twin-{uuid.uuid4().hex[:8]}")
    yield made
    left = made.reap()
    assert not left, f"not removed: {left}"


@pytest.mark.core
@pytest.mark.parametrize("synced", [True, False], ids=["in_sync", "out_of_sync"])
def test_a_revert_leads_every_replica_back(twin: Twin, synced: bool) -> None:
    """The share at once; the replica is out of sync from the accept on, until a look sees it in sync."""
    share = twin.share()
    files.write(twin.path(share))
    snapshot, before = twin.snapshot(share), manifest.record(twin.path(share))
    replica = twin.replica(share)
    files.wreck(twin.path(share))
    if synced:
        twin.in_sync(replica)
    twin.manager.revert_to_snapshot(twin.context, snapshot.id)
    assert manifest.record(twin.path(share)) == before
    assert twin.state(replica) is ReplicaState.OUT_OF_SYNC
    with pytest.raises(Conflict, match="resync it first"):
        twin.manager.promote_replica(twin.context, replica.id)
    assert manifest.record(twin.at(twin.in_sync(replica))) == before
    assert manifest.record(twin.path(share)) == before


@pytest.mark.core
def test_a_promotion_by_force_after_a_revert_brings_nothing_back(twin: Twin) -> None:
    """Before the replica has looked at all; then the old active one follows, and a revert works where the share is."""
    share = twin.share()
    files.write(twin.path(share))
    snapshot, before = twin.snapshot(share), manifest.record(twin.path(share))
    replica = twin.replica(share)
    files.wreck(twin.path(share))
    twin.in_sync(replica)
    old = next(one for one in twin.manager.replicas(twin.context, share.id) if one.active)
    twin.manager.revert_to_snapshot(twin.context, snapshot.id)
    twin.manager.promote_replica(twin.context, replica.id, force=True)
    now = twin.now(share)
    assert (now.status, now.pool.backend) == (Status.AVAILABLE, "far")
    assert manifest.record(twin.path(share)) == before
    files.wreck(twin.path(share))
    twin.in_sync(old)
    twin.manager.revert_to_snapshot(twin.context, snapshot.id)
    assert manifest.record(twin.path(share)) == before
    assert manifest.record(twin.at(twin.in_sync(old))) == before


def test_a_promotion_loses_nothing_and_turns_round(twin: Twin, client: Callable[[str], Path]) -> None:
    """What was written since the last look is brought over first; a client of the replica reads on, and then writes."""
    share = twin.share()
    replica = twin.replica(share)
    at = client(next(one.path for one in replica.export_locations if one.path.startswith(ADDRESS)))
    (twin.path(share) / "word").write_text("one")
    twin.in_sync(replica)
    assert sorted(entry.name for entry in at.iterdir()) == ["word"]
    (twin.path(share) / "word").write_text("two")
    twin.in_sync(replica)
    assert (at / "word").read_text() == "two"
    assert sorted(entry.name for entry in at.iterdir()) == ["word"], "its root is not stale"
    with pytest.raises(OSError, match="Read-only"):
        (at / "word").write_text("mine")
    (twin.path(share) / "last").write_text("written since")
    old = next(one for one in twin.manager.replicas(twin.context, share.id) if one.active)
    twin.manager.promote_replica(twin.context, replica.id)
    assert (twin.path(share) / "last").read_text() == "written since"
    (twin.path(share) / "later").write_text("later")
    twin.in_sync(old)
    twin.manager.promote_replica(twin.context, old.id)
    assert (twin.path(share) / "later").read_text() == "later"


def _revert(settings: Settings, snapshot_id: str) -> None:
    ShareManager.open(settings).revert_to_snapshot(CONTEXT, snapshot_id)


@pytest.mark.parametrize("point", [1, 4, 7, 10, 13])
def test_a_revert_that_is_killed_is_recovered_and_followed(twin: Twin, point: int) -> None:
    """Old data or the snapshot's, by recovery; the replica follows either; never both."""
    share = twin.share()
    (twin.path(share) / "word").write_text("kept")
    snapshot = twin.snapshot(share)
    replica = twin.replica(share)
    (twin.path(share) / "word").write_text("discarded")
    twin.in_sync(replica)
    killed_at(point, _revert, twin.settings, snapshot.id)
    assert twin.state(replica) is ReplicaState.OUT_OF_SYNC
    twin.opened().recover()
    word = (twin.path(share) / "word").read_text()
    assert word in ("kept", "discarded")
    assert twin.now(share).status is Status.AVAILABLE
    twin.in_sync(replica)
    twin.manager.revert_to_snapshot(twin.context, snapshot.id)
    assert (twin.path(share) / "word").read_text() == "kept"
    twin.in_sync(replica)


def test_three_deep_with_a_replica_that_looks_at_the_end(twin: Twin) -> None:
    """Revert, delete the newest, and again; the replica catches up in one look, and has what is left of snapshots."""
    share, taken = twin.share(), []
    replica = None
    for word in ("one", "two", "three"):
        (twin.path(share) / "word").write_text(word)
        taken.append((twin.snapshot(share, word), word))
        replica = replica or twin.replica(share)
    assert replica is not None
    while taken:
        snapshot, word = taken.pop()
        (twin.path(share) / "word").write_text("lost")
        twin.manager.revert_to_snapshot(twin.context, snapshot.id)
        assert (twin.path(share) / "word").read_text() == word
        twin.manager.delete_snapshot(twin.context, snapshot.id)
    assert (twin.at(twin.in_sync(replica)) / "word").read_text() == "one"
    with pytest.raises((Conflict, BackendError)):
        twin.manager.delete_share(twin.context, share.id)
