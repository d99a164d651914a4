"""Putting a share or a snapshot where its users find it, and taking it away from there: mounts and exports."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from revertkit.drivers.lvm import filesystems
from revertkit.drivers.lvm.rows import Volume
from revertkit.drivers.undo import bring_back
from revertkit.errors import BackendError, Blocked
from revertkit.models import AccessRule, Blocker, ExportLocation, Replica
from revertkit.system import devices, mounts, nfs, nfs_clients
from revertkit.system.holders import holders


@dataclass(frozen=True)
class Place:
    """Where one share or snapshot is seen: the id that it is exported under, and its directory."""

    id: str
    directory: Path
    read_only: bool = False


@dataclass(frozen=True)
class Front:
    """One backend's side to its users: the directory below which it mounts, and the address it exports at, if any."""

    root: Path
    address: str | None

    def share(self, share: Replica) -> Place:
        """Where a share is seen; the same whatever becomes of its volume."""
        return Place(share.share_id, self.root / f"share-{share.id}")

    def snapshot(self, volume: Volume) -> Place | None:
        """Where a snapshot of ours is seen; None of one that is not ours."""
        identity = volume.tag("snapshot")
        return self.snapshot_of(identity) if identity else None

    def snapshot_of(self, snapshot_id: str) -> Place:
        """Where the snapshot of this id is seen."""
        return Place(snapshot_id, self.root / f"snap-{snapshot_id}", read_only=True)

    def is_online(self, place: Place) -> bool:
        """Whether anything is mounted there."""
        return mounts.mounted_at(place.directory) is not None

    def mount(self, place: Place, volume: Volume, kind: str) -> None:
        """Mount `volume`, by its device node and never by a UUID, which its snapshots share; `kind` is on it.

        Raises:
            BackendError: something else is mounted there.
        """
        seen = mounts.mounted_at(place.directory)
        if seen is None:
            options = (filesystems.SNAPSHOT_OPTIONS if place.read_only else filesystems.SHARE_OPTIONS)[kind]
            mounts.mount(devices.wait_for(volume.path), place.directory, kind, options)
        elif seen.major_minor != mounts.block_device(volume.path):
            raise BackendError(f"{seen.source} is mounted at {place.directory}, where {volume.path} belongs")

    def bring_online(
        self, place: Place, volume: Volume, kind: str, rules: Sequence[AccessRule]
    ) -> list[ExportLocation]:
        """Mount and export; nothing happens where it is so already."""
        self.mount(place, volume, kind)
        if self.address is not None:
            nfs.export(
                place.id, place.directory, [r for r in rules if not nfs.why_not(r, self.address)], place.read_only
            )
        return nfs.locations(place.directory, self.address)

    def take_offline(self, place: Place | None) -> None:
        """Unexport and unmount; no place is offline already.

        The empty directory stays: removing it would lazily unmount it in every other mount namespace, and so hide a
        holder from LVM's own look before a merge.

        Raises:
            Busy: somebody holds it; it is mounted, and no longer exported.
        """
        if place is None:
            return
        if self.address is not None:
            nfs_clients.recall(place.directory)
            nfs.unexport(place.id)
        while mounts.mounted_at(place.directory):
            mounts.unmount(place.directory)

    @contextmanager
    def put_back(self, place: Place, bring_online: Callable[[], object]) -> Iterator[None]:
        """Bring `place` online again, if it was, when what is done inside is refused: nothing has changed then."""
        was_online = self.is_online(place)
        try:
            yield
        except Blocked as refusal:
            if was_online:
                bring_back(bring_online, refusal)
            raise

    def forget(self, place: Place | None) -> None:
        """Remove the directory of what is gone; one that is not empty is not ours to clear."""
        if place is not None:
            with suppress(OSError):
                place.directory.rmdir()

    def users(self, volume: Volume, place: Place | None) -> list[Blocker]:
        """Name all that holds `volume`, but for our own mount at `place`: mounts elsewhere, processes, NFS clients."""
        if not volume.open:
            return []
        found = mounts.mounts_of(volume.path)
        here = place and mounts.mounted_at(place.directory)
        ours = [m for m in found if m == here and m.root == "/"][-1:]
        blockers = [b for m in ours for b in mounts.users(m.target, volume.path)]
        for strange in (m for m in found if m not in ours):
            what = f"{volume.path} is mounted at {strange.target}"
            blockers += [Blocker(kind="mounted", what=what, mend="unmount it"), *mounts.users(strange.target)]
        return blockers if found else mounts.blockers(volume.path, holders(volume.path), [])
