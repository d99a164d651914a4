"""Who has a tree open: what stands in the way of unmounting it, renaming it aside or turning it back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_LINKS = {"cwd": "working directory", "root": "root directory", "exe": "executable"}
HIDDEN = (FileNotFoundError, ProcessLookupError, PermissionError)
"""What reading of another process raises when it has just ended, or is not ours to look into."""


@dataclass(frozen=True)
class Holder:
    """A process that uses something at or below a path, and as what: ``open file``, ``working directory``, …"""

    pid: int
    name: str
    what: str

    def __str__(self) -> str:
        return f"process {self.pid} ({self.name}), {self.what}"


def holders(*paths: Path) -> list[Holder]:
    """List the processes that hold anything at or below one of `paths`, once for each kind of hold.

    This process itself is left out. What cannot be seen is left out silently too: without root, every process of
    another user; always, a kernel's own use (an NFS server, a loop device) and a process in another mount namespace
    that knows the tree under another path. So an answer of nobody is no proof; a name in it is.
    """
    tops = [os.path.realpath(path) for path in paths]
    pids = sorted(int(entry.name) for entry in os.scandir(PROC) if entry.name.isdigit())
    return [holder for pid in pids if pid != os.getpid() for holder in _of_process(pid, tops)]


def _of_process(pid: int, tops: list[str]) -> list[Holder]:
    process = f"{PROC}/{pid}"  # a string: a Path for each file of each process is three quarters of a look's time
    kinds = dict.fromkeys(what for what, used in _uses(process) if any(_within(used, top) for top in tops))
    if kinds:
        with suppress(*HIDDEN):
            name = Path(process, "comm").read_text(errors="replace").strip()
            return [Holder(pid, name, what) for what in kinds]
    return []


def _within(used: str, top: str) -> bool:
    """A file that was removed meanwhile is shown with " (deleted)" behind its name."""
    return used.startswith(top) and (used in (top, f"{top} (deleted)") or used.startswith(top.rstrip("/") + "/"))


def _uses(process: str) -> Iterator[tuple[str, str]]:
    for link, what in _LINKS.items():
        with suppress(*HIDDEN):
            yield what, os.readlink(f"{process}/{link}")  # noqa: PTH115 - as above
    with suppress(*HIDDEN):
        for descriptor in os.listdir(f"{process}/fd"):  # noqa: PTH208
            with suppress(*HIDDEN):
                yield "open file", os.readlink(f"{process}/fd/{descriptor}")  # noqa: PTH115
    with suppress(*HIDDEN):
        yield from (("mapped file", path) for path in _mapped(process))


def _mapped(process: str) -> Iterator[str]:
    """Read ``maps``: the links of ``map_files`` need root even for one's own processes."""
    for path in {line.split(maxsplit=5)[-1] for line in Path(process, "maps").read_bytes().split(b"\n") if line}:
        if path.startswith(b"/"):
            yield os.fsdecode(path.replace(b"\\012", b"\n"))
