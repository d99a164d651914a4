"""Mounts: read from /proc/self/mountinfo, made by mount(8), undone by umount2(2), never lazily, never by force."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from revertkit.errors import BackendError
from revertkit.models import Blocker
from revertkit.system import nfs_clients
from revertkit.system.holders import HIDDEN, PROC, Holder, holders
from revertkit.system.run import run, step

MOUNTINFO = Path("/proc/self/mountinfo")
UMOUNT_NOFOLLOW = 8
"""Of umount2(2): do not follow a symbolic link that somebody put at the mount point."""


@dataclass(frozen=True)
class Mount:
    """One line of /proc/self/mountinfo; `major_minor` is the file system's device, `root` what part of it is shown."""

    source: str
    target: Path
    fstype: str
    options: tuple[str, ...]
    major_minor: str
    root: str = "/"


class Busy(BackendError):
    """A mount that somebody keeps in use. It is still mounted, and as it was.

    A driver turns it into ``Blocked(*busy.blockers)`` where it has put everything else back.
    """

    def __init__(self, target: Path, local: Sequence[Holder], remote: Sequence[nfs_clients.OpenFile]) -> None:
        self.target, self.blockers = target, blockers(target, local, remote)
        super().__init__("; ".join(b.what for b in self.blockers))


def mounts() -> list[Mount]:
    """List every mount of this mount namespace, the oldest first."""
    return parse(os.fsdecode(MOUNTINFO.read_bytes()))


def parse(mountinfo: str) -> list[Mount]:
    """Read the lines of a mountinfo file, as proc_pid_mountinfo(5) has them.

    A newline alone ends one: a name may have every other character in it that Python takes for the end of a line.
    """
    found = []
    for line in filter(None, mountinfo.split("\n")):
        ours, _, theirs = line.partition(" - ")
        _, _, device, root, target, options, *_ = ours.split(" ")
        fstype, source, super_options = theirs.split(" ", 2)
        every = tuple(dict.fromkeys([*options.split(","), *super_options.split(",")]))
        found.append(Mount(_plain(source), Path(_plain(target)), fstype, every, device, _plain(root)))
    return found


