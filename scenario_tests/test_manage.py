"""Volumes, datasets and snapshots that exist already are adopted, let go of, and found again after a lost database."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import by_hand
import files
import pytest
from ground import Ground, standing

from revertkit import manifest
from revertkit.errors import OperationFailed, RevertkitError
from revertkit.models import Share, Snapshot


def test_an_adopted_volume_is_like_one_that_was_born_here(served: Ground, tmp_path: Path) -> None:
    """Its data is there; snapshot, wreck, revert; let go of, it is as it was left; adopted again, it is still that."""
    existing = by_hand.make(served, f"hand-{served.home.name[-8:]}", tmp_path / "hand", files.write)
    share = _managed(served, existing)
    assert share.size == 1
    before = manifest.record(served.path(share))
    snapshot = served.snapshot(share)
    for _ in range(2):
        files.wreck(served.path(share))
        served.manager.revert_to_snapshot(served.context, snapshot.id)
        assert manifest.record(served.path(share)) == before
    path = served.path(share)
    served.manager.unmanage_snapshot(served.context, snapshot.id)
    served.manager.unmanage_share(served.context, share.id)
    assert not path.is_mount()
    assert served.manager.shares(served.context) == []
    again = _managed(served, _called(served, share))
    assert manifest.record(served.path(again)) == before
    adopted = served.manager.manage_snapshot(served.context, again.id, f"snap-{snapshot.id}")
    (served.path(again) / "scratch").write_text("scratch")
    served.manager.revert_to_snapshot(served.context, adopted.id)
    assert manifest.record(served.path(again)) == before


def _managed(ground: Ground, existing: str) -> Share:
    return ground.manager.manage_share(ground.context, ground.backend, existing, share_type="scenario")


def _called(ground: Ground, share: Share) -> str:
    name = f"share-{share.replica.id}"
    return f"{ground.options['pool']}/{name}" if ground.options["driver"] == "zfs" else name


def test_a_snapshot_made_by_hand_is_adopted_and_reverted_to(served: Ground) -> None:
    """One that is newer than all known can be; one that is older than a known one is refused, and stays."""
    share = served.share()
    served.snapshot(share)
    (served.path(share) / "word").write_text("when the operator took it")
    by_hand.snapshot(served, f"share-{share.replica.id}", f"op-{share.id[:8]}")
    (served.path(share) / "word").write_text("later")
    adopted = served.manager.manage_snapshot(served.context, share.id, f"op-{share.id[:8]}")
    served.manager.revert_to_snapshot(served.context, adopted.id)
    assert (served.path(share) / "word").read_text() == "when the operator took it"
    by_hand.snapshot(served, f"share-{share.replica.id}", f"old-{share.id[:8]}")
    newer = served.snapshot(share)
    known = served.manager.snapshots(served.context, share.id)
    with pytest.raises(RevertkitError, match=r"newer|older"):
        served.manager.manage_snapshot(served.context, share.id, f"old-{share.id[:8]}")
    assert served.manager.snapshots(served.context, share.id) == known
    served.manager.delete_snapshot(served.context, newer.id)
    assert served.manager.manage_snapshot(served.context, share.id, f"old-{share.id[:8]}").size == 1


@pytest.mark.parametrize("backend", ["thick-ext4", "thin-xfs", "zfs"])
def test_a_lost_database_is_rebuilt_from_the_backend(backend: str, disk: Path) -> None:
    """Under the same ids, sizes and order; a revert works. On storage of its own: it adopts all that it finds."""
    with (
        by_hand.storage_of_its_own(backend, disk) as options,
        standing(backend, f"lost-{uuid.uuid4().hex[:8]}", options) as ground,
    ):
        share = ground.share()
        (ground.path(share) / "word").write_text("one")
        first = ground.snapshot(share)
        (ground.path(share) / "word").write_text("two")
        second = ground.snapshot(share)
        ground.manager.extend_share(ground.context, share.id, 2)
        shutil.rmtree(ground.settings.state_dir)
        _rebuilt(Ground(backend, ground.home, ground.more), share, first, second)


def _rebuilt(ground: Ground, share: Share, first: Snapshot, second: Snapshot) -> None:
    told = ground.manager.manage_all(ground.context, ground.backend, share_type="scenario")
    assert [(found.id, found.adopted) for found in told] == [(one.id, True) for one in (share, first, second)], told
    found, path = ground.now(share), ground.path(share)
    assert (found.size, found.replica.id) == (2, share.replica.id)
    snapshots = ground.manager.snapshots(ground.context, share.id)
    assert [(s.id, s.size) for s in snapshots] == [(first.id, 1), (second.id, 1)]
    assert ground.manager.manage_all(ground.context, ground.backend, share_type="scenario") == []
    (path / "word").write_text("three")
    ground.manager.revert_to_snapshot(ground.context, second.id)
    assert (path / "word").read_text() == "two"
    assert ground.now(share).size == 1
    ground.manager.delete_snapshot(ground.context, second.id)
    ground.manager.revert_to_snapshot(ground.context, first.id)
    assert (path / "word").read_text() == "one"


def test_what_cannot_be_a_share(served: Ground, tmp_path: Path) -> None:
    """Refused by name, with no row left and nothing changed: what is not there, and what is a share already."""
    share = served.share()
    for existing in (_called(served, share), _called(served, share).replace(share.replica.id, "0" * 8)):
        with pytest.raises((OperationFailed, RevertkitError), match="share-"):
            _managed(served, existing)
    assert [found.id for found in served.manager.shares(served.context)] == [share.id]
    assert served.path(share).is_mount()
