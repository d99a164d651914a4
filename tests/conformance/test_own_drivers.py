"""The drivers that need no VM pass the suite, by the command that an outsider uses, with all that they claim required.

Every step of every operation is swept.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from revertkit.conformance import report

CLAIMS = {
    "memory": "snapshots,create_from_snapshot,revert,mountable_snapshots,extend,shrink,access_rules,exports,"
    "manage,manage_snapshots,replication,replicated_revert,peer,kept,shrink_with_snapshots,exported,foreign_snapshot,"
    "foreign_share,leftovers,new_identities",
    "directory": "snapshots,create_from_snapshot,revert,extend,shrink,replication,replicated_revert,peer,kept,"
    "shrink_with_snapshots,hold,leftovers,attributes,acls,second_look,new_identities",
}
"""What must not be missing of each: all that it claims, and every hook that it can have."""
SKIPPED = {
    "memory": {
        *("hold", "second_place", "spoil_snapshot", "no_room", "root", "attributes", "acls", "nfs_client", "commands"),
    },
    "directory": {
        *("mountable_snapshots", "access_rules", "manage", "manage_snapshots"),
        *("exported", "foreign_snapshot", "foreign_share", "spoil_snapshot", "no_room", "root", "commands"),
        "second_place",  # where nobody may mount anything, as in a container without privileges
    },
}
"""For what alone a case may be skipped."""
POINTS = {"memory": 272, "directory": 272}
"""At how many points each was interrupted when this was written: fewer would mean that steps are opened no more."""
NOT_TRIED = {"memory": {9, 11, 13}, "directory": {11}}
"""Behaviours that a storage like this cannot show; power cuts (19) take a machine, and have no case."""


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("driver", CLAIMS)
def test_it_conforms(driver: str, fast_root: Path, tmp_path: Path) -> None:
    """Nothing fails, nothing that is claimed is skipped, every step is swept."""
    shares, out = fast_root / f"shares-{driver}", tmp_path / "report.json"
    for each in (shares, peer := fast_root / f"peer-{driver}"):
        each.mkdir()
    settings = tmp_path / "revertkit.toml"
    option = f'mount_root = "{shares}"\npeers = ["{peer}"]' if driver == "directory" else "capacity_gb = 100"
    settings.write_text(f'[backends.fast]\ndriver = "{driver}"\n{option}\n')
    command = [sys.executable, "-m", "pytest", "--pyargs", "revertkit.conformance", "-p", "no:cacheprovider"]
    asked = ["--driver", driver, "--config", str(settings), "--require", CLAIMS[driver], "--report", str(out)]
    ran = subprocess.run(
        [*command, *asked], cwd=tmp_path, env={"TMPDIR": str(fast_root)}, capture_output=True, text=True, check=False
    )
    print(ran.stdout[-6000:], ran.stderr[-2000:])
    assert ran.returncode == 0
    found = report.read(out)
    assert (found.failed, found.known_failures, found.left) == ({}, {}, [])
    assert {skipped.requirement for skipped in found.skipped} <= SKIPPED[driver]
    assert set(found.claimed) == set(found.proven)
    assert found.swept == sum(one.points for one in found.points)
    assert sum(one.swept for one in found.points if "(" not in one.operation) >= POINTS[driver]
    assert f"points swept: {found.swept} of {found.swept}" in ran.stdout
    assert list(shares.glob("share-*")) == []
    assert set(found.behaviours) == set(range(1, 25)) - {19}
    assert {number for number, told in found.behaviours.items() if told != "held"} == NOT_TRIED[driver]
