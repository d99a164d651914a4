"""What a tree holds, entry by entry, and where two of them differ.

``revertkit demo`` and the scenario tests compare by it what a revert gave back with what was recorded: every byte,
mode, owner, time, hard link, symbolic link and extended attribute. It only reads. Access times, and how a file system
lays its data out, are not part of what a user stored.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

_KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}


@dataclass(frozen=True)
class Entry:
    """One name in a tree; what a kind of entry does not have is None or empty."""

    kind: str
    mode: int
    owner: tuple[int, int]
    mtime_ns: int
    size: int | None = None
    sha256: str | None = None
    link_count: int | None = None
    linked: tuple[str, ...] = ()
    """Every name in the tree of a file that has several, this one among them."""
    target: str | None = None
    xattrs: tuple[tuple[str, str], ...] = ()


Manifest = Mapping[str, Entry]
"""Entries by path below the root; the root itself is ``.``."""


class Difference(NamedTuple):
    """One thing that is not as it was recorded."""

    path: str
    what: str
    recorded: object
    found: object


ASPECTS: Mapping[str, Callable[[Entry], object]] = {
    "name": lambda entry: entry.kind,
    "content": lambda entry: None if entry.sha256 is None else (entry.size, entry.sha256),
    "mode": lambda entry: entry.mode,
    "owner": lambda entry: entry.owner,
    "time": lambda entry: entry.mtime_ns,
    "hard link": lambda entry: (entry.link_count, entry.linked) if entry.linked else None,
    "symbolic link": lambda entry: entry.target,
    "extended attribute": lambda entry: entry.xattrs or None,
}
"""What is compared, each with how it is read from an entry; None where an entry has no such thing."""


def record(root: Path) -> dict[str, Entry]:
    """Read a whole tree.

    Raises:
        OSError: a part of it cannot be read; half a manifest is of no use.
    """
    found = {path: (root / path).lstat() for path in _names(root)}
    linked = _linked(found)
    return {path: _entry(root / path, seen, linked.get((seen.st_dev, seen.st_ino), ())) for path, seen in found.items()}


def differences(recorded: Manifest, found: Manifest) -> list[Difference]:
    """List everything in which two trees differ, by path; empty if nothing does."""
    told: list[Difference] = []
    for path in sorted({*recorded, *found}):
        before, now = recorded.get(path), found.get(path)
        if before is None or now is None:
            what = "added" if before is None else "missing"
            told.append(Difference(path, what, before and before.kind, now and now.kind))
        else:
            told += [
                Difference(path, what, of(before), of(now)) for what, of in ASPECTS.items() if of(before) != of(now)
            ]
    return told


def kept(recorded: Manifest, found: Manifest) -> dict[str, int]:
    """Count, by aspect, the recorded entries that are still as they were."""
    pairs = [(before, found.get(path)) for path, before in recorded.items()]
    return {
        what: sum(1 for before, now in pairs if now and of(before) is not None and of(before) == of(now))
        for what, of in ASPECTS.items()
    }


def total_bytes(manifest: Manifest) -> int:
    """Sum the sizes of the files; one that has several names counts once."""
    return sum(e.size or 0 for path, e in manifest.items() if e.kind == "file" and path == (*e.linked, path)[0])


def _names(root: Path) -> Iterator[str]:
    yield "."
    for directory, names, files in os.walk(root, onerror=_raise):
        for name in sorted([*names, *files]):
            yield os.path.relpath(Path(directory, name), root)


def _raise(error: OSError) -> None:
    raise error


def _linked(found: Mapping[str, os.stat_result]) -> dict[tuple[int, int], tuple[str, ...]]:
    groups: dict[tuple[int, int], list[str]] = {}
    for path, seen in found.items():
        if stat.S_ISREG(seen.st_mode) and seen.st_nlink > 1:
            groups.setdefault((seen.st_dev, seen.st_ino), []).append(path)
    return {inode: tuple(sorted(paths)) for inode, paths in groups.items()}


def _entry(path: Path, seen: os.stat_result, linked: tuple[str, ...]) -> Entry:
    regular, symlink = stat.S_ISREG(seen.st_mode), stat.S_ISLNK(seen.st_mode)
    return Entry(
        kind=_KINDS.get(stat.S_IFMT(seen.st_mode), "special"),
        mode=stat.S_IMODE(seen.st_mode),
        owner=(seen.st_uid, seen.st_gid),
        mtime_ns=seen.st_mtime_ns,
        size=seen.st_size if regular else None,
        sha256=_sha256(path) if regular else None,
        link_count=seen.st_nlink if regular else None,
        linked=linked,
        target=str(path.readlink()) if symlink else None,
        xattrs=_xattrs(path),
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _xattrs(path: Path) -> tuple[tuple[str, str], ...]:
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return ()
        raise
    return tuple((name, os.getxattr(path, name, follow_symlinks=False).hex()) for name in sorted(names))
