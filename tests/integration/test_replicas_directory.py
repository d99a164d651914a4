"""Replicas as directories: two backends of one host, real files, real processes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import CONTEXT, SPECS, manifest, share_tree, wait_until, write_tree

from revertkit.drivers.directory.home import Home
from revertkit.errors import Blocked, NotSupported, SettingsError
from revertkit.manager import ShareManager
from revertkit.models import ShareReplica
from revertkit.settings import BackendSettings, Settings
from revertkit.status import ReplicaState
from revertkit.system.processes import OPERATION_VARIABLE


def roots(state: Path) -> tuple[Path, Path]:
    """Name the two places."""
    return state / "near", state / "far"


@pytest.fixture
def manager(state: Path) -> Iterator[ShareManager]:
    """A manager of two backends that name each other, and one that names nobody."""
    near, far = roots(state)
    told = {"near": (near, [far]), "far": (far, [near]), "alone": (state / "alone", [])}
    for root, _ in told.values():
        root.mkdir()
    backends = {
        name: BackendSettings.model_validate({"driver": "directory", "mount_root": root, "peers": peers})
        for name, (root, peers) in told.items()
    }
    manager = ShareManager.open(Settings(host="node-1", state_dir=state, backends=backends))
    manager.create_type("dr", {**SPECS, "replication_type": "dr"})
    yield manager
    manager.site.store.engine.dispose()


def replica_of(manager: ShareManager) -> ShareReplica:
    """Make a share ``work`` with a snapshot, and a replica of it that is in sync with what came after."""
    share = manager.create_share(CONTEXT, 1, name="work", share_type="dr", pool="near")
    write_tree(share_tree(manager, share), "kept")
    manager.create_snapshot(CONTEXT, "work", name="monday")
    write_tree(share_tree(manager, share), "discarded")
    made = manager.create_replica(CONTEXT, "work")
    assert made.pool.backend == "far"
    return manager.resync_replica(CONTEXT, made.id)


def content(manager: ShareManager) -> dict[str, tuple[object, ...]]:
    """Read what users find in the share."""
    return manifest(share_tree(manager, manager.share(CONTEXT, "work")))


def test_from_first_to_last(manager: ShareManager, state: Path) -> None:
    """Every byte, mode and link on the other side; offline there until it is promoted; turned back by a promotion."""
    found = replica_of(manager)
    near, far = roots(state)
    home = Home(far, found.id)
    assert found.replica_state is ReplicaState.IN_SYNC
    assert found.export_locations == ()
    assert not home.online.exists()
    discarded = content(manager)
    assert manifest(home.current.data) == discarded
    manager.revert_to_snapshot(CONTEXT, "monday")
    kept = content(manager)
    assert kept != discarded
    promoted = manager.promote_replica(CONTEXT, found.id, force=True)
    assert promoted.active
    assert share_tree(manager, manager.share(CONTEXT, "work")).is_relative_to(far)
    assert content(manager) == kept
    old = next(one for one in manager.replicas(CONTEXT, "work") if not one.active)
    assert not Home(near, old.id).online.exists(), "the old one is out of its users' reach"
    write_tree(share_tree(manager, manager.share(CONTEXT, "work")), "since")
    assert manager.resync_replica(CONTEXT, old.id).replica_state is ReplicaState.IN_SYNC
    manager.promote_replica(CONTEXT, old.id)
    manager.revert_to_snapshot(CONTEXT, "monday")
    assert content(manager) == kept
    manager.delete_replica(CONTEXT, found.id)
    assert not home.path.exists()
    assert not home.online.exists()


def test_a_revert_ends_a_transfer_and_is_not_stopped_by_it(manager: ShareManager) -> None:
    """Whoever copies for a replica has files of the share open; any other process that has is named, as ever."""
    found = replica_of(manager)
    letter = share_tree(manager, manager.share(CONTEXT, "work")) / "letter"
    with letter.open() as held:
        transfer = subprocess.Popen(["sleep", "60"], stdin=held, env={OPERATION_VARIABLE: found.id})
        wait_until(lambda: Path(f"/proc/{transfer.pid}/comm").read_text().strip() == "sleep", "it to run")
    manager.check_revert(CONTEXT, "monday")
    assert transfer.poll() is None, "a dry run ends nothing"
    manager.revert_to_snapshot(CONTEXT, "monday")
    assert transfer.wait(30) != 0
    with letter.open() as held, subprocess.Popen(["sleep", "60"], stdin=held) as user:
        wait_until(lambda: Path(f"/proc/{user.pid}/comm").read_text().strip() == "sleep", "it to run")
        with pytest.raises(Blocked, match=str(user.pid)):
            manager.revert_to_snapshot(CONTEXT, "monday")
        user.terminate()


def test_where_there_is_no_peer_there_is_no_replica(manager: ShareManager) -> None:
    """Reported as a lack with its mend; a share of a replicated type is not placed there."""
    reports, _ = manager.pools("alone")
    assert (reports[0][1]["replication_type"], reports[0][1]["revert_to_snapshot_support"]) == (None, True)
    with pytest.raises(NotSupported):
        manager.create_share(CONTEXT, 1, share_type="dr", pool="alone")


def test_two_backends_of_one_place_are_refused(state: Path) -> None:
    """A replica beside its active one would be lost with it; only the driver can know; nothing is left of it."""
    root = state / "one"
    root.mkdir()
    backends = {
        name: BackendSettings.model_validate({"driver": "directory", "mount_root": root, "peers": [root]})
        for name in ("this", "that")
    }
    manager = ShareManager.open(Settings(host="node-1", state_dir=state, backends=backends))
    manager.create_type("dr", {**SPECS, "replication_type": "dr"})
    manager.create_share(CONTEXT, 1, name="work", share_type="dr", pool="this")
    with pytest.raises(Blocked, match=r"is in .* too"):
        manager.create_replica(CONTEXT, "work", pool="that")
    assert [one.active for one in manager.replicas(CONTEXT, "work")] == [True]
    manager.site.store.engine.dispose()


def test_a_peer_is_an_absolute_path(state: Path) -> None:
    """As a mount_root is; refused when the backend is opened."""
    wrong = BackendSettings.model_validate({"driver": "directory", "mount_root": state, "peers": ["far"]})
    manager = ShareManager.open(Settings(host="node-1", state_dir=state, backends={"near": wrong}))
    with pytest.raises(SettingsError, match="absolute path"):
        manager.site.driver("near")
    manager.site.store.engine.dispose()
