"""LVM shares made smaller, and what a changed setting does to those that are there: nothing."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from functools import partial

import pytest
from lvm_bench import GROUP, Bench, bench, disturb, driver_of, fill, killed, kinds, manifest

from revertkit.errors import Blocked
from revertkit.models import GIB
from revertkit.system.run import run


@pytest.fixture(params=["thick-ext4", "thin-ext4"])
def large(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """An ext4 share of two GiB."""
    made = bench(request.param, percent=20, size=2)
    yield made
    made.clear()


def test_a_share_shrinks(large: Bench) -> None:
    fill(large.top, "A")
    wanted = manifest(large.top)
    large.record_size(large.driver.shrink_share(large.share, 1))
    large.online()
    assert manifest(large.top) == wanted
    assert large.device_bytes() == GIB
    assert large.room() < GIB


def test_too_much_data_stays_as_it_is(large: Bench) -> None:
    (large.top / "much").write_bytes(b"x" * (1100 << 20))
    with pytest.raises(Blocked) as blocked:
        large.driver.shrink_share(large.share, 1)
    assert kinds(blocked) == {"size"}
    assert (large.top / "much").stat().st_size == 1100 << 20
    os.truncate(large.top / "much", 1000 << 20)  # by the first look it fits, with the tables it does not
    with pytest.raises(Blocked) as blocked:
        large.driver.shrink_share(large.share, 1)
    assert kinds(blocked) == {"size"}
    assert (large.top / "much").stat().st_size == 1000 << 20
    assert large.room() > 1.8 * GIB
    assert large.volume().tag("resizing") is None


def test_snapshots_and_a_shrink(large: Bench) -> None:
    fill(large.top, "A")
    wanted = manifest(large.top)
    snapshot = large.snap()
    if not large.thin:
        with pytest.raises(Blocked, match=snapshot.snapshot_id) as blocked:
            large.driver.shrink_share(large.share, 1)
        assert kinds(blocked) == {"snapshot"}
        return
    large.record_size(large.driver.shrink_share(large.share, 1))
    large.online()
    disturb(large.top)
    large.revert(large.snapshots[-1])
    assert large.share.size == 2
    assert large.room() > 1.8 * GIB
    assert manifest(large.top) == wanted


def test_killed_at_every_moment_of_a_shrink(large: Bench) -> None:
    """Put back to its size on record after each kill, and finished by the last call."""
    fill(large.top, "A")
    wanted = manifest(large.top)
    spared: set[str] = set()
    while moment := killed(spared, partial(large.driver.shrink_share, large.share, 1)):
        spared.add(moment)
        if len(spared) % 2:
            continue  # the next call takes up what this one left
        large.online()
        assert manifest(large.top) == wanted
        assert large.room() > 1.8 * GIB
        assert large.device_bytes() == 2 * GIB
    large.record_size(large.driver.shrink_share(large.share, 1))
    large.online()
    assert manifest(large.top) == wanted
    assert (large.device_bytes(), large.volume().tag("size"), large.volume().tag("resizing")) == (GIB, "1", None)


def test_killed_at_every_moment_of_growing_with_a_snapshot() -> None:
    """Its room grows with the share: it can hold every change there can be."""
    thick = bench("thick-ext4", percent=100)
    try:
        fill(thick.top, "A")
        wanted = manifest(thick.top)
        snapshot = thick.snap()
        spared: set[str] = set()
        while moment := killed(spared, partial(thick.driver.extend_share, thick.share, 2)):
            spared.add(moment)
        assert any("lvextend" in moment for moment in spared)
        thick.record_size(thick.driver.extend_share(thick.share, 2))
        thick.online()
        assert thick.room() > 1.8 * GIB
        assert thick.body(snapshot).size > 2 * GIB
        disturb(thick.top)
        assert thick.content(thick.snapshots[-1]) == wanted
    finally:
        thick.clear()


def test_a_snapshot_gets_all_of_its_room_or_is_not_taken() -> None:
    """Of ``-l 100%ORIGIN`` lvcreate(8) takes what there is: such a snapshot overflows after all."""
    thick = bench("thick-ext4", percent=100)
    filler = f"{GROUP}/filler-{uuid.uuid4().hex[:8]}"
    try:
        left = thick.volume().group_free - GIB // 2
        run(["lvcreate", "-y", "-an", "-Zn", "-Wn", "-n", filler, "-L", f"{left}b", GROUP])
        with pytest.raises(Blocked) as blocked:
            thick.snap()
        assert kinds(blocked) == {"space"}
        assert thick.driver.kind.look(thick.share).snapshots == ()
        run(["lvremove", "-y", filler])
        assert thick.body(thick.snap()).size > GIB
    finally:
        run(["lvremove", "-y", filler], ok=(0, 5))
        thick.clear()


def test_growing_asks_first_who_reads_a_snapshot() -> None:
    """A reader keeps the volume from being deactivated: nothing goes offline for that."""
    thick = bench("thick-ext4")
    try:
        (thick.top / "word").write_text("read")
        snapshot = thick.snap()
        thick.driver.ensure_snapshot(snapshot)
        place = thick.driver.front.snapshot(thick.body(snapshot))
        assert place is not None
        with (place.directory / "word").open():
            with pytest.raises(Blocked) as blocked:
                thick.driver.extend_share(thick.share, 2)
            assert kinds(blocked) == {"open"}
            assert place.directory.is_mount()
            assert thick.top.is_mount()
    finally:
        thick.clear()


def test_xfs_never_shrinks() -> None:
    xfs = bench("thin-xfs", size=2)
    try:
        with pytest.raises(Blocked, match="cannot shrink") as blocked:
            xfs.driver.shrink_share(xfs.share, 1)
        assert kinds(blocked) == {"filesystem"}
    finally:
        xfs.clear()


def test_a_setting_that_changed_leaves_older_shares_alone() -> None:
    older = bench("thin-ext4")
    try:
        fill(older.top, "A")
        older.driver = driver_of("thin-xfs")
        older.revert(older.snap())
        older.record_size(older.driver.extend_share(older.share, 2))
        assert older.room() > 1.8 * GIB
        assert older.content(older.snapshots[-1])
    finally:
        older.clear()
