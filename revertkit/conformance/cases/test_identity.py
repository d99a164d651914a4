"""What the share's users know it by, and how large it is: the same after a revert as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from revertkit.capabilities import verbs
from revertkit.conformance.requirements import Missing, behaviour, requires
from revertkit.conformance.stage import CONTEXT, Stage
from revertkit.driver import SupportsSnapshots
from revertkit.errors import Blocked, QuotaExceeded
from revertkit.models import AccessLevel, Replica, Share, SnapshotInstance, new_id
from revertkit.status import Status
from revertkit.system.run import run, tool

__all__ = [
    "test_a_name_is_no_identity",
    "test_access_follows_the_rules",
    "test_access_rules_stay",
    "test_nfs_client_that_stays_mounted",
    "test_nothing_is_left_on_the_backend",
    "test_paths_and_file_system_stay",
    "test_shrink_that_would_not_fit",
    "test_size_comes_back_after_a_growth",
    "test_size_comes_back_after_a_shrink",
]


@behaviour(15)
@requires("revert")
def test_paths_and_file_system_stay(stage: Stage) -> None:
    """Export locations, and what clients know the file system by."""
    share = stage.share()
    snapshot, _ = stage.taken(share, "first")
    stage.planted(share, "since")
    before = stage.now(share).export_locations, stage.tree(share).identity()
    assert before[0], "a share that is online has no export location"
    stage.revert(snapshot)
    assert (stage.now(share).export_locations, stage.tree(share).identity()) == before


@behaviour(10)
def test_a_name_is_no_identity(stage: Stage) -> None:
    """What is made anew under the same name is another share, and another snapshot: no name tells them apart."""
    found = stage.share()
    place = Replica(id=new_id(), share_id=new_id(), host=found.replica.host, pool=found.replica.pool, size=1)

    def share() -> str:
        made = stage.driver.create_share(place).backend_id
        stage.driver.delete_share(place.model_copy(update={"backend_id": made}))
        return made

    assert share() != share(), "two shares, one after the other, have one identity"
    if stage.claims("snapshots"):
        driver = verbs(stage.driver, SupportsSnapshots)
        taken = SnapshotInstance(
            id=new_id(), snapshot_id=new_id(), replica=found.replica, size=1, created_at=found.created_at
        )

        def snapshot() -> str:
            made = driver.create_snapshot(taken).backend_id
            driver.delete_snapshot(taken.model_copy(update={"backend_id": made}))
            return made

        assert snapshot() != snapshot(), "two snapshots, one after the other, have one identity"


@behaviour(15)
@requires("revert", "access_rules", "exports")
def test_access_rules_stay(stage: Stage) -> None:
    """Rules for reading and writing and for reading alone are on record and in force as before."""
    share = stage.share()
    snapshot, _ = stage.taken(share, "first")
    stage.allow(share)
    stage.manager.allow_access(CONTEXT, share.id, "192.0.2.0/24", AccessLevel.RO)
    before = stage.access(share)
    if stage.hooked("exported"):
        assert before[-1], "the rules are on record, and nothing is exported"  # type: ignore[index]
    stage.revert(snapshot)
    assert stage.access(share) == before
    stage.opened().recover()
    assert stage.access(share) == before


@behaviour(15)
@requires("access_rules", "exports", "exported")
def test_access_follows_the_rules(stage: Stage) -> None:
    """Nobody reaches a share without a rule; each is in force as it says; what is denied is served no more."""
    share = stage.share()
    assert not stage.exported(share), "nobody has been let in"
    stage.allow(share)
    written = stage.exported(share)
    assert written, "the rule is on record, and nothing is exported"
    reader = stage.manager.allow_access(CONTEXT, share.id, "192.0.2.0/24", AccessLevel.RO)
    assert stage.exported(share) != written, "a second rule changes nothing"
    stage.deny_all(share)
    assert not stage.exported(share), "all are denied, and it is exported still"
    stage.manager.allow_access(CONTEXT, share.id, reader.access_to, AccessLevel.RO)
    read_only = stage.exported(share)
    stage.deny_all(share)
    stage.manager.allow_access(CONTEXT, share.id, reader.access_to, AccessLevel.RW)
    assert stage.exported(share) != read_only, "who may only read is served as who may write"


@behaviour(17)
@requires("leftovers")
def test_nothing_is_left_on_the_backend(stage: Stage) -> None:
    """Beyond what is on record, after all that was made has been used and deleted."""
    share = stage.share()
    stage.assert_nothing_left()
    if stage.claims("snapshots"):
        stage.taken(share, "first")
        stage.assert_nothing_left()
    assert stage.clear() == []
    stage.assert_nothing_left()


@behaviour(15)
@requires("revert", "access_rules", "exports", "nfs_client")
def test_nfs_client_that_stays_mounted(stage: Stage, tmp_path: Path) -> None:
    """A client that is mounted and idle across the revert reads the reverted content, without remounting."""
    share = stage.share()
    snapshot, _ = stage.taken(share, "first")
    stage.allow(share)
    with _mounted(stage, share, tmp_path) as client:
        stage.planted(share, "second")
        assert (client / "same").read_text() == "second"
        stage.revert(snapshot)
        assert (client / "same").read_text() == "first"
        assert not (client / "only-second").exists()
        (client / "since").write_bytes(b"written through the same mount")
        assert stage.tree(share).read("since") == b"written through the same mount"


@contextmanager
def _mounted(stage: Stage, share: Share, at: Path) -> Iterator[Path]:
    remote = [found.path for found in stage.now(share).export_locations if ":/" in found.path]
    if not remote or tool("mount.nfs4") is None:
        raise Missing("nfs_client", "there is no export over NFS, or no mount.nfs4 on this host")
    options = "soft,timeo=50,actimeo=1"
    run(["mount", "-t", "nfs4", "-o", options, remote[0], at], timeout=60, changes=False)
    try:
        yield at
    finally:
        run(["umount", at], timeout=60, changes=False)


@behaviour(16, 22)
@requires("revert", "extend")
def test_size_comes_back_after_a_growth(stage: Stage) -> None:
    """File system, record and quota have the snapshot's size again."""
    share = stage.share()
    snapshot, before = stage.taken(share, "first")
    small = stage.tree(share).capacity()
    stage.manager.extend_share(CONTEXT, share.id, 2)
    assert stage.tree(share).record() == before, "growing the share changed its content"
    grown = stage.tree(share).capacity()
    assert small is None or (grown is not None and grown > 1.7 * small)
    assert stage.revert(snapshot).size == 1
    assert stage.manager.quotas(CONTEXT.project_id)["gigabytes"].in_use == 1
    _has_capacity(stage, share, small)
    assert stage.tree(share).record() == before


