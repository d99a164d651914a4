"""What every scenario gets: a ground to stand on, cleaned afterwards, and a real NFS client."""

from __future__ import annotations

import fcntl
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ground import BACKENDS, LVM, NOT_IN_CORE, ROOT, SERVED, Ground, standing

collect_ignore = ["power", "powercut", "two_hosts"]  # these run on the VM's host


MINUTES = 60
"""For one scenario: the longest took 42 where two emulated machines shared two processors."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give scenarios longer than the host's tests have."""
    for item in items:
        item.add_marker(pytest.mark.timeout(MINUTES * 60))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `-n 3`, keep the scenarios of one storage on one worker: three storages are worked on at once."""
    from xdist.scheduler import LoadScopeScheduling

    class ByStorage(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _storage(nodeid)

    return ByStorage(config, log)


def _storage(nodeid: str) -> str:
    """Name the thin pool, volume group, zpool or disk that a test works on."""
    names = [name for name in BACKENDS if name in nodeid.partition("[")[2]]
    if names:
        options = BACKENDS[names[0]]
        return str(options.get("thin_pool") or options.get("volume_group") or options.get("pool") or "directory")
    return "tank0" if "zfs" in nodeid else "vg0"


def _ground(backend: str) -> Iterator[Ground]:
    with standing(backend, f"{backend}-{uuid.uuid4().hex[:8]}") as ground:
        yield ground


def _each(*backends: str) -> list[Any]:
    return [pytest.param(b, marks=pytest.mark.matrix) if b in NOT_IN_CORE else b for b in backends]


@pytest.fixture(params=_each(*BACKENDS))
def ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    """A backend of each kind."""
    yield from _ground(request.param)


@pytest.fixture(params=_each(*SERVED))
def served(request: pytest.FixtureRequest) -> Iterator[Ground]:
    """A backend that exports over NFS."""
    yield from _ground(request.param)


@pytest.fixture(params=_each(*LVM))
def volumes(request: pytest.FixtureRequest) -> Iterator[Ground]:
    """A backend of logical volumes."""
    yield from _ground(request.param)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Any]:
    """Mount an export as a real NFSv4 client; unmounted afterwards.

    One test at a time, whatever ``-n`` says: to the server all mounts of this machine are one client, and one that is
    told that something of a snapshot was taken from it may never close what another test's share has open
    (docs/operator-guide.md, NFS clients).
    """
    mounted: list[Path] = []

    def mount(location: str) -> Path:
        target = tmp_path / f"client-{len(mounted)}"
        target.mkdir()
        subprocess.run(
            ["mount", "-t", "nfs4", "-o", "soft,timeo=50,actimeo=1", location, target], check=True, timeout=60
        )
        mounted.append(target)
        return target

    with Path("/run/lock/revertkit-nfs-client").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield mount
        for target in mounted:
            subprocess.run(["umount", target], check=True, timeout=60)


@pytest.fixture
def disk() -> Path:
    """Where a test may make a sparse file for storage of its own; ``/tmp`` is too small, being memory."""
    ROOT.mkdir(exist_ok=True)
    return ROOT / f"disk-{uuid.uuid4().hex[:8]}"
