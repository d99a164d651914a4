"""What NFSv4 clients of this host's server hold: the files that they have open, and those that they keep."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

DELEGATION = "deleg"
"""The state of a file that a client has closed and may open again without asking."""
CLIENTS = Path("/proc/fs/nfsd/clients")
UNLOCK = Path("/proc/fs/nfsd/unlock_filesystem")
"""Takes a mount point, with octal escapes, and ends what NFS clients hold there (Linux, fs/nfsd/nfsctl.c)."""


@dataclass(frozen=True)
class OpenFile:
    """What an NFSv4 client holds: `state` is open, lock, deleg or layout, `filename` the last two parts of its path.

    The word ``expire`` written to `control` makes the server forget all that the client holds, wherever.
    """

    client: str
    filename: str
    state: str
    inode: int
    control: Path


def open_files(path: Path) -> list[OpenFile]:
    """List the files below the file system of `path` that NFSv4 clients hold; empty without a running server.

    NFSv3 knows no open files, and its clients never keep a file system busy for longer than a moment.
    """
    try:
        device = path.stat().st_dev
    except FileNotFoundError:
        return []
    wanted = f"{os.major(device):02x}:{os.minor(device):02x}"
    return [held for held_on, held in _states() if held_on == wanted]


def recall(top: Path, seconds: float = 5.0) -> None:
    """Have clients give back their delegations: what they keep of files they have closed, which holds `top` busy.

    An open for writing that does not wait makes the kernel recall one, and writes nothing. A client that has such a
    file open after all opens it here before it gives back, and is then seen by :func:`open_files`. Call it while `top`
    is still exported, or they cannot answer; what has not come back after `seconds` is left to the unmounting to name.
    """
    if _is_read_only(top):
        return _revoke(top)
    end = time.monotonic() + seconds
    while (kept := {f.inode for f in open_files(top) if f.state == DELEGATION}) and time.monotonic() < end:
        for path in _with_inode(top, kept):
            with suppress(OSError):  # mostly EAGAIN: being recalled
                os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW))
        time.sleep(0.1)
    return None


def _is_read_only(top: Path) -> bool:
    with suppress(FileNotFoundError):
        return bool(os.statvfs(top).f_flag & os.ST_RDONLY)
    return False


def _revoke(top: Path) -> None:
    """Take the delegations on a read-only file system away, since nothing on it can be opened for writing.

    Only where no client has more than those: an open file is for the client to close. By Linux from 6.9 on; an older
    one lets go of locks only, and the unmounting names the client.

    A Linux client that is told of it recovers all that it holds, and may then never send the closing of a file that
    it closes at that instant on another share (seen with 6.12): docs/operator-guide.md, NFS clients.
    """
    held = open_files(top)
    if held and all(f.state == DELEGATION for f in held):
        UNLOCK.write_bytes(re.sub(rb"[\x00-\x20\\]", lambda m: b"\\%03o" % m.group()[0], os.fsencode(top)) + b"\n")


def _with_inode(top: Path, inodes: set[int]) -> Iterator[str]:
    """Find the regular files of these inodes; the kernel tells no more of a path than its last two parts."""
    for directory, _, _ in os.walk(top):
        with os.scandir(directory) as entries:
            yield from (e.path for e in entries if e.inode() in inodes and e.is_file(follow_symlinks=False))


def _states() -> Iterator[tuple[str, OpenFile]]:
    for directory in sorted(CLIENTS.glob("*")):
        try:
            # The kernel writes names of files as they are, which need not be UTF-8.
            info, states = ((directory / file).read_text(errors="backslashreplace") for file in ("info", "states"))
        except (FileNotFoundError, OSError):  # it left while we looked
            continue
        yield from parse_states(info, states, directory / "ctl")


def parse_states(info: str, states: str, control: Path) -> Iterator[tuple[str, OpenFile]]:
    """Read a client's two files, as Linux's fs/nfsd/nfs4state.c writes them; answer the device beside each file."""
    address = re.search(r'^address: "(.*)"$', info, re.M)
    name = re.search(r'^name: "(.*)"$', info, re.M)
    client = " ".join(found.group(1) for found in (address, name) if found) or "of an unknown name"
    pattern = r'type: (\w+),.*?superblock: "([0-9a-f]+:[0-9a-f]+):(\d+)"(?:, filename: "(.*?)")?[, }]'
    for kind, device, inode, filename in re.findall(pattern, states):
        yield device, OpenFile(client, filename or f"inode {inode}", kind, int(inode), control)
