"""The ZFS driver on real ZFS, driven directly, as root and without a manager.

Each test has a dataset of its own below ``$REVERTKIT_TEST_ZPOOL`` (tank0), whose name carries a marker and which goes
with all that is in it when the test ends. It destroys nothing else.
"""

from __future__ import annotations

import mmap
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from namespaces import mounted_elsewhere
from zfs_bench import (
    Backend,
    child,
    each_kill,
    fill,
    manifest,
    prop,
    snapshots,
    spoil,
    succeeds,
    until,
    zfs,
)

from revertkit.drivers.zfs import ZfsDriver, openzfs
from revertkit.errors import BackendError, Blocked
from revertkit.models import GIB, AccessRule, Replica, RevertState, SnapshotInstance, new_id
from revertkit.system import mounts
from revertkit.system.run import Moment, StepEvent, watching

# --- data


def test_a_revert_brings_everything_back_and_keeps_the_snapshot(backend: Backend) -> None:
    share = backend.share()
    fill(backend.path(share))
    snapshot, before = backend.take(share), manifest(backend.path(share))
    kept = snapshots(backend.dataset(share))
    for _ in range(2):
        spoil(backend.path(share))
        assert manifest(backend.path(share)) != before
        backend.revert(snapshot)
        assert manifest(backend.path(share)) == before
        assert snapshots(backend.dataset(share)) == kept
    backend.revert(snapshot)
    assert manifest(backend.path(share)) == before


def test_the_loop_three_deep(backend: Backend) -> None:
    share = backend.share()
    path, history = backend.path(share), []
    fill(path)
    for word in ("one", "two", "three"):
        (path / "word").write_text(word)
        (path / word).write_text(word * 1000)
        history.append((backend.take(share), manifest(path)))
    (path / "word").write_text("lost")
    while history:
        snapshot, then = history.pop()
        backend.revert(snapshot)
        assert manifest(path) == then
        backend.driver.delete_snapshot(snapshot)
        assert len(snapshots(backend.dataset(share))) == len(history)
        (path / "word").write_text("lost again")


def test_the_size_comes_back_after_growing_and_after_shrinking(backend: Backend) -> None:
    share = backend.share(size=2)
    path = backend.path(share)
    (path / "data").write_bytes(os.urandom(2_000_000))
    snapshot, before = backend.take(share), manifest(path)
    for new_size in (3, 1):
        grow_or_shrink = backend.driver.extend_share if new_size > 2 else backend.driver.shrink_share
        stored = grow_or_shrink(share, new_size)
        assert stored.size == new_size
        assert capacity(path) == pytest.approx(new_size * GIB, rel=0.01) or new_size == 3  # the pool holds less
        resized = share.model_copy(update={"size": new_size})
        (path / "more").write_bytes(os.urandom(1_000_000))
        back = backend.revert(snapshot.model_copy(update={"replica": resized}))
        assert back.size == 2
        assert prop(backend.dataset(share), "refquota") == str(2 * GIB)
        assert manifest(path) == before


def capacity(path: Path) -> int:
    found = os.statvfs(path)
    return found.f_blocks * found.f_frsize


def test_a_share_that_outgrew_the_snapshots_size_is_reverted_and_one_that_does_not_fit_is_not_shrunk(
    backend: Backend,
) -> None:
    share = backend.share(size=1)
    path = backend.path(share)
    (path / "data").write_bytes(os.urandom(1000))
    snapshot, before = backend.take(share), manifest(path)
    grown = share.model_copy(update={"size": backend.driver.extend_share(share, 2).size})
    write(path / "much", 1100)
    os.sync()
    with pytest.raises(Blocked, match="more than 1 GiB"):
        backend.driver.shrink_share(grown, 1)
    assert prop(backend.dataset(share), "refquota") == str(2 * GIB)
    backend.revert(snapshot.model_copy(update={"replica": grown}))
    assert manifest(path) == before


def test_what_clients_write_is_neither_a_device_nor_a_privilege(backend: Backend) -> None:
    """Their root is ours, over NFS: also once it was fenced and is not any more, which remounts it."""
    share = backend.share()
    for _ in range(2):
        seen = mounts.mounted_at(backend.path(share))
        assert seen is not None
        assert {"nodev", "nosuid"} <= set(seen.options)
        for readonly in (True, False):
            openzfs.set_readonly((), backend.dataset(share), readonly=readonly)


