"""The LVM driver on a real volume group, without a manager: thick and thin, ext4 and XFS. Needs root, and free room.

Every share carries its own id as a tag on all its volumes, and what is cleared away afterwards is found by that tag.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from lvm_bench import Bench, disturb, fill, kinds, manifest, sh, stranger

from revertkit.errors import Blocked
from revertkit.models import GIB, Replica, RevertState, new_id
from revertkit.system import mounts


def test_everything_comes_back_twice(each: Bench) -> None:
    fill(each.top, "A")
    before = manifest(each.top)
    snapshot = each.snap()
    for _ in range(2):
        disturb(each.top)
        assert (each.driver.check_revert(snapshot).discards_bytes or 0) > 3 << 20
        share = each.share
        reverted = each.revert(snapshot)
        assert manifest(each.top) == before
        changed = (each.share.backend_id != share.backend_id, reverted.backend_id != snapshot.backend_id)
        assert changed == (each.thin, not each.thin)
        assert each.content(reverted) == before
        snapshot = reverted


def test_offline_at_its_end_and_answers_the_same_again(each: Bench) -> None:
    fill(each.top, "A")
    snapshot = each.snap()
    assert each.driver.revert_state(snapshot) is RevertState.UNCHANGED
    done = each.driver.revert_to_snapshot(snapshot)
    assert mounts.mounted_at(each.top) is None
    assert each.driver.revert_state(snapshot) is RevertState.REVERTED
    assert each.driver.revert_to_snapshot(snapshot) == done


def test_three_deep_seen_by_a_client_that_stays_mounted(each: Bench, client: Callable[[str], Path]) -> None:
    states = []
    for word in "ABC":
        fill(each.top, word)
        states.append((word, manifest(each.top), each.snap()))
    disturb(each.top)
    remote = client(f"127.0.0.1:{each.top}")
    assert (remote / "overwritten").read_text() == "something else"
    while states:
        word, wanted, _ = states.pop()
        snapshot = each.revert(each.snapshots[-1])
        assert (remote / "overwritten").read_text() == f"overwritten {word}\n" * 200
        assert not (remote / "added").exists()
        assert manifest(each.top) == wanted
        assert [each.content(s) for s in each.snapshots[:-1]] == [m for _, m, _ in states]
        each.delete(snapshot)
    assert each.device_bytes() == GIB


def test_the_size_comes_back(each: Bench) -> None:
    fill(each.top, "A")
    wanted = manifest(each.top)
    older = each.snap()
    newer = each.snap()
    each.record_size(each.driver.extend_share(each.share, 2))
    each.online()
    assert each.room() > 1.8 * GIB
    (each.top / "more").write_bytes(b"x" * (8 << 20))
    newer = each.revert(each.snapshots[-1])
    assert each.room() < GIB
    assert each.share.size == 1
    assert each.device_bytes() == (1 if each.thin else 2) * GIB, "LVM reduces no thick volume that has a snapshot"
    (found,) = [f for f in each.driver.inventory() if f.replica_id == each.share.id]
    assert (found.share_id, found.size, found.existing) == (each.share.share_id, 1, each.volume_name)
    assert [(s.snapshot_id, s.size) for s in found.snapshots] == [(s.snapshot_id, 1) for s in (older, newer)]
    assert [s.created_at for s in found.snapshots] == [older.created_at, newer.created_at]
    each.delete(newer)
    each.delete(each.snapshots[-1])
    assert each.device_bytes() == GIB
    assert manifest(each.top) == wanted


def test_the_volume_comes_back_with_its_only_snapshot(small: Bench) -> None:
    small.snap()
    small.record_size(small.driver.extend_share(small.share, 2))
    small.revert(small.snapshots[-1])
    assert small.device_bytes() == GIB


def test_extend_without_snapshots_stays_online(each: Bench) -> None:
    with (each.top / "open").open("w"):
        each.driver.extend_share(each.share, 2)
    assert each.device_bytes() == 2 * GIB
    assert each.room() > 1.8 * GIB


def test_an_older_stranger_is_in_nobody_s_way(small: Bench) -> None:
    with stranger(small):
        time.sleep(1.1)
        small.revert(small.snap())


def test_a_share_from_a_snapshot_stands_alone(each: Bench) -> None:
    fill(each.top, "A")
    wanted = manifest(each.top)
    snapshot = each.snap()
    disturb(each.top)
    other = Replica(id=new_id(), share_id=new_id(), host="test", pool=each.share.pool, size=2)
    made = each.driver.create_share_from_snapshot(other, snapshot)
    copy = Bench(each.driver, other.model_copy(update={"backend_id": made.backend_id}))
    try:
        copy.online()
        assert manifest(copy.top) == wanted
        assert copy.room() > 1.8 * GIB
        uuids = {sh("blkid", "-p", "-o", "value", "-s", "UUID", b.volume().path) for b in (each, copy)}
        assert len(uuids) == 2
        snapshot = each.revert(snapshot)
        assert manifest(each.top) == wanted
        each.delete(snapshot)
        assert manifest(copy.top) == wanted
    finally:
        copy.clear()


def test_deletes_of_what_is_not_there_succeed(each: Bench) -> None:
    snapshot = each.snap()
    with pytest.raises(Blocked) as blocked:
        each.driver.delete_share(each.share)
    assert kinds(blocked) == {"snapshot"}
    for _ in range(2):
        each.driver.delete_snapshot(snapshot)
    for _ in range(2):
        each.driver.delete_share(each.share)
    assert not each.top.exists()
