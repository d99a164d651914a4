"""Files that a scenario writes, and the wreckage that it makes of them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

OLD = 1_000_000_000_123_456_789
"""A modification time long ago, in nanoseconds."""


def write(root: Path, word: str = "first") -> None:
    """Write a small tree of everything that a revert has to bring back."""
    for number in range(20):
        folder = root / f"dir {number % 4} ä"
        folder.mkdir(exist_ok=True)
        (folder / f"file-{number}").write_bytes(f"{word} {number}\n".encode() * (number * 97 + 1))
    (root / "empty").touch()
    (root / "private").write_text(word)
    (root / "private").chmod(0o640)
    os.chown(root / "private", 1234, 4321)
    (root / "hard").hardlink_to(root / "private")
    (root / "symlink").symlink_to("dir 0 ä/file-0")
    (root / "dangling").symlink_to("/nowhere at all")
    with (root / "sparse").open("wb") as sparse:
        sparse.seek(5_000_000)
        sparse.write(word.encode())
    os.setxattr(root / "private", "user.word", word.encode())
    os.utime(root / "empty", ns=(OLD, OLD))


def wreck(root: Path) -> None:
    """Overwrite, delete, add, truncate, chmod, chown, rename, link, drop attributes, and fill."""
    (root / "dir 0 ä/file-0").write_text("overwritten")
    shutil.rmtree(root / "dir 1 ä")
    (root / "added").mkdir()
    (root / "added/new").write_text("new")
    os.truncate(root / "dir 2 ä/file-2", 3)
    (root / "private").chmod(0o777)
    os.chown(root / "private", 0, 0)
    os.removexattr(root / "private", "user.word")
    (root / "empty").rename(root / "renamed")
    (root / "another").hardlink_to(root / "dir 3 ä/file-3")
    (root / "hard").unlink()
    (root / "symlink").unlink()
    (root / "fill").write_bytes(os.urandom(40_000_000))
    os.sync()


def fill(root: Path, mebibytes: int) -> None:
    """Write much, so that turning it back takes a while."""
    block = os.urandom(1 << 20)
    with (root / "much").open("wb") as much:
        for _ in range(mebibytes):
            much.write(block)
    os.sync()
