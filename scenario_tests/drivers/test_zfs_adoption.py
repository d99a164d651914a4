"""Snapshots that are mounted, and datasets and snapshots that are adopted, on real ZFS, driven directly."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from zfs_bench import Backend, child, each_kill, fill, manifest, prop, snapshots, spoil, zfs

from revertkit.errors import Blocked, InvalidInput
from revertkit.models import GIB, AccessLevel, AccessRule, Replica, new_id

RULE = AccessRule(id=new_id(), access_to="127.0.0.1", access_level=AccessLevel.RO)


def kinds(refused: pytest.ExceptionInfo[Blocked]) -> set[str]:
    return {blocker.kind for blocker in refused.value.blockers}


@pytest.fixture
def strange(backend: Backend, tmp_path: Path) -> str:
    """A dataset that somebody made by hand, with content and a snapshot, not mounted."""
    name = f"{backend.name}/hand"
    zfs("create", "-o", f"mountpoint={tmp_path / 'hand'}", "-o", f"refquota={GIB}", name)
    fill(tmp_path / "hand")
    zfs("snapshot", f"{name}@by-hand")
    (tmp_path / "hand" / "kept").write_text("changed after the snapshot")
    zfs("unmount", name)
    return name


# --- snapshots that are mounted


def test_a_mounted_snapshot_shows_its_moment_before_and_after_a_revert(
    backend: Backend, client: Callable[[str], Path]
) -> None:
    share = backend.share(1, RULE.model_copy(update={"access_level": AccessLevel.RW}))
    fill(backend.path(share))
    before = manifest(backend.path(share))
    snapshot = backend.take(share).model_copy(update={"rules": (RULE,)})
    locations = backend.driver.ensure_snapshot(snapshot)
    assert backend.driver.ensure_snapshot(snapshot) == locations
    at = backend.root / f"snap-{snapshot.snapshot_id}"
    remote = client(locations[0].path)
    spoil(backend.path(share))
    with pytest.raises(OSError):
        (remote / "new").touch()
    with pytest.raises(OSError):
        (at / "new").touch()
    backend.driver.check_revert(snapshot)
    backend.revert(snapshot)
    assert (remote / "kept").read_text() == "kept"
    assert set(manifest(at)) == set(before)
    assert manifest(backend.path(share)) == before
    backend.driver.delete_snapshot(snapshot)
    assert not at.exists()
    assert snapshots(backend.dataset(share)) == []


def test_a_snapshot_that_is_being_read_is_not_deleted(backend: Backend) -> None:
    share = backend.share()
    fill(backend.path(share))
    snapshot = backend.take(share).model_copy(update={"rules": (RULE,)})
    backend.driver.ensure_snapshot(snapshot)
    at = backend.root / f"snap-{snapshot.snapshot_id}"
    hold = "import sys; f = open(sys.argv[1]); print(flush=True); sys.stdin.read()"
    with child(hold, at / "kept") as process, pytest.raises(Blocked, match=rf"process {process.pid} \(python"):
        backend.driver.delete_snapshot(snapshot)
    assert (at / "kept").read_text() == "kept"
    assert str(at) in subprocess.run(["exportfs", "-s"], check=True, capture_output=True, text=True).stdout


# --- shares


def test_an_adopted_dataset_is_reverted_like_one_that_was_born_here(backend: Backend, strange: str) -> None:
    record = backend.record()
    guids = [prop(strange, "guid"), prop(f"{strange}@by-hand", "guid")]
    stored = backend.driver.manage_share(record, strange)
    assert (stored.backend_id, stored.size) == (guids[0], 1)
    share = record.model_copy(update={"backend_id": stored.backend_id})
    backend.driver.ensure_share(share)
    path = backend.path(share)
    assert (path / "kept").read_text() == "changed after the snapshot"
    snapshot = backend.instance(share)
    adopted = backend.driver.manage_snapshot(snapshot, "by-hand")
    assert (adopted.backend_id, adopted.size) == (guids[1], 1)
    snapshot = snapshot.model_copy(update={"backend_id": adopted.backend_id})
    spoil(path)
    backend.revert(snapshot)
    assert (path / "kept").read_text() == "kept"
    (found,) = backend.driver.inventory()
    assert (found.share_id, found.replica_id, found.size) == (share.share_id, share.id, 1)
    assert [(s.snapshot_id, s.size) for s in found.snapshots] == [(snapshot.snapshot_id, 1)]
    before = manifest(path)
    backend.driver.unmanage_snapshot(snapshot)
    backend.driver.unmanage_share(share)
    assert not path.exists()
    assert backend.driver.inventory() == []
    again = backend.driver.manage_share(other := backend.record(), backend.dataset(share))
    backend.driver.ensure_share(other.model_copy(update={"backend_id": again.backend_id}))
    assert manifest(backend.path(other)) == before
    assert [line.split("\t")[1] for line in snapshots(backend.dataset(other))] == [guids[1]]


def test_a_dataset_without_a_refquota_gets_what_it_uses(backend: Backend, strange: str) -> None:
    zfs("set", "refquota=none", strange)
    assert backend.driver.manage_share(record := backend.record(), strange).size == 1
    assert prop(backend.dataset(record), "refquota") == str(GIB)


def test_what_is_not_adopted(backend: Backend, strange: str) -> None:
    """Each by name, and with nothing changed."""
    record, ours = backend.record(), backend.share()
    before = zfs("list", "-rH", "-o", "name,guid", backend.name)
    refused(backend, record, backend.dataset(ours), "identity")
    refused(backend, record, f"{backend.name}/nowhere", "missing")
    zfs("create", "-o", "canmount=off", f"{strange}/child")
    refused(backend, record, strange, "children")
    zfs("destroy", f"{strange}/child")
    zfs("set", "refquota=1500M", strange)
    refused(backend, record, strange, "size")
    zfs("set", "refquota=1G", strange)
    zfs("mount", strange)
    refused(backend, record, strange, "mounted")
    zfs("unmount", strange)
    for name in ("-r", "rpool/else", f"{strange}@by-hand", backend.name, "../x", ""):
        with pytest.raises(InvalidInput):
            backend.driver.manage_share(record, name)
    assert zfs("list", "-rH", "-o", "name,guid", backend.name) == before


def refused(backend: Backend, record: Replica, existing: str, kind: str) -> None:
    with pytest.raises(Blocked) as refusal:
        backend.driver.manage_share(record, existing)
    assert kinds(refusal) == {kind}


def test_adopting_and_letting_go_killed_at_every_step(backend: Backend, strange: str) -> None:
    """The repeated call finishes; what is adopted and let go of is the same dataset."""
    guid, record = prop(strange, "guid"), backend.record()
    for where in each_kill(lambda: backend.driver.manage_share(record, strange)):
        assert backend.driver.manage_share(record, strange).backend_id == guid, where
        backend.driver.unmanage_share(record)
        zfs("rename", backend.dataset(record), strange)
    for where in each_kill(lambda: backend.driver.unmanage_share(record)):
        backend.driver.unmanage_share(record)
        assert backend.driver.inventory() == [], where
        assert backend.driver.manage_share(record, backend.dataset(record)).backend_id == guid, where
        backend.driver.ensure_share(record)


def test_a_snapshot_killed_at_every_step(backend: Backend) -> None:
    share = backend.share()
    name, snapshot = f"{backend.dataset(share)}@hand", backend.instance(share)
    zfs("snapshot", name)
    guid = prop(name, "guid")
    for where in each_kill(lambda: backend.driver.manage_snapshot(snapshot, "hand")):
        assert backend.driver.manage_snapshot(snapshot, "hand").backend_id == guid, where
        backend.driver.unmanage_snapshot(snapshot)
        zfs("rename", backend.at(snapshot), name)


# --- snapshots


def test_only_a_snapshot_newer_than_all_of_ours_is_adopted(backend: Backend) -> None:
    share = backend.share()
    zfs("snapshot", f"{backend.dataset(share)}@early")
    ours = backend.take(share)
    before = snapshots(backend.dataset(share))
    with pytest.raises(Blocked) as refusal:
        backend.driver.manage_snapshot(backend.instance(share), "early")
    assert kinds(refusal) == {"older"}
    with pytest.raises(Blocked) as refusal:
        backend.driver.manage_snapshot(backend.instance(share), backend.at(ours))
    assert kinds(refusal) == {"identity"}
    with pytest.raises(Blocked) as refusal:
        backend.driver.manage_snapshot(backend.instance(share), "nowhere")
    assert kinds(refusal) == {"missing"}
    for name in ("", "-r", "a/b", "x@y", f"{backend.name}@early"):
        with pytest.raises(InvalidInput):
            backend.driver.manage_snapshot(backend.instance(share), name)
    assert snapshots(backend.dataset(share)) == before
