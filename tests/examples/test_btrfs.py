"""The btrfs example, installed as a stranger installs it, on a btrfs in a file: the one real copy-on-write storage that
the tests of this host reach."""

from __future__ import annotations

import json

import pytest
from author import ROOT, Author

pytestmark = pytest.mark.timeout(1200)
"""Each is a stranger's commands from the shell up: seconds, but many on a machine that is busy."""


@pytest.mark.timeout(3600)
def test_it_conforms(btrfs_driver: Author) -> None:
    """By the command of an outsider, in full; nothing is skipped but what it does not claim."""
    report = btrfs_driver.tests("--pyargs", "revertkit.conformance", "--driver", "btrfs")
    assert {skipped.kind for skipped in report.skipped} <= {"not claimed", "not possible here"}
    assert (report.sample, report.deaths) == ("all", "SIGKILL")
    assert set(report.proven) == {"snapshots", "create_from_snapshot", "revert", "extend", "shrink"}


def test_its_own_tests(btrfs_driver: Author) -> None:
    """What is btrfs's own; the suite in its test module is the one above."""
    project = ROOT / "examples" / "btrfs"
    words = ("-m", "pytest", "-p", "no:cacheprovider", "-q", "tests/test_btrfs.py")
    done = btrfs_driver.types(btrfs_driver.python, *words, cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_found_by_its_name(btrfs_driver: Author) -> None:
    """With its options and what was discovered of it."""
    done = btrfs_driver.types(btrfs_driver.python, "-m", "revertkit", "driver", "show", "btrfs", "--format", "json")
    shown = json.loads(done.stdout)
    assert shown["usable"]
    assert [option["name"] for option in shown["options"]] == ["mount_root"]
    assert shown["capabilities"]["revert_to_snapshot_support"] == ""
    assert "has no update_access" in shown["capabilities"]["access_rules_support"]
