"""What the scenarios of ZFS replication share: an active share on one zpool and its replicas on another."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zfs_bench import Backend, backend_of_its_own, manifest

from revertkit.models import AccessRule, Replica, ReplicaReport, SnapshotInstance, new_id
from revertkit.status import ReplicaState

FAR_POOL = os.environ.get("REVERTKIT_TEST_FAR_ZPOOL", "tank1")
RULE = AccessRule(id=new_id(), access_to="127.0.0.1")


@dataclass
class Pair:
    """A share in one zpool, one replica or more in another, and the records that a manager would keep of them."""

    near: Backend
    far: Backend
    active: Replica = field(init=False)
    replicas: dict[str, Replica] = field(default_factory=dict)
    snapshots: list[SnapshotInstance] = field(default_factory=list)
    recorded: set[str] = field(default_factory=set)
    """Which snapshots have reached every replica, by the record, whether they are there or not."""

    def __post_init__(self) -> None:
        made = self.near.share(1, RULE)
        self.active = made.model_copy(update={"backend": "near"})

    # --- what a manager does

    def add(self, backend: Backend | None = None, *, host: str = "node-1") -> Replica:
        """Make one more replica; its data comes with the first look."""
        where = backend or self.far
        new = Replica(
            id=new_id(),
            share_id=self.active.share_id,
            host=host,
            backend="far",
            pool=where.name,
            size=self.active.size,
            state=ReplicaState.OUT_OF_SYNC,
            rules=(RULE,),
        )
        stored = where.driver.create_replica(new, self.active, [])
        self.replicas[new.id] = new.model_copy(update={"backend_id": stored.backend_id})
        return self.replicas[new.id]

    def of(self, replica: Replica) -> Replica:
        """Answer a replica's record, with who else there is."""
        every = {self.active.id, *self.replicas}
        return replica.model_copy(update={"peers": tuple(sorted(every - {replica.id}))})

    def at(self, replica: Replica) -> list[SnapshotInstance]:
        """List a replica's instances of all snapshots, by age."""
        return [
            one.model_copy(
                update={
                    "id": f"{one.id}/{replica.id}",
                    "replica": replica,
                    "backend_id": one.backend_id if one.snapshot_id in self.recorded else None,
                }
            )
            for one in self.snapshots
        ]

    def backend(self, replica: Replica) -> Backend:
        return next(one for one in (self.near, self.far) if one.name == replica.pool)

    def look(self, replica: Replica) -> ReplicaReport:
        """Look at a replica; a manager lets it be read once it is in sync."""
        seen = self.of(self.replicas[replica.id])
        driver = self.backend(replica).driver
        report = driver.update_replica_state(seen, self.of(self.active), self.at(seen))
        if report.state is ReplicaState.IN_SYNC:
            driver.ensure_share(seen)
        return report

    def in_sync(self, replica: Replica) -> None:
        """Look at a replica, and see that it holds what the active one does, byte for byte, its snapshots too."""
        report = self.look(replica)
        assert report.state is ReplicaState.IN_SYNC, report.found
        assert report.found == ""
        assert report.seconds_behind is not None
        seen = self.of(replica)
        assert manifest(self.backend(replica).path(seen)) == manifest(self.path)
        assert set(report.snapshots) == {one.id for one in self.at(seen)}
        assert [one.backend_id for one in self.snapshots] == [s.backend_id for s in report.snapshots.values()]

    def take(self) -> SnapshotInstance:
        """Take a snapshot of the active one."""
        self.snapshots.append(self.near_or_far.take(self.of(self.active)))
        return self.snapshots[-1]

    def delete_newest(self) -> None:
        """Delete the newest snapshot from the active one; the replicas still hold it."""
        gone = self.snapshots.pop()
        self.near_or_far.driver.delete_snapshot(self.now(gone))

    def now(self, snapshot: SnapshotInstance) -> SnapshotInstance:
        """Answer an instance with the active one's record of now."""
        return snapshot.model_copy(update={"replica": self.of(self.active)})

    def revert(self, snapshot: SnapshotInstance | None = None) -> SnapshotInstance:
        """Revert the active one to its newest snapshot, record, and bring it online."""
        target = self.now(snapshot or self.snapshots[-1])
        driver = self.near_or_far.driver
        driver.check_revert(target)
        others = [i for r in self.replicas.values() for i in self.at(r) if i.snapshot_id == target.snapshot_id]
        reverted = driver.revert_to_replicated_snapshot(target, others)
        assert not self.path.is_mount(), "offline until it is on record"
        self.active = self.active.model_copy(update={"size": reverted.share.size})
        driver.ensure_share(self.of(self.active))
        for each, replica in self.replicas.items():
            since = (*replica.reverted_to, target.snapshot_id)
            changes = {"state": ReplicaState.OUT_OF_SYNC, "reverted_to": since}
            self.replicas[each] = replica.model_copy(update=changes)
        return target

    def promote(self, replica: Replica, *, force: bool = False) -> None:
        """Make a replica the active one, by force as it is; the one that was follows it from now on."""
        seen, old = self.of(self.replicas[replica.id]), self.active
        if not force:
            fenced = self.of(old).model_copy(update={"state": ReplicaState.OUT_OF_SYNC})
            self.near_or_far.driver.ensure_share(fenced)
            report = self.backend(seen).driver.update_replica_state(seen, self.of(old), self.at(seen))
            assert report.state is ReplicaState.IN_SYNC, report.found
        del self.replicas[replica.id]
        stored = self.backend(seen).driver.promote_replica(seen, self.of(old), self.at(seen)).replica
        promoted = seen.model_copy(
            update={"state": ReplicaState.ACTIVE, "backend_id": stored.backend_id, "reverted_to": ()}
        )
        self.active = promoted.model_copy(update={"size": stored.size})
        self.replicas[old.id] = old.model_copy(update={"state": ReplicaState.OUT_OF_SYNC})
        held = self.backend(seen).driver
        self.snapshots = [one.model_copy(update={"replica": self.of(self.active)}) for one in self.snapshots]
        held.ensure_share(self.of(self.active))

    # --- where things are

    @property
    def near_or_far(self) -> Backend:
        """The backend of the active one."""
        return self.backend(self.active)

    @property
    def path(self) -> Path:
        """Where the active one is mounted."""
        return self.near_or_far.path(self.active)

    @property
    def dataset(self) -> str:
        """What the active one is called."""
        return self.near_or_far.dataset(self.active)

    def markers(self, dataset: str) -> list[str]:
        """Name the markers on a dataset."""
        return [name for name in short_names(dataset) if name.startswith("marker-")]


def short_names(dataset: str) -> list[str]:
    """Name the snapshots of a dataset, by age, without what stands before the ``@``."""
    argv = ["zfs", "list", "-H", "-t", "snapshot", "-d", "1", "-s", "createtxg", "-o", "name", dataset]
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    return [line.partition("@")[2] for line in said.splitlines()]


def write(path: Path, megabytes: int) -> None:
    """Write so much that compresses to no less."""
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1 << 20))


@contextmanager
def pair_of_its_own(**options: Any) -> Iterator[Pair]:
    """Two backends below datasets of their own, on two zpools, and a share on the first."""
    with ExitStack() as stack:
        near = stack.enter_context(backend_of_its_own())
        far = stack.enter_context(backend_of_its_own(FAR_POOL, **options))
        yield Pair(near, far)
