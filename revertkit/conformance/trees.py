"""The content of a share or snapshot, as the suite writes it, wrecks it and reads it back."""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from revertkit import manifest
from revertkit.errors import RevertkitError
from revertkit.system.mounts import mounted_at

Record = Mapping[str, object]
"""Everything that a user could see of a tree; two that are equal are equal to the last byte, mode and time."""
REFUSALS = (OSError, LookupError, RevertkitError)
"""What a tree raises of a share that is out of reach, or read-only."""
LONG_AGO = 1_000_000_000_123_456_789
"""A modification time, in nanoseconds."""


class Tree(ABC):
    """What is in one share or snapshot. While that is out of reach, every method raises, or sees nothing of it."""

    @abstractmethod
    def plant(self, word: str) -> None:
        """Make the whole content the one that `word` stands for; of two words, nothing is alike."""

    @abstractmethod
    def wreck(self) -> None:
        """Do to what was planted whatever a revert has to undo: overwrite, delete, add, truncate, rename, …"""

    @abstractmethod
    def record(self) -> Record:
        """Read everything."""

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Write one file at the top, beside what was planted.

        Raises:
            OSError, LookupError, RevertkitError: it is not to be reached, or not to be written to.
        """

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Read one file at the top.

        Raises:
            OSError, LookupError, RevertkitError: it is not there, or not to be reached.
        """

    def reachable(self) -> bool:
        """Whether what was planted can be read."""
        try:
            self.read("same")
        except REFUSALS:
            return False
        return True

    def capacity(self) -> int | None:
        """Tell how many bytes it could hold in all; None where no share has a capacity of its own."""
        return None

    def identity(self) -> object:
        """Tell what clients know the file system by, in any form that can be compared; None if there is no such."""
        return None


class MappingTree(Tree):
    """Files in a mapping of names to bytes: what an object store or this process's memory can offer."""

    def __init__(self, files: MutableMapping[str, bytes] | Mapping[str, bytes]) -> None:
        self._files = files

    def _writable(self) -> MutableMapping[str, bytes]:
        if not isinstance(self._files, MutableMapping):
            raise PermissionError("it is read-only")
        return self._files

    def plant(self, word: str) -> None:
        """Write a few files."""
        files = self._writable()
        for name in list(files):
            del files[name]
        files.update({"same": word.encode(), f"only-{word}": word.encode() * 5000, "dir/empty": b""})
        files.update({f"dir/{number}": f"{word} {number}".encode() for number in range(5)})

    def wreck(self) -> None:
        """Overwrite, delete, add, truncate, rename."""
        files = self._writable()
        files["same"] = b"overwritten"
        files["dir/renamed"] = files.pop("dir/1")
        files["dir/2"] = files["dir/2"][:1]
        files["added"] = b"added"
        del files["dir/3"]

    def record(self) -> Record:
        """Read all."""
        return dict(self._files)

    def write(self, name: str, content: bytes) -> None:
        """Set one."""
        self._writable()[name] = content

    def read(self, name: str) -> bytes:
        """Get one."""
        return self._files[name]


class LocalTree(Tree):
    """Files below a directory of this host."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def plant(self, word: str) -> None:
        """Write files, directories, hard and symbolic links, a pipe, a sparse file, modes and times."""
        self._clear()
        for number in range(8):
            folder = self.path / f"dir {number % 3} ä"
            folder.mkdir(exist_ok=True)
            (folder / f"file-{number}").write_bytes(f"{word} {number}\n".encode() * (number * 97 + 1))
        (self.path / "same").write_text(word)
        (self.path / f"only-{word}").mkdir()
        (self.path / "private").write_text(word)
        (self.path / "private").chmod(0o640)
        (self.path / "hard").hardlink_to(self.path / "private")
        (self.path / "symlink").symlink_to(f"dir 0 ä/{word}")
        with (self.path / "sparse").open("wb") as sparse:
            sparse.seek(3_000_000)
            sparse.write(word.encode())
        (self.path / ".hidden").write_text(word)
        os.mkfifo(self.path / "pipe")
        (self.path / "program").write_text(word)
        (self.path / "program").chmod(0o4755)  # a change of owner takes that away, so it has to come before
        for name in ("old", "stealthy"):
            (self.path / name).write_text(word)
            os.utime(self.path / name, ns=(LONG_AGO, LONG_AGO))

    def wreck(self) -> None:
        """Overwrite, delete, add, truncate, chmod, rename, link."""
        (self.path / "same").write_text("overwritten")
        stealthy = self.path / "stealthy"  # of another content by nothing but its bytes
        stealthy.write_bytes(stealthy.read_bytes()[::-1])
        os.utime(stealthy, ns=(LONG_AGO, LONG_AGO))
        shutil.rmtree(self.path / "dir 1 ä")
        (self.path / "added").mkdir()
        (self.path / "added" / "new").write_text("new")
        os.truncate(self.path / "dir 2 ä" / "file-2", 3)
        (self.path / "private").chmod(0o777)
        (self.path / "old").rename(self.path / "renamed")
        (self.path / "another").hardlink_to(self.path / "same")
        (self.path / "hard").unlink()
        (self.path / "symlink").unlink()
        (self.path / "sparse").write_bytes(os.urandom(200_000))

    def record(self) -> Record:
        """Read every byte, mode, owner, time, link and extended attribute."""
        return manifest.record(self.path)

    def write(self, name: str, content: bytes) -> None:
        """Write one file."""
        (self.path / name).write_bytes(content)

    def read(self, name: str) -> bytes:
        """Read one file."""
        return (self.path / name).read_bytes()

    def capacity(self) -> int | None:
        """Tell the size of the file system that is mounted there, if one is."""
        if mounted_at(self.path) is None:
            return None
        found = os.statvfs(self.path)
        return found.f_blocks * found.f_frsize

    def identity(self) -> object:
        """Tell the id of the file system that is mounted there, if one is; it comes from its UUID."""
        return None if mounted_at(self.path) is None else os.statvfs(self.path).f_fsid

    def _clear(self) -> None:
        for path in self.path.iterdir():
            if path.name == "lost+found":
                continue
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
