"""One desk for all tests here, and whether a btrfs can be mounted at it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from author import ROOT, Author

from revertkit.system.run import tool


@pytest.fixture(scope="session")
def author(fast_root: Path) -> Iterator[Author]:
    """One desk for all tests here."""
    directory = fast_root / "author"
    directory.mkdir()
    yield Author(directory)
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def btrfs_here(author: Author) -> None:
    """Where no btrfs can be mounted its tests cannot run: said by name, and in CI a failure."""
    if why := _why_no_btrfs(author):
        words = f"NOT RUN: the btrfs example ({why})"
        pytest.fail(words) if os.environ.get("CI") else pytest.skip(words)


def _why_no_btrfs(author: Author) -> str:
    if os.geteuid() != 0:
        return "it needs root, to mount"
    if tool("mkfs.btrfs") is None:
        return "there is no mkfs.btrfs: apt install btrfs-progs"
    image, point = author.directory / "probe.img", author.directory / "probe"
    with image.open("wb") as file:
        file.truncate(256 * 1024**2)
    point.mkdir()
    done = author.types("mkfs.btrfs", "--quiet", image)
    done = done if done.returncode else author.types("mount", "-t", "btrfs", "-o", "loop", image, point)
    if not done.returncode:
        author.types("umount", point)
    image.unlink()
    return done.stderr.strip() if done.returncode else ""


@pytest.fixture(scope="session")
def btrfs_driver(author: Author, btrfs_here: None) -> Author:
    """The desk of whoever has installed the btrfs example."""
    author.installs(ROOT / "examples" / "btrfs")
    return author
