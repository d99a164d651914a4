"""What LVM's tools fail by, where it makes a difference: told by their words, since they exit with 5 for all."""

from __future__ import annotations

import re
from typing import ClassVar

from revertkit.errors import CommandFailed


class LvmFailed(CommandFailed):
    """An LVM tool failed in a way that has a name; `pattern` is how its standard error says so."""

    pattern: ClassVar[str]
    mend: ClassVar[str] = ""

    def __init__(self, argv: list[str], status: int | None, stderr: str) -> None:
        super().__init__(argv, status, stderr)
        if self.mend:
            self.args = (f"{self}; {self.mend}",)


class NoSpace(LvmFailed):
    """The volume group has not enough free extents, or a thin pool is past the threshold of lvm.conf."""

    pattern = r"nsufficient (free space|free extents|suitable allocatable extents)|in thin pool \S+ reached threshold"


class InUse(LvmFailed):
    """The volume, or a snapshot of it, is open."""

    pattern = r"in use|is used by another device|Can't remove open logical volume|contains a filesystem in use"


class Exists(LvmFailed):
    """There is a volume of this name already."""

    pattern = r"already exists in volume group"


class NothingToDo(LvmFailed):
    """The volume has this size already, or is larger."""

    pattern = r"matches existing size|not larger than existing size|No size change"


class PoolRefused(LvmFailed):
    """thin_check(8) found something, if only blocks that belong to nothing, as a power cut may leave."""

    pattern = r"Check of pool \S+ failed"
    mend = "mend that (thin_check's --auto-repair, see `A power cut` in docs/lvm.md), then run `revertkit recover`"


class Unreadable(LvmFailed):
    """The group's metadata is torn, as by a power cut in the middle of an LVM command."""

    pattern = r"Checksum error|bad metadata text"
    mend = "mend that (`pvck --repair`, see `A power cut` in docs/lvm.md), then run `revertkit recover`"


def named(failure: CommandFailed) -> CommandFailed:
    """Answer a failure by its name, if it has one here."""
    for kind in (NoSpace, InUse, Exists, NothingToDo, PoolRefused, Unreadable):
        if re.search(kind.pattern, failure.stderr):
            return kind(failure.argv, failure.status, failure.stderr)
    return failure