def test_a_share_that_is_full_is_reverted(backend: Backend) -> None:
    """What fills a dataset goes a little beyond its refquota, and neither a rollback nor zfs(8) takes one below it."""
    share = backend.share()
    path = backend.path(share)
    with pytest.raises(OSError, match="quota"):
        fill_up(path / "much")
    os.sync()
    assert int(prop(backend.dataset(share), "referenced")) > GIB
    snapshot = backend.take(share)
    size = (path / "much").stat().st_size
    (path / "much").unlink()
    backend.revert(snapshot)
    assert (path / "much").stat().st_size == size
    assert GIB < int(prop(backend.dataset(share), "refquota")) < GIB + (8 << 20)
    assert backend.driver.revert_to_snapshot(snapshot).share.size == 1
    backend.driver.ensure_share(share)


def fill_up(path: Path) -> None:
    block = os.urandom(1 << 20)
    with path.open("wb", buffering=0) as file:
        while file.write(block):
            pass


def write(path: Path, megabytes: int) -> None:
    block = os.urandom(1 << 20)
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(block)


def test_a_copy_does_not_pin_its_snapshot(backend: Backend) -> None:
    share = backend.share()
    fill(backend.path(share))
    os.truncate(backend.path(share) / "docs" / "text", 1 << 24)  # sparse
    snapshot, before = backend.take(share), manifest(backend.path(share))
    spoil(backend.path(share))
    copy = backend.record(size=2)
    stored = backend.driver.create_share_from_snapshot(copy, snapshot)
    assert stored.size == 2
    assert stored == backend.driver.create_share_from_snapshot(copy, snapshot)
    backend.driver.ensure_share(copy)
    assert manifest(backend.path(copy)) == before
    assert snapshots(backend.dataset(copy)) == []
    assert prop(backend.dataset(copy), "origin") == "-"
    backend.driver.delete_snapshot(snapshot)
    backend.driver.delete_share(share)
    assert manifest(backend.path(copy)) == before
    own = backend.take(copy.model_copy(update={"backend_id": stored.backend_id}))
    (backend.path(copy) / "kept").write_text("changed")
    backend.revert(own)
    assert manifest(backend.path(copy)) == before


# --- refusals


@pytest.fixture
def reverted(backend: Backend) -> tuple[Replica, SnapshotInstance]:
    """A share with a snapshot and something written since."""
    share = backend.share()
    (backend.path(share) / "file").write_text("old")
    snapshot = backend.take(share)
    (backend.path(share) / "file").write_text("new")
    return share, snapshot


def refused(backend: Backend, snapshot: SnapshotInstance, says: str) -> Blocked:
    """A revert and its dry run are refused alike, and nothing changes."""
    share = snapshot.replica
    before = snapshots(backend.dataset(share)), manifest(backend.path(share)), settings(backend, share)
    with pytest.raises(Blocked, match=says) as dry:
        backend.driver.check_revert(snapshot)
    with pytest.raises(Blocked, match=says) as real:
        backend.driver.revert_to_snapshot(snapshot)
    assert dry.value.blockers == real.value.blockers
    assert (snapshots(backend.dataset(share)), manifest(backend.path(share)), settings(backend, share)) == before
    assert backend.path(share).is_mount()
    return real.value


def settings(backend: Backend, share: Replica) -> str:
    return zfs("get", "-Hp", "-s", "local", "-o", "property,value", "all", backend.dataset(share))


def test_a_newer_snapshot_and_a_newer_bookmark_are_named_and_stay(
    backend: Backend, reverted: tuple[Replica, SnapshotInstance]
) -> None:
    share, snapshot = reverted
    dataset = backend.dataset(share)
    zfs("snapshot", f"{dataset}@by-hand")
    zfs("bookmark", f"{dataset}@by-hand", f"{dataset}#mark")
    found = refused(backend, snapshot, "by-hand")
    assert [b.kind for b in found.blockers] == ["snapshot", "bookmark"]
    zfs("destroy", f"{dataset}@by-hand")
    found = refused(backend, snapshot, "#mark")
    assert [b.kind for b in found.blockers] == ["bookmark"]
    zfs("destroy", f"{dataset}#mark")
    zfs("bookmark", backend.at(snapshot), f"{dataset}#same")  # not newer
    backend.revert(snapshot)
    assert (backend.path(share) / "file").read_text() == "old"


