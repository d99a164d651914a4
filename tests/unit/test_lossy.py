"""What the power cuts take from a disk: never what was flushed, and anything else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "scenario_tests" / "powercut"))
import lossy

SECTOR = 512


def log(path: Path, *entries: tuple[int, bytes, int]) -> Path:
    """Write a log as QEMU 7.2 does: sector, data, flags."""
    body = b"".join(
        lossy.ENTRY.pack(sector, len(data) // SECTOR, flags, 0).ljust(SECTOR, b"\0") + data
        for sector, data, flags in entries
    )
    path.write_bytes(lossy.SUPER.pack(lossy.MAGIC, 1, len(entries), SECTOR).ljust(SECTOR, b"\0") + body)
    return path


def disk(path: Path) -> Path:
    """A disk of 64 KiB that holds zeros."""
    path.write_bytes(bytes(65536))
    return path


FLUSHED = ((0, b"1" * 8192, 0), (0, b"", lossy.FLUSH))
LATER = ((16, b"2" * 16384, 0), (100, b"3" * 512, lossy.FUA), (4, b"4" * 1024, 0))


def test_every_fate_keeps_what_was_flushed_and_takes_something_else(tmp_path: Path) -> None:
    written, seen = log(tmp_path / "log", *FLUSHED, *LATER), set()
    for seed in range(60):
        loss = lossy.cut(written, image := disk(tmp_path / "disk"), str(seed))
        left = image.read_bytes()
        assert {*left[:2048], *left[3072:8192]} == {ord("1")}
        assert set(left[2048:3072]) in ({ord("1")}, {ord("4")})
        assert left[51200:51712] == b"3" * 512
        assert set(left[8192:24576]) <= {0, ord("2")}
        assert (loss.writes, loss.unflushed) == (4, 2)
        assert (loss.lost == 0) == (left[8192:24576] == b"2" * 16384 and left[2048:3072] == b"4" * 1024)
        seen.add((loss.fate, loss.lost))
    assert {fate for fate, _ in seen} == set(lossy.FATES)
    assert {lost for _, lost in seen} == {0, 1, 2}


def test_the_ordered_part_is_lost_from_its_end_only(tmp_path: Path) -> None:
    """What was written first is there wherever what was written later is; outside that part it need not be."""
    pieces = [(8 * number, bytes([number + 1]) * 4096, 0) for number in range(8)]
    written, inside, outside = log(tmp_path / "log", *pieces), set(), set()
    for seed in range(60):
        lossy.cut(written, image := disk(tmp_path / "disk"), str(seed), ordered=4 * 4096)
        there = [image.read_bytes()[4096 * number] == number + 1 for number in range(8)]
        inside.add(tuple(there[:4]))
        outside.add(tuple(there[4:]))
    assert all(there == tuple(sorted(there, reverse=True)) for there in inside)
    assert len(inside) > 2
    assert any(there != tuple(sorted(there, reverse=True)) for there in outside)


def test_one_seed_takes_the_same_each_time(tmp_path: Path) -> None:
    written = log(tmp_path / "log", *FLUSHED, *LATER)
    left = set()
    for _ in range(3):
        lossy.cut(written, image := disk(tmp_path / "disk"), "a seed")
        left.add(image.read_bytes())
    assert len(left) == 1


def test_a_flush_at_the_end_leaves_nothing_to_lose(tmp_path: Path) -> None:
    written = log(tmp_path / "log", *FLUSHED, *LATER, (0, b"", lossy.FLUSH))
    assert lossy.cut(written, disk(tmp_path / "disk"), "any").unflushed == 0


def test_a_disk_that_was_not_written_to_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    loss = lossy.cut(tmp_path / "log", disk(tmp_path / "disk"), "any")
    assert (loss.writes, loss.unflushed, loss.lost) == (0, 0, 0)


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"something else")
    with pytest.raises(ValueError, match="no log"):
        lossy.read(tmp_path / "log")
    with pytest.raises(ValueError, match="discard"):
        lossy.read(log(tmp_path / "other", (0, b"", lossy.DISCARD)))
