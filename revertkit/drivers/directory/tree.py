"""Whole trees: copy one with everything in it, compare two, remove one."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from uuid import uuid4

from revertkit.errors import BackendError, CommandFailed
from revertkit.system.kernel import move
from revertkit.system.mounts import mounts_within
from revertkit.system.run import run, step

TOOLS = {"cp": "coreutils", "rm": "coreutils", "du": "coreutils", "find": "findutils"}
"""The tools used here, and the package that has each."""
PART, GONE = ".part", ".gone"
"""How the name ends of a tree that is not there yet, and of one that is there no more."""
# `cp --archive` drops extended attributes and still exits with 0: name all that has to arrive.
_COPY = (
    *("cp", "--recursive", "--no-dereference", "--preserve=mode,ownership,timestamps,links,xattr"),
    *("--reflink=auto", "--sparse=auto", "--no-target-directory", "--"),
)

_REMOVE = ("rm", "--recursive", "--force", "--one-file-system", "--")


def passing(path: Path, ending: str) -> Path:
    """Name a place beside `path` that nobody else uses: a copy orphaned by a crash may still be writing to its own."""
    return path.with_name(f"{path.name}.{uuid4().hex[:8]}{ending}")


def copy(source: Path, target: Path) -> None:
    """Copy a tree with modes, owners, times, links, holes, extended attributes and ACLs.

    Raises:
        CommandFailed: something could not be read or kept; what stands at `target` is of no use.
        BackendError: nothing stands there, whatever the tool has answered.
    """
    run([*_COPY, source, target], timeout=None, name="copy the files")
    if not target.is_dir():
        raise BackendError(f"cp has not copied {source} to {target}")


def check_copy(source: Path, target: Path) -> None:
    """Compare two trees at rest by names, kinds, sizes and times: a tool's exit status is no proof.

    Raises:
        BackendError: they differ, and where.
    """
    for directory, names, files in os.walk(source, onerror=_raise):
        twin = target / Path(directory).relative_to(source)
        if {entry.name for entry in twin.iterdir()} != {*names, *files}:
            raise BackendError(f"the copy of {directory} in {twin} has other names in it")
        for name in files:
            if _look(Path(directory, name)) != _look(twin / name):
                raise BackendError(f"the copy of {name!r} of {directory} in {twin} is not equal to it")


def _raise(error: OSError) -> None:
    raise error


def _look(file: Path) -> tuple[int, int, int]:
    found = file.lstat()
    return stat.S_IFMT(found.st_mode), found.st_size, found.st_mtime_ns


def remove(path: Path) -> None:
    """Make a tree disappear in one rename, then remove it; nothing there succeeds.

    Raises:
        BackendError: something is mounted inside (nothing has changed), or a part of it could not be removed.
    """
    if not os.path.lexists(path):
        return
    if mounted := mounts_within(path):
        raise BackendError(f"{path} is not removed: {mounted[0]} is mounted inside it; unmount it, then repeat")
    gone = path if path.name.endswith(GONE) else passing(path, GONE)
    if gone != path:
        with step(f"set {path.name} aside"):
            move(path, gone)
    _remove_for_good(gone)


def _remove_for_good(gone: Path) -> None:
    try:
        run([*_REMOVE, gone], timeout=None, name="remove what is not needed any more")
    except CommandFailed:
        if os.geteuid() == 0:
            raise
        # Only root empties a directory that may not be written; others have to open it up first.
        run(
            ["find", gone, "-type", "d", "!", "-perm", "-700", "-execdir", "chmod", "u+rwx", "--", "{}", ";"],
            name="open up directories",
        )
        run([*_REMOVE, gone], timeout=None, name="remove what is not needed any more")
    if os.path.lexists(gone):
        raise BackendError(f"rm has not removed {gone}")


def bytes_used(tree: Path) -> int:
    """Count what a tree takes up on disk; a file of several names counts once.

    Raises:
        CommandFailed: a part of it cannot be read.
    """
    said = run(["du", "--summarize", "--block-size=1", "--", tree], timeout=None, changes=False)
    return int(said.stdout.split(maxsplit=1)[0])
