"""What a thick LVM revert refuses: every blocker by name, and nothing changed. Needs root and a volume group."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lvm_bench import (
    GROUP,
    Bench,
    bench,
    disturb,
    fill,
    kinds,
    manifest,
    sh,
    stranger,
)
from namespaces import mounted_elsewhere

from revertkit.drivers.lvm import lvm2
from revertkit.errors import Blocked
from revertkit.models import RevertState, new_id


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


def test_a_newer_stranger_is_named_and_kept(refusing: Bench) -> None:
    snapshot = refusing.snapshots[-1]
    with stranger(refusing) as name:
        for verb in (refusing.driver.check_revert, refusing.driver.revert_to_snapshot):
            with pytest.raises(Blocked, match=name) as blocked:
                verb(snapshot)
            assert kinds(blocked) == {"newer"}


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
    with mounted_elsewhere(refusing.top), pytest.raises(Blocked, match="cannot name"):
        refusing.driver.revert_to_snapshot(refusing.snapshots[-1])


def test_missing_and_mistaken_identity(refusing: Bench) -> None:
    snapshot = refusing.snapshots[-1]
    for wrong, kind in (({"backend_id": "another"}, "identity"), ({"snapshot_id": new_id()}, "missing")):
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


def test_a_file_held_open_over_nfs_is_named(refusing: Bench, client: Callable[[str], Path]) -> None:
    named = pytest.raises(Blocked, match=r"NFS client 127\.0\.0\.1.*kept")
    with (client(f"127.0.0.1:{refusing.top}") / "kept").open("r+"), named:
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