def test_a_snapshot_taken_at_the_last_moment_survives(
    backend: Backend, reverted: tuple[Replica, SnapshotInstance]
) -> None:
    """What ``zfs rollback`` can destroy: it comes after every check, and just before the kernel's own."""
    share, snapshot = reverted
    dataset = backend.dataset(share)

    def late(event: StepEvent) -> None:
        if event == StepEvent("lzc_rollback_to", Moment.BEFORE):
            zfs("snapshot", f"{dataset}@late")

    with watching(late), pytest.raises(Blocked, match="newer than the target"):
        backend.driver.revert_to_snapshot(snapshot)
    assert snapshots(dataset)[-1].startswith(f"{dataset}@late")
    assert (backend.path(share) / "file").read_text() == "new"
    assert prop(dataset, "revertkit:reverting") == "-"


def test_a_snapshot_taken_half_way_survives_and_the_revert_stays_half_way(
    backend: Backend, reverted: tuple[Replica, SnapshotInstance]
) -> None:
    """The rollback is done and not said to be; then comes a stranger's snapshot. "Unchanged" would be a lie."""
    share, snapshot = reverted
    dataset = backend.dataset(share)

    def power_cut(event: StepEvent) -> None:
        if event == StepEvent("lzc_rollback_to", Moment.AFTER):
            raise KeyboardInterrupt

    with watching(power_cut), pytest.raises(KeyboardInterrupt):
        backend.driver.revert_to_snapshot(snapshot)
    zfs("snapshot", f"{dataset}@hourly")
    for _ in range(2):
        with pytest.raises(Blocked, match="hourly"):
            backend.driver.revert_to_snapshot(snapshot)
        assert backend.driver.revert_state(snapshot) is RevertState.HALFWAY
        assert not backend.path(share).is_mount()
        assert snapshots(dataset)[-1].startswith(f"{dataset}@hourly")
    zfs("destroy", f"{dataset}@hourly")
    backend.revert(snapshot)
    assert (backend.path(share) / "file").read_text() == "old"
    assert prop(dataset, "revertkit:reverting") == "-"


def test_a_missing_snapshot(backend: Backend, reverted: tuple[Replica, SnapshotInstance]) -> None:
    _, snapshot = reverted
    zfs("destroy", backend.at(snapshot))
    refused(backend, snapshot, "there is no snapshot")


def test_a_snapshot_of_the_same_name_is_not_the_same(
    backend: Backend, reverted: tuple[Replica, SnapshotInstance]
) -> None:
    share, snapshot = reverted
    zfs("destroy", backend.at(snapshot))
    backend.driver.create_snapshot(snapshot.model_copy(update={"backend_id": None}))
    refused(backend, snapshot, "the guid of .* as on record")
    other = share.model_copy(update={"backend_id": "12345"})
    refused(backend, snapshot.model_copy(update={"replica": other}), "and not 12345 as on record")


def test_an_open_file_names_its_process(backend: Backend, reverted: tuple[Replica, SnapshotInstance]) -> None:
    share, snapshot = reverted
    hold = "import sys; f = open(sys.argv[1]); print(flush=True); sys.stdin.read()"
    with child(hold, backend.path(share) / "file") as process:
        refused(backend, snapshot, rf"process {process.pid} \(python")
    backend.revert(snapshot)


def test_a_snapshot_that_is_looked_into(backend: Backend, reverted: tuple[Replica, SnapshotInstance]) -> None:
    share, snapshot = reverted
    inside = backend.path(share) / ".zfs" / "snapshot" / backend.at(snapshot).partition("@")[2]
    assert (inside / "file").read_text() == "old"
    hold = "import os, sys; os.chdir(sys.argv[1]); print(flush=True); sys.stdin.read()"
    with child(hold, inside) as process:
        refused(backend, snapshot, rf"process {process.pid} \(python")
    backend.revert(snapshot)  # with the snapshot still mounted there, and nobody in it
    assert (backend.path(share) / "file").read_text() == "old"


