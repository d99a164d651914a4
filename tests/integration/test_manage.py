"""Managing and unmanaging shares and snapshots on the in-memory backend: nothing of the user's is ever destroyed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import (
    CONTEXT,
    SPECS,
    Parked,
    assert_at_rest,
    assert_quota_is_the_sum,
    counted_writes,
    mountable,
    open_manager,
    stop,
)

from revertkit.drivers.memory import MemoryDriver
from revertkit.drivers.memory.storage import STORAGE, Volume
from revertkit.errors import (
    BackendError,
    Blocked,
    Conflict,
    InvalidInput,
    NotFound,
    NotSupported,
    OperationFailed,
    QuotaExceeded,
)
from revertkit.locks import Busy, of_backend
from revertkit.manager import ShareManager
from revertkit.models import MessageLevel, Pool, Share, Snapshot
from revertkit.status import Status

FILES = {"whose": b"the user's"}


@pytest.fixture
def driver(manager: ShareManager) -> MemoryDriver:
    """The backend, with a volume that is not ours and has a snapshot."""
    found = manager.site.driver("fast")
    assert isinstance(found, MemoryDriver)
    found.plant("old-data", 3, FILES, monday={"whose": b"monday's"})
    return found


@pytest.fixture
def managed(manager: ShareManager, driver: MemoryDriver) -> Share:
    """That volume, adopted."""
    return manager.manage_share(CONTEXT, "fast", "old-data", name="mine")


def volume() -> Volume:
    """Look at that volume, whatever it is called now."""
    (found,) = [held for held in STORAGE["fast"].values() if "old-data@monday" in held.snapshots]
    return found


def untouched() -> None:
    """See that it is as it was: the user's data, no mark of ours, offline."""
    held = volume()
    assert (held.files, held.size, held.mark, held.replica_mark, held.online) == (FILES, 3, "", "", False)
    assert [kept.mark for kept in held.snapshots.values()] == [""]


def failing(monkeypatch: pytest.MonkeyPatch, verb: str, after: bool = False) -> None:
    """Let a verb of the driver fail, before or after its work."""
    original = getattr(MemoryDriver, verb)

    def fail(*arguments: Any) -> Any:
        if after:
            original(*arguments)
        raise BackendError(f"{verb} is out of order")

    monkeypatch.setattr(MemoryDriver, verb, fail)


# --- manage a share


def test_a_share_is_adopted(manager: ShareManager, driver: MemoryDriver) -> None:
    """Available, online, with its data, its size and its type's supports; the quota counts it; a message says so."""
    share = manager.manage_share(
        CONTEXT, "node-1@fast#memory", "old-data", name="mine", description="of old", metadata={"a": "b"}
    )
    assert (share.status, share.size, share.name, share.description) == (Status.AVAILABLE, 3, "mine", "of old")
    assert share.metadata == {"a": "b"}
    assert (share.revert_to_snapshot_support, share.mount_snapshot_support) == (True, False)
    assert share.export_locations
    assert dict(driver.files(share.replica)) == FILES
    assert share.replica.backend_id == volume().identity
    assert manager.messages(CONTEXT)[0].text == f"manage share: old-data is share {share.id}, of 3 GiB"
    assert_at_rest(manager)
    assert_quota_is_the_sum(manager)
    manager.create_snapshot(CONTEXT, share.id)
    assert manager.snapshots(CONTEXT)[0].size == 3


def test_what_stands_in_the_way_of_a_share(manager: ShareManager, managed: Share) -> None:
    """Not there, or on record already: the driver's refusal, every blocker named, no row, nothing has changed."""
    for existing, why in (("nothing", "no volume"), (managed.replica.id, f"belongs to share {managed.id}")):
        with pytest.raises(Blocked, match=why) as refused:
            manager.manage_share(CONTEXT, "fast", existing)
        assert refused.value.exit_code == 4
    assert manager.shares(CONTEXT) == [managed]
    assert volume().mark == managed.id
    assert "belongs to" in manager.messages(CONTEXT)[0].text
    assert manager.messages(CONTEXT)[0].level is MessageLevel.ERROR
    assert_at_rest(manager)


