"""What the in-memory backend stores. It outlives the driver object, as a disk outlives a process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime

from revertkit.errors import BackendError
from revertkit.models import AccessRule, new_id


@dataclass
class Kept:
    """One snapshot; `mark` is its id if it is ours."""

    size: int
    files: Mapping[str, bytes]
    mark: str = ""
    created_at: datetime | None = None
    identity: str = field(default_factory=new_id)
    online: bool = False
    exported_to: tuple[AccessRule, ...] = ()
    moment: str = field(default_factory=new_id)
    """Which moment of the share it is: the same on every replica, as a guid of ZFS is."""


@dataclass
class Volume:
    """One volume; `mark` is the id of its share, and `replica_mark` that of its replica, if it is ours.

    `lineage` names the moments that lead to its content, oldest first: snapshots and marks, also those that are gone.
    Two replicas have their past in common as far as their lineages are equal; a revert cuts it off at its snapshot.
    """

    size: int
    files: dict[str, bytes] = field(default_factory=dict)
    mark: str = ""
    replica_mark: str = ""
    identity: str = field(default_factory=new_id)
    online: bool = False
    exported_to: tuple[AccessRule, ...] = ()
    merged_from: str = ""
    halfway: bool = False
    aside: dict[str, bytes] | None = None
    snapshots: dict[str, Kept] = field(default_factory=dict)
    """By name, in the order in which they were taken."""
    readonly: bool = False
    lineage: list[str] = field(default_factory=list)
    marks: dict[str, Kept] = field(default_factory=dict)
    """What the last transfer to or from a replica brought, by the replica's id: no snapshot of anybody's."""
    filesystem: str = field(default_factory=new_id)
    """The id by which clients know its file system: no other volume's, and the same after a revert."""

    def turn_back(self, image: Kept) -> None:
        """Take the content of `image`, and forget all that came after it."""
        self.files, self.size = dict(image.files), image.size
        self.cut(image.moment)
        self.snapshots = {name: kept for name, kept in self.snapshots.items() if kept.moment in self.lineage}
        self.halfway, self.aside, self.merged_from = False, None, ""

    def cut(self, moment: str) -> None:
        """Let `moment` be the last that leads to the content."""
        known = self.lineage.index(moment) if moment in self.lineage else None
        self.lineage = [moment] if known is None else self.lineage[: known + 1]
        self.marks = {peer: kept for peer, kept in self.marks.items() if kept.moment in self.lineage}

    def named(self, snapshot_id: str) -> str | None:
        """Say what our snapshot of this id is called here."""
        return next((name for name, kept in self.snapshots.items() if kept.mark == snapshot_id), None)

    def ours(self, snapshot_id: str) -> Kept | None:
        """Find our snapshot of this id."""
        name = self.named(snapshot_id)
        return None if name is None else self.snapshots[name]


STORAGE: dict[str, dict[str, Volume]] = {}
"""By backend and name. A volume of ours has its replica's id for a name, once it is adopted whole."""
AWAY: set[str] = set()
"""The backends that cannot be reached now."""


def volumes(backend: str) -> dict[str, Volume]:
    """Answer what a backend holds, by name.

    Raises:
        BackendError: it is away.
    """
    if backend in AWAY:
        raise BackendError(f"backend {backend} cannot be reached")
    return STORAGE.setdefault(backend, {})


class Files(MutableMapping[str, bytes]):
    """The content of a share as its user sees it, by path.

    Raises:
        BackendError: from every access while the share is offline, and from writing to a replica that is not active.
    """

    def __init__(self, volume: Volume) -> None:
        self._volume = volume

    def _reachable(self) -> dict[str, bytes]:
        if not self._volume.online:
            raise BackendError("the share is offline")
        return self._volume.files

    def __getitem__(self, path: str) -> bytes:
        return self._reachable()[path]

    def _writable(self) -> dict[str, bytes]:
        if self._volume.readonly:
            raise BackendError("the share is read-only here")
        return self._reachable()

    def __setitem__(self, path: str, content: bytes) -> None:
        self._writable()[path] = content

    def __delitem__(self, path: str) -> None:
        del self._writable()[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._reachable())

    def __len__(self) -> int:
        return len(self._reachable())
