"""What is btrfs's own, and so in no suite: beside test_conformance.py, which has the rest. Needs root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from revertkit_btrfs import BtrfsDriver, btrfs
from revertkit_btrfs.harness import loop_btrfs

from revertkit.errors import BackendError, Blocked, OperationFailed
from revertkit.manager import ShareManager
from revertkit.models import GIB, Context, Share
from revertkit.settings import BackendSettings, Settings

ME = Context(project_id="project")


@contextmanager
def managed(home: Path, *quotas: str) -> Iterator[tuple[ShareManager, Path]]:
    """Run a manager on a file system of its own."""
    with loop_btrfs(home, *quotas) as root:
        backend = BackendSettings.model_validate({"driver": "btrfs", "mount_root": str(root)})
        manager = ShareManager.open(Settings(host="here", state_dir=home / "state", backends={"fast": backend}))
        specs = {"snapshot_support": "true", "revert_to_snapshot_support": "true"}
        manager.create_type("plain", {"driver_handles_share_servers": "false", **specs})
        yield manager, root


@pytest.fixture
def world(tmp_path: Path) -> Iterator[tuple[ShareManager, Path]]:
    """A manager, and where its shares are."""
    with managed(tmp_path) as found:
        yield found


def new_share(manager: ShareManager, word: str) -> Share:
    """Make a share with one file in it, and a snapshot of it."""
    share = manager.create_share(ME, 1, name="share", share_type="plain")
    (where(share) / "file").write_text(word)
    manager.create_snapshot(ME, "share", name="before")
    return share


def where(share: Share) -> Path:
    """Say where a share is."""
    return Path(share.export_locations[0].path)


def test_what_the_tool_says_is_read() -> None:
    """A path may have anything in it, a line like the tool's own too."""
    shown = "a: UUID\n\tUUID: \t\t\tu-1\n\tParent UUID: \t\t-\n\tFlags: \t\t\treadonly\n\tQuota group:\t\tn/a\n"
    found = btrfs.read(Path("/x"), shown)
    assert (found.uuid, found.parent, found.read_only, found.limit) == ("u-1", None, True, None)
    counted = shown + "\t  Limit referenced:\t5\n\t  Usage referenced:\t4\n\t  Usage exclusive:\t3\n"
    assert (btrfs.read(Path("/x"), counted).limit, btrfs.read(Path("/x"), counted).own) == (5, 3)


def test_the_size_holds_and_comes_back(world: tuple[ShareManager, Path]) -> None:
    """A share takes no more than its size; a revert brings the size back too."""
    manager, _ = world
    share = new_share(manager, "before")
    with (where(share) / "big").open("wb") as big, pytest.raises(OSError, match="quota"):
        os.posix_fallocate(big.fileno(), 0, GIB)
    manager.extend_share(ME, "share", 2)
    assert btrfs.there(where(share)).limit == 2 * GIB
    manager.revert_to_snapshot(ME, "before")
    assert btrfs.there(where(share)).limit == GIB


def test_a_share_that_was_removed_comes_back(world: tuple[ShareManager, Path]) -> None:
    """As root, ``rm -rf`` of the whole share removes even its subvolume. That is what a revert is for."""
    manager, _ = world
    share = new_share(manager, "before")
    (where(share) / "file").unlink()
    where(share).rmdir()
    assert manager.check_revert(ME, "before").discards_bytes == 0
    manager.revert_to_snapshot(ME, "before")
    assert (where(share) / "file").read_text() == "before"


def test_what_no_snapshot_holds_is_refused(world: tuple[ShareManager, Path]) -> None:
    """A subvolume inside the share, which anybody may make on btrfs, would be lost."""
    manager, _ = world
    share = new_share(manager, "before")
    btrfs.create(where(share) / "inner")
    (where(share) / "inner" / "precious").write_text("precious")
    with pytest.raises(OperationFailed, match="inner is a subvolume of its own"):
        manager.create_snapshot(ME, "share", name="second")
    manager.delete_snapshot(ME, "second")
    with pytest.raises(Blocked, match="inner is a subvolume of its own"):
        manager.revert_to_snapshot(ME, "before")
    assert (where(share) / "inner" / "precious").read_text() == "precious"
    assert (where(share) / "file").read_text() == "before"


