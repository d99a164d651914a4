"""Many shares with many snapshots on one host, reverted in parallel."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from ground import Ground

from revertkit.models import Share, Snapshot
from revertkit.status import Status

AT_ONCE = 4
MANY = {"zfs": (30, 10), "directory": (6, 4), "thin-ext4": (6, 4), "thin-xfs": (6, 4)}
"""Shares, and snapshots of each. A volume takes an emulated machine ten times as long as a dataset."""
FEW = (2, 2)
"""Of thick volumes, which take real room in the VM's group."""


@pytest.mark.slow
def test_many_shares_are_reverted_at_once(ground: Ground) -> None:
    """Each to its own most recent snapshot; none is disturbed by another's. REVERTKIT_MANY="30x10" sets the numbers."""
    named = os.environ.get("REVERTKIT_MANY")
    shares, each = map(int, named.split("x")) if named else MANY.get(ground.backend, FEW)
    for resource in ("snapshots", "snapshot_gigabytes"):
        ground.manager.set_quota(ground.context.project_id, resource, -1)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        made = list(pool.map(lambda number: _made(ground, number, each), range(shares)))
        list(pool.map(lambda pair: ground.manager.revert_to_snapshot(ground.context, pair[1].id), made))
        for number, (share, _) in enumerate(made):
            assert ground.now(share).status is Status.AVAILABLE
            assert (ground.path(share) / "word").read_text() == f"share {number}, snapshot {each - 1}"
            assert len(ground.manager.snapshots(ground.context, share.id)) == each
        list(pool.map(lambda pair: _removed(ground, pair[0]), made))


def _made(ground: Ground, number: int, each: int) -> tuple[Share, Snapshot]:
    share = ground.share()
    for turn in range(each):
        (ground.path(share) / "word").write_text(f"share {number}, snapshot {turn}")
        snapshot = ground.snapshot(share)
    (ground.path(share) / "word").write_text("lost")
    return share, snapshot


def _removed(ground: Ground, share: Share) -> None:
    for snapshot in reversed(ground.manager.snapshots(ground.context, share.id)):
        ground.manager.delete_snapshot(ground.context, snapshot.id)
    ground.manager.delete_share(ground.context, share.id)