def test_a_mount_in_another_namespace(backend: Backend, reverted: tuple[Replica, SnapshotInstance]) -> None:
    """Nothing here sees it, and ``lzc_rollback_to`` would turn it back under its readers."""
    share, snapshot = reverted
    with mounted_elsewhere(backend.path(share)), pytest.raises(Blocked, match="mounted in some namespace"):
        backend.driver.revert_to_snapshot(snapshot)
    assert (backend.path(share) / "file").read_text() == "new"
    assert backend.path(share).is_mount()
    backend.revert(snapshot)


def test_a_refquota_below_the_snapshot_is_raised(backend: Backend) -> None:
    share = backend.share(size=2)
    write(backend.path(share) / "much", 100)
    snapshot = backend.take(share)
    (backend.path(share) / "much").unlink()
    by_hand = "zfs", "set", "refquota=50M", backend.dataset(share)  # with it the kernel alone would say EDQUOT
    until(lambda: succeeds(*by_hand))  # the space of what was removed is not free at once
    assert backend.revert(snapshot).size == 2
    assert (backend.path(share) / "much").stat().st_size == 100 << 20


def test_a_share_that_is_not_ours_is_left_alone(backend: Backend) -> None:
    share = backend.share()
    zfs("inherit", "revertkit:share", backend.dataset(share))
    zfs("set", f"revertkit:share={share.share_id}", backend.name)  # inherited is not ours
    zfs("snapshot", f"{backend.dataset(share)}@theirs")
    for verb in (backend.driver.ensure_share, backend.driver.delete_share):
        with pytest.raises(Blocked, match="carries no share id"):
            verb(share)
    assert snapshots(backend.dataset(share))


def test_delete_refuses_unknown_snapshots_and_children_by_name(backend: Backend) -> None:
    share = backend.share()
    dataset = backend.dataset(share)
    zfs("snapshot", f"{dataset}@theirs")
    zfs("create", "-o", "canmount=noauto", f"{dataset}/child")
    with pytest.raises(Blocked, match=r"@theirs.*child") as refusal:
        backend.driver.delete_share(share)
    assert len(refusal.value.blockers) == 2
    assert backend.path(share).is_mount()
    zfs("destroy", f"{dataset}@theirs")
    zfs("destroy", f"{dataset}/child")
    backend.driver.delete_share(share)
    backend.driver.delete_share(share)
    assert openzfs.look(dataset) is None
    assert not backend.path(share).exists()


def test_a_held_and_a_cloned_snapshot_are_not_deleted(
    backend: Backend, reverted: tuple[Replica, SnapshotInstance]
) -> None:
    _, snapshot = reverted
    zfs("hold", "keep", backend.at(snapshot))
    with pytest.raises(Blocked, match="held"):
        backend.driver.delete_snapshot(snapshot)
    zfs("release", "keep", backend.at(snapshot))
    zfs("clone", "-o", "canmount=noauto", backend.at(snapshot), f"{backend.name}/clone")
    with pytest.raises(Blocked, match="clone"):
        backend.driver.delete_snapshot(snapshot)
    backend.revert(snapshot)  # neither is in the way of a revert
    zfs("destroy", f"{backend.name}/clone")
    backend.driver.delete_snapshot(snapshot)
    backend.driver.delete_snapshot(snapshot)


def test_a_pool_that_is_not_there_is_not_a_share_that_is_not_there(backend: Backend) -> None:
    driver = ZfsDriver("away", ZfsDriver.Options(pool="no-such-pool/shares", mount_root=backend.root))
    share = backend.record().model_copy(update={"pool": "no-such-pool/shares"})
    with pytest.raises(BackendError, match="dataset does not exist"):
        driver.delete_share(share)
    with pytest.raises(BackendError):
        driver.pools()


# --- a kill at every step


def test_a_revert_killed_at_every_step_is_finished_by_the_next_call(
    backend: Backend, reverted: tuple[Replica, SnapshotInstance]
) -> None:
    share, snapshot = reverted
    path, kept = backend.path(share), snapshots(backend.dataset(share))
    rule = AccessRule(id=new_id(), access_to="127.0.0.1")
    size, states = 1, {}
    grown = share.model_copy(update={"size": 2, "rules": (rule,)})

    def spoil_again() -> None:
        nonlocal grown
        (path / "file").write_text("new")
        os.sync()
        backend.driver.extend_share(grown.model_copy(update={"size": size}), 2)
        backend.driver.ensure_share(grown)

    spoil_again()
    again = snapshot.model_copy(update={"replica": grown})
    for where in each_kill(lambda: backend.driver.revert_to_snapshot(again)):
        states[where] = backend.driver.revert_state(again)
        assert snapshots(backend.dataset(share)) == kept
        if states[where] is RevertState.HALFWAY:
            with pytest.raises(Blocked, match="recover"):
                backend.driver.ensure_share(grown)
        back = backend.revert(again)
        assert (path / "file").read_text() == "old"
        assert back.size == 1
        assert snapshots(backend.dataset(share)) == kept
        spoil_again()
    assert set(states.values()) == {RevertState.UNCHANGED, RevertState.HALFWAY, RevertState.REVERTED}


