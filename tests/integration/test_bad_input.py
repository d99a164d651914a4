"""Bad input and bad places: each a clear error with its exit code, and nothing changed."""

from __future__ import annotations

import resource
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from support import (
    CONTEXT,
    SPECS,
    assert_at_rest,
    child,
    counted_writes,
    ended,
    manifest,
    open_manager,
    settings,
    share_tree,
    snapshot_tree,
    write_tree,
)

from revertkit import state_dir
from revertkit.errors import (
    Ambiguous,
    Conflict,
    InvalidInput,
    LockError,
    NotFound,
    NotSupported,
    QuotaExceeded,
    RevertkitError,
    SettingsError,
    StoreError,
)
from revertkit.manager import ShareManager
from revertkit.models import MAX_SIZE, Context, Share, new_id
from revertkit.status import Status
from revertkit.store import schema
from revertkit.system.mounts import Mount

NAMES = ["a\nb", "-rf", "a/b", "../etc", "nul\x00", "n" * 10_240, "", " ", "\x1b[2J", "\udcff", "a\\b"]
SIZES = [0, -1, MAX_SIZE + 1, 2**63, 10**30]


@pytest.fixture
def share(manager: ShareManager) -> Share:
    """Something that must not change."""
    return manager.create_share(CONTEXT, 10, name="share")


def refused(call: Callable[[], Any], error: type[RevertkitError], code: int) -> str:
    """See a call refused with nothing written."""
    with counted_writes() as written, pytest.raises(error) as raised:
        call()
    assert written == []
    assert raised.value.exit_code == code
    message = str(raised.value)
    assert message.strip()
    assert len(message) < 12_000
    return message


@pytest.mark.parametrize("name", NAMES)
def test_names(manager: ShareManager, share: Share, name: str) -> None:
    """Names with newlines, leading dashes, slashes, NUL, 10 kB; for everything that has one."""
    calls: list[Callable[[], Any]] = [
        lambda: manager.create_share(CONTEXT, 1, name=name),
        lambda: manager.create_snapshot(CONTEXT, share.id, name=name),
        lambda: manager.create_type(name, SPECS),
        lambda: manager.set_quota(name, "shares", 1),
    ]
    for call in calls:
        refused(call, InvalidInput, 2)
    with pytest.raises((NotFound, InvalidInput)):
        manager.share(CONTEXT, name)
    with pytest.raises((NotFound, InvalidInput)):
        manager.revert_to_snapshot(CONTEXT, name)


@pytest.mark.parametrize("size", SIZES)
def test_sizes(manager: ShareManager, share: Share, size: int) -> None:
    """Negative, zero and huge sizes."""
    for call in (
        lambda: manager.create_share(CONTEXT, size),
        lambda: manager.extend_share(CONTEXT, share.id, size),
        lambda: manager.shrink_share(CONTEXT, share.id, size),
    ):
        assert str(MAX_SIZE) in refused(call, InvalidInput, 2)


def test_sizes_in_the_wrong_direction(manager: ShareManager, share: Share) -> None:
    """An extend to no more, a shrink to no less; the answer has the size that it has."""
    for size in (10, 9):
        assert "10 GiB" in refused(lambda: manager.extend_share(CONTEXT, share.id, size), InvalidInput, 2)  # noqa: B023
    for size in (10, 11):
        shrink = partial(manager.shrink_share, CONTEXT, share.id, size)
        assert "10 GiB" in refused(shrink, InvalidInput, 2)


UNKNOWN: dict[str, Callable[[ShareManager, str], Any]] = {
    "share": lambda m, x: m.share(CONTEXT, x),
    "delete share": lambda m, x: m.delete_share(CONTEXT, x),
    "extend": lambda m, x: m.extend_share(CONTEXT, x, 20),
    "snapshot": lambda m, x: m.snapshot(CONTEXT, x),
    "create snapshot": lambda m, x: m.create_snapshot(CONTEXT, x),
    "delete snapshot": lambda m, x: m.delete_snapshot(CONTEXT, x),
    "revert": lambda m, x: m.revert_to_snapshot(CONTEXT, x),
    "dry run": lambda m, x: m.check_revert(CONTEXT, x),
    "type": lambda m, x: m.type(x),
    "create of type": lambda m, x: m.create_share(CONTEXT, 1, share_type=x),
    "create from snapshot": lambda m, x: m.create_share(CONTEXT, 1, snapshot=x),
    "rules": lambda m, x: m.access_rules(CONTEXT, x),
    "set status": lambda m, x: m.set_share_status(CONTEXT, x, Status.ERROR),
}


