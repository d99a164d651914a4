"""Thick snapshots: taken, deleted, and reverted to by a merge. Where the order of a revert is decided."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from revertkit.drivers.lvm import family, lvm2, rows
from revertkit.drivers.lvm.family import Family
from revertkit.drivers.lvm.online import Front
from revertkit.drivers.lvm.rows import Volume
from revertkit.errors import BackendError, Blocked
from revertkit.models import GIB, Blocker, Replica, Reverted, RevertPreview, RevertState, SnapshotInstance, Stored
from revertkit.system import mounts
from revertkit.system.run import step

STALLED_LOOK = 5.0
"""Seconds without progress of a merge until somebody is set to look after it again."""
STALLED_END = 300.0
"""Seconds without progress until it is given up; it goes on by itself, and the next call waits for it again."""


@dataclass(frozen=True)
class Thick:
    """The verbs on thick snapshots of one volume group."""

    group: str
    percent: int
    front: Front
    ensure_share: Callable[[Replica], object]

    def look(self, share: Replica) -> Family:
        """See the share's volumes as they are now."""
        return family.family(lvm2.volumes(self.group), share.id)

    def create(self, snapshot: SnapshotInstance) -> Stored:
        """Take a read-only snapshot, or find it taken."""
        origin, name = rows.named("share", snapshot.replica.id), rows.named("snap", snapshot.snapshot_id)
        with blocking(), suppress(lvm2.Exists):
            lvm2.snapshot(self.group, origin, name, self.percent, family.tags(snapshot))
        return Stored(backend_id=self._seen(snapshot).uuid, size=snapshot.size)

    def _seen(self, snapshot: SnapshotInstance) -> Volume:
        seen = self.look(snapshot.replica)
        body = seen.body(snapshot.snapshot_id)
        if body is None or body.merging or body.invalid or not body.read_only:
            name = rows.named("snap", snapshot.snapshot_id)
            raise BackendError(f"the snapshot {name} is not there as it should be: {body}")
        return body

    def delete(self, snapshot: SnapshotInstance) -> None:
        """Remove the snapshot, and trim its share's volume where this was what kept it large."""
        seen = self.look(snapshot.replica)
        body, room = seen.body(snapshot.snapshot_id), seen.room(snapshot.snapshot_id)
        if half := family.halfway(seen):
            raise Blocked(*half)
        if body is not None:
            with blocking():
                self.front.take_offline(self.front.snapshot(body))
                lvm2.remove(body, *([room] if room else []))
            self.front.forget(self.front.snapshot(body))
        self._trim(seen, snapshot.replica.size, gone=body)

    def _trim(self, seen: Family, size: int, gone: Volume | None) -> None:
        """Bring the share's volume to its size on record: LVM reduces no volume that has a snapshot."""
        left = [v for v in seen.snapshots if v is not gone]
        if seen.origin is not None and not left and seen.origin.size > size * GIB:
            lvm2.trim(seen.origin, size * GIB)

    # --- the revert

    def check(self, snapshot: SnapshotInstance) -> RevertPreview:
        """Refuse what `revert` would refuse; nothing changes."""
        seen = self.look(snapshot.replica)
        if family.state(seen, snapshot) in (RevertState.HALFWAY, RevertState.REVERTED):
            return RevertPreview(discards_bytes=0)
        return self._allowed(seen, snapshot)

    def _allowed(self, seen: Family, snapshot: SnapshotInstance) -> RevertPreview:
        found = [*family.blockers(seen, snapshot), *self._users(seen, snapshot.replica)]
        body = seen.body(snapshot.snapshot_id)
        if found or body is None:
            raise Blocked(*found)
        return RevertPreview(discards_bytes=round(body.size * (body.used_percent or 0) / 100))

    def _users(self, seen: Family, share: Replica) -> list[Blocker]:
        """Whoever has the share or any snapshot of it open: a merge begun then would stay pending, unnoticed."""
        found = self.front.users(seen.origin, self.front.share(share)) if seen.origin else []
        return [*found, *(b for v in seen.snapshots for b in self.front.users(v, self.front.snapshot(v)))]

    def revert(self, snapshot: SnapshotInstance) -> Reverted:
        """Merge the snapshot into its share, take it anew, and leave the share offline; or finish doing so."""
        lvm2.resume_suspended(self.group, rows.named("share", snapshot.replica.id))
        seen = self.look(snapshot.replica)
        before = family.state(seen, snapshot)
        if before in (RevertState.UNCHANGED, RevertState.UNKNOWN):
            seen = self._begun(self._awake(seen, snapshot), snapshot)
        if before is not RevertState.REVERTED:
            self._taken_anew(self._merged(seen, snapshot), snapshot)
        return self._verified(snapshot)

    def _awake(self, seen: Family, snapshot: SnapshotInstance) -> Family:
        """Only an active snapshot tells whether it has overflowed."""
        if seen.origin is None or seen.origin.active:
            return seen
        lvm2.activate(seen.origin)
        return self.look(snapshot.replica)

    def _begun(self, seen: Family, snapshot: SnapshotInstance) -> Family:
        """Go past the point of no return, the merge's first command, or refuse with all as it was."""
        self._allowed(seen, snapshot)
        self._reserve(seen, snapshot)
        with self.offline(seen, snapshot.replica):
            seen = self.look(snapshot.replica)
            self._allowed(seen, snapshot)
            body, origin = _there(seen.body(snapshot.snapshot_id)), _there(seen.origin)
            lvm2.deactivate(origin)
        lvm2.merge(body)
        return replace(seen, origin=replace(origin, active=False))

    def _reserve(self, seen: Family, snapshot: SnapshotInstance) -> None:
        """Take the room: the intent, and the place of the snapshot made anew, in one change of LVM's metadata."""
        body = _there(seen.body(snapshot.snapshot_id))
        if seen.room(snapshot.snapshot_id) is not None:
            return
        marks = [*family.tags(snapshot), rows.tag("was", body.uuid)]
        with blocking():
            lvm2.reserve(self.group, rows.named("room", snapshot.snapshot_id), body.size, marks)

    @contextmanager
    def offline(self, seen: Family, share: Replica) -> Iterator[None]:
        """Take the share and every snapshot of ours offline; a refusal in here brings it back as it was."""
        try:
            with blocking():
                for place in (self.front.share(share), *map(self.front.snapshot, seen.snapshots)):
                    self.front.take_offline(place)
                yield
        except Blocked:
            self.ensure_share(share)
            raise

    def _merged(self, seen: Family, snapshot: SnapshotInstance) -> Family:
        """Let the merge run to its end: that is when the snapshot's volume is gone, whatever any tool answered."""
        origin = _there(seen.origin)
        if not origin.active:
            lvm2.activate(origin)
        with step(f"merge {rows.named('snap', snapshot.snapshot_id)}") as progress:
            return self._waited(snapshot, origin, progress)

    def _waited(self, snapshot: SnapshotInstance, origin: Volume, progress: Callable[[float], None]) -> Family:
        pace = _Pace()
        while (body := (seen := self.look(snapshot.replica)).body(snapshot.snapshot_id)) is not None:
            if not body.merging:
                raise BackendError(f"LVM says that {body.path} is not merging, although its merge was ordered")
            if pace.seen(body.used_percent) > STALLED_END:
                raise BackendError(f"the merge of {body.path} stands still with {body.used_percent} % left")
            if pace.overdue():
                lvm2.look_after(origin)
            progress(10 + 80 * pace.done)
            time.sleep(0.2)
        return seen

    def _taken_anew(self, seen: Family, snapshot: SnapshotInstance) -> None:
        """Make the room the snapshot, while nobody can write to the share.

        On inactive volumes, where each command only writes metadata: on active ones each suspends the whole family.
        """
        origin, room = _there(seen.origin), _there(seen.room(snapshot.snapshot_id))
        if not room.origin:
            self._trim(seen, snapshot.size, gone=None)
            with blocking():  # who mounted it by hand meanwhile may have written what is no snapshot's
                lvm2.deactivate(*(v for v in (origin, room) if v.active))
            lvm2.become_snapshot(origin, room)
        if not room.read_only:
            lvm2.write_protect(room)
        lvm2.rename(room, rows.named("snap", snapshot.snapshot_id))
        lvm2.activate(origin)

    def _verified(self, snapshot: SnapshotInstance) -> Reverted:
        """Ask LVM whether it is so."""
        seen = self.look(snapshot.replica)
        body, after = seen.body(snapshot.snapshot_id), family.state(seen, snapshot)
        sound = body is not None and body.read_only and not body.invalid and seen.origin is not None
        if after is not RevertState.REVERTED or not sound or family.identity(seen, snapshot.replica):
            raise BackendError(f"after the revert LVM says {after}: {body}")
        return Reverted(
            share=Stored(backend_id=_there(seen.origin).uuid, size=snapshot.size),
            snapshot=Stored(backend_id=_there(body).uuid, size=snapshot.size),
        )


