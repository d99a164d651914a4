"""What one look at a dataset means for a revert: how far it has come, and what stands in its way. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from revertkit.drivers.zfs.listing import Dataset, Health, Point
from revertkit.models import GIB, Blocker, Lack, Replica, RevertState, SnapshotInstance

BEYOND = 1 << 20
"""What a refquota leaves above the data that it could not be set below."""


def refquota(size: int, referenced: int) -> int:
    """Answer the refquota, in bytes, of a share of `size` GiB that refers to so many bytes.

    A dataset that was filled refers to a little more than its refquota (70 KiB, seen on OpenZFS 2.3.9), and a rollback
    may leave a block more (:func:`revert_state`). Neither a rollback nor ``zfs set`` takes a refquota below that
    (dsl_dataset_rollback_check, dsl_dataset_set_refquota_check).
    """
    return max(size * GIB, referenced + BEYOND)


def recorded_size(point: Point, snapshot: SnapshotInstance) -> int:
    """Answer the share's size in GiB when the snapshot was taken: as the snapshot itself says, else as on record."""
    return point.size or snapshot.size


def revert_state(dataset: Dataset, point: Point | None, size: int, mounted: bool) -> RevertState:
    """Say how far the revert to `point`, with its share's `size` in GiB, has come.

    The mark is set only while the share is offline and cleared before it comes online, so nobody writes while it is
    there, and rolling back once more is always right. What ``written`` says decides nothing: a rollback that has to
    clear an intent log, as synchronous writes over NFS leave one, leaves a block of its own (seen on OpenZFS 2.3.9).
    """
    if dataset.reverting is None:
        return RevertState.UNCHANGED
    if point is None or mounted:
        return RevertState.UNKNOWN
    if dataset.reverting != point.guid:
        return RevertState.UNCHANGED
    done = dataset.rolled_back and dataset.space["refquota"] == refquota(size, point.referenced)
    return RevertState.REVERTED if done else RevertState.HALFWAY


def stranger(dataset: Dataset | None, share: Replica, name: str) -> Blocker | None:
    """Say why the dataset is not the share on record; None if it is."""
    if dataset is None:
        return Blocker(kind="missing", what=f"there is no dataset {name}", mend="restore it, or delete the share")
    if dataset.share_id != share.share_id:
        carries = f"carries the share id {dataset.share_id}" if dataset.share_id else "carries no share id"
        return Blocker(kind="identity", what=f"{name} {carries}, not {share.share_id}", mend="rename it out of the way")
    if share.backend_id not in (None, dataset.guid):
        what = f"the guid of {name} is {dataset.guid} and not {share.backend_id} as on record"
        return Blocker(kind="identity", what=what, mend="find out who replaced it")
    return None


def strange_snapshot(point: Point | None, snapshot: SnapshotInstance, name: str) -> Blocker | None:
    """Say why the snapshot there is not the one on record; None if it is."""
    if point is None:
        mend = "delete it here and take another"
        if snapshot.replica.peers:
            mend = f"promote a replica that holds it; or {mend}, and it is gone from all of them"
        return Blocker(kind="missing", what=f"there is no snapshot {name}", mend=mend)
    if point.snapshot_id != snapshot.snapshot_id:
        carries = f"carries the snapshot id {point.snapshot_id}" if point.snapshot_id else "carries no snapshot id"
        what = f"{name} {carries}, not {snapshot.snapshot_id}"
        return Blocker(kind="identity", what=what, mend="rename it out of the way")
    if snapshot.backend_id not in (None, point.guid):
        what = f"the guid of {name} is {point.guid} and not {snapshot.backend_id} as on record"
        return Blocker(kind="identity", what=what, mend="find out who replaced it")
    return None


def refusals(dataset: Dataset, point: Point, health: Health) -> Iterator[Blocker]:
    """Name all that the kernel would refuse the rollback of `dataset` to `point` for (dsl_dataset_rollback_check)."""
    pool = dataset.name.partition("/")[0]
    yield from (Blocker(kind="pool", what=lack.why, mend=lack.mend) for lack in lacks(pool, health))
    yield from newer((p for p in dataset.newer(point) if not p.marker), dataset.reverting)
    space = dataset.space
    if min(space["refreservation"], space["usedbydataset"]) > space["available"]:
        what = f"{pool} has no room to hold the refreservation of {dataset.name} twice for a moment"
        yield Blocker(kind="space", what=what, mend=f"free some, or `zfs set refreservation=none {dataset.name}`")


def lacks(pool: str, health: Health) -> list[Lack]:
    """Say why nothing can be written to the pool; empty if it can be."""
    if health.state not in ("ONLINE", "DEGRADED"):
        return [Lack(why=f"zpool {pool} is {health.state}", mend=f"see `zpool status -v {pool}`")]
    if health.readonly:
        return [Lack(why=f"zpool {pool} is imported read-only", mend="export it and import it read-write")]
    return []


def newer(points: Iterable[Point], reverting: str | None = None) -> Iterator[Blocker]:
    """Name what is newer than the target; nobody is told to destroy what a revert to it was begun for."""
    for point in points:
        mend = f"if it is not needed: zfs destroy {point.name}"
        if point.guid == reverting:
            mend = "a revert to it was begun: put it on record (`revertkit snapshot manage`), and revert to it"
        yield Blocker(kind=point.kind, what=f"the {point.kind} {point.name} is newer", mend=mend)


def foreign(name: str, trouble: str) -> Blocker:
    """Name what is there and on no record."""
    return Blocker(kind="foreign", what=f"{name} is not on record and {trouble}", mend="rename or destroy it")
