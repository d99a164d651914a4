"""Where a dataset is mounted, who uses it, and how it goes online and offline, in this mount namespace."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from revertkit.errors import BackendError
from revertkit.models import Blocker, ExportLocation, Replica, SnapshotInstance
from revertkit.system import mounts, nfs, nfs_clients
from revertkit.system.mounts import Busy, Mount


def mounts_of(dataset: str) -> list[Mount]:
    """List where the dataset and its snapshots are mounted, the oldest first.

    Whoever looks into ``.zfs/snapshot``, over NFS too, has the kernel mount that snapshot there, below the share.
    """
    return [m for m in mounts.mounts() if m.source == dataset or m.source.startswith(f"{dataset}@")]


def mounted(dataset: str) -> bool:
    """Whether the dataset itself is mounted somewhere, so that it can be written to."""
    return any(m.source == dataset for m in mounts_of(dataset))


def in_use(dataset: str, path: Path, *snapshots: Path) -> list[Blocker]:
    """Name everything that would keep the share from going offline from its mount point `path`.

    What is mounted at `snapshots`, where our snapshots are, is not in the way: no rollback changes a snapshot.
    """
    found = []
    for mount in mounts_of(dataset):
        if mount.target in snapshots:
            continue
        if mount.target.is_relative_to(path):
            found += mounts.users(mount.target)
        else:
            what = f"{mount.source} is also mounted at {mount.target}"
            found.append(Blocker(kind="open", what=what, mend=f"umount {mount.target}"))
    return list(dict.fromkeys(found))


def take_offline(share: Replica, dataset: str, path: Path) -> None:
    """Unexport the share, and unmount its snapshots and it.

    Raises:
        Busy: somebody uses it. It is no longer exported.
    """
    nfs_clients.recall(path)
    if nfs.is_of(share.share_id, path):  # on one host the export may be that of another replica by now
        nfs.unexport(share.share_id)
    for mount in reversed(mounts_of(dataset)):
        if mount.target.is_relative_to(path):
            mounts.unmount(mount.target)


def take_snapshot_offline(snapshot_id: str, path: Path) -> None:
    """Unexport a snapshot and unmount it; it is so already: fine.

    Raises:
        Busy: somebody uses it. It is no longer exported.
    """
    if mounts.mounted_at(path):
        nfs_clients.recall(path)
    nfs.unexport(snapshot_id)
    while mounts.mounted_at(path):
        mounts.unmount(path)
    with suppress(OSError):  # gone, or not empty: not ours to clear
        path.rmdir()


def bring_snapshot_online(
    snapshot: SnapshotInstance, name: str, path: Path, address: str | None
) -> list[ExportLocation]:
    """Mount a snapshot and export it, read-only, by its own rules; as :func:`bring_online`."""
    seen = mounts.mounted_at(path)
    if seen is None:
        mounts.mount(name, path, "zfs", ["ro", "nodev", "nosuid"])
    elif seen.source != name:
        raise BackendError(f"{seen.source} is mounted at {path}, where {name} belongs")
    nfs.export(snapshot.snapshot_id, path, [r for r in snapshot.rules if not nfs.why_not(r, address)], read_only=True)
    return nfs.locations(path, address)


def bring_online(share: Replica, dataset: str, path: Path, address: str | None) -> list[ExportLocation]:
    """Mount and export an active replica; nothing happens where it is so already. Answer where it is reached.

    Raises:
        BackendError: something else is mounted at `path`.
    """
    seen = mounts.mounted_at(path)
    if seen is None:
        mounts.mount(dataset, path, "zfs", ["zfsutil"])
    elif seen.source != dataset:
        raise BackendError(f"{seen.source} is mounted at {path}, where {dataset} belongs")
    rules = [rule for rule in share.rules if not nfs.why_not(rule, address)]
    nfs.export(share.share_id, path, rules)
    return nfs.locations(path, address)


def show(share: Replica, source: str, older: str, path: Path, address: str | None) -> list[ExportLocation]:
    """Mount and export `source` in place of a replica that is not active, under the replica's own id, read-only.

    Where one whose name begins with `older` is mounted there that somebody reads, that one stays.
    """
    seen = mounts.mounted_at(path)
    if seen is not None and seen.source != source:
        if not seen.source.startswith(older):
            raise BackendError(f"{seen.source} is mounted at {path}, where {source} belongs")
        with suppress(Busy):
            hide(share, path)
    if mounts.mounted_at(path) is None:
        mounts.mount(source, path, "zfs", ["zfsutil", "ro", "nodev", "nosuid"])
    rules = [rule for rule in share.rules if not nfs.why_not(rule, address)]
    nfs.export(share.id, path, rules, read_only=True)
    return nfs.locations(path, address)


def hide(share: Replica, path: Path) -> None:
    """Unexport and unmount what is shown in place of a replica.

    Raises:
        Busy: somebody uses it. It is no longer exported.
    """
    if mounts.mounted_at(path):
        nfs_clients.recall(path)
    nfs.unexport(share.id)
    mounts.unmount(path)