class _Pace:
    """How a merge gets on, by what is left of its snapshot."""

    def __init__(self) -> None:
        self._full = self._left = 0.0
        self._moved = self._looked = time.monotonic()

    def seen(self, left: float | None) -> float:
        """Take in what is left, in percent (None: not known yet); answer for how many seconds that is the same."""
        if (left or 0) != self._left:
            self._left, self._moved = left or 0, time.monotonic()
        self._full = max(self._full, self._left)
        return time.monotonic() - self._moved

    def overdue(self) -> bool:
        """Whether it stands still and nobody was set to look after it lately; once True, not again for a while."""
        if time.monotonic() - max(self._moved, self._looked) <= STALLED_LOOK:
            return False
        self._looked = time.monotonic()
        return True

    @property
    def done(self) -> float:
        """The part that is done, 0 to 1."""
        return 1 - self._left / self._full if self._full else 0.0


def _there(volume: Volume | None) -> Volume:
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
    except lvm2.InUse as held:
        what = f"{held.stderr.strip()} Something holds it that this host cannot name, as in another mount namespace"
        raise Blocked(Blocker(kind="open", what=what, mend="find and end it")) from held
    except lvm2.NoSpace as full:
        raise Blocked(Blocker(kind="space", what=full.stderr.strip(), mend="extend the volume group")) from full
