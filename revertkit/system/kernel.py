"""System calls that Python does not offer: renameat2(2), which exchanges directories at once; syncfs(2)."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD, _NOREPLACE, _EXCHANGE = -100, 1, 2
_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


def has_renameat2() -> bool:
    """Say whether the C library has renameat2; the file system's own word is :func:`exchanges_in`."""
    return hasattr(_libc, "renameat2")


def exchanges_in(directory: Path) -> bool:
    """Try an exchange inside `directory`: there is no way to ask. It leaves two empty directories there.

    Raises:
        OSError: `directory` cannot be written.
    """
    one, other = directory / "one", directory / "other"
    for each in (one, other):
        each.mkdir(mode=0o700)
    try:
        exchange(one, other)
    except OSError as refusal:
        if refusal.errno in _UNSUPPORTED:
            return False
        raise
    return True


def exchange(one: Path, other: Path) -> None:
    """Let two directories of one file system change places, in a single instant.

    Raises:
        OSError: and both are where they were.
    """
    _renameat2(one, other, _EXCHANGE)


def move(source: Path, target: Path) -> None:
    """Rename a directory to a free place.

    Raises:
        FileExistsError: the place is taken; nothing has changed.
        OSError: otherwise; nothing has changed.
    """
    try:
        _renameat2(source, target, _NOREPLACE)
    except OSError as refusal:
        if refusal.errno not in _UNSUPPORTED:
            raise
        _move_plainly(source, target)


def sync_file_system(path: Path) -> None:
    """Bring all that was written to the file system of the directory `path` to disk.

    Raises:
        OSError: the disk did not take it.
    """
    with _opened(path) as descriptor:
        if _libc.syncfs(descriptor):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))


def sync_directory(path: Path) -> None:
    """Bring the names in the directory `path` to disk, so that a rename outlives a power cut.

    Raises:
        OSError: the disk did not take it.
    """
    with _opened(path) as descriptor:
        os.fsync(descriptor)


@contextmanager
def _opened(directory: Path) -> Iterator[int]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _move_plainly(source: Path, target: Path) -> None:
    """Look first: in the gap after the look a plain rename can take no place but an empty directory's."""
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(source), None, str(target))
    source.rename(target)


def _renameat2(source: Path, target: Path, flags: int) -> None:
    if not has_renameat2():
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(source), None, str(target))
    if _libc.renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), flags):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(source), None, str(target))
