"""The settings of an LVM backend, and what a host has to have for it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, field_validator

from revertkit.driver import ShareDriver
from revertkit.drivers.lvm import lvm2
from revertkit.models import Lack
from revertkit.system.run import tool

NAME = r"^[A-Za-z0-9_.+][A-Za-z0-9_.+-]*$"
PACKAGES = {"lvs": "lvm2", "dmsetup": "dmsetup", "mkfs.ext4": "e2fsprogs", "e2image": "e2fsprogs", "mount": "mount"}
XFS_PACKAGES = {"mkfs.xfs": "xfsprogs", "xfs_growfs": "xfsprogs", "xfs_admin": "xfsprogs"}
THIN_PACKAGES = {"thin_check": "thin-provisioning-tools"}
OLDEST = (2, 3, 17)
"""The first LVM with ``lvreduce --fs`` (its WHATS_NEW): what turns back a share that has grown, and shrinks one."""


class LvmOptions(ShareDriver.Options):
    """Settings of an LVM backend."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    volume_group: str = Field(pattern=NAME, description="the volume group; it exists already")
    thin_pool: str | None = Field(
        None, pattern=NAME, description="the thin pool in it, which exists already; without it volumes are thick"
    )
    mount_root: Path = Field(description="the directory below which shares are mounted")
    export_address: IPv4Address | IPv6Address | None = Field(
        None, description="the address that NFS clients use; without it shares are mounted on this host only"
    )
    filesystem: Literal["ext4", "xfs"] = Field(
        "ext4", description="the file system of new shares; those that are there keep theirs. XFS cannot shrink"
    )
    snapshot_percent: int = Field(
        100, ge=1, le=100, description="thick: room for a snapshot's changes, in percent of its share"
    )
    thin_limit_percent: int = Field(
        95, ge=1, le=100, description="thin: how full (data or metadata) the pool may be to begin anything in it"
    )
    max_over_subscription_ratio: float = Field(
        20.0, ge=1, description="thin: how many times its size the pool may promise; reported to schedulers"
    )

    @field_validator("mount_root")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        if not path.is_absolute():
            raise ValueError("it is not absolute")
        return path


def host_lacks() -> list[Lack]:
    """Look for LVM's tools, the kernel's device-mapper, root, and an NFS server's exportfs."""
    found = missing(PACKAGES)
    if not Path("/sys/class/misc/device-mapper").exists():
        found.append(Lack(why="the kernel has no device-mapper", mend="modprobe dm_mod, or another kernel"))
    if os.geteuid() != 0:
        found.append(Lack(why="LVM needs root", mend="run as root"))
    if tool("exportfs") is None:
        mend = "install the package nfs-kernel-server"
        found.append(Lack(why="exportfs is not installed", mend=mend, capability="access_rules_support"))
    return found


def backend_lacks(options: LvmOptions) -> list[Lack]:
    """Look for what only some backends need: a pool without it makes no share that asks for snapshots."""
    xfs = missing(XFS_PACKAGES, "snapshot_support") if options.filesystem == "xfs" else []
    thin = missing(THIN_PACKAGES, "snapshot_support") if options.thin_pool else []
    trimmed = ["shrink_support"] if options.thin_pool else ["shrink_support", "revert_to_snapshot_support"]
    return [*xfs, *thin, *(lack for capability in trimmed for lack in _too_old(capability))]


def _too_old(capability: str) -> list[Lack]:
    """See whether LVM can make a volume smaller and look for itself that its file system ends before that."""
    version = lvm2.version()
    if version >= OLDEST:
        return []
    written, oldest = (f"{number[0]}.{number[1]:02}.{number[2]}" for number in (version, OLDEST))
    why = f"LVM {written} knows no lvreduce --fs, which {capability.removesuffix('_support').replace('_', ' ')} needs"
    return [Lack(why=why, mend=f"install LVM {oldest} or newer", capability=capability)]


def missing(packages: dict[str, str], capability: str | None = None) -> list[Lack]:
    """Name the tools that are not there, each with its package."""
    gone: Iterable[str] = (name for name in packages if tool(name) is None)
    return [
        Lack(why=f"{name} is not installed", mend=f"install the package {packages[name]}", capability=capability)
        for name in gone
    ]
