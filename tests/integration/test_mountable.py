"""Mountable snapshots: online with their share, under rules of their own, on the in-memory backend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import CONTEXT, Parked, assert_at_rest, counted_writes, mountable, open_manager, stop

from revertkit.drivers.memory import MemoryDriver
from revertkit.drivers.memory.storage import STORAGE
from revertkit.errors import BackendError, Conflict, InvalidInput, NotFound, NotSupported, OperationFailed
from revertkit.manager import ShareManager
from revertkit.models import AccessLevel, MessageLevel, Share, Snapshot, SnapshotInstance
from revertkit.status import RuleState, Status
from revertkit.store import snapshots as stored_snapshots


@pytest.fixture
def share(manager: ShareManager) -> Share:
    """A share whose snapshots are mounted."""
    mountable(manager)
    return manager.create_share(CONTEXT, 10, name="share", share_type="mountable")


@pytest.fixture
def pair(manager: ShareManager, share: Share) -> tuple[Snapshot, Snapshot]:
    """Two snapshots of it, the newer with a rule."""
    older = manager.create_snapshot(CONTEXT, share.id, name="older")
    newer = manager.create_snapshot(CONTEXT, share.id, name="newer")
    manager.allow_snapshot_access(CONTEXT, newer.id, "10.0.0.1")
    return older, newer


def instance(manager: ShareManager, snapshot: Snapshot) -> SnapshotInstance:
    """Answer a snapshot as its driver sees it."""
    with manager.site.store.read() as tx:
        return stored_snapshots.instance(tx, snapshot.id, manager.share(CONTEXT, snapshot.share_id))


def exported_to(manager: ShareManager, snapshot: Snapshot) -> list[str] | None:
    """Say to whom a snapshot is exported; None while it is offline."""
    driver = manager.site.driver("fast")
    assert isinstance(driver, MemoryDriver)
    rules = driver.snapshot_exported_to(instance(manager, snapshot))
    return None if rules is None else sorted(rule.access_to for rule in rules)


def offline() -> None:
    """Take everything offline, as a boot does."""
    for held in STORAGE["fast"].values():
        for one in (held, *held.snapshots.values()):
            one.online, one.exported_to = False, ()


def out_of_order(*_: Any) -> Any:
    """Be a backend that cannot mount snapshots now."""
    raise BackendError("out of order")


def test_a_new_snapshot_is_online_and_says_where(manager: ShareManager, share: Share) -> None:
    """After it is on record it is mounted; its export locations are stored and answered."""
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    assert exported_to(manager, snapshot) == []
    assert [at.path for at in snapshot.export_locations] == [f"memory:/fast/{share.replica.id}@{snapshot.id}"]
    assert manager.snapshots(CONTEXT) == [snapshot]


def test_without_the_extra_spec_nothing_is_mounted(manager: ShareManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """The backend could, the type does not say so: ensure_snapshot is never called."""
    called: list[Any] = []
    monkeypatch.setattr(MemoryDriver, "ensure_snapshot", lambda *_: called.append(1) or [])
    share = manager.create_share(CONTEXT, 10)
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    manager.revert_to_snapshot(CONTEXT, snapshot.id)
    manager.extend_share(CONTEXT, share.id, 11)
    manager.recover()
    assert called == []
    assert exported_to(manager, snapshot) is None
    assert manager.snapshot(CONTEXT, snapshot.id).export_locations == ()


def test_a_revert_brings_every_snapshot_back(manager: ShareManager, pair: tuple[Snapshot, Snapshot]) -> None:
    """The backend takes all of them offline for it, and gives the target a new identity; rules and places are kept."""
    older, newer = pair
    before = instance(manager, newer).backend_id
    manager.revert_to_snapshot(CONTEXT, newer.id)
    assert instance(manager, newer).backend_id != before
    assert exported_to(manager, older) == []
    assert exported_to(manager, newer) == ["10.0.0.1"]
    assert all(manager.snapshot(CONTEXT, one.id).export_locations for one in pair)


@pytest.mark.parametrize("verb", ["extend_share", "shrink_share"])
def test_a_resize_brings_them_online_too(manager: ShareManager, pair: tuple[Snapshot, Snapshot], verb: str) -> None:
    """Wherever the share is brought online."""
    offline()
    getattr(manager, verb)(CONTEXT, "share", {"extend_share": 12, "shrink_share": 8}[verb])
    assert exported_to(manager, pair[0]) == []
    assert exported_to(manager, pair[1]) == ["10.0.0.1"]


def test_after_a_boot_they_are_online(manager: ShareManager, pair: tuple[Snapshot, Snapshot]) -> None:
    """Recovery at boot brings snapshots online as it does shares; the second time, nothing is written."""
    offline()
    assert manager.recover() == []
    assert exported_to(manager, pair[1]) == ["10.0.0.1"]
    with counted_writes() as written:
        assert manager.recover() == []
    assert written == []


def test_recovery_puts_new_places_on_record(
    manager: ShareManager, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot from before there were places, or whose mount failed, says where it is once it is online."""
    with monkeypatch.context() as patched:
        patched.setattr(MemoryDriver, "ensure_snapshot", out_of_order)
        snapshot = manager.create_snapshot(CONTEXT, share.id)
    assert manager.snapshot(CONTEXT, snapshot.id).export_locations == ()
    manager.recover()
    assert len(manager.snapshot(CONTEXT, snapshot.id).export_locations) == 1


