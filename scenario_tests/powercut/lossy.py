"""What a power cut leaves of a disk whose cache was not flushed.

QEMU's ``blklogwrites`` (the format is the kernel's dm-log-writes) keeps every write and every flush in the order in
which the guest sent them. What was written before the last flush is on the disk; of what came after it, any part may
be, in any order, and a write may be torn between two blocks. A seed decides.
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAGIC = 0x6A736677736872
SUPER = struct.Struct("<QQQI")
ENTRY = struct.Struct("<QQQQ")
FLUSH, FUA, DISCARD = 1, 2, 4
BLOCK = 4096
"""What a disk writes whole or not at all, in bytes; every start and length here is a multiple of a sector."""
FATES = ("none", "all before a moment", "half of them", "half of each")
"""What may become of the writes since the last flush."""


@dataclass(frozen=True)
class Write:
    """One write as the guest sent it, in bytes; where its data is in the log. One that is durable was FUA."""

    number: int
    start: int
    length: int
    data: int
    durable: bool


@dataclass(frozen=True)
class Loss:
    """What a cut did to one disk."""

    fate: str
    writes: int
    unflushed: int
    lost: int
    """Of the unflushed ones, how many did not reach the disk whole."""


def cut(log: Path, image: Path, seed: str, *, ordered: int = 0) -> Loss:
    """Write into `image` (raw, as it was when the log began) what of `log` survives.

    Of the first `ordered` bytes of the disk, nothing that was written later survives without what was written before.

    Raises:
        ValueError: the log is not one.
    """
    chance = random.Random(seed)
    writes, flushed = read(log)
    fate, unflushed = chance.choice(FATES), [write for write in writes if write.number > flushed and not write.durable]
    moment = chance.choice([write.number for write in unflushed] or [0])
    lost = 0
    with log.open("rb") as source, image.open("r+b") as disk:
        for write in writes:
            whole = write.number <= flushed or write.durable
            how = FATES[1] if write.start < ordered else fate
            kept = _blocks(write) if whole else _survivors(write, how, moment, chance)
            lost += len(kept) < len(_blocks(write))
            for offset, length in kept:
                disk.seek(write.start + offset)
                disk.write(os.pread(source.fileno(), length, write.data + offset))
    return Loss(fate, len(writes), len(unflushed), lost)


def _survivors(write: Write, fate: str, moment: int, chance: random.Random) -> list[tuple[int, int]]:
    """Say which blocks of a write that was not flushed are on the disk all the same."""
    blocks = _blocks(write)
    if fate == "half of each":
        return [block for block in blocks if chance.random() < 0.5]
    survives = {"none": False, "all before a moment": write.number < moment}.get(fate, chance.random() < 0.5)
    return blocks if survives else []


def _blocks(write: Write) -> list[tuple[int, int]]:
    """Cut a write at the disk's blocks: offset into it, and length."""
    ends = [*range(BLOCK - write.start % BLOCK, write.length, BLOCK), write.length]
    return [(begin, end - begin) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


def read(log: Path) -> tuple[list[Write], int]:
    """Answer every write, and the number of the last entry that was a flush (-1 where none was).

    Raises:
        ValueError: it is no such log, or holds a discard, which no disk here offers.
    """
    writes, flushed = [], -1
    for number, (sector, sectors, flags, data, size) in enumerate(_entries(log)):
        if flags & DISCARD:
            raise ValueError(f"{log}: entry {number} is a discard")
        if flags & FLUSH:
            flushed = number
        if sectors:
            writes.append(Write(number, sector * size, sectors * size, data, bool(flags & FUA)))
    return writes, flushed


def _entries(log: Path) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield sector, sectors, flags, where the data is, and the sectors' size, of each entry that is whole."""
    with log.open("rb") as source:
        header = source.read(SUPER.size)
        if not header:  # nothing was written
            return
        if len(header) < SUPER.size or (found := SUPER.unpack(header))[0] != MAGIC:
            raise ValueError(f"{log} is no log of writes")
        _, _, count, size = found
        at = size
        for _ in range(count):
            source.seek(at)
            sector, sectors, flags, _ = ENTRY.unpack(source.read(ENTRY.size))
            yield sector, sectors, flags, at + size, size
            at += size + (0 if flags & DISCARD else sectors * size)