def test_a_revert_killed_at_every_step_can_be_left_where_it_stands(
    backend: Backend, reverted: tuple[Replica, SnapshotInstance]
) -> None:
    """Recovery asks how far it came: unchanged is put back, half-way finished, reverted recorded."""
    share, snapshot = reverted
    for where in each_kill(lambda: backend.driver.revert_to_snapshot(snapshot)):
        state = backend.driver.revert_state(snapshot)
        if state is RevertState.HALFWAY:
            backend.driver.revert_to_snapshot(snapshot)
        backend.driver.ensure_share(share)
        expected = "new" if state is RevertState.UNCHANGED else "old"
        assert (backend.path(share) / "file").read_text() == expected, where
        assert prop(backend.dataset(share), "revertkit:reverting") == "-"
        (backend.path(share) / "file").write_text("new")
        os.sync()
        assert backend.driver.revert_state(snapshot) is RevertState.UNCHANGED, "once online, nothing is thrown away"


def test_coming_online_killed_at_every_step(backend: Backend) -> None:
    rule = AccessRule(id=new_id(), access_to="127.0.0.1")
    share = backend.share(1, rule)
    (backend.path(share) / "file").write_text("old")
    snapshot = backend.take(share)
    backend.driver.revert_to_snapshot(snapshot)
    for _ in each_kill(lambda: backend.driver.ensure_share(share)):
        backend.driver.ensure_share(share)
        (backend.path(share) / "file").write_text("after")
        assert backend.driver.revert_state(snapshot) is RevertState.UNCHANGED
        backend.driver.revert_to_snapshot(snapshot)


def test_a_snapshot_killed_at_every_step(backend: Backend) -> None:
    share = backend.share()
    snapshot = backend.instance(share)
    for where in each_kill(lambda: backend.driver.create_snapshot(snapshot)):
        there = openzfs.look(backend.dataset(share))
        assert there is not None
        assert all(p.size == 1 and p.snapshot_id == snapshot.snapshot_id for p in there.snapshots), where
        stored = backend.driver.create_snapshot(snapshot)
        assert stored == backend.driver.create_snapshot(snapshot)
        backend.driver.delete_snapshot(snapshot)
    backend.driver.delete_snapshot(snapshot)
    assert snapshots(backend.dataset(share)) == []


def test_deleting_a_snapshot_killed_at_every_step(backend: Backend) -> None:
    share = backend.share()
    older, snapshot = backend.take(share), backend.instance(share)
    backend.driver.create_snapshot(snapshot)
    for _ in each_kill(lambda: backend.driver.delete_snapshot(snapshot)):
        backend.driver.delete_snapshot(snapshot)
        assert len(snapshots(backend.dataset(share))) == 1
        backend.driver.create_snapshot(snapshot)
    backend.revert(older)


@pytest.mark.parametrize("verb", ["create", "copy"])
def test_making_and_deleting_a_share_killed_at_every_step(backend: Backend, verb: str) -> None:
    share = backend.share()
    fill(backend.path(share))
    snapshot, before = backend.take(share), manifest(backend.path(share))
    new = backend.record(2, AccessRule(id=new_id(), access_to="127.0.0.1"))

    def make() -> object:
        if verb == "create":
            return backend.driver.create_share(new)
        return backend.driver.create_share_from_snapshot(new, snapshot)

    for _ in each_kill(make):
        make()
        backend.driver.ensure_share(new)
        assert prop(backend.dataset(new), "refquota") == str(2 * GIB)
        assert (verb == "create") == (not list(backend.path(new).iterdir()))
        if verb == "copy":
            assert manifest(backend.path(new)) == before
        backend.driver.delete_share(new)
        assert not backend.path(new).exists()
    backend.driver.delete_share(new)
    for _ in each_kill(make):  # and one that nobody finishes can be deleted
        backend.driver.delete_share(new)
    make()
    backend.driver.ensure_share(new)
    for _ in each_kill(lambda: backend.driver.delete_share(new)):
        backend.driver.delete_share(new)
        assert openzfs.look(backend.dataset(new)) is None
        make()
        backend.driver.ensure_share(new)


