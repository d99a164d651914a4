"""The thick LVM driver on a real volume group, without a manager. Needs root, and free room for four GiB.

Every share carries its own id as a tag on all its volumes, and what is cleared away afterwards is found by that tag.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from lvm_bench import GROUP, Bench, disturb, fill, kinds, manifest, nfs_mount, sh, stranger

from revertkit.errors import Blocked
from revertkit.models import GIB, Replica, RevertState, new_id
from revertkit.system import mounts


def test_everything_comes_back_twice(roomy: Bench) -> None:
    fill(roomy.top, "A")
    before = manifest(roomy.top)
    snapshot = roomy.snap()
    for _ in range(2):
        disturb(roomy.top)
        assert (roomy.driver.check_revert(snapshot).discards_bytes or 0) > 3 << 20
        reverted = roomy.revert(snapshot)
        assert manifest(roomy.top) == before
        assert reverted.backend_id != snapshot.backend_id
        assert roomy.content(reverted) == before
        snapshot = reverted


def test_offline_at_its_end_and_answers_the_same_again(roomy: Bench) -> None:
    fill(roomy.top, "A")
    snapshot = roomy.snap()
    assert roomy.driver.revert_state(snapshot) is RevertState.UNCHANGED
    done = roomy.driver.revert_to_snapshot(snapshot)
    assert mounts.mounted_at(roomy.top) is None
    assert roomy.driver.revert_state(snapshot) is RevertState.REVERTED
    assert roomy.driver.revert_to_snapshot(snapshot) == done


def test_three_deep_seen_by_a_client_that_stays_mounted(small: Bench, tmp_path: Path) -> None:
    states = []
    for word in "ABC":
        fill(small.top, word)
        states.append((word, manifest(small.top), small.snap()))
    disturb(small.top)
    with nfs_mount(small.top, tmp_path):
        assert (tmp_path / "overwritten").read_text() == "something else"
        while states:
            word, wanted, _ = states.pop()
            snapshot = small.revert(small.snapshots[-1])
            assert (tmp_path / "overwritten").read_text() == f"overwritten {word}\n" * 200
            assert not (tmp_path / "added").exists()
            assert manifest(small.top) == wanted
            assert [small.content(s) for s in small.snapshots[:-1]] == [m for _, m, _ in states]
            small.delete(snapshot)
    assert small.device_bytes() == GIB


def test_the_size_comes_back(small: Bench) -> None:
    fill(small.top, "A")
    wanted = manifest(small.top)
    older = small.snap()
    newer = small.snap()
    grown = small.driver.extend_share(small.share, 2)
    small.share = small.share.model_copy(update={"size": grown.size})
    small.online()
    assert os.statvfs(small.top).f_blocks * os.statvfs(small.top).f_frsize > 1.8 * GIB
    (small.top / "more").write_bytes(b"x" * (8 << 20))
    newer = small.revert(newer.model_copy(update={"replica": small.share}))
    assert os.statvfs(small.top).f_blocks * os.statvfs(small.top).f_frsize < GIB
    assert small.share.size == 1
    assert small.device_bytes() == 2 * GIB, "LVM reduces no volume that has another snapshot"
    small.delete(newer)
    assert small.device_bytes() == 2 * GIB
    small.delete(older.model_copy(update={"replica": small.share}))
    assert small.device_bytes() == GIB
    assert manifest(small.top) == wanted


def test_the_volume_comes_back_with_its_only_snapshot(small: Bench) -> None:
    snapshot = small.snap()
    small.share = small.share.model_copy(update={"size": small.driver.extend_share(small.share, 2).size})
    small.revert(snapshot.model_copy(update={"replica": small.share}))
    assert small.device_bytes() == GIB


def test_extend_without_snapshots_stays_online(small: Bench) -> None:
    with (small.top / "open").open("w"):
        small.driver.extend_share(small.share, 2)
    assert small.device_bytes() == 2 * GIB
    assert os.statvfs(small.top).f_blocks * os.statvfs(small.top).f_frsize > 1.8 * GIB


def test_an_older_stranger_is_in_nobody_s_way(small: Bench) -> None:
    with stranger(small):
        time.sleep(1.1)
        small.revert(small.snap())


def test_a_share_from_a_snapshot_stands_alone(small: Bench) -> None:
    fill(small.top, "A")
    wanted = manifest(small.top)
    snapshot = small.snap()
    disturb(small.top)
    other = Replica(id=new_id(), share_id=new_id(), host="test", pool=GROUP, size=2)
    made = small.driver.create_share_from_snapshot(other, snapshot)
    copy = Bench(small.driver, other.model_copy(update={"backend_id": made.backend_id}))
    try:
        copy.online()
        assert manifest(copy.top) == wanted
        assert os.statvfs(copy.top).f_blocks * os.statvfs(copy.top).f_frsize > 1.8 * GIB
        uuids = {sh("blkid", "-p", "-o", "value", "-s", "UUID", b.volume().path) for b in (small, copy)}
        assert len(uuids) == 2
        small.revert(snapshot)
        assert manifest(small.top) == wanted
    finally:
        copy.clear()


def test_deletes_of_what_is_not_there_succeed(small: Bench) -> None:
    snapshot = small.snap()
    with pytest.raises(Blocked) as blocked:
        small.driver.delete_share(small.share)
    assert kinds(blocked) == {"snapshot"}
    for _ in range(2):
        small.driver.delete_snapshot(snapshot)
    for _ in range(2):
        small.driver.delete_share(small.share)
    assert not small.top.exists()