def test_an_interrupted_revert_that_is_put_back_has_its_snapshots_online(
    manager: ShareManager, state: Path, pair: tuple[Snapshot, Snapshot]
) -> None:
    """Rule 7: nothing was changed, a boot came between: the target too, which is still restoring then."""
    parked = Parked()
    open_manager(state, "memory", dispatch=parked).revert_to_snapshot(CONTEXT, pair[1].id)
    stop(parked.accepted[0])
    offline()
    (told,) = manager.recover()
    assert told.at_rest
    assert exported_to(manager, pair[0]) == []
    assert exported_to(manager, pair[1]) == ["10.0.0.1"]
    assert all(manager.snapshot(CONTEXT, one.id).export_locations for one in pair)


def test_a_snapshot_that_cannot_be_mounted_spoils_no_revert(
    manager: ShareManager, pair: tuple[Snapshot, Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The share is reverted, online and available; the message names the snapshot; recover tells, then mends."""
    ensure = MemoryDriver.ensure_snapshot
    broken = pair[0].id
    with monkeypatch.context() as patched:
        patched.setattr(
            MemoryDriver, "ensure_snapshot", lambda d, s: out_of_order() if s.snapshot_id == broken else ensure(d, s)
        )
        share = manager.revert_to_snapshot(CONTEXT, pair[1].id)
        (told,) = manager.recover()
    assert share.status is Status.AVAILABLE
    assert {manager.snapshot(CONTEXT, one.id).status for one in pair} == {Status.AVAILABLE}
    assert exported_to(manager, pair[1]) == ["10.0.0.1"], "the others are online"
    message = manager.messages(CONTEXT)[0]
    assert message.level is MessageLevel.ERROR
    assert f"is as it was in snapshot {pair[1].id}; snapshot {broken} cannot be brought online" in message.text
    assert "out of order" in told.found
    assert not told.at_rest
    assert manager.snapshot(CONTEXT, broken).export_locations == ()
    assert manager.recover() == []
    assert exported_to(manager, pair[0]) == []
    assert_at_rest(manager)


def test_a_snapshot_is_taken_even_if_it_cannot_be_mounted(
    manager: ShareManager, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there, on record and available: a revert to it works; the user is told."""
    with monkeypatch.context() as patched:
        patched.setattr(MemoryDriver, "ensure_snapshot", out_of_order)
        snapshot = manager.create_snapshot(CONTEXT, share.id)
    assert snapshot.status is Status.AVAILABLE
    assert "out of order" in manager.messages(CONTEXT)[0].text
    manager.revert_to_snapshot(CONTEXT, snapshot.id)
    assert exported_to(manager, snapshot) == []


def test_a_share_comes_online_before_its_snapshots(
    manager: ShareManager, pair: tuple[Snapshot, Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has just got their data back wants to work on it."""
    order: list[str] = []
    for verb in ("ensure_share", "ensure_snapshot"):
        original: Callable[..., Any] = getattr(MemoryDriver, verb)
        monkeypatch.setattr(MemoryDriver, verb, lambda d, what, v=verb, call=original: order.append(v) or call(d, what))
    manager.revert_to_snapshot(CONTEXT, pair[1].id)
    assert order == ["ensure_share", "ensure_snapshot", "ensure_snapshot"]


def test_deleting_a_snapshot_takes_it_and_its_rules_away(
    manager: ShareManager, pair: tuple[Snapshot, Snapshot]
) -> None:
    """Nothing is left of it, on the backend or on record."""
    manager.delete_snapshot(CONTEXT, pair[1].id)
    (held,) = STORAGE["fast"].values()
    assert [kept.mark for kept in held.snapshots.values()] == [pair[0].id]
    with manager.site.store.read() as tx:
        for table in ("snapshot_access_rules", "snapshot_export_locations"):
            rows = tx.exec_driver_sql(f"SELECT * FROM {table}").all()
            assert len(rows) == (1 if table == "snapshot_export_locations" else 0)


# --- rules


def test_rules_from_first_to_last(manager: ShareManager, pair: tuple[Snapshot, Snapshot]) -> None:
    """Allow, list, deny; by id and by address; read-only always; each snapshot has its own."""
    older, newer = pair
    rule = manager.allow_snapshot_access(CONTEXT, "newer", "10.1.0.0/16")
    assert (rule.state, rule.access_level) == (RuleState.ACTIVE, AccessLevel.RO)
    assert exported_to(manager, newer) == ["10.0.0.1", "10.1.0.0/16"]
    assert [one.access_to for one in manager.snapshot_access_rules(CONTEXT, "newer")] == ["10.0.0.1", "10.1.0.0/16"]
    assert manager.snapshot_access_rules(CONTEXT, "older") == []
    assert exported_to(manager, older) == []
    assert manager.access_rules(CONTEXT, "share") == []
    manager.deny_snapshot_access(CONTEXT, "newer", rule.id)
    manager.deny_snapshot_access(CONTEXT, "newer", "10.0.0.1")
    assert exported_to(manager, newer) == []
    assert manager.snapshot_access_rules(CONTEXT, "newer") == []


def test_what_is_refused(manager: ShareManager, pair: tuple[Snapshot, Snapshot]) -> None:
    """No address, one twice, one that is not there, a snapshot of another project: nothing has changed."""
    for address in ("host.example", "10.0.0.1/8", "-a", "", "10.0.0.1 ", "*", "fe80::1%x *"):
        with counted_writes() as written, pytest.raises(InvalidInput):
            manager.allow_snapshot_access(CONTEXT, pair[1].id, address)
        assert written == []
    with pytest.raises(Conflict, match=r"has a rule for 10\.0\.0\.1 already"):
        manager.allow_snapshot_access(CONTEXT, pair[1].id, "10.0.0.1")
    with pytest.raises(NotFound):
        manager.deny_snapshot_access(CONTEXT, pair[0].id, "10.0.0.1")
    with pytest.raises(NotFound):
        manager.allow_snapshot_access(CONTEXT.model_copy(update={"project_id": "other"}), pair[1].id, "10.0.0.2")
    assert_at_rest(manager)


def test_a_share_that_was_made_without_it(manager: ShareManager) -> None:
    """Refused with the reason, for allow and deny; nothing is written."""
    share = manager.create_share(CONTEXT, 10)
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    for call in (manager.allow_snapshot_access, manager.deny_snapshot_access):
        with counted_writes() as written, pytest.raises(NotSupported, match="without mount_snapshot_support"):
            call(CONTEXT, snapshot.id, "10.0.0.1")
        assert written == []


def test_a_snapshot_that_is_not_available_takes_no_rule(manager: ShareManager, pair: tuple[Snapshot, Snapshot]) -> None:
    """Nor one of a share that is not."""
    manager.set_snapshot_status(CONTEXT, pair[1].id, Status.ERROR)
    with pytest.raises(Conflict, match="is error"):
        manager.allow_snapshot_access(CONTEXT, pair[1].id, "10.0.0.2")
    manager.set_share_status(CONTEXT, "share", Status.ERROR)
    with pytest.raises(Conflict, match="is error"):
        manager.allow_snapshot_access(CONTEXT, pair[0].id, "10.0.0.2")


def test_a_rule_that_fails_is_in_error_and_stops_a_revert(
    manager: ShareManager, pair: tuple[Snapshot, Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 4: what is not settled conflicts; another snapshot's rules do not. Denied, the revert works."""
    with monkeypatch.context() as patched, pytest.raises(OperationFailed, match="out of order"):
        patched.setattr(MemoryDriver, "ensure_snapshot", out_of_order)
        manager.allow_snapshot_access(CONTEXT, pair[1].id, "10.0.0.2")
    assert [r.state for r in manager.snapshot_access_rules(CONTEXT, "newer")] == [RuleState.ACTIVE, RuleState.ERROR]
    assert [rule.access_to for rule in instance(manager, pair[1]).rules] == ["10.0.0.1"]
    for ask in (manager.check_revert, manager.revert_to_snapshot):
        with pytest.raises(Conflict, match=r"snapshot .* has access rules that are not active: 10\.0\.0\.2 is error"):
            ask(CONTEXT, pair[1].id)
    manager.deny_snapshot_access(CONTEXT, pair[1].id, "10.0.0.2")
    with monkeypatch.context() as patched, pytest.raises(OperationFailed):
        patched.setattr(MemoryDriver, "ensure_snapshot", out_of_order)
        manager.allow_snapshot_access(CONTEXT, pair[0].id, "10.0.0.2")
    manager.revert_to_snapshot(CONTEXT, pair[1].id)


def test_a_rule_that_the_backend_leaves_out_is_in_error(
    manager: ShareManager, pair: tuple[Snapshot, Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of a share would be: what is not exported is not called active. It can be denied."""

    def nothing_is_exported(_driver: MemoryDriver, snapshot: SnapshotInstance) -> dict[str, str]:
        return {rule.id: "export_address is not set" for rule in snapshot.rules}

    monkeypatch.setattr(MemoryDriver, "refused_rules", nothing_is_exported)
    with pytest.raises(OperationFailed, match="export_address is not set"):
        manager.allow_snapshot_access(CONTEXT, pair[0].id, "10.0.0.9")
    (rule,) = manager.snapshot_access_rules(CONTEXT, pair[0].id)
    assert rule.state is RuleState.ERROR
    manager.deny_snapshot_access(CONTEXT, pair[0].id, "10.0.0.9")
    assert manager.snapshot_access_rules(CONTEXT, pair[0].id) == []


@pytest.mark.parametrize("verb", ["allow_snapshot_access", "deny_snapshot_access"])
def test_while_a_rule_changes_nothing_touches_the_pair(
    manager: ShareManager, state: Path, pair: tuple[Snapshot, Snapshot], verb: str
) -> None:
    """Rule 4, both ways; interrupted, recovery makes the rule true."""
    address = {"allow_snapshot_access": "10.0.0.2", "deny_snapshot_access": "10.0.0.1"}[verb]
    parked = Parked()
    getattr(open_manager(state, "memory", dispatch=parked), verb)(CONTEXT, pair[1].id, address)
    stop(parked.accepted[0])
    with pytest.raises(Conflict, match=f"{verb.replace('_', ' ')} has been under way"):
        manager.revert_to_snapshot(CONTEXT, pair[1].id)
    for call in (
        lambda: manager.revert_to_snapshot(CONTEXT, pair[0].id),
        lambda: manager.delete_snapshot(CONTEXT, pair[1].id),
        lambda: manager.unmanage_snapshot(CONTEXT, pair[1].id),
        lambda: manager.create_snapshot(CONTEXT, "share"),
        lambda: manager.allow_snapshot_access(CONTEXT, pair[0].id, "10.0.0.3"),
    ):
        with pytest.raises(Conflict, match=f"{verb.replace('_', ' ')}|most recent"):
            call()
    manager.recover()
    wanted = {"allow_snapshot_access": ["10.0.0.1", "10.0.0.2"], "deny_snapshot_access": []}[verb]
    assert exported_to(manager, pair[1]) == wanted
    assert_at_rest(manager)


def test_a_rule_is_refused_while_a_revert_is_under_way(
    manager: ShareManager, state: Path, pair: tuple[Snapshot, Snapshot]
) -> None:
    """Rule 4, the other way round."""
    parked = Parked()
    open_manager(state, "memory", dispatch=parked).revert_to_snapshot(CONTEXT, pair[1].id)
    stop(parked.accepted[0])
    with pytest.raises(Conflict, match="revert to snapshot"):
        manager.allow_snapshot_access(CONTEXT, pair[0].id, "10.0.0.2")
