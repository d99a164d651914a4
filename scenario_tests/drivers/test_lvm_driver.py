"""The thick LVM driver on a real volume group, without a manager. Needs root, and free room for four GiB.

Every share carries its own id as a tag on all its volumes, and what is cleared away afterwards is found by that tag.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from lvm_bench import GROUP, Bench, bench, disturb, fill, killed, manifest, sh

from revertkit.drivers.lvm import lvm2
from revertkit.errors import Blocked
from revertkit.models import GIB, Replica, RevertState, SnapshotInstance, new_id
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


@pytest.fixture(scope="module")
def modified() -> Iterator[Bench]:
    """A share that was changed after its snapshot, for all that only refuses."""
    made = bench(percent=20)
    fill(made.top, "A")
    made.snap()
    disturb(made.top)
    yield made
    made.clear()


@pytest.fixture
def refusing(modified: Bench) -> Iterator[Bench]:
    """The same, held to what a refusal is: nothing has changed."""
    before = manifest(modified.top)
    yield modified
    assert manifest(modified.top) == before
    assert modified.driver.revert_state(modified.snapshots[-1]) is RevertState.UNCHANGED
    assert not [v for v in lvm2.volumes(GROUP) if v.name.startswith("room-") and v.tag("share") == modified.share.id]


@contextmanager
def stranger(bench: Bench) -> Iterator[str]:
    """A snapshot of the share that somebody took by hand; still there, and sound, at the end."""
    name = f"stranger-{bench.share.id[:8]}"
    sh("lvcreate", "-y", "-s", "-n", name, "-L", "64m", f"{GROUP}/{bench.volume_name}")
    try:
        yield name
        assert not {v.name: v for v in lvm2.volumes(GROUP)}[name].invalid
    finally:
        sh("lvremove", "-y", f"{GROUP}/{name}")


@contextmanager
def nfs_mount(top: Path, at: Path) -> Iterator[None]:
    """A client of the share, on this host."""
    sh("mount", "-t", "nfs4", "-o", "timeo=50,retrans=2", f"127.0.0.1:{top}", at)
    try:
        yield
    finally:
        sh("umount", at)


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


def test_a_newer_stranger_is_named_and_kept(refusing: Bench) -> None:
    snapshot = refusing.snapshots[-1]
    with stranger(refusing) as name:
        for verb in (refusing.driver.check_revert, refusing.driver.revert_to_snapshot):
            with pytest.raises(Blocked, match=name) as blocked:
                verb(snapshot)
            assert kinds(blocked) == {"newer"}


def test_an_older_stranger_is_in_nobody_s_way(small: Bench) -> None:
    with stranger(small):
        time.sleep(1.1)
        small.revert(small.snap())


def test_whoever_has_it_open_is_named(refusing: Bench) -> None:
    snapshot = refusing.snapshots[-1]
    with (refusing.top / "kept").open() as held, refusing.body(snapshot).path.open("rb") as raw:
        sleepers = [subprocess.Popen(["sleep", "600"], stdin=stdin) for stdin in (held, raw)]
    try:
        with pytest.raises(Blocked) as blocked:
            refusing.driver.revert_to_snapshot(snapshot)
        for sleeper in sleepers:
            assert f"process {sleeper.pid} (sleep)" in str(blocked.value)
        assert kinds(blocked) == {"open"}
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.wait()


def test_held_where_no_process_can_be_seen(refusing: Bench) -> None:
    """A mount in another namespace: found only when the volume is still open after unmounting; all is put back."""
    hidden = subprocess.Popen(["unshare", "-m", "--propagation", "private", "sleep", "602"])
    try:
        wait_until(lambda: Path(f"/proc/{hidden.pid}/comm").read_text() == "sleep\n")
        with pytest.raises(Blocked, match="cannot name"):
            refusing.driver.revert_to_snapshot(refusing.snapshots[-1])
    finally:
        hidden.kill()
        hidden.wait()


def wait_until(true: Callable[[], bool]) -> None:
    """Wait for what the test itself began."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_missing_and_mistaken_identity(refusing: Bench) -> None:
    snapshot = refusing.snapshots[-1]
    for wrong, kind in (({"backend_id": "another"}, "identity"), ({"id": new_id()}, "missing")):
        with pytest.raises(Blocked) as blocked:
            refusing.driver.check_revert(snapshot.model_copy(update=wrong))
        assert kinds(blocked) == {kind}


