"""Where a dataset is mounted, who uses it, and how it goes online and offline, in this mount namespace."""

from __future__ import annotations

from pathlib import Path

from revertkit.errors import BackendError
from revertkit.models import Blocker, ExportLocation, Replica
from revertkit.status import ReplicaState
from revertkit.system import mounts, nfs
from revertkit.system.mounts import Mount


def mounts_of(dataset: str) -> list[Mount]:
    """List where the dataset and its snapshots are mounted, the oldest first.

    Whoever looks into ``.zfs/snapshot``, over NFS too, has the kernel mount that snapshot there, below the share.
    """
    return [m for m in mounts.mounts() if m.source == dataset or m.source.startswith(f"{dataset}@")]


def in_use(dataset: str, path: Path) -> list[Blocker]:
    """Name everything that would keep the share from going offline from its mount point `path`."""
    found = []
    for mount in mounts_of(dataset):
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
    nfs.recall(path)
    nfs.unexport(share.share_id)
    for mount in reversed(mounts_of(dataset)):
        if mount.target.is_relative_to(path):
            mounts.unmount(mount.target)


def bring_online(share: Replica, dataset: str, path: Path, address: str | None) -> list[ExportLocation]:
    """Mount and export, read-only unless active; nothing happens where it is so already. Answer where it is reached.

    Raises:
        BackendError: something else is mounted at `path`.
    """
    seen = mounts.mounted_at(path)
    if seen is None:
        mounts.mount(dataset, path, "zfs", ["zfsutil"])
    elif seen.source != dataset:
        raise BackendError(f"{seen.source} is mounted at {path}, where {dataset} belongs")
    rules = [rule for rule in share.rules if not nfs.why_not(rule, address)]
    nfs.export(share.share_id, path, rules, read_only=share.state is not ReplicaState.ACTIVE)
    return nfs.locations(path, address)