@behaviour(16, 22)
@requires("revert", "shrink", "shrink_with_snapshots")
def test_size_comes_back_after_a_shrink(stage: Stage) -> None:
    """Likewise; what grows again counts as a growth, and is refused where quota has no room for it."""
    share = stage.share(2)
    snapshot, before = stage.taken(share, "first")
    large = stage.tree(share).capacity()
    try:
        stage.manager.shrink_share(CONTEXT, share.id, 1)
    except Blocked as refusal:
        raise Missing("shrink_with_snapshots", str(refusal)) from None
    stage.manager.set_quota(CONTEXT.project_id, "gigabytes", 1)
    try:
        _refused_over_quota(stage, share, snapshot.id)
    finally:
        stage.manager.reset_quotas(CONTEXT.project_id)
    assert stage.revert(snapshot).size == 2
    assert stage.manager.quotas(CONTEXT.project_id)["gigabytes"].in_use == 2
    _has_capacity(stage, share, large)
    assert stage.tree(share).record() == before


@behaviour(16)
@requires("shrink")
def test_shrink_that_would_not_fit(stage: Stage) -> None:
    """What holds more than the new size is refused, and is online as it was, with all that it holds."""
    share = stage.share(2)
    tree, block = stage.tree(share), os.urandom(2**20) * 64
    names = [f"much-{number}" for number in range(18)]
    for name in names:
        tree.write(name, block)
    room = tree.capacity()
    with pytest.raises(Blocked):
        stage.manager.shrink_share(CONTEXT, share.id, 1)
    assert all(tree.read(name) == block for name in names), "the refusal changed the share's content"
    _has_capacity(stage, share, room)
    assert (stage.now(share).size, stage.now(share).status) == (2, Status.AVAILABLE)
    assert stage.manager.quotas(CONTEXT.project_id)["gigabytes"].in_use == 2


def _refused_over_quota(stage: Stage, share: Share, snapshot: str) -> None:
    with stage.unchanged(share):
        for call in (stage.manager.check_revert, stage.manager.revert_to_snapshot):
            with pytest.raises(QuotaExceeded):
                call(CONTEXT, snapshot)


def _has_capacity(stage: Stage, share: Share, wanted: int | None) -> None:
    found = stage.tree(share).capacity()
    assert found == wanted or (found is not None and found == pytest.approx(wanted, rel=0.1))
