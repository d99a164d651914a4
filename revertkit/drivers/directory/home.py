"""Where everything of one share stands, and the only moves that it makes.

::

    <root>/share-<replica id>/{identity,data/}      the share, online; `data` is what is exported
    <root>/.revertkit/share-<replica id>/           the rest, for nobody else's eyes
        current/{identity,data/}                    the share, offline
        incoming/{identity,data/}                   staged for a revert; after the exchange, what was discarded
        snap-<snapshot id>/{identity,data/}         a snapshot
        *.part  being copied     *.gone  being removed

Only wrappers are ever renamed, each by one system call, so the mode of the user's own directory never matters and
there is no instant at which the share is neither here nor there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from revertkit.drivers.directory import tree
from revertkit.errors import BackendError
from revertkit.models import Stored, new_id
from revertkit.system.kernel import exchange, move, sync_directory, sync_file_system
from revertkit.system.run import step

OURS = ".revertkit"


@contextmanager
def usable(root: Path) -> Iterator[None]:
    """Let what the operating system says of `root` come out as a :class:`~revertkit.errors.BackendError`."""
    try:
        yield
    except OSError as error:
        raise BackendError(f"{root} cannot be used: {error}; make it, mount it or make it writable") from error


@dataclass(frozen=True)
class Wrapper:
    """A directory that holds a tree and says which one it is; the directory may not be there."""

    path: Path

    @property
    def data(self) -> Path:
        """The tree."""
        return self.path / "data"

    @property
    def identity(self) -> str | None:
        """Its identity, which no other tree ever has; None if nothing of ours is there."""
        return next(self._lines(), None)

    @property
    def origin(self) -> str | None:
        """The identity of the snapshot that it was copied from, if it was."""
        return next((line for number, line in enumerate(self._lines()) if number == 1), None)

    def _lines(self) -> Iterator[str]:
        try:
            yield from (self.path / "identity").read_text(errors="replace").splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return

    def exists(self) -> bool:
        """Say whether anything at all stands at its place."""
        return os.path.lexists(self.path)

    def begin(self, identity: str, origin: str | None) -> None:
        """Make it, without a tree. Its mode lets users through to theirs, whatever the umask."""
        self.path.mkdir()
        self.path.chmod(0o755)
        (self.path / "identity").write_text("\n".join(filter(None, [identity, origin])) + "\n")


class Home:
    """The places of one share."""

    def __init__(self, root: Path, replica_id: str) -> None:
        self.root = root
        self.path = root / OURS / f"share-{replica_id}"
        self.online = Wrapper(root / f"share-{replica_id}")
        self.current = Wrapper(self.path / "current")
        self.incoming = Wrapper(self.path / "incoming")

    def snapshot(self, snapshot_id: str) -> Wrapper:
        """Name the place of a snapshot."""
        return Wrapper(self.path / f"snap-{snapshot_id}")

    def snapshots(self) -> list[Wrapper]:
        """List the snapshots that are there."""
        return [Wrapper(path) for path in self._entries() if path.name.startswith("snap-") and not _passing(path)]

    def begun(self) -> set[str]:
        """Name the snapshots, by id, that are there or have been begun."""
        names = [path.name.partition(".")[0] for path in self._entries() if not path.name.endswith(tree.GONE)]
        return {name.removeprefix("snap-") for name in names if name.startswith("snap-")}

    def live(self) -> Wrapper | None:
        """Find the share itself. Only the driver writes among its own, so what is there comes first."""
        return next((wrapper for wrapper in (self.current, self.online) if wrapper.exists()), None)

    def begin(self) -> None:
        """Make the private directories.

        Raises:
            BackendError: the root is not there or cannot be written.
        """
        with usable(self.root):
            (self.root / OURS).mkdir(mode=0o700, exist_ok=True)
            self.path.mkdir(mode=0o700, exist_ok=True)

    def make(
        self,
        wrapper: Wrapper,
        source: Path | None = None,
        *,
        identity: str = "",
        origin: str = "",
        at_rest: bool = True,
    ) -> None:
        """Make `wrapper`, empty or a copy of `source`, whole and durable or not at all; one that is there is it.

        `origin` says which tree `source` is; where that is `at_rest`, as a snapshot is, the copy is compared with it.

        Raises:
            BackendError: the copy failed; nothing is left of it.
        """
        if not wrapper.exists():
            part = Wrapper(tree.passing(wrapper.path, tree.PART))
            with step(f"begin {wrapper.path.name}"):
                part.begin(identity or new_id(), origin)
            self._fill(part, source, compare=bool(origin) and at_rest)
            with step(f"name {wrapper.path.name}"):
                move(part.path, wrapper.path)
        self.sync()

    def _fill(self, part: Wrapper, source: Path | None, *, compare: bool) -> None:
        if source is None:
            part.data.mkdir()
            part.data.chmod(0o755)
        else:
            self._copy(part, source, compare=compare)
        with step("sync"):
            sync_file_system(part.path)

    def _copy(self, part: Wrapper, source: Path, *, compare: bool) -> None:
        try:
            tree.copy(source, part.data)
            if compare:
                tree.check_copy(source, part.data)
        except BackendError:
            tree.remove(part.path)
            raise

    def go_offline(self) -> None:
        """Take the share out of its users' reach; open files stay open."""
        with step("take the share offline"):
            move(self.online.path, self.current.path)
            self.sync()

    def go_online(self) -> None:
        """Put the share where its users find it.

        Raises:
            BackendError: something else stands there; it is left alone, and the share stays offline.
        """
        try:
            with step("bring the share online"):
                move(self.current.path, self.online.path)
                self.sync()
        except FileExistsError:
            stranger = f"{self.online.path} is in the way: it is not the share, which is in {self.current.path}"
            raise BackendError(f"{stranger}; move it away, then run recover") from None

    def exchange(self) -> None:
        """Let the staged tree become the share, and the share's old one be what is discarded."""
        with step("exchange"):
            exchange(self.current.path, self.incoming.path)
            self.sync()

    def sync(self) -> None:
        """Make every rename so far outlive a power cut."""
        for directory in (self.path, self.root / OURS, self.root):
            sync_directory(directory)

    def sweep(self) -> None:
        """Remove what operations left behind: stale staging, unfinished copies, unfinished removals."""
        for path in self._entries():
            if path == self.incoming.path or _passing(path):
                tree.remove(path)

    def drop(self, wrapper: Wrapper) -> None:
        """Remove one wrapper and what is left of earlier tries to make or remove it."""
        tree.remove(wrapper.path)
        for path in self._entries():
            if path.name.startswith(f"{wrapper.path.name}.") and _passing(path):
                tree.remove(path)
        _sync(self.path)

    def demolish(self) -> None:
        """Remove everything, the share too, as it was when this was first called."""
        tree.remove(self.path)
        for path in sorted((self.root / OURS).glob(f"{self.path.name}.*{tree.GONE}")):
            tree.remove(path)
        _sync(self.root / OURS)

    def _entries(self) -> list[Path]:
        return sorted(self.path.iterdir()) if self.path.is_dir() else []


def _sync(directory: Path) -> None:
    """Make what was removed from it stay so through a power cut: it goes off the record next."""
    with suppress(FileNotFoundError):
        sync_directory(directory)


def _passing(path: Path) -> bool:
    return path.name.endswith((tree.PART, tree.GONE))


def stored(wrapper: Wrapper | None, size: int) -> Stored:
    """Answer what is there.

    Raises:
        BackendError: it is not whole.
    """
    if wrapper is None or wrapper.identity is None or not wrapper.data.is_dir():
        raise BackendError(f"{wrapper and wrapper.path} has no identity or no data; look at it")
    return Stored(backend_id=wrapper.identity, size=size)
