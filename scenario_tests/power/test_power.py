"""The power goes in the middle of a revert; a boot alone brings everything back. Runs on the VM's host."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

VM = Path(__file__).parent.parent.parent / "vm"
GUEST = ["/opt/revertkit/bin/python", "/opt/scenarios/scenario_tests/power/guest.py"]
BOOT_SECONDS = 600
CUTS = {
    "thick-ext4": ["before lvchange", "after lvchange", "before lvconvert", "after lvconvert"],
    "zfs": ["before lzc_rollback_to", "after lzc_rollback_to"],
}


def guest(verb: str, backend: str) -> dict[str, Any]:
    """Run one verb of the guest's half."""
    done = subprocess.run([VM / "ssh", *GUEST, verb, backend], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(params=list(CUTS))
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """A backend with a wrecked share on it."""
    guest("prepare", request.param)
    yield request.param
    guest("reap", request.param)


def test_the_power_goes_in_the_middle_of_a_revert(backend: str) -> None:
    """After the boot the data is the old or the snapshot's, the snapshot is there, statuses are at rest."""
    for cut in CUTS[backend]:
        _revert_until(backend, cut)
        _cut_power()
        found = guest("verify", backend)
        assert found["data"] in ("kept", "wrecked"), (cut, found)
        assert (found["share"], found["snapshot"]) == ("available", "available"), (cut, found)
        assert found["mounted"], (cut, found)
        assert found["exported"], (cut, found)
        assert found["again"], (cut, found)


def test_a_boot_brings_every_share_back_and_serves_nothing_too_early(backend: str) -> None:
    """Mounted and exported again, and the NFS server began only when the recovery had ended."""
    _reboot()
    found = guest("verify", backend)
    assert found["mounted"], found
    assert found["exported"], found
    assert found["share"] == "available"
    assert _moment("revertkit-recover", "ActiveEnterTimestampMonotonic") <= _moment(
        "nfs-server", "ExecMainStartTimestampMonotonic"
    )


def _revert_until(backend: str, cut: str) -> None:
    """Start a revert and return at the instant that it says `cut`."""
    process = subprocess.Popen([VM / "ssh", *GUEST, "revert", backend], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(cut):
            return
    pytest.fail(f"the revert ended without {cut!r}: exit {process.wait(60)}")


def _cut_power() -> None:
    subprocess.run([VM / "reset"], timeout=700, check=True)


def _reboot() -> None:
    """Shut down and boot in order, until everything has started."""
    before = _boot()
    subprocess.run([VM / "ssh", "systemctl", "reboot"], capture_output=True, timeout=60, check=False)
    end = time.monotonic() + BOOT_SECONDS
    while _boot() in (before, ""):
        assert time.monotonic() < end, f"no boot in {BOOT_SECONDS} s"
        time.sleep(2)
    subprocess.run([VM / "ssh", "systemctl", "is-system-running", "--wait"], timeout=BOOT_SECONDS, check=True)


def _boot() -> str:
    """Name the guest's present boot; empty while it does not answer."""
    try:
        done = subprocess.run(
            [VM / "ssh", "cat", "/proc/sys/kernel/random/boot_id"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout.strip()


def _moment(unit: str, what: str) -> int:
    done = subprocess.run(
        [VM / "ssh", "systemctl", "show", "--value", f"--property={what}", unit],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return int(done.stdout)
