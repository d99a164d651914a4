"""The manifest, on which the demo's and the scenarios' comparison rests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from revertkit import manifest
from revertkit.cli import demo_tree


def test_two_records_of_one_tree_are_equal(tmp_path: Path) -> None:
    """Reading a tree changes nothing that is compared."""
    demo_tree.plant(tmp_path, 40)
    recorded = manifest.record(tmp_path)
    assert manifest.differences(recorded, manifest.record(tmp_path)) == []
    assert manifest.kept(recorded, recorded)["name"] == len(recorded)


def test_the_planted_tree_has_one_of_everything(tmp_path: Path) -> None:
    """What the demo promises to bring back has to be there."""
    demo_tree.plant(tmp_path, 40)
    recorded = manifest.record(tmp_path)
    assert {entry.kind for entry in recorded.values()} == {"file", "directory", "symlink"}
    assert recorded["mail/third name"].linked == ("links/original", "links/second name", "mail/third name")
    assert recorded["links/dangling"].target == "nowhere/to be found"
    assert any(entry.size == 0 for entry in recorded.values())
    assert {entry.mode for entry in recorded.values()} >= {0o4755, 0o444, 0o1777, 0o555}
    assert any("\n" in path for path in recorded)
    assert any(not path.isascii() for path in recorded)
    assert all(entry.mtime_ns < 1_700_000_000 * 10**9 for entry in recorded.values())


def test_a_tree_that_cannot_be_read_has_no_manifest(tmp_path: Path) -> None:
    """Half a record would let half a comparison pass."""
    with pytest.raises(OSError, match="nowhere"):
        manifest.record(tmp_path / "nowhere")


def test_a_renamed_extended_attribute_differs(tmp_path: Path) -> None:
    """Where the file system has them."""
    (tmp_path / "file").touch()
    try:
        os.setxattr(tmp_path / "file", "user.a", b"1")
    except OSError as lacks:
        pytest.skip(f"no extended attributes here: {lacks}")
    recorded = manifest.record(tmp_path)
    os.setxattr(tmp_path / "file", "user.a", b"2")
    assert [d.what for d in manifest.differences(recorded, manifest.record(tmp_path))] == ["extended attribute"]
