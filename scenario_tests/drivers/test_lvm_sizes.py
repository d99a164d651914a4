"""LVM shares made smaller, and what a changed setting does to those that are there: nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import pytest
from lvm_bench import Bench, bench, disturb, driver_of, fill, killed, kinds, manifest

from revertkit.errors import Blocked
from revertkit.models import GIB


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
