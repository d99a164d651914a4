"""The thick LVM driver on a real volume group, without a manager. Needs root, and free room for four GiB.

Every share carries its own id as a tag on all its volumes, and what is cleared away afterwards is found by that tag.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from lvm_bench import GROUP, Bench, bench, disturb, fill, killed, manifest, sh

from revertkit.drivers.lvm import lvm2
from revertkit.errors import Blocked
from revertkit.models import GIB, Replica, RevertState, new_id
from revertkit.system import mounts

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="LVM needs root"),
    pytest.mark.skipif(not Path("/sys/class/misc/device-mapper").exists(), reason="no device-mapper in this kernel"),
]


@pytest.fixture
def roomy() -> Iterator[Bench]:
    """A share whose snapshots have room for every change."""
    made = bench()
    yield made
    made.clear()


@pytest.fixture
def small() -> Iterator[Bench]:
    """A share whose snapshots have room for a fifth of it, so that several fit."""
    made = bench(percent=20)
    yield made
    made.clear()


def kinds(blocked: pytest.ExceptionInfo[Blocked]) -> set[str]:
    return {b.kind for b in blocked.value.blockers}


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


def test_three_deep(small: Bench) -> None:
    states = []
    for word in "ABC":
        fill(small.top, word)
        states.append((manifest(small.top), small.snap()))
    disturb(small.top)
    while states:
        wanted, snapshot = states.pop()
        snapshot = small.revert(small.snapshots[-1])
        assert manifest(small.top) == wanted
        assert [small.content(s) for s in small.snapshots[:-1]] == [m for m, _ in states]
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


def test_a_newer_stranger_is_named_and_kept(small: Bench) -> None:
    fill(small.top, "A")
    snapshot = small.snap()
    disturb(small.top)
    before = manifest(small.top)
    name = f"stranger-{small.share.id[:8]}"
    sh("lvcreate", "-y", "-s", "-n", name, "-L", "64m", f"{GROUP}/{small.volume_name}")
    try:
        for verb in (small.driver.check_revert, small.driver.revert_to_snapshot):
            with pytest.raises(Blocked, match=name) as blocked:
                verb(snapshot)
            assert kinds(blocked) == {"newer"}
        assert small.driver.revert_state(snapshot) is RevertState.UNCHANGED
        assert manifest(small.top) == before
        assert name in [v.name for v in lvm2.volumes(GROUP)]
    finally:
        sh("lvremove", "-y", f"{GROUP}/{name}")


def test_an_older_stranger_is_in_nobody_s_way(small: Bench) -> None:
    name = f"stranger-{small.share.id[:8]}"
    sh("lvcreate", "-y", "-s", "-n", name, "-L", "64m", f"{GROUP}/{small.volume_name}")
    try:
        time.sleep(1.1)
        small.revert(small.snap())
        found = {v.name: v for v in lvm2.volumes(GROUP)}[name]
        assert not found.invalid
    finally:
        sh("lvremove", "-y", f"{GROUP}/{name}")


def test_whoever_has_it_open_is_named(small: Bench) -> None:
    fill(small.top, "A")
    snapshot = small.snap()
    body = small.body(snapshot)
    with (small.top / "kept").open() as held, body.path.open("rb") as raw:
        sleeper = subprocess.Popen(["sleep", "600"], stdin=held)
        reader = subprocess.Popen(["sleep", "601"], stdin=raw)
    try:
        with pytest.raises(Blocked) as blocked:
            small.driver.revert_to_snapshot(snapshot)
        said = str(blocked.value)
        assert f"process {sleeper.pid} (sleep)" in said
        assert f"process {reader.pid} (sleep)" in said
        assert kinds(blocked) == {"open"}
        assert mounts.mounted_at(small.top) is not None
    finally:
        for process in (sleeper, reader):
            process.kill()
            process.wait()
    small.revert(snapshot)


def test_held_where_no_process_can_be_seen(small: Bench) -> None:
    """A mount in another namespace: found only when the volume will not be deactivated; all is put back."""
    fill(small.top, "A")
    snapshot = small.snap()
    disturb(small.top)
    before = manifest(small.top)
    hidden = subprocess.Popen(["unshare", "-m", "--propagation", "private", "sleep", "602"])
    time.sleep(2)
    try:
        with pytest.raises(Blocked, match="cannot name"):
            small.driver.revert_to_snapshot(snapshot)
        assert manifest(small.top) == before
        assert small.driver.revert_state(snapshot) is RevertState.UNCHANGED
        assert not [v for v in lvm2.volumes(GROUP) if v.name.startswith("room-")]
    finally:
        hidden.kill()
        hidden.wait()
    time.sleep(1)
    small.revert(snapshot)


def test_missing_and_mistaken_identity(small: Bench) -> None:
    snapshot = small.snap()
    with pytest.raises(Blocked) as blocked:
        small.driver.revert_to_snapshot(snapshot.model_copy(update={"backend_id": "another"}))
    assert kinds(blocked) == {"identity"}
    with pytest.raises(Blocked) as blocked:
        small.driver.revert_to_snapshot(snapshot.model_copy(update={"id": new_id()}))
    assert kinds(blocked) == {"missing"}


def test_an_overflowed_snapshot_is_refused() -> None:
    tight = bench(percent=2)
    try:
        snapshot = tight.snap()
        (tight.top / "flood").write_bytes(os.urandom(60 << 20))
        os.sync()
        with pytest.raises(Blocked, match="overflowed") as blocked:
            tight.driver.revert_to_snapshot(snapshot)
        assert kinds(blocked) == {"invalid"}
        assert (tight.top / "flood").stat().st_size == 60 << 20
        tight.delete(snapshot)
    finally:
        tight.clear()


def test_no_room_to_take_it_anew(small: Bench) -> None:
    snapshot = small.snap()
    _, free = lvm2.capacity(GROUP)
    name = f"hog-{small.share.id[:8]}"
    sh("lvcreate", "-y", "-an", "-Zn", "-n", name, "-L", f"{free // (4 << 20) * 4 - 100}m", GROUP)
    try:
        for verb in (small.driver.check_revert, small.driver.revert_to_snapshot):
            with pytest.raises(Blocked) as blocked:
                verb(snapshot)
            assert kinds(blocked) == {"space"}
    finally:
        sh("lvremove", "-y", f"{GROUP}/{name}")


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


def test_a_client_that_stays_mounted_reads_the_reverted_content(small: Bench, tmp_path: Path) -> None:
    fill(small.top, "A")
    wanted = (small.top / "overwritten").read_text()
    snapshot = small.snap()
    disturb(small.top)
    sh("mount", "-t", "nfs4", "-o", "timeo=50,retrans=2", f"127.0.0.1:{small.top}", tmp_path)
    try:
        assert (tmp_path / "overwritten").read_text() == "something else"
        small.revert(snapshot)
        assert (tmp_path / "overwritten").read_text() == wanted
        assert not (tmp_path / "added").exists()
    finally:
        sh("umount", tmp_path)


def test_a_file_held_open_over_nfs_is_named(small: Bench, tmp_path: Path) -> None:
    fill(small.top, "A")
    snapshot = small.snap()
    sh("mount", "-t", "nfs4", f"127.0.0.1:{small.top}", tmp_path)
    try:
        with (tmp_path / "kept").open("r+"), pytest.raises(Blocked, match=r"NFS client 127\.0\.0\.1.*kept"):
            small.driver.revert_to_snapshot(snapshot)
    finally:
        sh("umount", tmp_path)


@pytest.mark.timeout(3000)
def test_killed_at_every_step(small: Bench) -> None:
    """Killed at each moment of a revert: the state is true, the repeated call finishes, nothing is lost."""
    fill(small.top, "A")
    wanted = manifest(small.top)
    older = small.snap()
    snapshot = small.snap()
    moments = range(int(os.environ.get("KILL_FROM", "0")), int(os.environ.get("KILL_TO", "100")))
    for at in moments:
        disturb(small.top)
        changed = manifest(small.top)
        if not killed(at, partial(small.driver.revert_to_snapshot, snapshot)):
            break
        state = small.driver.revert_state(snapshot)
        os.write(2, f"{at}: {state}\n".encode())
        if state is RevertState.UNCHANGED:
            small.online()
            assert manifest(small.top) == changed
            assert not [v for v in lvm2.volumes(GROUP) if v.name.startswith("room-")]
        elif state is RevertState.HALFWAY:
            with pytest.raises(Blocked):
                small.online()
        snapshot = small.revert(snapshot)
        assert manifest(small.top) == wanted
    assert small.content(snapshot) == wanted == small.content(older)
    assert at > 10 or "KILL_TO" in os.environ