@pytest.mark.parametrize(
    "existing", ["", "-rf", "--all", "a\nb", "nul\x00", "\x1b[2J", "\udcff", " x", "x ", "n" * 2000, "\u2028"]
)
def test_names_that_are_refused_at_the_door(manager: ShareManager, managed: Share, existing: str) -> None:
    """What would be an option, or cannot be read, never comes to a driver."""
    calls: list[Callable[[], Any]] = [
        lambda: manager.manage_share(CONTEXT, "fast", existing),
        lambda: manager.manage_snapshot(CONTEXT, managed.id, existing),
    ]
    for call in calls:
        with counted_writes() as written, pytest.raises(InvalidInput, match="name on a backend"):
            call()
        assert written == []


@pytest.mark.parametrize(
    ("pool", "error", "why"),
    [
        ("slow", InvalidInput, "no pool or backend 'slow'"),
        ("node-1@slow#memory", InvalidInput, "no pool or backend"),
        ("node-1@fast#other", NotFound, "no pool"),
        ("node-2@fast#memory", NotFound, "no pool"),
        ("@", InvalidInput, "host@backend#pool"),
        ("", InvalidInput, "no pool or backend"),
    ],
)
def test_a_pool_that_is_none(
    manager: ShareManager, driver: MemoryDriver, pool: str, error: type[Exception], why: str
) -> None:
    """Nothing is written."""
    with counted_writes() as written, pytest.raises(error, match=why):
        manager.manage_share(CONTEXT, pool, "old-data")
    assert written == []
    untouched()


