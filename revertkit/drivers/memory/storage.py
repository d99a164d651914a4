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


@dataclass
class Volume:
    """One volume; `mark` is the id of its share, and `replica_mark` that of its replica, if it is ours."""

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

    def named(self, snapshot_id: str) -> str | None:
        """Say what our snapshot of this id is called here."""
        return next((name for name, kept in self.snapshots.items() if kept.mark == snapshot_id), None)

    def ours(self, snapshot_id: str) -> Kept | None:
        """Find our snapshot of this id."""
        name = self.named(snapshot_id)
        return None if name is None else self.snapshots[name]


STORAGE: dict[str, dict[str, Volume]] = {}
"""By backend and name. A volume of ours has its replica's id for a name, once it is adopted whole."""


class Files(MutableMapping[str, bytes]):
    """The content of a share as its user sees it, by path.

    Raises:
        BackendError: from every access while the share is offline.
    """

    def __init__(self, volume: Volume) -> None:
        self._volume = volume

    def _reachable(self) -> dict[str, bytes]:
        if not self._volume.online:
            raise BackendError("the share is offline")
        return self._volume.files

    def __getitem__(self, path: str) -> bytes:
        return self._reachable()[path]

    def __setitem__(self, path: str, content: bytes) -> None:
        self._reachable()[path] = content

    def __delitem__(self, path: str) -> None:
        del self._reachable()[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._reachable())

    def __len__(self) -> int:
        return len(self._reachable())
