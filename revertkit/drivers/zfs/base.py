"""What every verb of the ZFS driver stands on: the settings, the names, what has them, and being online."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from revertkit.driver import ShareDriver
from revertkit.drivers.undo import bring_back
from revertkit.drivers.zfs import checks, lineage, online, openzfs
from revertkit.drivers.zfs.listing import REVERTING, Dataset, Point
from revertkit.drivers.zfs.options import ZfsOptions
from revertkit.errors import BackendError, Blocked, InvalidInput
from revertkit.log import get_logger
from revertkit.models import GIB, Blocker, ExportLocation, Replica, RevertState, SnapshotInstance, Stored
from revertkit.status import ReplicaState
from revertkit.system import mounts
from revertkit.system.mounts import Busy

log = get_logger(__name__)
SECONDS_TO_END = 30.0
"""What a process that sends or receives has for its end."""
ACLS = {"acltype": "posix", "xattr": "sa"}
"""Access control lists as every other Linux file system has them; ZFS has them off (zfsprops(7))."""


class ZfsBase(ShareDriver):
    """Names, looks and ``ensure_share``."""

    class Options(ZfsOptions):
        """The settings of a ZFS backend."""

    options: Options

    def ensure_share(self, share: Replica) -> list[ExportLocation]:
        """Sweep, mount and export; where all is well this is one zfs(8) that reads."""
        found, path = self._known(share), self._path(share)
        self._sweep(found, share)
        return online.bring_online(share, found.name, path, self._address)

    def _sweep(self, found: Dataset, share: Replica) -> None:
        """Bring mark and settings to what the record says."""
        if found.reverting is not None:
            self._refuse_halfway(found, share)
            openzfs.clear(found.name, REVERTING)
        if any(p.name == self._seed(share) for p in found.snapshots):
            openzfs.destroy_snapshot(self._seed(share))
        if stale := lineage.stale(found, share.id, share.peers):
            self._forget(found, stale)
        wanted = self._settings(share)
        if found.space["referenced"] > share.size * GIB:
            del wanted["refquota"]  # it could not be set, and is no reason to keep the share from its users
        if wrong := {prop: value for prop, value in wanted.items() if found.settings[prop] != value}:
            openzfs.set_properties(found.name, wrong)

    def _forget(self, found: Dataset, markers: Sequence[Point]) -> None:
        """Destroy markers; one that somebody holds is no reason to keep the share from its users."""
        try:
            openzfs.destroy_exactly(found.name, markers)
        except openzfs.Refusal as refusal:
            log.warning("marker cannot be destroyed", dataset=found.name, failure=str(refusal))

    def _refuse_halfway(self, found: Dataset, share: Replica) -> None:
        target = next((p for p in found.snapshots if p.guid == found.reverting), None)
        size = target.size if target and target.size else share.size
        state = checks.revert_state(found, target, size, online.mounted(found.name))
        unrecorded = state is RevertState.REVERTED and size != share.size
        if unrecorded or state in (RevertState.HALFWAY, RevertState.UNKNOWN):
            what = f"{found.name} carries the mark of a revert to guid {found.reverting}, which is {state}"
            mend = f"recover the share; if no revert of it is on record, `zfs inherit {REVERTING} {found.name}`: a "
            mend += "rollback is all or nothing, so its data is whole, and it can be reverted again"
            raise Blocked(Blocker(kind="halfway", what=f"{what} and not on record", mend=mend))

    @contextmanager
    def _put_back(self, share: Replica) -> Iterator[None]:
        """Turn a refusal inside into Blocked, with the share online again if it was: nothing has changed."""
        was_online = mounts.mounted_at(self._path(share)) is not None
        try:
            yield
        except (Busy, Blocked, openzfs.Refusal) as refusal:
            if was_online:
                bring_back(lambda: self.ensure_share(share), refusal)
            blockers = [refused(refusal)] if isinstance(refusal, openzfs.Refusal) else refusal.blockers
            raise Blocked(*blockers) from refusal

    @contextmanager
    def _snapshot_put_back(self, snapshot: SnapshotInstance) -> Iterator[None]:
        """Turn a refusal inside into Blocked, with the snapshot online again if it was."""
        path, address = self._snapshot_path(snapshot.snapshot_id), self._address
        was = mounts.mounted_at(path)
        try:
            yield
        except (Busy, openzfs.Refusal) as refusal:
            if was is not None:
                bring_back(lambda: online.bring_snapshot_online(snapshot, was.source, path, address), refusal)
            blockers = [refused(refusal)] if isinstance(refusal, openzfs.Refusal) else refusal.blockers
            raise Blocked(*blockers) from refusal

    # --- names, and what has them

    def _name(self, share: Replica) -> str:
        if share.pool != self.options.pool:
            raise InvalidInput(f"backend {self.backend} has the pool {self.options.pool} and no {share.pool}")
        return f"{self.options.pool}/share-{_uuid(share.id)}"

    def _snapshot_name(self, snapshot: SnapshotInstance) -> str:
        return openzfs.snapshot_name(self._name(snapshot.replica), f"snap-{_uuid(snapshot.snapshot_id)}")

    def _seed(self, share: Replica) -> str:
        """Name the snapshot that a local receive leaves on a new share; it goes when the share is finished."""
        return openzfs.snapshot_name(self._name(share), f"seed-{share.id}")

    @property
    def _address(self) -> str | None:
        address = self.options.export_address
        return str(address) if address else None

    @property
    def _mount_root(self) -> Path:
        """As the kernel tells where something is mounted: without symbolic links."""
        return self.options.mount_root.resolve()

    def _path(self, share: Replica) -> Path:
        return self._mount_root / f"share-{_uuid(share.id)}"

    def _snapshot_path(self, snapshot_id: str) -> Path:
        return self._mount_root / f"snap-{_uuid(snapshot_id)}"

    def _snapshot_paths(self, found: Dataset) -> list[Path]:
        """Where the snapshots of ours are mounted, if they are."""
        ids = [p.snapshot_id for p in found.snapshots if p.snapshot_id]
        return [self._mount_root / f"snap-{each}" for each in ids]

    def _settings(self, share: Replica) -> dict[str, str]:
        """What ``zfs get -p`` has to say. One that follows has no refquota: what it receives was within its own."""
        active = share.state is ReplicaState.ACTIVE
        return {
            "mountpoint": str(self._path(share)),
            "canmount": "noauto",
            "sharenfs": "off",
            "devices": "off",  # what clients write is never a device or a privilege here
            "setuid": "off",
            "refquota": str(share.size * GIB if active else 0),
            "readonly": "off" if active else "on",
        }

    def _fitting(self, share: Replica, found: Dataset) -> dict[str, str]:
        """The same, with a refquota that can be set on what `found` holds."""
        wanted = self._settings(share)
        if share.state is ReplicaState.ACTIVE:
            wanted["refquota"] = str(checks.refquota(share.size, found.space["referenced"]))
        return wanted

    def _there(self, share: Replica) -> Dataset:
        if found := openzfs.look(self._name(share)):
            return found
        raise BackendError(f"there is no dataset {self._name(share)}")

    def _known(self, share: Replica) -> Dataset:
        """Look at the share.

        Raises:
            Blocked: it is missing, or not the one on record.
        """
        found = openzfs.look(self._name(share))
        stranger = checks.stranger(found, share, self._name(share))
        if stranger or found is None:
            raise Blocked(*filter(None, [stranger]))
        return found

    def _point(self, found: Dataset, snapshot: SnapshotInstance) -> Point | None:
        return found.snapshot(self._snapshot_name(snapshot).partition("@")[2])

    def _found_point(self, found: Dataset | None, snapshot: SnapshotInstance) -> Point | None:
        """Find the snapshot; None if it, or its share, is not there.

        Raises:
            Blocked: what is there is not the one on record.
        """
        point = self._point(found, snapshot) if found else None
        if point and not point.marker and (strange := checks.strange_snapshot(point, snapshot, point.name)):
            raise Blocked(strange)
        return point

    def _known_pair(self, snapshot: SnapshotInstance) -> tuple[Dataset, Point]:
        """Look at the share and its snapshot.

        Raises:
            Blocked: one of them is missing, or not the one on record.
        """
        found = self._known(snapshot.replica)
        point = self._point(found, snapshot)
        strange = checks.strange_snapshot(point, snapshot, self._snapshot_name(snapshot))
        if strange or point is None:
            raise Blocked(*filter(None, [strange]))
        return found, point

    def _stored(self, share: Replica) -> Stored:
        found = self._known(share)
        return Stored(backend_id=found.guid, size=found.space["refquota"] // GIB)


def refused(refusal: openzfs.Refusal) -> Blocker:
    return Blocker(kind="refused", what=str(refusal), mend="see to that first")


def _uuid(text: str) -> str:
    """Return `text` as it is if it is an id of ours.

    Raises:
        InvalidInput: it is not, and could mean something else in a name.
    """
    try:
        if str(uuid.UUID(text)) == text:
            return text
    except ValueError:
        pass
    raise InvalidInput(f"{text!r} is no UUID")