def test_no_room_to_take_it_anew(refusing: Bench) -> None:
    _, free = lvm2.capacity(GROUP)
    name = f"hog-{refusing.share.id[:8]}"
    sh("lvcreate", "-y", "-an", "-Zn", "-Wn", "-n", name, "-L", f"{free - (100 << 20)}b", GROUP)
    try:
        for verb in (refusing.driver.check_revert, refusing.driver.revert_to_snapshot):
            with pytest.raises(Blocked) as blocked:
                verb(refusing.snapshots[-1])
            assert kinds(blocked) == {"space"}
    finally:
        sh("lvremove", "-y", f"{GROUP}/{name}")


def test_a_file_held_open_over_nfs_is_named(refusing: Bench, tmp_path: Path) -> None:
    named = pytest.raises(Blocked, match=r"NFS client 127\.0\.0\.1.*kept")
    with nfs_mount(refusing.top, tmp_path), (tmp_path / "kept").open("r+"), named:
        refusing.driver.revert_to_snapshot(refusing.snapshots[-1])


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


def true_to(bench: Bench, snapshot: SnapshotInstance, moment: str) -> RevertState:
    """Hold what the driver says of a revert killed at `moment` against what it lets be done."""
    state = bench.driver.revert_state(snapshot)
    os.write(2, f"killed {moment}: {state}\n".encode())
    assert state is not RevertState.UNKNOWN
    if state is RevertState.HALFWAY:
        with pytest.raises(Blocked, match="half way"):
            bench.online()
    return state


@pytest.mark.timeout(1500)
def test_killed_after_every_step_of_one_revert(small: Bench) -> None:
    """Each call is killed one step further than the one before, and takes up what that one left."""
    fill(small.top, "A")
    wanted = manifest(small.top)
    older, snapshot = small.snap(), small.snap()
    disturb(small.top)
    spared: set[str] = set()
    states = []
    while moment := killed(spared, partial(small.driver.revert_to_snapshot, snapshot)):
        spared.add(moment)
        states.append(true_to(small, snapshot, moment))
        if states[-2:-1] != states[-1:]:  # past it, an activation is another step than the one of its name before
            spared.clear()
    assert small.driver.revert_state(snapshot) is RevertState.REVERTED
    assert states == sorted(states, key=[RevertState.UNCHANGED, RevertState.HALFWAY, RevertState.REVERTED].index)
    assert set(states) == {RevertState.UNCHANGED, RevertState.HALFWAY, RevertState.REVERTED}
    snapshot = small.revert(snapshot)
    assert manifest(small.top) == wanted
    assert small.content(snapshot) == wanted == small.content(older)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_killed_at_every_moment_then_finished_or_put_back(small: Bench) -> None:
    """Killed at each moment of a whole revert: untouched and back online, or finished by one more call."""
    fill(small.top, "A")
    wanted = manifest(small.top)
    older, snapshot = small.snap(), small.snap()
    spared: set[str] = set()
    disturb(small.top)
    changed = manifest(small.top)
    while moment := killed(spared, partial(small.driver.revert_to_snapshot, snapshot)):
        spared.add(moment)
        if true_to(small, snapshot, moment) is RevertState.UNCHANGED:
            small.online()
            assert manifest(small.top) == changed
            assert not [v for v in lvm2.volumes(GROUP) if v.name.startswith("room-")]
            continue
        snapshot = small.revert(snapshot)
        assert manifest(small.top) == wanted
        disturb(small.top)
        changed = manifest(small.top)
    assert small.content(snapshot) == wanted == small.content(older)