@pytest.mark.parametrize("verb", UNKNOWN)
def test_unknown_ids_and_those_of_others(manager: ShareManager, share: Share, verb: str) -> None:
    """Unknown ids and names; another project's share or snapshot is as unknown."""
    for unknown in (new_id(), "nobody", "%", "' OR 1=1 --"):
        assert unknown in refused(lambda: UNKNOWN[verb](manager, unknown), NotFound, 3)  # noqa: B023
    other = Context(project_id="other")
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    for call in (
        lambda: manager.share(other, share.id),
        lambda: manager.revert_to_snapshot(other, snapshot.id),
        lambda: manager.delete_snapshot(other, snapshot.id),
        lambda: manager.create_share(other, 10, snapshot=snapshot.id),
    ):
        refused(call, NotFound, 3)


def test_a_name_of_two(manager: ShareManager, share: Share) -> None:
    """An ambiguous name is refused with the ids; an id is never ambiguous."""
    second = manager.create_share(CONTEXT, 1, name="share")
    message = refused(lambda: manager.share(CONTEXT, "share"), Ambiguous, 3)
    assert share.id in message
    assert second.id in message
    trap = manager.create_share(CONTEXT, 1, name=share.id)
    assert manager.share(CONTEXT, share.id).id == share.id != trap.id


def test_a_snapshot_of_another_share(manager: ShareManager, share: Share) -> None:
    """A revert names the snapshot alone, so it is its own share that turns; the other's is not touched."""
    other = manager.create_share(CONTEXT, 1)
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    assert manager.revert_to_snapshot(CONTEXT, snapshot.id).id == share.id
    assert manager.share(CONTEXT, other.id).updated_at == other.updated_at


def test_not_the_latest(manager: ShareManager, share: Share) -> None:
    """The answer names the latest."""
    older, newer = (manager.create_snapshot(CONTEXT, share.id, name=name) for name in ("older", "newer"))
    message = refused(lambda: manager.revert_to_snapshot(CONTEXT, older.id), Conflict, 4)
    assert newer.id in message
    assert "newer" in message


def test_a_type_without_the_support(manager: ShareManager) -> None:
    """Each support that the share's type did not give."""
    manager.create_type("bare", {"driver_handles_share_servers": "false"})
    share = manager.create_share(CONTEXT, 1, share_type="bare")
    assert "snapshot_support" in refused(lambda: manager.create_snapshot(CONTEXT, share.id), NotSupported, 6)
    manager.create_type("snapshots", {"driver_handles_share_servers": "false", "snapshot_support": "true"})
    share = manager.create_share(CONTEXT, 1, share_type="snapshots")
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    for call in (
        lambda: manager.revert_to_snapshot(CONTEXT, snapshot.id),
        lambda: manager.check_revert(CONTEXT, snapshot.id),
        lambda: manager.create_share(CONTEXT, 1, snapshot=snapshot.id),
    ):
        assert "was made without" in refused(call, NotSupported, 6)


@pytest.mark.parametrize(
    ("resource_name", "limit", "said", "call"),
    [
        ("shares", 1, "shares: 1 in use + 0 reserved + 1 wanted > limit 1", lambda m: m.create_share(CONTEXT, 1)),
        (
            "gigabytes",
            12,
            "gigabytes: 10 in use + 0 reserved + 3 wanted > limit 12",
            lambda m: m.create_share(CONTEXT, 3),
        ),
        (
            "gigabytes",
            12,
            "10 in use + 0 reserved + 3 wanted > limit 12",
            lambda m: m.extend_share(CONTEXT, "share", 13),
        ),
        ("per_share_gigabytes", 12, "13 wanted > limit 12", lambda m: m.extend_share(CONTEXT, "share", 13)),
        ("per_share_gigabytes", 2, "3 wanted > limit 2", lambda m: m.create_share(CONTEXT, 3)),
        (
            "snapshots",
            0,
            "snapshots: 0 in use + 0 reserved + 1 wanted > limit 0",
            lambda m: m.create_snapshot(CONTEXT, "share"),
        ),
        ("snapshot_gigabytes", 9, "0 reserved + 10 wanted > limit 9", lambda m: m.create_snapshot(CONTEXT, "share")),
    ],
)
def test_over_quota(
    manager: ShareManager, share: Share, resource_name: str, limit: int, said: str, call: Callable[[ShareManager], Any]
) -> None:
    """Over quota, with the numbers in the message; -1 lifts it."""
    manager.set_quota(CONTEXT.project_id, resource_name, limit)
    assert said in refused(lambda: call(manager), QuotaExceeded, 5)
    manager.set_quota(CONTEXT.project_id, resource_name, -1)
    call(manager)


