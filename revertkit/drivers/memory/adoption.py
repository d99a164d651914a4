"""Adopting what is in memory already, and letting go of it. As on a real backend, half of it can be done."""

from __future__ import annotations

from revertkit.driver import SupportsManage, SupportsManageSnapshots
from revertkit.drivers.memory.storage import Kept, Volume, volumes
from revertkit.errors import Blocked
from revertkit.models import (
    Blocker,
    FoundShare,
    FoundSnapshot,
    Replica,
    SnapshotInstance,
    Stored,
)
from revertkit.system.run import step


class Adoption(SupportsManage, SupportsManageSnapshots):
    """What the driver can do with volumes that it did not make."""

    backend: str

    def _volumes(self) -> dict[str, Volume]:
        return volumes(self.backend)

    def _of(self, share: Replica) -> tuple[str, Volume] | None:
        """Find the volume that carries the share's mark, whatever it is called."""
        return next(((name, held) for name, held in self._volumes().items() if held.replica_mark == share.id), None)

    def manage_share(self, share: Replica, existing: str) -> Stored:
        """Mark it, then give it the replica's id for a name.

        Raises:
            Blocked: there is none, somebody else's or in use, or its last revert is half way.
        """
        name, held = self._of(share) or (existing, self._volumes().get(existing))
        if held is None:
            raise refusal("share_missing", f"there is no volume {existing!r}", "name one that is there")
        if held.mark not in ("", share.share_id):
            raise refusal("foreign", f"{existing} belongs to share {held.mark}", "unmanage it there")
        if held.halfway:
            raise refusal("halfway", f"a revert of {existing} is half way", "finish it with the record that began it")
        if not held.mark:
            with step("mark the volume"):
                held.mark, held.replica_mark = share.share_id, share.id
        if name != share.id:
            with step("rename the volume"):
                self._volumes()[share.id] = self._volumes().pop(name)
        return Stored(backend_id=held.identity, size=held.size)

    def unmanage_share(self, share: Replica) -> None:
        """Take it offline and take the mark off; the name stays."""
        if (found := self._of(share)) is None:
            return
        _, held = found
        with step("take the share offline"):
            held.online, held.exported_to = False, ()
        with step("take the mark off the volume"):
            held.mark = held.replica_mark = ""

    def inventory(self) -> list[FoundShare]:
        """List what carries a mark, and is a share by itself: a replica that is not active is none."""
        return [
            FoundShare(
                existing=name,
                replica_id=held.replica_mark,
                share_id=held.mark,
                pool="memory",
                size=held.size,
                snapshots=tuple(_found(name, kept) for name, kept in held.snapshots.items() if kept.mark),
            )
            for name, held in self._volumes().items()
            if held.mark and not held.readonly
        ]

    def manage_snapshot(self, snapshot: SnapshotInstance, existing: str) -> Stored:
        """Mark it; what carries the mark already is this one, wherever it is in the order.

        Raises:
            Blocked: there is none, it belongs to another, or one of ours is newer.
        """
        found = self._of(snapshot.replica)
        held = found[1].snapshots if found else {}
        if (kept := held.get(existing)) is None:
            raise refusal("snapshot_missing", f"the share has no snapshot {existing!r}", "name one that it has")
        if kept.mark not in ("", snapshot.snapshot_id):
            raise refusal("foreign", f"{existing} belongs to snapshot {kept.mark}", "unmanage it there")
        if not kept.mark:
            if newer := [name for name in list(held)[list(held).index(existing) + 1 :] if held[name].mark]:
                raise refusal("newer_snapshot", f"{existing} is older than {', '.join(newer)}", "unmanage those first")
            with step("mark the snapshot"):
                kept.mark, kept.created_at = snapshot.snapshot_id, snapshot.created_at
        return Stored(backend_id=kept.identity, size=kept.size)

    def unmanage_snapshot(self, snapshot: SnapshotInstance) -> None:
        """Take it offline and take the mark off."""
        found = self._of(snapshot.replica)
        if found is None or (kept := found[1].ours(snapshot.snapshot_id)) is None:
            return
        with step("take the snapshot offline"):
            kept.online, kept.exported_to = False, ()
        with step("take the mark off the snapshot"):
            kept.mark = ""


def refusal(kind: str, what: str, mend: str) -> Blocked:
    """Make the refusal with one blocker."""
    return Blocked(Blocker(kind=kind, what=what, mend=mend))


def _found(name: str, kept: Kept) -> FoundSnapshot:
    assert kept.created_at is not None
    return FoundSnapshot(existing=name, snapshot_id=kept.mark, size=kept.size, created_at=kept.created_at)
