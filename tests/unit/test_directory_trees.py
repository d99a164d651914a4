"""The directory driver: everything that a tree can hold comes back as it was."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_directory import DirectoryWorld

from revertkit.drivers.directory import tree
from revertkit.errors import CommandFailed

ROOT = os.geteuid() == 0
NANOSECONDS = 1_000_000_001_234_567_890
NAMES = (b"a space", b"two\nlines", b"\xff\xfe", b"-rf", b"--", "\N{SNOWMAN}".encode(), b"*")
BIND = "import socket; socket.socket(socket.AF_UNIX).bind('socket')"


def manifest(top: Path) -> dict[str, Any]:
    """All that has to be the same, by path; a hard link with the first of its names."""
    firsts: dict[int, str] = {}
    return {os.fspath(path.relative_to(top)): _entry(path, firsts) for path in sorted([top, *top.rglob("*")])}


def _entry(path: Path, firsts: dict[int, str]) -> dict[str, Any]:
    found = path.lstat()
    return {
        "mode": found.st_mode,
        "owner": (found.st_uid, found.st_gid),
        "mtime_ns": found.st_mtime_ns,
        "links": found.st_nlink,
        "first": firsts.setdefault(found.st_ino, str(path.name)),
        "content": _content(path, found),
        "xattrs": {key: os.getxattr(path, key, follow_symlinks=False) for key in _xattrs(path)},
    }


def _content(path: Path, found: os.stat_result) -> object:
    if stat.S_ISLNK(found.st_mode):
        return path.readlink()
    return path.read_bytes() if stat.S_ISREG(found.st_mode) else None


def _xattrs(path: Path) -> list[str]:
    return os.listxattr(path, follow_symlinks=False)


def acl(uid: int) -> bytes:
    """An ACL in the kernel's form: owner, one more user, group, mask, others."""
    entries = [(0x01, 7, -1), (0x02, 5, uid), (0x04, 5, -1), (0x10, 5, -1), (0x20, 0, -1)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)


def fill(top: Path) -> None:
    """One of each kind, with old times."""
    for name in NAMES:
        (top / os.fsdecode(name)).write_bytes(name)
    _links(top)
    _special_files(top)
    _modes(top)
    _attributes(top)
    for path in sorted(top.rglob("*"), reverse=True):
        os.utime(path, ns=(NANOSECONDS, NANOSECONDS), follow_symlinks=False)


def _links(top: Path) -> None:
    (top / "deep" / "empty").mkdir(parents=True)
    (top / "deep" / "one").write_bytes(b"linked")
    (top / "another").hardlink_to(top / "deep" / "one")
    (top / "dangling").symlink_to("nowhere")
    (top / "absolute").symlink_to("/etc/hostname")
    (top / "relative").symlink_to("deep/one")


def _special_files(top: Path) -> None:
    os.mkfifo(top / "fifo", 0o640)
    subprocess.run([sys.executable, "-c", BIND], cwd=top, check=True)
    assert stat.S_ISSOCK((top / "socket").stat().st_mode)
    with (top / "sparse").open("wb") as sparse:
        sparse.seek(8 * 2**20)
        sparse.write(b"end")


def _modes(top: Path) -> None:
    for name, mode in (("program", 0o4750), ("secret", 0o400), ("open", 0o666)):
        (top / name).write_bytes(name.encode())
        (top / name).chmod(mode)
    (top / "sealed").mkdir()
    (top / "sealed" / "inside").write_bytes(b"read me only")
    for name, mode in (("sealed", 0o555), ("sticky", 0o3775), ("private", 0o700)):
        (top / name).mkdir(exist_ok=True)
        (top / name).chmod(mode)
    if ROOT:
        (top / "nobody").mkdir(mode=0)
        os.chown(top / "open", 12345, 54321)
        os.chown(top / "dangling", 12345, 54321, follow_symlinks=False)


def _attributes(top: Path) -> None:
    try:
        os.setxattr(top / "open", "user.colour", b"blue\0green")
    except OSError as error:
        if error.errno != errno.ENOTSUP and error.errno != errno.EACCES:
            raise
        pytest.skip(f"the file system of {top} keeps no extended attributes")
    os.setxattr(top / "deep", "user.empty", b"")
    os.setxattr(top / "deep" / "one", "system.posix_acl_access", acl(12345))
    os.setxattr(top / "deep", "system.posix_acl_default", acl(54321))