@pytest.mark.parametrize("limit", [-2, 2**31, 10**30])
def test_limits_that_are_none(manager: ShareManager, limit: int) -> None:
    """A limit is a number, or -1; an unknown resource is named with those that there are."""
    refused(lambda: manager.set_quota("p", "shares", limit), InvalidInput, 2)
    assert "snapshot_gigabytes" in refused(lambda: manager.set_quota("p", "sharks", 1), InvalidInput, 2)


@pytest.mark.parametrize(
    "address", ["", "10.0.0.1/8", "host", "10.0.0.256", "10.0.0.1; rm -rf /", "::/129", "*", "fe80::1%x *"]
)
def test_addresses(manager: ShareManager, share: Share, address: str) -> None:
    """What is no IP address or network."""
    refused(lambda: manager.allow_access(CONTEXT, share.id, address), InvalidInput, 2)


def test_pools(manager: ShareManager, share: Share) -> None:
    """Pools that are none here: no such form, backend, host or pool."""
    for pool in ("slow", "a@b", "node-1@slow#memory", "@#"):
        refused(lambda: manager.create_share(CONTEXT, 1, pool=pool), InvalidInput, 2)  # noqa: B023
    for pool in ("node-2@fast#memory", "node-1@fast#other"):
        refused(lambda: manager.create_share(CONTEXT, 1, pool=pool), NotSupported, 6)  # noqa: B023
    assert "GiB free" in refused(lambda: manager.create_share(CONTEXT, 1001), NotSupported, 6)


@pytest.mark.parametrize("status", [Status.REVERTING, Status.REVERTING_ERROR, Status.CREATING, Status.EXTENDING_ERROR])
def test_statuses_that_cannot_be_set(manager: ShareManager, share: Share, status: Status) -> None:
    """Only a status that an operation leads out of."""
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    refused(lambda: manager.set_share_status(CONTEXT, share.id, status), InvalidInput, 2)
    refused(lambda: manager.set_snapshot_status(CONTEXT, snapshot.id, status), InvalidInput, 2)


def test_what_is_in_use_is_not_deleted(manager: ShareManager, share: Share) -> None:
    """A share with snapshots, a type with shares."""
    manager.create_snapshot(CONTEXT, share.id)
    assert "1 snapshot;" in refused(lambda: manager.delete_share(CONTEXT, share.id), Conflict, 4)
    assert "1 snapshot;" in refused(lambda: manager.delete_share(CONTEXT, share.id, force=True), Conflict, 4)
    refused(lambda: manager.delete_type("revertible"), Conflict, 4)
    refused(lambda: manager.create_type("revertible", SPECS), Conflict, 4)


# --- bad places


def test_another_hosts_share(manager: ShareManager, share: Share) -> None:
    """It is run on the host that owns the pool."""
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    manager.site.host = "node-2"
    assert "node-1" in refused(lambda: manager.revert_to_snapshot(CONTEXT, snapshot.id), NotSupported, 6)


def test_a_state_directory_on_nfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused before anything is made in it."""
    mount = Mount("server:/x", tmp_path, "nfs4", ("rw",), "0:1")
    monkeypatch.setattr(state_dir, "mounts", lambda: [mount])
    refused(lambda: open_manager(tmp_path, "memory"), SettingsError, 9)
    assert list(tmp_path.iterdir()) == []


def test_a_state_directory_that_is_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused before anything is made in it; root may write anywhere but on a read-only file system."""
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert "not writable" in refused(lambda: open_manager(tmp_path, "memory"), SettingsError, 9)
    assert list(tmp_path.iterdir()) == []