def _plain(escaped: str) -> str:
    """Undo the octal escapes for space, tab, newline, backslash and #."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), escaped)


def mounted_at(target: Path) -> Mount | None:
    """Answer what is mounted at `target`; of several on top of each other the one that is seen."""
    real = Path(os.path.realpath(target))  # as the kernel writes it
    return next((m for m in reversed(mounts()) if m.target == real), None)


def mounts_of(source: str | Path) -> list[Mount]:
    """List where `source` is mounted in this namespace: a block device under any of its names, or any other source.

    Bind mounts of a block device's file system are among them.
    """
    device = block_device(source)
    return [m for m in mounts() if (m.major_minor == device if device else m.source == os.fspath(source))]


def mounts_within(path: Path) -> list[Path]:
    """List the mount points at or below `path`: a copy would read into them, a removal would empty them."""
    top = Path(os.path.realpath(path))
    return [mount.target for mount in mounts() if mount.target.is_relative_to(top)]


def shown_elsewhere(path: Path) -> list[str]:
    """Say where the directory at `path`, or a part of it, is mounted too, in every mount namespace that we can see.

    As a container has it. Who works there stays with that directory, wherever it is moved, and does not come to see
    what is put in its place. What cannot be seen is left out silently: without root, the namespaces of other users'
    processes; below a chroot(2) that is no mount point, all of them.
    """
    real = Path(os.path.realpath(path))
    above = [m for m in reversed(mounts()) if real.is_relative_to(m.target)]
    if not above:
        return []
    over = max(above, key=lambda m: len(m.target.parts))
    inside = Path(over.root) / real.relative_to(over.target)
    return [
        f"{mount.target}{whose}"
        for whose, found in _namespaces()
        for mount in found
        if mount.major_minor == over.major_minor and Path(mount.root).is_relative_to(inside)
        if whose or not mount.target.is_relative_to(real)
    ]


def _namespaces() -> Iterator[tuple[str, list[Mount]]]:
    """Go through the mounts of each namespace, ours first, and say whose it is, if it is not ours."""
    known = {Path("/proc/self/ns/mnt").stat().st_ino}
    yield "", mounts()
    for process in PROC.glob("[0-9]*"):
        with suppress(*HIDDEN):
            namespace = (process / "ns/mnt").stat().st_ino
            found = [] if namespace in known else parse(os.fsdecode((process / "mountinfo").read_bytes()))
            known.add(namespace)
            yield f" of process {process.name}", found


def block_device(path: str | Path) -> str | None:
    """Answer the `major:minor` of the block device at `path`; None if there is none."""
    try:
        found = Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISBLK(found.st_mode):
        return None
    return f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"


def mount(source: str | Path, target: Path, fstype: str, options: Sequence[str]) -> None:
    """Mount `source` at `target`, whose directory is made if it is missing.

    Raises:
        CommandFailed: as mount(8) says.
        BackendError: mount(8) said that it went well and `target` is no mount point.
    """
    target.mkdir(parents=True, exist_ok=True)
    flags = ["-o", ",".join(options)] if options else []
    run(["mount", "-t", fstype, *flags, "--", source, target])
    if mounted_at(target) is None:
        raise BackendError(f"mount(8) answered that {source} is mounted at {target}, but nothing is")


def unmount(target: Path, seconds: float = 10.0) -> None:
    """Unmount `target`; nothing mounted there is fine.

    Tried again for `seconds`: for a second or two after an unexport the kernel's NFS server still holds what clients
    touched last, and there is no event to wait for.

    Raises:
        Busy: still in use after that, with each holder and NFS client.
        BackendError: refused for another reason.
    """
    with step(f"umount {target.name}"):
        end, pause = time.monotonic() + seconds, 0.05
        while (failure := _umount2(target)) == errno.EBUSY:
            if time.monotonic() >= end:
                raise Busy(target, holders(target), nfs_clients.open_files(target))
            time.sleep(pause)
            pause = min(2 * pause, 0.5)
    if failure not in (0, errno.EINVAL, errno.ENOENT):
        raise BackendError(f"{target} cannot be unmounted: {os.strerror(failure)}")


def _umount2(target: Path) -> int:
    """By the system call, since umount(8) tells busy from the rest only in prose; answer errno or 0."""
    libc = ctypes.CDLL(None, use_errno=True)
    return 0 if libc.umount2(os.fsencode(target), UMOUNT_NOFOLLOW) == 0 else ctypes.get_errno()


def users(target: Path, *also: Path) -> list[Blocker]:
    """Name what keeps the file system at `target` in use: processes here, that have `also` open too, NFSv4 clients.

    Not a client that has closed its files: what it keeps of them is given back by
    :func:`revertkit.system.nfs_clients.recall`.
    """
    remote = [f for f in nfs_clients.open_files(target) if f.state != nfs_clients.DELEGATION]
    local = holders(target, *also)
    return blockers(target, local, remote) if local or remote else []


def blockers(target: Path, local: Sequence[Holder], remote: Sequence[nfs_clients.OpenFile]) -> list[Blocker]:
    """Put holders and clients into words; says so when neither is known."""
    found = [
        Blocker(kind="open", what=f"{target} is held by process {h.pid} ({h.name}): {h.what}", mend="end that process")
        for h in local
    ]
    found += [
        Blocker(
            kind="open",
            what=f"NFS client {f.client} has {f.filename} open on {target}",
            mend=f"close it there; if nothing there has it open, echo expire > {f.control} forgets all it holds",
        )
        for f in remote
    ]
    unknown = "something this host cannot name: a mount in another namespace, or an NFS client that vanished just now"
    mend = "find and end it; a vanished client is forgotten within two minutes"
    return found or [Blocker(kind="open", what=f"{target} is in use by {unknown}", mend=mend)]