def change(top: Path) -> None:
    """One of each kind of change."""
    (top / "a space").write_bytes(b"other bytes")
    os.truncate(top / "sparse", 5)
    (top / "relative").unlink()
    (top / "relative").mkdir()
    (top / "another").rename(top / "renamed")
    (top / "deep" / "third").hardlink_to(top / "renamed")
    (top / "open").chmod(0o600)
    (top / "deep" / "new").mkdir(mode=0)
    (top / "private").rmdir()
    os.setxattr(top / "deep" / "one", "system.posix_acl_access", acl(99))
    os.removexattr(top / "open", "user.colour")
    os.setxattr(top / "deep", "user.new", b"1")
    top.chmod(0o555)


@pytest.fixture
def world(tmp_path: Path) -> DirectoryWorld:
    world = DirectoryWorld(tmp_path)
    world.create()
    return world


@pytest.fixture
def filled(world: DirectoryWorld) -> DirectoryWorld:
    fill(world.data)
    return world


def test_everything_comes_back(filled: DirectoryWorld) -> None:
    before = manifest(filled.data)
    filled.record_snapshot("one", filled.driver.create_snapshot(filled.snapshot("one")))
    assert manifest(filled.held("one").data) == before
    for _ in range(2):
        change(filled.data)
        assert manifest(filled.data) != before
        filled.revert("one")
        assert manifest(filled.data) == before
        assert manifest(filled.held("one").data) == before
        assert not filled.leftovers()
    assert (filled.data / "sparse").stat().st_blocks * 512 < 2**20


def test_a_share_from_a_snapshot_has_everything(filled: DirectoryWorld) -> None:
    before = manifest(filled.data)
    filled.record_snapshot("one", filled.driver.create_snapshot(filled.snapshot("one")))
    child = filled.unborn()
    filled.driver.create_share_from_snapshot(child, filled.snapshot("one"))
    assert manifest(filled.home(child).current.data) == before


def test_the_mode_of_the_share_itself_never_matters(world: DirectoryWorld) -> None:
    world.data.chmod(0o555)
    world.record_snapshot("sealed", world.driver.create_snapshot(world.snapshot("sealed")))
    world.data.chmod(0)
    world.revert("sealed")
    assert stat.S_IMODE(world.data.stat().st_mode) == 0o555
    world.drop("sealed")
    world.driver.delete_share(world.share)
    assert not world.leftovers()


def test_trees_that_cannot_be_written_are_removed(tmp_path: Path) -> None:
    sealed = tmp_path / "sealed"
    (sealed / "in" / "side").mkdir(parents=True)
    (sealed / "in" / "side" / "file").write_bytes(b"")
    for path in (sealed / "in" / "side", sealed / "in", sealed):
        path.chmod(0 if path.name == "in" else 0o555)
    (outside := tmp_path / "outside").mkdir(mode=0o555)
    sealed.chmod(0o755)
    (sealed / "link").symlink_to(outside)
    tree.remove(sealed)
    assert [path.name for path in tmp_path.iterdir()] == ["outside"]
    assert stat.S_IMODE(outside.stat().st_mode) == 0o555


@pytest.mark.skipif(ROOT, reason="root reads everything")
@pytest.mark.parametrize("kind", ["directory", "file"])
def test_a_tree_that_cannot_be_read_completely_is_not_kept(world: DirectoryWorld, kind: str) -> None:
    hidden = world.data / "hidden"
    hidden.mkdir() if kind == "directory" else hidden.touch()
    hidden.chmod(0)
    with pytest.raises(CommandFailed, match=r"cannot (open|access).*hidden.*Permission denied"):
        world.driver.create_snapshot(world.snapshot("one"))
    del world.taken["one"]
    assert not world.leftovers()
    hidden.chmod(0o700)


def test_the_umask_does_not_keep_users_out(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        (world := DirectoryWorld(tmp_path)).create()
    finally:
        os.umask(before)
    assert stat.S_IMODE(world.home().online.path.stat().st_mode) == 0o755
    assert stat.S_IMODE(world.data.stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / ".revertkit").stat().st_mode) == 0o700


def test_a_share_is_removed_with_all_it_holds(filled: DirectoryWorld) -> None:
    change(filled.data)
    filled.driver.delete_share(filled.share)
    assert not filled.leftovers()
    shutil.rmtree(filled.root / ".revertkit")
    assert list(filled.root.iterdir()) == []
