"""Where a dataset is mounted, who uses it, and how it goes offline. The mounts are this mount namespace's."""

from __future__ import annotations

from pathlib import Path

from revertkit.errors import InvalidInput
from revertkit.models import Blocker, Replica
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
    nfs.unexport(share.share_id)
    for mount in reversed(mounts_of(dataset)):
        if mount.target.is_relative_to(path):
            mounts.unmount(mount.target)


def export(share: Replica, path: Path) -> dict[str, str]:
    """Export `path` by the share's rules, read-only unless it is active; answer why a rule was left out, by its id."""
    refused = {}
    for rule in share.rules:
        try:
            nfs.target(rule.access_to)
        except InvalidInput as wrong:
            refused[rule.id] = str(wrong)
    rules = [rule for rule in share.rules if rule.id not in refused]
    nfs.export(share.share_id, path, rules, read_only=share.state is not ReplicaState.ACTIVE)
    return refused
