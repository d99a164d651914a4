"""The LVM driver: shares as logical volumes of one volume group, mounted and exported on this host."""

from __future__ import annotations

import os
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field, field_validator

from revertkit import driver as contract
from revertkit.drivers.lvm import family, filesystems, lvm2, rows
from revertkit.drivers.lvm.family import Family
from revertkit.drivers.lvm.online import Front
from revertkit.drivers.lvm.rows import Volume
from revertkit.drivers.lvm.thick import Thick, blocking
from revertkit.errors import BackendError, Blocked
from revertkit.models import (
    GIB,
    Blocker,
    ExportLocation,
    Lack,
    Pool,
    Replica,
    Reverted,
    RevertPreview,
    RevertState,
    SnapshotInstance,
    Stored,
)
from revertkit.system.run import tool

PACKAGES = {"lvs": "lvm2", "dmsetup": "dmsetup", "mkfs.ext4": "e2fsprogs", "e2image": "e2fsprogs", "mount": "mount"}


class LvmDriver(
    contract.ShareDriver,
    contract.SupportsSnapshots,
    contract.SupportsCreateFromSnapshot,
    contract.SupportsRevert,
    contract.SupportsMountableSnapshots,
    contract.SupportsExtend,
    contract.SupportsAccessRules,
):
    """Thick LVM: an ext4 file system per share, classic snapshots, in-place reverts that keep every snapshot."""

    api_version: ClassVar[int] = 1

    class Options(contract.ShareDriver.Options):
        """Settings of an LVM backend."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        volume_group: str = Field(
            pattern=r"^[A-Za-z0-9_.+][A-Za-z0-9_.+-]*$", description="the volume group; it exists already"
        )
        mount_root: Path = Field(description="the directory below which shares are mounted")
        export_address: IPv4Address | IPv6Address | None = Field(
            None, description="the address that NFS clients use; without it shares are mounted on this host only"
        )
        snapshot_percent: int = Field(
            100, ge=1, le=100, description="room for a snapshot's changes, in percent of its share"
        )
        filesystem: Literal["ext4"] = Field("ext4", description="the file system of new shares")

        @field_validator("mount_root")
        @classmethod
        def _absolute(cls, path: Path) -> Path:
            if not path.is_absolute():
                raise ValueError("it is not absolute")
            return path

    def __init__(self, backend: str, options: Any) -> None:
        """Keep the settings; nothing is looked at yet."""
        super().__init__(backend, options)
        address = options.export_address
        self.group: str = options.volume_group
        self.front = Front(options.mount_root, str(address) if address else None)
        self.kind = Thick(self.group, options.snapshot_percent, self.front, self.ensure_share)

    @classmethod
    def probe(cls) -> list[Lack]:
        """Look for LVM's tools, the kernel's device-mapper, root, and an NFS server's exportfs."""
        found = [
            Lack(why=f"{name} is not installed", mend=f"install the package {package}")
            for name, package in PACKAGES.items()
            if tool(name) is None
        ]
        if not Path("/sys/class/misc/device-mapper").exists():
            found.append(Lack(why="the kernel has no device-mapper", mend="modprobe dm_mod, or another kernel"))
        if os.geteuid() != 0:
            found.append(Lack(why="LVM needs root", mend="run as root"))
        if tool("exportfs") is None:
            mend = "install the package nfs-kernel-server"
            found.append(Lack(why="exportfs is not installed", mend=mend, capability="access_rules_support"))
        return found

    def pools(self) -> list[Pool]:
        """The volume group is the one pool."""
        total, free = lvm2.capacity(self.group)
        return [Pool(name=self.group, total_bytes=total, free_bytes=free)]

    # --- shares

    def create_share(self, share: Replica) -> Stored:
        """Make a volume and its file system; made anew as long as no identity is on record."""
        volume = self._volume(share)
        if share.backend_id is None:
            filesystems.make(volume.path)
        return Stored(backend_id=volume.uuid, size=share.size)

    def create_share_from_snapshot(self, share: Replica, snapshot: SnapshotInstance) -> Stored:
        """Copy the snapshot to a volume of its own, which knows nothing of it afterwards."""
        source = self.kind.look(snapshot.replica).body(snapshot.id)
        if source is None or source.invalid or source.merging:
            raise BackendError(f"the snapshot {rows.named('snap', snapshot.id)} cannot be copied: {source}")
        volume = self._volume(share)
        if share.backend_id is None:
            self.front.take_offline(self.front.share(share))
            filesystems.copy(source.path, volume.path)
        if share.size > snapshot.size:
            self.front.mount(self.front.share(share), volume)
            filesystems.grow(volume.path, share.size)
        return Stored(backend_id=volume.uuid, size=share.size)

    def _volume(self, share: Replica) -> Volume:
        """Make the share's volume, or find it made."""
        name = rows.named("share", share.id)
        with blocking(), suppress(lvm2.Exists):
            lvm2.create(self.group, name, share.size * GIB, [rows.tag("share", share.id)])
        return self._at_rest(share)[1]

    def delete_share(self, share: Replica) -> None:
        """Take it offline and remove its volume. Blocked by any snapshot of it, ours or not."""
        seen = self.kind.look(share)
        mend = "delete it first"
        if seen.snapshots:
            raise Blocked(*(Blocker(kind="snapshot", what=f"it has {v.path}", mend=mend) for v in seen.snapshots))
        with blocking():
            self.front.take_offline(self.front.share(share))
            lvm2.remove(*([seen.origin] if seen.origin else []), *seen.rooms)
        self.front.forget(self.front.share(share))

    def ensure_share(self, share: Replica) -> list[ExportLocation]:
        """Sweep the rooms of reverts that never began, activate, mount, export: one command where all is well."""
        lvm2.resume_suspended(self.group, rows.named("share", share.id))
        seen, volume = self._at_rest(share)
        lvm2.remove(*family.leftovers(seen))
        if not volume.active:
            lvm2.activate(volume)
        return self.front.bring_online(self.front.share(share), volume, share.rules)

    def _at_rest(self, share: Replica) -> tuple[Family, Volume]:
        """See the share's volumes.

        Raises:
            Blocked: its volume is not the one on record or not there, or a revert is half way.
        """
        seen = self.kind.look(share)
        found = [*family.identity(seen, share), *family.halfway(seen)]
        if found or seen.origin is None:
            raise Blocked(*found)
        return seen, seen.origin

    def extend_share(self, share: Replica, new_size: int) -> Stored:
        """Grow the volume (offline while it has snapshots: LVM grows no active one then) and its file system."""
        seen, volume = self._at_rest(share)
        if volume.size < new_size * GIB:
            self._grow(seen, volume, share, new_size)
        self.front.mount(self.front.share(share), volume)
        filesystems.grow(volume.path, new_size)
        return Stored(backend_id=volume.uuid, size=new_size)

    def _grow(self, seen: Family, volume: Volume, share: Replica, new_size: int) -> None:
        ours = [v for v in seen.snapshots if v.tag("snapshot")]
        need = round((new_size * GIB - volume.size) * (1 + len(ours) * self.options.snapshot_percent / 100))
        if need > volume.group_free:
            what = f"volume group {self.group} has {volume.group_free} bytes free, share and snapshots need {need} more"
            raise Blocked(Blocker(kind="space", what=what, mend="extend the group or remove something"))
        if not seen.snapshots:
            return lvm2.grow(volume, new_size * GIB)
        with self.kind.offline(seen, share):
            lvm2.deactivate(volume)
        lvm2.grow(volume, new_size * GIB)
        for snapshot in ours:  # or they would overflow when the new room is written
            lvm2.grow_with_origin(snapshot, self.options.snapshot_percent)
        return lvm2.activate(volume)

    def update_access(self, share: Replica) -> dict[str, str]:
        """Export by the rules that can be applied, and say why the others cannot."""
        self.ensure_share(share)
        return {rule.id: why for rule in share.rules if (why := self.front.why_not(rule))}

    # --- snapshots

    def create_snapshot(self, snapshot: SnapshotInstance) -> Stored:
        """Take a read-only snapshot; the kernel brings the mounted file system to a consistent point first."""
        return self.kind.create(snapshot)

    def delete_snapshot(self, snapshot: SnapshotInstance) -> None:
        """Remove the snapshot; with the last one the share's volume is trimmed to the share's size."""
        self.kind.delete(snapshot)

    def ensure_snapshot(self, snapshot: SnapshotInstance) -> list[ExportLocation]:
        """Mount the snapshot read-only and export it by its own rules."""
        seen, _ = self._at_rest(snapshot.replica)
        body = seen.body(snapshot.id)
        place = self.front.snapshot(body) if body else None
        if body is None or place is None or body.invalid:
            raise BackendError(f"the snapshot {rows.named('snap', snapshot.id)} cannot be mounted: {body}")
        return self.front.bring_online(place, body, snapshot.rules)

    def check_revert(self, snapshot: SnapshotInstance) -> RevertPreview:
        """Name every blocker; what would be thrown away is what the snapshot has had to keep, tables included."""
        return self.kind.check(snapshot)

    def revert_state(self, snapshot: SnapshotInstance) -> RevertState:
        """Say how far it has come, as the volumes, their tags and LVM's flags tell."""
        return family.state(self.kind.look(snapshot.replica), snapshot)

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        """Merge, and take the snapshot anew into room reserved before; its volume's uuid changes."""
        return self.kind.revert(snapshot)
