"""LVM volumes that somebody else made: taken over with their snapshots, turned back, let go of, taken over again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from lvm_bench import GROUP, KINDS, POOL, Bench, disturb, driver_of, fill, killed, kinds, manifest, recorded, sh

from revertkit.drivers.lvm import lvm2
from revertkit.drivers.lvm.rows import Volume
from revertkit.errors import Blocked
from revertkit.models import Replica, SnapshotInstance, new_id
from revertkit.system import mounts

MOUNT = Path("/mnt/strange")


class Strange(Bench):
    """A volume made by hand, with a file system, and the record that it is to have."""

    name = ""
    names: frozenset[str] = frozenset()

    def clear(self) -> None:
        self.driver.front.take_offline(self.driver.front.share(self.share))
        for volume in sorted(lvm2.volumes(GROUP), key=lambda v: not v.origin):
            if self.names & {volume.name, volume.origin} or volume.name.startswith(f"{self.name}-"):
                sh("umount", "-A", volume.path) if volume.open else None
                sh("lvremove", "-y", f"{GROUP}/{volume.name}")
        super().clear()


@pytest.fixture(params=KINDS)
def strange(request: pytest.FixtureRequest) -> Iterator[Strange]:
    """A volume with files in it, not mounted."""
    driver = driver_of(request.param, percent=20)
    share = Replica(id=new_id(), share_id=new_id(), host="test", pool=driver.kind.pool_name, size=7)
    made = Strange(driver, share)
    made.name = f"strange-{share.id[:8]}"
    made.names = frozenset({made.name, made.volume_name})  # what is let go of has no tag, and its share's name
    size = ["-V", "1g", "--thinpool", f"{GROUP}/{POOL}"] if made.thin else ["-L", "1g", GROUP]
    sh("lvcreate", "-y", "-n", made.name, *size)
    device = f"/dev/{GROUP}/{made.name}"
    sh(f"mkfs.{driver.options.filesystem}", "-q", device)
    MOUNT.mkdir(exist_ok=True)
    sh("mount", device, MOUNT)
    fill(MOUNT, "A")
    yield made
    if mounts.mounted_at(MOUNT):
        sh("umount", MOUNT)
    made.clear()


def snapshot_of(bench: Strange, name: str) -> None:
    room = [] if bench.thin else ["-L", "200m"]
    sh("lvcreate", "-y", "-s", "-n", name, *room, f"{GROUP}/{bench.name}")


def wanted_of(bench: Strange) -> SnapshotInstance:
    return SnapshotInstance(
        id=new_id(), snapshot_id=new_id(), replica=bench.share, size=1, created_at=datetime.now(UTC)
    )


def named(name: str) -> Volume:
    return next(v for v in lvm2.volumes(GROUP) if v.name == name)


def test_taken_over_turned_back_let_go_of_and_taken_over_again(strange: Strange) -> None:
    wanted = manifest(MOUNT)
    snapshot_of(strange, f"{strange.name}-one")
    disturb(MOUNT)
    changed = manifest(MOUNT)

    with pytest.raises(Blocked, match=str(MOUNT)) as blocked:
        strange.driver.manage_share(strange.share, strange.name)
    assert kinds(blocked) == {"mounted"}
    assert manifest(MOUNT) == changed
    sh("umount", MOUNT)

    spared: set[str] = set()
    while moment := killed(spared, partial(strange.driver.manage_share, strange.share, f"{GROUP}/{strange.name}")):
        spared.add(moment)
    strange.record_size(strange.driver.manage_share(strange.share, strange.name))
    assert strange.share.size == 1
    strange.online()
    assert manifest(strange.top) == changed

    foreign = wanted_of(strange)
    adopt = partial(strange.driver.manage_snapshot, foreign, f"/dev/{GROUP}/{strange.name}-one")
    spared = set()
    while moment := killed(spared, adopt):
        spared.add(moment)
    foreign = recorded(foreign, adopt())
    assert foreign.size == 1
    assert strange.body(foreign).read_only
    assert strange.content(foreign) == wanted

    foreign = strange.revert(foreign)
    assert manifest(strange.top) == wanted
    assert strange.content(foreign) == wanted

    for _ in range(2):
        strange.driver.unmanage_snapshot(foreign)
    for _ in range(2):
        strange.driver.unmanage_share(strange.share)
    assert mounts.mounted_at(strange.top) is None
    assert strange.share.id not in [f.replica_id for f in strange.driver.inventory()]
    left, kept = named(strange.volume_name), named(f"snap-{foreign.snapshot_id}")
    assert left.marks == kept.marks == []

    strange.share = strange.share.model_copy(update={"id": new_id(), "backend_id": None})
    strange.record_size(strange.driver.manage_share(strange.share, left.name))
    strange.online()
    assert manifest(strange.top) == wanted
    strange.driver.delete_snapshot(foreign)  # it is nobody's now
    assert named(kept.name)
    sh("lvremove", "-y", f"{GROUP}/{kept.name}")


def test_a_snapshot_that_is_not_the_newest_stays_a_stranger(strange: Strange) -> None:
    sh("umount", MOUNT)
    strange.record_size(strange.driver.manage_share(strange.share, strange.name))
    strange.online()
    strange.name = strange.volume_name
    snapshot_of(strange, f"{strange.name}-one")
    time.sleep(1.1)
    ours = strange.snap()
    try:
        for existing, wrong in ((f"{strange.name}-one", "order"), ("nothing", "missing"), (POOL, "origin")):
            with pytest.raises(Blocked) as blocked:
                strange.driver.manage_snapshot(wanted_of(strange), existing)
            assert wrong in kinds(blocked)
        with pytest.raises(Blocked) as blocked:
            strange.driver.manage_snapshot(wanted_of(strange), f"snap-{ours.snapshot_id}")
        assert "managed" in kinds(blocked)
        with pytest.raises(Blocked) as blocked:
            strange.driver.unmanage_share(strange.share)
        assert kinds(blocked) == {"snapshot"}
        assert strange.content(ours) == manifest(strange.top)
    finally:
        sh("lvremove", "-y", f"{GROUP}/{strange.name}-one")


@pytest.mark.parametrize("kind", ["old", "new", "room"])
def test_a_snapshot_with_a_name_like_a_revert_s_is_not_swept(strange: Strange, kind: str) -> None:
    """Killed between its tags and its new name, it is ours and still called so: bringing the share online spares it."""
    sh("umount", MOUNT)
    strange.record_size(strange.driver.manage_share(strange.share, strange.name))
    strange.online()
    wanted = manifest(strange.top)
    strange.name = strange.volume_name
    name = f"{kind}-{strange.share.id[:8]}"
    snapshot_of(strange, name)
    foreign = wanted_of(strange)
    spared: set[str] = set()
    while not (moment := killed(spared, partial(strange.driver.manage_snapshot, foreign, name))).startswith(
        "before lvrename"
    ):
        assert moment, "it has ended"
        spared.add(moment)
    strange.online()
    assert named(name).tag("snapshot") == foreign.snapshot_id
    disturb(strange.top)
    foreign = recorded(foreign, strange.driver.manage_snapshot(foreign, name))
    assert strange.content(foreign) == wanted


@pytest.mark.parametrize("strange", ["thick-ext4"], indirect=True)
def test_a_snapshot_of_larger_chunks_than_an_older_one_s(strange: Strange) -> None:
    """Merged back, each would be copied whole into what the older one has room for."""
    sh("umount", MOUNT)
    strange.record_size(strange.driver.manage_share(strange.share, strange.name))
    strange.online()
    strange.name = strange.volume_name
    strange.snap()
    time.sleep(1.1)
    name = f"{strange.name}-coarse"
    sh("lvcreate", "-y", "-s", "-c", "64k", "-n", name, "-L", "200m", f"{GROUP}/{strange.name}")
    with pytest.raises(Blocked, match=r"65536 bytes.*4096.*--chunksize 4096b") as blocked:
        strange.driver.manage_snapshot(wanted_of(strange), name)
    assert kinds(blocked) == {"chunks"}
    sh("lvremove", "-y", f"{GROUP}/{name}")


def test_what_is_no_share(strange: Strange) -> None:
    sh("umount", MOUNT)
    sh("wipefs", "-a", f"/dev/{GROUP}/{strange.name}")
    sh("lvchange", "-an", f"{GROUP}/{strange.name}")
    with pytest.raises(Blocked, match="nothing that blkid knows") as blocked:
        strange.driver.manage_share(strange.share, strange.name)
    assert kinds(blocked) == {"filesystem"}
    assert (named(strange.name).active, named(strange.name).marks) == (False, [])