def test_who_sees_it_elsewhere_is_named(world: tuple[ShareManager, Path], tmp_path: Path) -> None:
    """Below another mount point the share would stay what it was, until that is removed under its users."""
    manager, _ = world
    share = new_share(manager, "before")
    (tmp_path / "elsewhere").mkdir()
    btrfs.run(["mount", "--bind", where(share), tmp_path / "elsewhere"])
    try:
        with pytest.raises(Blocked, match=f"{tmp_path}/elsewhere shows it too"):
            manager.revert_to_snapshot(ME, "before")
    finally:
        btrfs.run(["umount", tmp_path / "elsewhere"])
    manager.revert_to_snapshot(ME, "before")


def test_where_there_is_no_btrfs(tmp_path: Path) -> None:
    """A root that is missing, or on another file system, is named with the mend."""
    for root, said in ((tmp_path / "none", "there is no"), (Path("/proc"), "not on btrfs")):
        with pytest.raises(BackendError, match=said):
            BtrfsDriver("fast", BtrfsDriver.Options(mount_root=root)).pools()


def test_how_much_a_revert_discards(world: tuple[ShareManager, Path]) -> None:
    """What was written since the snapshot, to within the file system's own books."""
    manager, _ = world
    share = new_share(manager, "before")
    (where(share) / "since").write_bytes(bytes(10 * 1024**2))
    discards = manager.check_revert(ME, "before").discards_bytes
    assert discards is not None
    assert 10 * 1024**2 <= discards < 11 * 1024**2


def test_without_quotas_sizes_are_lacking(tmp_path: Path) -> None:
    """Shares can be had and reverted; that nobody would be held to a size is said, and changing it refused."""
    with managed(tmp_path) as (manager, root):
        btrfs.run(["btrfs", "quota", "disable", root])
        share = new_share(manager, "before")
        (where(share) / "file").write_text("after")
        manager.revert_to_snapshot(ME, "before")
        assert (where(share) / "file").read_text() == "before"
        _, report = manager.pools()[0][0]
        assert (report["size_enforced"], report["extend_support"]) == (False, False)
        with pytest.raises(Blocked, match="quotas are off"):
            manager.extend_share(ME, "share", 2)


@pytest.mark.parametrize(
    ("mode", "inconsistent", "said"),
    [("qgroup", "0", ""), ("qgroup", "1", "quotas are inconsistent"), ("squota", "0", "simple quotas")],
)
def test_quotas_that_hold_nobody_are_lacking(
    world: tuple[ShareManager, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    inconsistent: str,
    said: str,
) -> None:
    """As the kernel has it in sysfs, played by files: older tools cannot switch simple quotas on."""
    _, root = world
    uuid = btrfs.run(["findmnt", "--noheadings", "--output", "UUID", root], changes=False).stdout.strip()
    (tmp_path / "sysfs" / uuid / "qgroups").mkdir(parents=True)
    (tmp_path / "sysfs" / uuid / "qgroups" / "mode").write_text(f"{mode}\n")
    (tmp_path / "sysfs" / uuid / "qgroups" / "inconsistent").write_text(f"{inconsistent}\n")
    monkeypatch.setattr(btrfs, "SYSFS", tmp_path / "sysfs")
    (pool,) = BtrfsDriver("fast", BtrfsDriver.Options(mount_root=root)).pools()
    assert [said in lack.why for lack in pool.lacks] == ([True, True] if said else [])


def test_without_the_file_system_nothing_is_taken_for_deleted(world: tuple[ShareManager, Path]) -> None:
    """Not mounted is not gone."""
    manager, root = world
    new_share(manager, "before")
    (root / ".revertkit").rename(root / "elsewhere")
    with pytest.raises(OperationFailed, match="mount the file system"):
        manager.delete_snapshot(ME, "before")
    (root / "elsewhere").rename(root / ".revertkit")
