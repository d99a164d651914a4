"""What the suite has to know of a driver beside its class: all that an author writes to have it tested.

A driver whose shares are mounted on this host, and that is registered, needs none of its own: it is tested through
:class:`LocalHarness`, with a backend of a settings file. Otherwise the author subclasses that, or :class:`Harness`::

    class SubvolumeHarness(LocalHarness):
        driver = "mypackage.driver:SubvolumeDriver"

        @contextmanager
        def storage(self, home: Path) -> Iterator[dict[str, Any]]:
            with loop_file_system(home / "disk") as mounted:
                yield {"mount_root": str(mounted)}

and names it: ``--harness mypackage.harness:SubvolumeHarness``, the line ``revertkit_harness = …`` in pytest's own
settings, or an entry point of the group ``revertkit.harnesses`` under the driver's registered name, which makes
``--driver NAME`` find it.

Three things have to be there (``driver``, ``storage``, ``tree``). The others are *hooks*: a hand on the storage, for
what no driver can be asked to do to itself. A case whose hook is missing is skipped, and listed as such at the end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from revertkit.conformance.children import held_open
from revertkit.conformance.trees import LocalTree, Tree
from revertkit.models import ExportLocation, Replica, SnapshotInstance


class Harness(ABC):
    """One driver under test.

    The suite makes one object a run, enters :meth:`storage` once, and makes and removes every share through a
    :class:`~revertkit.manager.ShareManager` of its own. `backend` is what that calls the backend; `options` is what
    :meth:`storage` answered. A hook is told of shares and snapshots as the driver is: by their ids on the backend.
    """

    driver: str
    """The driver: its registered name, or ``package.module:Class`` of one that is not registered."""
    inapplicable: Mapping[str, str] = {}
    """Hooks that make no sense on this backend, each with the reason; others that are missing are listed as such."""
    outlives_process: ClassVar[bool] = True
    """Whether the storage outlives the process. Where it does not, deaths are played by what nothing may catch."""
    reads_snapshots: ClassVar[bool] = False
    """Whether :meth:`snapshot_tree` can read a snapshot that is mounted nowhere, and has no locations."""
    known_failures: ClassVar[Mapping[str, str]] = {}
    """Cases that are known to fail, by name (``test_three_deep``, ``test_faults[revert]``), each with the reason. One
    that passes is a failure."""

    def __init__(self, backend: str, configured: Mapping[str, Any] | None = None) -> None:
        """Keep what the backend is called, and the options of the settings file, if the run was given one."""
        self.backend = backend
        self.configured = dict(configured or {})
        self.options: dict[str, Any] = {}

    @abstractmethod
    def storage(self, home: Path) -> AbstractContextManager[Mapping[str, Any]]:
        """Provide storage with 12 GiB to promise, and 2 GiB to write; answer the backend's options, and take it away.

        `home` is a directory of this run alone. On storage that others use too, take away only what was made here: the
        suite deletes its own shares and snapshots, and says by name what it could not delete.
        """

    @abstractmethod
    def tree(self, share: Replica, locations: Sequence[ExportLocation]) -> Tree:
        """Answer how the share's content is written and read, as its users do it; `locations` are where it is online.

        Called whether it is online or not; only using the tree fails while the share is out of reach.
        """

    def snapshot_tree(self, snapshot: SnapshotInstance, locations: Sequence[ExportLocation]) -> Tree:
        """Answer how a snapshot is read. Needed where mountable snapshots are claimed; `locations` are where it is."""
        raise NotImplementedError

    # --- hooks

    def peer(self) -> tuple[str, Mapping[str, Any]]:
        """Name another backend of this driver, and its options: where replicas are made of shares of this one.

        Called once :attr:`options` are known. What is made there is removed as everything else is.
        """
        raise NotImplementedError

    def exported(self, share: Replica) -> object:
        """Tell to whom the backend exports the share now, in any form that can be compared; nothing, if to nobody."""
        raise NotImplementedError

    def hold(self, tree: Tree) -> AbstractContextManager[str]:
        """Keep a share or snapshot open as a user would; answer what a refusal has to contain (a process id)."""
        raise NotImplementedError

    def foreign_snapshot(self, share: Replica) -> AbstractContextManager[Callable[[], str]]:
        """Take a snapshot with the storage's own tools; answer a look at what it is called now, empty once it is gone.

        It may be adopted meanwhile, and called otherwise: remove it afterwards whatever its name, if it is there.
        """
        raise NotImplementedError

    def spoil_snapshot(self, snapshot: SnapshotInstance) -> None:
        """Make a snapshot invalid, as one is that ran out of room."""
        raise NotImplementedError

    def no_room(self, share: Replica) -> AbstractContextManager[None]:
        """Leave the backend, for a while, so little room that a revert of this share has to be refused."""
        raise NotImplementedError

    def foreign_share(self, size: int) -> AbstractContextManager[Callable[[], str]]:
        """Make something of `size` GiB, empty, that the driver did not make and can adopt; answer a look, likewise.

        It is called as ``manage_share`` is told it. Remove it afterwards whatever its name, if it is there.
        """
        raise NotImplementedError

    def leftovers(self, shares: Sequence[Replica], snapshots: Sequence[SnapshotInstance]) -> Sequence[str]:
        """Name what is on the backend beyond these (all that are on record, online) and what was there at first."""
        raise NotImplementedError


HOOKS = (
    "peer",
    "exported",
    "hold",
    "foreign_snapshot",
    "spoil_snapshot",
    "no_room",
    "foreign_share",
    "leftovers",
)


class LocalHarness(Harness):
    """A driver whose shares are directories of this host while they are online, with an export location that says so.

    Whether a share has the size and the file system that it should is seen only where that directory is a mount point.

    With a settings file it needs nothing else. It may be subclassed for :meth:`storage` and for hooks.
    """

    @contextmanager
    def storage(self, home: Path) -> Iterator[Mapping[str, Any]]:
        """Use what the settings file says.

        Raises:
            LookupError: there is none.
        """
        if not self.configured:
            raise LookupError(f"driver {self.driver} needs storage to be tested on: name a backend by --config FILE")
        yield self.configured

    def tree(self, share: Replica, locations: Sequence[ExportLocation]) -> Tree:
        """Reach it below the one of its locations that is a local path."""
        return LocalTree(local_path(locations))

    def snapshot_tree(self, snapshot: SnapshotInstance, locations: Sequence[ExportLocation]) -> Tree:
        """Likewise."""
        return LocalTree(local_path(locations))

    @contextmanager
    def hold(self, tree: Tree) -> Iterator[str]:
        """Let a process of its own work in it."""
        assert isinstance(tree, LocalTree)
        with held_open(tree.path) as pid:
            yield str(pid)


def local_path(locations: Sequence[ExportLocation]) -> Path:
    """Answer the location that is a path of this host.

    Raises:
        LookupError: there is none; the driver needs a harness that says how its shares are reached.
    """
    found = [location.path for location in locations if location.path.startswith("/")]
    if not found:
        said = ", ".join(location.path for location in locations) or "none at all"
        raise LookupError(f"no export location is a local path ({said}): write a harness with a `tree` of its own")
    return Path(found[0])
