"""The settings of a ZFS backend, and what a host has to have for it."""

from __future__ import annotations

import os
from importlib.util import find_spec
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field

from revertkit.driver import ShareDriver
from revertkit.models import Lack
from revertkit.system.run import tool

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.:-]*(/[A-Za-z0-9][A-Za-z0-9_.:-]*)*$"
Destination = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*@[A-Za-z0-9\[][A-Za-z0-9.:%\]-]*$")]
MODULE = Path("/sys/module/zfs")
TOOLS = ("zfs", "zpool")


class ZfsOptions(ShareDriver.Options):
    """The settings of a ZFS backend."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pool: str = Field(pattern=NAME, description="the zpool, or the dataset in one, under which the shares live")
    mount_root: Path = Field(description="the directory below which shares are mounted")
    max_over_subscription_ratio: float = Field(
        20.0, ge=1, description="how many times its size the pool may promise; reported to schedulers"
    )
    export_address: IPv4Address | IPv6Address | None = Field(
        None, description="the address that NFS clients use; without it shares are mounted on this host only"
    )
    replication_hosts: dict[str, Destination] = Field(
        {}, description="how replicas here reach the hosts of their active ones, by ssh(1): host = user@address"
    )
    replication_key: Path = Field(
        Path("/etc/revertkit/replication_key"), description="the private key for that, used for nothing else"
    )
    replication_known_hosts: Path = Field(
        Path("/etc/revertkit/replication_known_hosts"), description="the host keys that are accepted, and no other"
    )


def host_lacks() -> list[Lack]:
    """Say what this host lacks for ZFS and its exports, without loading any of it."""
    found = [Lack(why=f"no {name} on this host", mend="apt install zfsutils-linux") for name in TOOLS if not tool(name)]
    if not MODULE.exists():
        mend = "apt install zfs-dkms and the kernel's headers, then modprobe zfs"
        found.append(Lack(why="the kernel has no module zfs loaded", mend=mend))
    if find_spec("libzfs_core") is None:
        mend = "apt install python3-pyzfs; a virtual environment needs --system-site-packages to see it"
        found.append(Lack(why="this Python has no module libzfs_core", mend=mend))
    if os.geteuid() != 0:
        found.append(Lack(why="mounting and rolling back ZFS needs root", mend="run as root"))
    if tool("exportfs") is None:
        mend = "apt install nfs-kernel-server"
        found.append(Lack(why="exportfs is not installed", mend=mend, capability="access_rules_support"))
    return found
