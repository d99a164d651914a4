"""What thick and thin volumes have in common, and what either has to answer for itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from revertkit.drivers.lvm import failures, family, kernel, lvm2, rows
from revertkit.drivers.lvm.family import Family
from revertkit.drivers.lvm.online import Front
from revertkit.drivers.lvm.rows import Volume
from revertkit.drivers.undo import bring_back
from revertkit.errors import BackendError, Blocked
from revertkit.models import (
    Blocker,
    Pool,
    Replica,
    Reverted,
    RevertPreview,
    RevertState,
    SnapshotInstance,
    Stored,
)
from revertkit.system import mounts

F = TypeVar("F", bound=Family)


@dataclass(frozen=True)
class Kind(ABC, Generic[F]):
    """The verbs on one kind of volume, in one volume group."""

    group: str
    front: Front
    ensure_share: Callable[[Replica], object]

    @abstractmethod
    def family(self, volumes: list[Volume], replica_id: str) -> F:
        """Pick one share's volumes out of the group's."""

    @property
    @abstractmethod
    def pool_name(self) -> str:
        """What its one pool is called."""

    @abstractmethod
    def pool(self) -> Pool:
        """Look at where the volumes are."""

    @abstractmethod
    def make(self, name: str, size: int, tags: list[str]) -> None:
        """Make an active volume of `size` bytes; one of that name is there: fine."""

    @abstractmethod
    def copy(self, source: Volume, kind: str, name: str, size: int, tags: list[str]) -> None:
        """Make a volume of at least the size of the snapshot `source` with what is in it; the same UUIDs too."""

    @abstractmethod
    def pinned(self, seen: F) -> tuple[Volume, ...]:
        """Name the snapshots that would be lost with the share."""

    @abstractmethod
    def enlarge(self, seen: F, volume: Volume, share: Replica, size: int) -> None:
        """Make the share's volume at least `size` bytes large, and its snapshots fit for that; it is active then."""

    @abstractmethod
    def why_not_shrink(self, seen: F) -> list[Blocker]:
        """Say why the share's volume cannot be made smaller."""

    @abstractmethod
    def why_not_adopt(self, volume: Volume) -> list[Blocker]:
        """Say why a volume of the group can be no share of this kind."""

    def is_snapshot_of(self, seen: F, volume: Volume) -> bool:
        """Whether an active volume is a snapshot of the share: LVM calls it its origin."""
        return seen.origin is not None and volume.origin == seen.origin.name

    @abstractmethod
    def why_not_after(self, older: list[Volume], snapshot: Volume) -> list[Blocker]:
        """Say why a snapshot cannot be added to these of ours: a revert to it would harm them."""

    @abstractmethod
    def leftovers(self, seen: F) -> list[Volume]:
        """What reverts have left of a share at rest, whose identity is on record."""

    @abstractmethod
    def create(self, snapshot: SnapshotInstance) -> Stored:
        """Take a read-only snapshot, or find it taken."""

    @abstractmethod
    def delete(self, snapshot: SnapshotInstance, put_back: AbstractContextManager[None]) -> None:
        """Remove a snapshot; nothing there is fine. `put_back` has it online again where that is refused on the way."""

    @abstractmethod
    def check(self, snapshot: SnapshotInstance) -> RevertPreview:
        """Refuse what `revert` would refuse; nothing changes."""

    @abstractmethod
    def told(self, seen: F, snapshot: SnapshotInstance) -> RevertState:
        """What the volumes tell of how far a revert has come."""

    @abstractmethod
    def revert(self, snapshot: SnapshotInstance) -> Reverted:
        """Turn the share back and leave it offline, or finish doing so."""

    # --- the same for both

    def state(self, snapshot: SnapshotInstance) -> RevertState:
        """Say how far a revert has come."""
        return self.state_of(self.look(snapshot.replica), snapshot)

    def state_of(self, seen: F, snapshot: SnapshotInstance) -> RevertState:
        """Say so of volumes just seen.

        Nothing online is taken for just reverted: a share comes online when the outcome is on record, so whoever still
        asks with the record from before comes late, and its users have written to it since. Or somebody has mounted by
        hand what nobody has recorded: then it is not unchanged either, and once it is unmounted it is reverted again.
        """
        told = self.told(seen, snapshot)
        open_to_users = told is RevertState.REVERTED and self.front.is_online(self.front.share(snapshot.replica))
        return RevertState.UNKNOWN if open_to_users else told

    def look(self, share: Replica) -> F:
        """See the share's volumes as they are now, once none is suspended: LVM's tools would hang too."""
        kernel.resume_suspended(self.group, rows.named("share", share.id))
        return self.family(lvm2.volumes(self.group), share.id)

    def at_rest(self, share: Replica) -> tuple[F, Volume]:
        """See the share's volumes.

        Raises:
            Blocked: its volume is not the one on record or not there, or a revert is half way.
        """
        seen = self.look(share)
        found = family.halfway(seen) or family.identity(seen, share)
        if found or seen.origin is None:
            raise Blocked(*found)
        return seen, seen.origin

    def resized(self, volume: Volume, size: int) -> None:
        """Say on a share's volume that the share has `size` GiB; no command where it says so already."""
        if volume.tag("size") != str(size) or volume.tag("resizing"):
            gone = [m for m in volume.marks if m.startswith(("revertkit.size=", "revertkit.resizing="))]
            lvm2.mark(volume, [rows.tag("size", size)], [m for m in gone if m != rows.tag("size", size)])

    def found(self, snapshot: SnapshotInstance) -> Volume:
        """See a snapshot that has just been made.

        Raises:
            BackendError: it is not as it should be.
        """
        body = self.look(snapshot.replica).body(snapshot.snapshot_id)
        if body is None or body.merging or body.invalid or not body.read_only:
            name = rows.named("snap", snapshot.snapshot_id)
            raise BackendError(f"the snapshot {name} is not there as it should be: {body}")
        return body

    @contextmanager
    def offline(self, seen: F, share: Replica) -> Iterator[None]:
        """Take the share offline, and what has to be with it; a refusal in here brings it back as it was."""
        try:
            with blocking():
                for place in (self.front.share(share), *map(self.front.snapshot, self.held_with(seen))):
                    self.front.take_offline(place)
                yield
        except Blocked as refusal:
            bring_back(lambda: self.ensure_share(share), refusal)
            raise

    @abstractmethod
    def held_with(self, seen: F) -> tuple[Volume, ...]:
        """Name the snapshots that keep the share's volume from being deactivated while they are open."""

    def users(self, seen: F, share: Replica) -> list[Blocker]:
        """Name whoever has open what has to be closed before the share is turned back."""
        found = self.front.users(seen.origin, self.front.share(share)) if seen.origin else []
        return [*found, *(b for v in self.held_with(seen) for b in self.front.users(v, self.front.snapshot(v)))]


def there(volume: Volume | None) -> Volume:
    """Answer `volume`.

    Raises:
        BackendError: it is None.
    """
    if volume is None:
        raise BackendError("a volume that was there a moment ago is gone")
    return volume


@contextmanager
def blocking() -> Iterator[None]:
    """Turn what only stands in the way into Blocked."""
    try:
        yield
    except mounts.Busy as busy:
        raise Blocked(*busy.blockers) from busy
    except failures.InUse as held:
        what = f"{held.stderr.strip()} Something holds it that this host cannot name, as in another mount namespace"
        raise Blocked(Blocker(kind="open", what=what, mend="find and end it")) from held
    except failures.NoSpace as full:
        mend = "extend the volume group or the thin pool"
        raise Blocked(Blocker(kind="space", what=full.stderr.strip(), mend=mend)) from full
