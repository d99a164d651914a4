"""The only caller of btrfs-progs: one function a command, one record of what it says.

Why a room of its own: the driver's verbs read as what happens to a share, and whoever meets another version of the
tools has one file to look at. Commands go through :func:`~revertkit.system.run.run`: an argv list and never a shell's
line, the C locale, and a named step around each one that changes something, where the conformance suite interrupts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from revertkit.errors import BackendError
from revertkit.system.kernel import sync_file_system
from revertkit.system.run import run

TOOLS = {"btrfs": "btrfs-progs", "findmnt": "util-linux"}
"""The tools used here, and Debian's package that has each."""
SYSFS = Path("/sys/fs/btrfs")
COUNTED = ("qgroup", "inconsistent")
"""How :func:`quotas` may be for a limit to be set; one of the second kind holds after a rescan."""


@dataclass(frozen=True)
class Subvolume:
    """A subvolume, as ``btrfs subvolume show`` has it. The bytes are None where quotas are off."""

    path: Path
    uuid: str
    parent: str | None
    """The uuid of the subvolume that this one was made of."""
    read_only: bool
    limit: int | None = None
    """How many bytes it may refer to."""
    used: int | None = None
    """How many bytes it refers to, shared ones too."""
    own: int | None = None
    """How many bytes nobody else refers to: what its removal sets free."""


# --- looking


def look(path: Path) -> Subvolume | None:
    """Look at the subvolume at `path`; None if nothing at all is there. Its bytes are those of the last commit.

    Raises:
        CommandFailed: what is there is no subvolume.
    """
    if not os.path.lexists(path):
        return None
    return read(path, run(["btrfs", "subvolume", "show", "--raw", path], changes=False).stdout)


def read(path: Path, shown: str) -> Subvolume:
    """Read what ``btrfs subvolume show --raw`` says below its first line, which is a path, with anything in it."""
    said: dict[str, str] = {}
    for line in shown.splitlines()[1:]:
        key, _, value = line.partition(":")
        said.setdefault(key.strip(), value.strip())
    return Subvolume(
        path=path,
        uuid=said["UUID"],
        parent=None if said["Parent UUID"] == "-" else said["Parent UUID"],
        read_only="readonly" in said["Flags"],
        limit=_bytes(said.get("Limit referenced")),
        used=_bytes(said.get("Usage referenced")),
        own=_bytes(said.get("Usage exclusive")),
    )


def _bytes(said: str | None) -> int | None:
    return int(said) if said and said.isdigit() else None


def there(path: Path) -> Subvolume:
    """Look at the subvolume that has to be at `path`.

    Raises:
        BackendError: it is not.
    """
    if found := look(path):
        return found
    raise BackendError(f"there is no subvolume {path}")


def measure(path: Path) -> Subvolume:
    """Look at the subvolume at `path` with its bytes as they are now: quotas are counted when btrfs commits."""
    sync_file_system(path)
    return there(path)


def nested(path: Path) -> list[str]:
    """List the subvolumes inside the one at `path`, by their paths in the file system."""
    listed = run(["btrfs", "subvolume", "list", "-o", path], changes=False).stdout
    return [line.partition(" path ")[2] for line in listed.splitlines()]


def quotas(root: Path) -> str:
    """Say how the file system at `root` counts: ``off``, ``squota``, ``inconsistent`` or ``qgroup``.

    Simple quotas (``squota``) count a byte for the subvolume that first wrote it, and a share that was reverted holds
    what others wrote: its limit would hold nobody. Full ones (``qgroup``) count what a subvolume refers to, but lose
    count when a large one is removed. From sysfs: btrfs-progs print the same table for all of them.

    Raises:
        BackendError: it is not there, or it is no btrfs.
    """
    if not root.is_dir():
        raise BackendError(f"there is no {root}: make it on a mounted btrfs, or set mount_root to a place on one")
    columns = ["--noheadings", "--output", "FSTYPE,UUID", "--target", str(root)]
    fstype, _, uuid = run(["findmnt", *columns], changes=False).stdout.strip().partition(" ")
    if fstype != "btrfs":
        raise BackendError(f"{root} is on {fstype}, not on btrfs: mount one there, or set mount_root to a place on one")
    said = SYSFS / uuid.strip() / "qgroups"
    if not said.is_dir():
        return "off"
    mode = _word(said / "mode") or "qgroup"  # kernels before 6.7 know no other
    return "inconsistent" if mode == "qgroup" and _word(said / "inconsistent") == "1" else mode


def _word(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""


# --- changing


def create(path: Path) -> None:
    """Make an empty subvolume."""
    run(["btrfs", "subvolume", "create", path], name=f"create {path.name}")


def snapshot(source: Path, target: Path, *, read_only: bool = False) -> None:
    """Make `target` of `source`: whole or not at all, in one transaction, and on disk when the command answers.

    Nothing may be at `target`: of a directory there, btrfs would make the snapshot *inside*.
    """
    flags = ["-r"] if read_only else []
    run(["btrfs", "subvolume", "snapshot", *flags, source, target], name=f"snapshot {source.name} as {target.name}")


def limit(path: Path, size: int) -> None:
    """Let the subvolume refer to `size` bytes and no more.

    Raises:
        BackendError: it has another limit afterwards. An exit status of 0 is no proof.
    """
    run(["btrfs", "qgroup", "limit", str(size), path], name=f"limit {path.name}")
    if (now := there(path).limit) != size:
        raise BackendError(f"btrfs answered that {path} is limited to {size} bytes, but it is to {now}")


def delete(path: Path) -> None:
    """Remove the subvolume at `path`, for good, also after a power cut; nothing there succeeds.

    Raises:
        BackendError: it is still there.
    """
    if os.path.lexists(path):
        run(["btrfs", "subvolume", "delete", "--commit-after", path], name=f"delete {path.name}")
    if os.path.lexists(path):
        raise BackendError(f"btrfs answered that it deleted {path}, but it is there")