def test_a_backend_with_several_pools_has_to_be_told_which(
    manager: ShareManager, driver: MemoryDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal names them."""
    (pool,) = driver.pools()
    two: list[Pool] = [pool, pool.model_copy(update={"name": "second"})]
    monkeypatch.setattr(MemoryDriver, "pools", lambda _: two)
    with pytest.raises(InvalidInput, match="node-1@fast#memory, node-1@fast#second"):
        manager.manage_share(CONTEXT, "fast", "old-data")
    assert manager.manage_share(CONTEXT, "node-1@fast#memory", "old-data").pool.pool == "memory"


def test_a_type_is_needed_and_its_supports_too(manager: ShareManager, driver: MemoryDriver) -> None:
    """As in create: a pool that lacks what the type asks for is refused."""
    manager.create_type("replicated", {**SPECS, "replication_type": "dr"})
    with pytest.raises(NotSupported, match="replication_type is readable, the share type wants dr"):
        manager.manage_share(CONTEXT, "fast", "old-data", share_type="replicated")
    with pytest.raises(NotFound):
        manager.manage_share(CONTEXT, "fast", "old-data", share_type="none")
    untouched()


def test_a_backend_that_cannot_manage(directory: ShareManager) -> None:
    """The directory backend does not claim it."""
    with pytest.raises(NotSupported, match="has no manage_share"):
        directory.manage_share(CONTEXT, "fast", "old-data")
    with pytest.raises(NotSupported, match="has no manage_share"):
        directory.manage_all(CONTEXT, "fast")
    share = directory.create_share(CONTEXT, 1)
    snapshot = directory.create_snapshot(CONTEXT, share.id)
    for call in (
        lambda: directory.unmanage_share(CONTEXT, share.id),
        lambda: directory.manage_snapshot(CONTEXT, share.id, "old"),
        lambda: directory.unmanage_snapshot(CONTEXT, snapshot.id),
    ):
        with pytest.raises(NotSupported):
            call()


def test_no_more_shares_than_the_quota_allows(manager: ShareManager, driver: MemoryDriver) -> None:
    """The count is checked by the accept, before the driver is asked."""
    manager.set_quota("project", "shares", 0)
    with pytest.raises(QuotaExceeded, match="shares"):
        manager.manage_share(CONTEXT, "fast", "old-data")
    untouched()
    assert manager.messages(CONTEXT) == []


@pytest.mark.parametrize("resource", ["gigabytes", "per_share_gigabytes"])
def test_a_share_that_is_too_large_is_let_go_of_again(
    manager: ShareManager, driver: MemoryDriver, resource: str
) -> None:
    """Rule 6: the size is known when the driver has answered; over quota, no row, no mark, and the message says it."""
    manager.set_quota("project", resource, 2)
    with pytest.raises(QuotaExceeded, match=resource):
        manager.manage_share(CONTEXT, "fast", "old-data")
    untouched()
    assert manager.shares(CONTEXT) == []
    said = manager.messages(CONTEXT)[0].text
    assert resource in said
    assert "it was let go of again" in said
    assert_at_rest(manager)
    manager.set_quota("project", resource, 3)
    STORAGE["fast"]["again"] = STORAGE["fast"].popitem()[1]
    assert manager.manage_share(CONTEXT, "fast", "again").size == 3


@pytest.mark.parametrize(("verb", "after"), [("manage_share", False), ("manage_share", True), ("ensure_share", False)])
def test_a_failure_leaves_no_row_and_no_mark(
    manager: ShareManager, driver: MemoryDriver, monkeypatch: pytest.MonkeyPatch, verb: str, after: bool
) -> None:
    """A row could be deleted, and the user's volume with it. The message says what was found."""
    with monkeypatch.context() as patched, pytest.raises(OperationFailed, match="out of order"):
        failing(patched, verb, after)
        manager.manage_share(CONTEXT, "fast", "old-data")
    untouched()
    assert manager.shares(CONTEXT) == []
    assert "let go of again" in manager.messages(CONTEXT)[0].text
    assert_at_rest(manager)


def test_what_cannot_be_taken_back_is_told(
    manager: ShareManager, driver: MemoryDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Still no row; the message says what is left and how it is adopted, and it is."""
    with monkeypatch.context() as patched, pytest.raises(OperationFailed):
        failing(patched, "manage_share", after=True)
        failing(patched, "unmanage_share")
        manager.manage_share(CONTEXT, "fast", "old-data")
    assert manager.shares(CONTEXT) == []
    assert "cannot be taken back: unmanage_share is out of order" in manager.messages(CONTEXT)[0].text
    assert "share manage --all fast" in manager.messages(CONTEXT)[0].text
    (told,) = manager.manage_all(CONTEXT, "fast")
    assert told.adopted
    assert dict(driver.files(manager.shares(CONTEXT)[0].replica)) == FILES


def test_a_refusal_after_a_crash_leaves_no_mark_of_before_it(
    manager: ShareManager, driver: MemoryDriver, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocked says that this call has changed nothing; the one that died may have."""
    parked = Parked()
    made = open_manager(state, "memory", dispatch=parked).manage_share(CONTEXT, "fast", "old-data")
    stop(parked.accepted[0])
    driver.manage_share(made.replica, "old-data")
    with monkeypatch.context() as patched:
        patched.setattr(volume(), "halfway", True)
        (told,) = manager.recover()
    assert "let go of again" in told.found
    assert manager.shares(CONTEXT) == []
    assert (volume().mark, volume().files) == ("", FILES)


def test_an_interrupted_manage_is_finished(manager: ShareManager, driver: MemoryDriver, state: Path) -> None:
    """Rule 7: recovery calls it again under the name that was given."""
    parked = Parked()
    open_manager(state, "memory", dispatch=parked).manage_share(CONTEXT, "fast", "old-data", name="mine")
    assert manager.share(CONTEXT, "mine").status is Status.CREATING
    with pytest.raises(Conflict):
        manager.delete_share(CONTEXT, "mine", force=True)
    stop(parked.accepted[0])
    with pytest.raises(Conflict, match="manage share has been under way"):
        manager.delete_share(CONTEXT, "mine", force=True)
    (told,) = manager.recover()
    assert told.at_rest
    assert dict(driver.files(manager.share(CONTEXT, "mine").replica)) == FILES
    assert manager.share(CONTEXT, "mine").size == 3


def test_two_at_once_on_one_backend(manager: ShareManager, driver: MemoryDriver) -> None:
    """The same volume may have several names there: only one thing is taken or let go of at a time."""
    with manager.site.locks.hold(of_backend("fast")), pytest.raises(Busy, match="backend fast is being worked on"):
        manager.manage_share(CONTEXT, "fast", "old-data")
    untouched()


# --- unmanage a share


def test_a_share_is_let_go_of(manager: ShareManager, managed: Share) -> None:
    """No row, no quota, no mark; its data is there; it says under which name; it can be adopted again."""
    said = manager.unmanage_share(CONTEXT, "mine")
    assert said == f"share {managed.id} is left on backend fast as {managed.replica.id}, with its data"
    assert manager.messages(CONTEXT)[0].text == f"unmanage share: {said}"
    assert manager.shares(CONTEXT) == []
    assert manager.quotas("project")["gigabytes"].in_use == 0
    untouched()
    again = manager.manage_share(CONTEXT, "fast", managed.replica.id)
    assert again.id != managed.id
    assert again.size == 3


def test_a_share_with_snapshots_is_kept(manager: ShareManager, managed: Share) -> None:
    """As Manila: those are let go of first."""
    snapshot = manager.manage_snapshot(CONTEXT, "mine", "old-data@monday")
    with pytest.raises(Conflict, match="1 snapshot on record; unmanage those first"):
        manager.unmanage_share(CONTEXT, "mine")
    assert volume().online
    manager.unmanage_snapshot(CONTEXT, snapshot.id)
    manager.unmanage_share(CONTEXT, "mine")
    untouched()


@pytest.mark.parametrize("status", [Status.AVAILABLE, Status.ERROR])
def test_letting_go_that_fails_leaves_the_status_as_it_was(
    manager: ShareManager, managed: Share, monkeypatch: pytest.MonkeyPatch, status: Status
) -> None:
    """Contract, "=": available is online again, error stays error; the message says what was found."""
    manager.set_share_status(CONTEXT, "mine", status)
    with monkeypatch.context() as patched, pytest.raises(OperationFailed, match="out of order"):
        failing(patched, "unmanage_share")
        volume().online = False
        manager.unmanage_share(CONTEXT, "mine")
    assert manager.share(CONTEXT, "mine").status is status
    assert volume().online is (status is Status.AVAILABLE)
    assert ("online as before" in manager.messages(CONTEXT)[0].text) is (status is Status.AVAILABLE)
    manager.unmanage_share(CONTEXT, "mine")
    untouched()


def test_letting_go_that_is_refused_changes_nothing(
    manager: ShareManager, managed: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody uses it: a conflict, and the share is what it was."""

    def refuse(*_: Any) -> Any:
        raise Blocked()

    manager.set_share_status(CONTEXT, "mine", Status.ERROR)
    with monkeypatch.context() as patched, pytest.raises(Blocked):
        patched.setattr(MemoryDriver, "unmanage_share", refuse)
        manager.unmanage_share(CONTEXT, "mine")
    assert manager.share(CONTEXT, "mine").status is Status.ERROR
    assert_at_rest(manager)


@pytest.mark.parametrize("status", [Status.EXTENDING_ERROR, Status.ERROR_DELETING])
def test_only_from_its_statuses(
    manager: ShareManager, managed: Share, monkeypatch: pytest.MonkeyPatch, status: Status
) -> None:
    """Contract's table: available, error, reverting_error."""
    failing(monkeypatch, "extend_share" if status is Status.EXTENDING_ERROR else "delete_share")
    with pytest.raises(OperationFailed):
        if status is Status.EXTENDING_ERROR:
            manager.extend_share(CONTEXT, "mine", 4)
        else:
            manager.delete_share(CONTEXT, "mine")
    with pytest.raises(Conflict, match=str(status)):
        manager.unmanage_share(CONTEXT, "mine")


def test_no_inventory_no_name(manager: ShareManager, managed: Share, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is only for the sentence: a driver that cannot list lets go all the same."""
    failing(monkeypatch, "inventory")
    assert manager.unmanage_share(CONTEXT, "mine") == f"share {managed.id} is left on backend fast, with its data"
    untouched()


# --- snapshots


def test_a_snapshot_is_adopted(manager: ShareManager, managed: Share) -> None:
    """Available, the latest, later than any before it, counted; the share can be reverted to it."""
    snapshot = manager.manage_snapshot(CONTEXT, "mine", "old-data@monday", name="monday", description="of old")
    assert (snapshot.status, snapshot.size, snapshot.name) == (Status.AVAILABLE, 3, "monday")
    assert manager.share(CONTEXT, "mine").status is Status.AVAILABLE
    assert_quota_is_the_sum(manager)
    manager.revert_to_snapshot(CONTEXT, "monday")
    assert volume().files == {"whose": b"monday's"}
    later = manager.create_snapshot(CONTEXT, "mine")
    assert later.created_at > snapshot.created_at
    assert "old-data@monday is snapshot" in manager.messages(CONTEXT)[1].text


def test_its_moment_is_later_than_any(manager: ShareManager, driver: MemoryDriver, managed: Share) -> None:
    """Rule 5: also where a clock steps back, and where the one before is deleted already."""
    before = manager.create_snapshot(CONTEXT, "mine")
    manager.delete_snapshot(CONTEXT, before.id)
    driver.plant_snapshot(managed.replica, "fresh")
    manager.site.now = lambda: before.created_at.replace(year=2001)
    assert manager.manage_snapshot(CONTEXT, "mine", "fresh").created_at > before.created_at


def test_its_size_is_the_backends(manager: ShareManager, driver: MemoryDriver, managed: Share) -> None:
    """Rule 6: what the driver answers, larger or smaller than the share now; quota agrees."""
    driver.plant_snapshot(managed.replica, "small", 1)
    driver.plant_snapshot(managed.replica, "large", 7)
    assert manager.manage_snapshot(CONTEXT, "mine", "small").size == 1
    assert manager.manage_snapshot(CONTEXT, "mine", "large").size == 7
    assert_quota_is_the_sum(manager)


def test_a_snapshot_over_quota_is_let_go_of_again(manager: ShareManager, driver: MemoryDriver, managed: Share) -> None:
    """No row, no mark."""
    driver.plant_snapshot(managed.replica, "large", 7)
    manager.set_quota("project", "snapshot_gigabytes", 6)
    with pytest.raises(QuotaExceeded, match="snapshot_gigabytes"):
        manager.manage_snapshot(CONTEXT, "mine", "large")
    assert manager.snapshots(CONTEXT) == []
    assert {kept.mark for kept in volume().snapshots.values()} == {""}
    assert "let go of again" in manager.messages(CONTEXT)[0].text
    manager.set_quota("project", "snapshots", 0)
    with pytest.raises(QuotaExceeded, match="snapshots"):
        manager.manage_snapshot(CONTEXT, "mine", "large")


def test_what_stands_in_the_way_of_a_snapshot(manager: ShareManager, managed: Share) -> None:
    """None of that name, ours already, older than one of ours; no row, nothing has changed."""
    newer = manager.create_snapshot(CONTEXT, "mine")
    for existing, why in (
        ("nothing", "no snapshot"),
        (newer.id, f"belongs to snapshot {newer.id}"),
        ("old-data@monday", "is older than"),
    ):
        with pytest.raises(Blocked, match=why):
            manager.manage_snapshot(CONTEXT, "mine", existing)
    assert manager.snapshots(CONTEXT) == [newer]
    assert volume().snapshots["old-data@monday"].mark == ""
    assert_at_rest(manager)


def test_a_share_without_snapshot_support_takes_none(manager: ShareManager, driver: MemoryDriver) -> None:
    """Its type did not say so."""
    manager.create_type("plain", {"driver_handles_share_servers": "false"})
    share = manager.manage_share(CONTEXT, "fast", "old-data", share_type="plain")
    with pytest.raises(NotSupported, match="without snapshot_support"):
        manager.manage_snapshot(CONTEXT, share.id, "old-data@monday")


@pytest.mark.parametrize("after", [False, True])
def test_a_snapshot_that_fails_leaves_no_row_and_no_mark(
    manager: ShareManager, managed: Share, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """As of a share; the share is available all the while."""
    with monkeypatch.context() as patched, pytest.raises(OperationFailed, match="out of order"):
        failing(patched, "manage_snapshot", after)
        manager.manage_snapshot(CONTEXT, "mine", "old-data@monday")
    assert manager.snapshots(CONTEXT) == []
    assert volume().snapshots["old-data@monday"].mark == ""
    assert manager.share(CONTEXT, "mine").status is Status.AVAILABLE


def test_nothing_else_touches_the_pair_meanwhile(
    manager: ShareManager, state: Path, managed: Share, pair_verbs: dict[str, Callable[[ShareManager, str], Any]]
) -> None:
    """Rule 4: manage and unmanage of a snapshot against every other verb; recovery finishes both."""
    kept = manager.manage_snapshot(CONTEXT, "mine", "old-data@monday", name="kept")
    STORAGE["fast"][managed.replica.id].snapshots["second"] = volume().snapshots["old-data@monday"].__class__(3, {})
    for verb, begin in (
        ("manage snapshot", lambda m: m.manage_snapshot(CONTEXT, "mine", "second", name="second")),
        ("unmanage snapshot", lambda m: m.unmanage_snapshot(CONTEXT, "second")),
    ):
        parked = Parked()
        begin(open_manager(state, "memory", dispatch=parked))
        stop(parked.accepted[0])
        for name, call in pair_verbs.items():
            with pytest.raises(Conflict, match=f"{verb} has been under way|most recent|unmanage those|delete those"):
                call(manager, kept.id)
                pytest.fail(f"{name} during {verb}")
        assert all(told.at_rest for told in manager.recover())
    assert [one.name for one in manager.snapshots(CONTEXT)] == ["kept"]


@pytest.fixture
def pair_verbs() -> dict[str, Callable[[ShareManager, str], Any]]:
    """Every verb that touches a share or its snapshot."""
    return {
        "revert": lambda m, s: m.revert_to_snapshot(CONTEXT, s),
        "snapshot": lambda m, s: m.create_snapshot(CONTEXT, "mine"),
        "delete snapshot": lambda m, s: m.delete_snapshot(CONTEXT, s, force=True),
        "extend": lambda m, s: m.extend_share(CONTEXT, "mine", 9),
        "allow": lambda m, s: m.allow_access(CONTEXT, "mine", "10.0.0.1"),
        "manage": lambda m, s: m.manage_snapshot(CONTEXT, "mine", "third"),
        "unmanage": lambda m, s: m.unmanage_snapshot(CONTEXT, s),
        "unmanage share": lambda m, s: m.unmanage_share(CONTEXT, "mine"),
        "delete share": lambda m, s: m.delete_share(CONTEXT, "mine", force=True),
    }


def test_a_snapshot_is_let_go_of(manager: ShareManager, managed: Share) -> None:
    """No row, no quota, no mark, its content there; it says under which name; it can be adopted again."""
    snapshot = manager.manage_snapshot(CONTEXT, "mine", "old-data@monday")
    said = manager.unmanage_snapshot(CONTEXT, snapshot.id)
    assert said == f"snapshot {snapshot.id} is left on backend fast as old-data@monday"
    assert manager.snapshots(CONTEXT) == []
    assert volume().snapshots["old-data@monday"].files == {"whose": b"monday's"}
    assert manager.manage_snapshot(CONTEXT, "mine", "old-data@monday").created_at > snapshot.created_at


@pytest.mark.parametrize("status", [Status.AVAILABLE, Status.ERROR])
def test_a_snapshot_that_cannot_be_let_go_of_stays_as_it_was(
    manager: ShareManager, managed: Share, monkeypatch: pytest.MonkeyPatch, status: Status
) -> None:
    """Contract, "="."""
    snapshot = manager.manage_snapshot(CONTEXT, "mine", "old-data@monday")
    manager.set_snapshot_status(CONTEXT, snapshot.id, status)
    with monkeypatch.context() as patched, pytest.raises(OperationFailed, match="out of order"):
        failing(patched, "unmanage_snapshot")
        manager.unmanage_snapshot(CONTEXT, snapshot.id)
    assert manager.snapshot(CONTEXT, snapshot.id).status is status
    manager.unmanage_snapshot(CONTEXT, snapshot.id)


def test_an_adopted_snapshot_is_mounted_and_let_go_of_offline(manager: ShareManager, driver: MemoryDriver) -> None:
    """Of a share whose type says so."""
    mountable(manager)
    share = manager.manage_share(CONTEXT, "fast", "old-data", share_type="mountable")
    snapshot: Snapshot = manager.manage_snapshot(CONTEXT, share.id, "old-data@monday")
    assert snapshot.export_locations
    assert volume().snapshots["old-data@monday"].online
    manager.unmanage_snapshot(CONTEXT, snapshot.id)
    assert not volume().snapshots["old-data@monday"].online


def test_an_answer_of_nonsense_is_a_failure(
    manager: ShareManager, driver: MemoryDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver that answers nothing: no row."""
    monkeypatch.setattr(MemoryDriver, "manage_share", lambda *_: None)
    with pytest.raises(OperationFailed):
        manager.manage_share(CONTEXT, "fast", "old-data")
    assert manager.shares(CONTEXT) == []
    untouched()