def test_a_copy_killed_while_it_runs_leaves_nothing_behind(backend: Backend) -> None:
    share = backend.share()
    write(backend.path(share) / "much", 300)
    snapshot, before = backend.take(share), manifest(backend.path(share))
    new = backend.record()
    for seconds in (0.1, 0.5, 1.5):
        if (pid := os.fork()) == 0:
            backend.driver.create_share_from_snapshot(new, snapshot)
            os._exit(0)
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        backend.driver.delete_share(new)
        assert openzfs.look(backend.dataset(new)) is None
    backend.driver.create_share_from_snapshot(new, snapshot)
    backend.driver.ensure_share(new)
    assert manifest(backend.path(new)) == before


# --- who looks on


def test_an_nfs_client_that_stays_mounted_reads_the_reverted_content(
    backend: Backend, client: Callable[[str], Path]
) -> None:
    share = backend.share(1, AccessRule(id=new_id(), access_to="127.0.0.1"))
    (backend.path(share) / "file").write_text("old" * 10_000)
    snapshot = backend.take(share)
    location = backend.driver.ensure_share(share)[0].path
    assert location == f"127.0.0.1:{backend.path(share)}"
    at = client(location)
    (at / "file").write_text("new" * 20_000)
    (at / "added").write_text("x")
    assert (at / "file").read_text() == "new" * 20_000
    until(lambda: not blocked(backend, snapshot))  # a close that the client has sent may be under way
    backend.revert(snapshot)
    assert (at / "file").read_text() == "old" * 10_000
    assert not (at / "added").exists()
    (at / "file").write_text("writable")
    assert (backend.path(share) / "file").read_text() == "writable"


def test_an_nfs_client_with_an_open_file_is_named(backend: Backend, client: Callable[[str], Path]) -> None:
    share = backend.share(1, AccessRule(id=new_id(), access_to="127.0.0.1"))
    (backend.path(share) / "file").write_text("old")
    snapshot = backend.take(share)
    at = client(backend.driver.ensure_share(share)[0].path)
    with (at / "file").open("a"):
        refused(backend, snapshot, "NFS client.* echo expire > /proc/fs/nfsd/clients/[0-9]+/ctl")
    until(lambda: not blocked(backend, snapshot))
    backend.revert(snapshot)


def blocked(backend: Backend, snapshot: SnapshotInstance) -> bool:
    try:
        backend.driver.check_revert(snapshot)
    except Blocked:
        return True
    return False


def test_a_mapped_file_blocks_instead_of_going_stale(
    backend: Backend, reverted: tuple[Replica, SnapshotInstance]
) -> None:
    share, snapshot = reverted
    file = backend.path(share) / "file"
    with file.open("r+b") as opened:
        mapped = mmap.mmap(opened.fileno(), 0)
    try:
        assert mapped[:3] == b"new"
        with pytest.raises(Blocked):
            backend.driver.revert_to_snapshot(snapshot)
        assert mapped[:3] == b"new"
    finally:
        mapped.close()
    backend.revert(snapshot)
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as mapped:
        assert mapped[:3] == b"old"


# --- the pool


def test_the_pool_says_what_is_free(backend: Backend) -> None:
    [pool] = backend.driver.pools()
    assert (pool.name, pool.lacks) == (backend.name, ())
    assert 0 < pool.free_bytes <= pool.total_bytes
    assert pool.free_bytes == pytest.approx(int(prop(backend.name, "available")), rel=0.01)
    assert ZfsDriver.probe() == []


def test_a_preview_says_how_much_would_be_thrown_away(
    backend: Backend, reverted: tuple[Replica, SnapshotInstance]
) -> None:
    share, snapshot = reverted
    write(backend.path(share) / "more", 10)
    os.sync()
    thrown = backend.driver.check_revert(snapshot).discards_bytes
    assert thrown is not None
    assert 10 << 20 <= thrown < 12 << 20