def test_a_state_directory_that_is_missing(tmp_path: Path) -> None:
    """One that cannot be made: a file is in its way."""
    (tmp_path / "file").write_text("")
    refused(lambda: open_manager(tmp_path / "file" / "state", "memory"), SettingsError, 9)


def test_a_lock_directory_that_is_a_file(state: Path) -> None:
    """Nothing goes on without a lock."""
    (state / "locks").rename(state / "gone")
    (state / "locks").write_text("")
    refused(lambda: open_manager(state, "memory"), LockError, 8)


def test_a_database_of_a_newer_version(manager: ShareManager, share: Share, state: Path) -> None:
    """Not opened, and as it was."""
    with manager.site.store.write() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = 'ffff'"))
    manager.site.store.engine.dispose()
    before = (state / "revertkit.db").read_bytes()
    assert f"knows {schema.HEAD}" in refused(lambda: open_manager(state, "memory"), StoreError, 8)
    assert (state / "revertkit.db").read_bytes() == before


def test_a_full_disk_before_the_accept(manager: ShareManager, share: Share) -> None:
    """A clear StoreError from every verb, and nothing changed; with room again it goes on."""
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    engine = manager.site.store.engine
    engine.dispose()

    def fill(connection: Any, _record: Any) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    event.listen(engine, "connect", fill)
    with pytest.raises(StoreError, match=r"full.*nothing was changed: make room"):
        for number in range(2000):
            manager.create_type(f"type-{number}", SPECS, description="x" * 4000)
    before = len(manager.types())
    with pytest.raises(StoreError, match="full"):
        manager.create_type("type-x", SPECS, description="x" * 8000)
    assert len(manager.types()) == before
    assert_at_rest(manager)
    event.remove(engine, "connect", fill)
    engine.dispose()
    assert manager.revert_to_snapshot(CONTEXT, snapshot.id).status is Status.AVAILABLE


def on_a_full_disk(state: Path, ended_as: Path) -> None:
    """Revert where no file can grow."""
    manager = open_manager(state)
    limit = (state / "revertkit.db-wal").stat().st_size if (state / "revertkit.db-wal").exists() else 0
    resource.setrlimit(resource.RLIMIT_FSIZE, (max(limit, 1), resource.RLIM_INFINITY))
    try:
        manager.revert_to_snapshot(CONTEXT, "snapshot")
    except RevertkitError as failure:
        answer = f"{failure.exit_code} {type(failure).__name__} {failure}"
    else:
        answer = "done"
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    ended_as.write_text(answer)


def test_a_file_that_cannot_grow(directory: ShareManager, state: Path, tmp_path: Path) -> None:
    """The kernel refuses the write (ulimit -f, a full disk): StoreError, exit code 8, nothing changed."""
    share = directory.create_share(CONTEXT, 1, name="share")
    write_tree(share_tree(directory, share), "old")
    snapshot = directory.create_snapshot(CONTEXT, share.id, name="snapshot")
    write_tree(share_tree(directory, share), "now")
    before = manifest(share_tree(directory, share))
    directory.site.store.engine.dispose()
    with child(on_a_full_disk, state, tmp_path / "answer") as process:
        assert ended(process) == 0
    answer = (tmp_path / "answer").read_text()
    assert answer.startswith("8 StoreError"), answer
    assert_at_rest(directory)
    assert manifest(share_tree(directory, share)) == before
    directory.revert_to_snapshot(CONTEXT, snapshot.id)
    assert manifest(share_tree(directory, share)) == manifest(snapshot_tree(state, share, snapshot))


def test_a_backend_that_is_not_configured_any_more(manager: ShareManager, share: Share, state: Path) -> None:
    """What is left of it says so; nothing is decided about its shares."""
    told = settings(state, "memory")
    other = ShareManager.open(told.model_copy(update={"backends": {"slow": told.backends["fast"]}}))
    assert "'fast' is not configured" in refused(lambda: other.delete_share(CONTEXT, share.id), NotFound, 3)
    (one,) = other.recover()
    assert not one.at_rest
    assert other.share(CONTEXT, share.id).status is Status.AVAILABLE
