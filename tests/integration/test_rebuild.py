"""A lost database is rebuilt from what the backend holds: the same ids, sizes and order, on the in-memory backend."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support import (
    CONTEXT,
    Killed,
    Parked,
    assert_at_rest,
    assert_quota_is_the_sum,
    open_manager,
    points,
    revertible,
)

from revertkit.drivers.memory import MemoryDriver
from revertkit.drivers.memory.storage import STORAGE
from revertkit.errors import BackendError, Conflict, InvalidInput, NotFound, RevertkitError
from revertkit.manager import ShareManager
from revertkit.models import FoundShare, Share, Snapshot
from revertkit.operations.rebuild import Adopted
from revertkit.status import Status
from revertkit.store import snapshots as stored_snapshots


@pytest.fixture
def shares(manager: ShareManager) -> list[Share]:
    """Two shares; the first with three snapshots, of different sizes."""
    made = [manager.create_share(CONTEXT, size, name=f"of-{size}") for size in (10, 2)]
    for number in range(3):
        driver(manager).files(made[0].replica)["letter"] = b"%d" % number
        manager.create_snapshot(CONTEXT, made[0].id)
        manager.extend_share(CONTEXT, made[0].id, 11 + number)
    return [manager.share(CONTEXT, share.id) for share in made]


def driver(manager: ShareManager) -> MemoryDriver:
    """The backend."""
    found = manager.site.driver("fast")
    assert isinstance(found, MemoryDriver)
    return found


def lose(manager: ShareManager) -> None:
    """Lose what is on record, but for the share types; nothing is online after the boot."""
    with manager.site.store.write() as tx:
        for table in ("shares", "operations", "messages"):
            tx.exec_driver_sql(f"DELETE FROM {table}")
    for held in STORAGE["fast"].values():
        held.online = False


def forget_snapshot(manager: ShareManager, snapshot: Snapshot) -> None:
    """Lose one snapshot's record."""
    with manager.site.store.write() as tx:
        stored_snapshots.remove(tx, snapshot.id)


def refusals(told: list[Adopted]) -> list[str]:
    """Say why what was not adopted was not."""
    return [each.found for each in told if not each.adopted]


def facts(manager: ShareManager) -> Any:
    """What has to come back."""
    return (
        {(s.id, s.replica.id, s.size, s.status, s.replica.backend_id) for s in manager.shares(CONTEXT)},
        [(s.id, s.share_id, s.size, s.created_at, s.status) for s in manager.snapshots(CONTEXT)],
    )


def test_all_of_it_comes_back(manager: ShareManager, shares: list[Share]) -> None:
    """Ids, sizes, times, order, content; a revert to the latest works; a second time there is nothing to do."""
    before, kept = facts(manager), manager.snapshots(CONTEXT)
    lose(manager)
    told = manager.manage_all(CONTEXT, "fast")
    assert [(each.what, each.adopted) for each in told].count(("share", True)) == 2
    assert [each.id for each in told if each.what == "snapshot"] == [snapshot.id for snapshot in kept]
    assert refusals(told) == []
    assert facts(manager) == before
    assert_at_rest(manager)
    assert_quota_is_the_sum(manager)
    assert manager.manage_all(CONTEXT, "fast") == []
    reverted = manager.revert_to_snapshot(CONTEXT, kept[-1].id)
    assert dict(driver(manager).files(reverted.replica)) == {"letter": b"2"}
    assert manager.create_snapshot(CONTEXT, shares[0].id).created_at > kept[-1].created_at


def test_only_what_is_missing(manager: ShareManager, shares: list[Share]) -> None:
    """A database from an older backup: a share is there, its middle snapshot is not; it goes into its place."""
    before, kept = facts(manager), manager.snapshots(CONTEXT)
    forget_snapshot(manager, kept[1])
    told = manager.manage_all(CONTEXT, "fast")
    assert [(each.what, each.id, each.adopted) for each in told] == [("snapshot", kept[1].id, True)]
    assert facts(manager) == before
    with pytest.raises(Conflict, match=kept[2].id):
        manager.revert_to_snapshot(CONTEXT, kept[1].id)


def test_an_order_that_is_not_certain(manager: ShareManager, shares: list[Share]) -> None:
    """Rule 5: what the backend has before another cannot have a later time than that one has on record."""
    kept = manager.snapshots(CONTEXT)
    forget_snapshot(manager, kept[1])
    held = STORAGE["fast"][shares[0].replica.id].snapshots
    held[kept[1].id].created_at = kept[2].created_at + timedelta(seconds=1)
    (why,) = refusals(manager.manage_all(CONTEXT, "fast"))
    assert "order would not be certain" in why
    assert len(manager.snapshots(CONTEXT)) == 2


def test_times_that_a_backend_cannot_tell_apart(manager: ShareManager, shares: list[Share]) -> None:
    """A backend that counts in seconds: the order is as found, the times grow strictly."""
    kept = manager.snapshots(CONTEXT)
    for one in STORAGE["fast"][shares[0].replica.id].snapshots.values():
        one.created_at = kept[0].created_at.replace(microsecond=0)
    lose(manager)
    assert refusals(manager.manage_all(CONTEXT, "fast")) == []
    found = manager.snapshots(CONTEXT)
    assert [s.id for s in found] == [s.id for s in kept]
    assert len({s.created_at for s in found}) == 3


def test_a_revert_half_way_is_told_and_stops_nothing(
    manager: ShareManager, shares: list[Share], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver refuses; its marks stay, its snapshots are left out, the other share is adopted."""
    lose(manager)
    monkeypatch.setattr(STORAGE["fast"][shares[0].replica.id], "halfway", True)
    told = manager.manage_all(CONTEXT, "fast")
    assert [each.id for each in told if each.adopted] == [shares[1].id]
    assert "half way" in refusals(told)[0]
    assert refusals(told)[1:] == ["its share was not adopted"] * 3
    assert STORAGE["fast"][shares[0].replica.id].mark == shares[0].id
    assert [share.id for share in manager.shares(CONTEXT)] == [shares[1].id]
    monkeypatch.undo()
    assert refusals(manager.manage_all(CONTEXT, "fast")) == []


@pytest.mark.parametrize("verb", ["manage_share", "manage_snapshot", "ensure_share"])
def test_a_failure_takes_no_mark_off(
    manager: ShareManager, shares: list[Share], monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """The marks were there before: without them nobody could ever rebuild it. Mended, it is adopted."""
    before = facts(manager)
    marks = {(held.mark, *(k.mark for k in held.snapshots.values())) for held in STORAGE["fast"].values()}
    lose(manager)

    def fail(*_: Any) -> Any:
        raise BackendError("out of order")

    with monkeypatch.context() as patched:
        patched.setattr(MemoryDriver, verb, fail)
        told = manager.manage_all(CONTEXT, "fast")
    assert "out of order" in refusals(told)[0]
    assert marks == {(held.mark, *(k.mark for k in held.snapshots.values())) for held in STORAGE["fast"].values()}
    assert_at_rest(manager)
    assert refusals(manager.manage_all(CONTEXT, "fast")) == []
    assert facts(manager) == before


@pytest.mark.parametrize("death", [BackendError("injected"), Killed()], ids=["error", "death"])
def test_at_every_point(manager: ShareManager, shares: list[Share], state: Path, death: BaseException) -> None:
    """Rule 7: an error or a death anywhere, then a new start and the same again: all of it is back."""
    before = facts(manager)
    lose(manager)
    total = len(until(manager, 0, death))
    assert total > 20
    for last in range(1, total + 1):
        lose(manager)
        reached = until(manager, last, death)
        anew = open_manager(state, "memory")
        anew.recover()
        assert_at_rest(anew)
        assert refusals(anew.manage_all(CONTEXT, "fast")) == [], (last, reached)
        assert facts(anew) == before, (last, reached)
        anew.site.store.engine.dispose()


def until(manager: ShareManager, last: int, death: BaseException) -> list[str]:
    """Rebuild, and raise at point number `last`; answer the points that were reached."""
    reached: list[str] = []

    def point(name: str) -> None:
        reached.append(name)
        if len(reached) == last:
            raise death

    with points(point), suppress(Killed, RevertkitError):
        manager.manage_all(CONTEXT, "fast")
    return reached


def test_over_quota_it_is_told(manager: ShareManager, shares: list[Share]) -> None:
    """What fits is adopted; what does not keeps its marks."""
    lose(manager)
    manager.set_quota("project", "gigabytes", 5)
    told = manager.manage_all(CONTEXT, "fast")
    assert [each.id for each in told if each.adopted] == [shares[1].id]
    assert "gigabytes" in refusals(told)[0]
    assert STORAGE["fast"][shares[0].replica.id].mark == shares[0].id


def test_another_projects_share_is_on_record(manager: ShareManager, shares: list[Share]) -> None:
    """It is not adopted twice; a snapshot of it that is missing belongs to its project."""
    kept = manager.snapshots(CONTEXT)
    forget_snapshot(manager, kept[2])
    other = CONTEXT.model_copy(update={"project_id": "other"})
    (told,) = manager.manage_all(other, "fast")
    assert told.id == kept[2].id
    assert manager.shares(other) == []
    assert manager.snapshot(CONTEXT, kept[2].id).project_id == "project"


def found(manager: ShareManager, monkeypatch: pytest.MonkeyPatch, **changed: Any) -> None:
    """Let the driver find its shares with other particulars."""
    inventory = [each.model_copy(update=changed) for each in driver(manager).inventory()]
    monkeypatch.setattr(MemoryDriver, "inventory", lambda _: inventory)


@pytest.mark.parametrize("forged", ["../../etc", "", "x", "A" * 36, "00000000-0000-4000-8000-00000000000G"])
@pytest.mark.parametrize("which", ["share_id", "replica_id"])
def test_an_id_that_is_none(
    manager: ShareManager, monkeypatch: pytest.MonkeyPatch, forged: str, which: str, state: Path
) -> None:
    """Anybody with access to the backend can write a tag; what it says becomes a file's name. It is left alone."""
    manager.create_share(CONTEXT, 1)
    lose(manager)
    found(manager, monkeypatch, **{which: forged})
    before = sorted(path.name for path in (state / "locks").iterdir())
    (told,) = manager.manage_all(CONTEXT, "fast")
    assert "is no id of ours" in told.found
    assert manager.shares(CONTEXT) == []
    assert sorted(path.name for path in (state / "locks").iterdir()) == before


def test_a_copy_of_a_share_that_is_on_record(
    manager: ShareManager, shares: list[Share], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two volumes under one id: the one that is on record is it; the other is told."""
    found(manager, monkeypatch, replica_id=shares[0].id)
    assert all("on record as another one" in why for why in refusals(manager.manage_all(CONTEXT, "fast")))


def test_what_else_is_refused(manager: ShareManager, shares: list[Share], monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool or a name that is none, a size of nothing, a time without a zone: each told, none adopted."""
    lose(manager)
    for changed, why in (
        ({"pool": "elsewhere"}, "no pool"),
        ({"existing": "-rf"}, "begin with '-'"),
        ({"size": 0}, "greater than or equal to 1"),
    ):
        with monkeypatch.context() as patched:
            found(manager, patched, **changed)
            told = manager.manage_all(CONTEXT, "fast")
        assert why in refusals(told)[0]
        assert not any(each.adopted for each in told)
    for held in STORAGE["fast"].values():
        for kept in held.snapshots.values():
            assert kept.created_at
            kept.created_at = kept.created_at.replace(tzinfo=None)
    assert "no zone" in refusals(manager.manage_all(CONTEXT, "fast"))[0]


def test_a_backend_that_is_none_or_out_of_reach(manager: ShareManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said at once; so is a type that is not there."""
    with pytest.raises(NotFound, match="not configured"):
        manager.manage_all(CONTEXT, "slow")
    with pytest.raises(NotFound):
        manager.manage_all(CONTEXT, "fast", share_type="none")
    manager._default_type = None
    with pytest.raises(InvalidInput, match="share type"):
        manager.manage_all(CONTEXT, "fast")


def test_it_waits_for_each_whatever_the_dispatch(manager: ShareManager, shares: list[Share], state: Path) -> None:
    """A share's snapshots come after the share: nothing is left under way."""
    before = facts(manager)
    lose(manager)
    parked = Parked()
    other = open_manager(state, "memory", dispatch=parked)
    assert refusals(other.manage_all(CONTEXT, "fast")) == []
    assert parked.accepted == []
    assert facts(manager) == before


def test_the_type_is_the_one_named(manager: ShareManager, shares: list[Share]) -> None:
    """What the shares could do is not on the backend: it is the type's again."""
    revertible(manager, "mountable", mount_snapshot_support="true")
    lose(manager)
    manager.manage_all(CONTEXT, "fast", share_type="mountable")
    assert all(share.mount_snapshot_support for share in manager.shares(CONTEXT))
    assert all(snapshot.export_locations for snapshot in manager.snapshots(CONTEXT))
    assert {share.status for share in manager.shares(CONTEXT)} == {Status.AVAILABLE}


def test_a_driver_finds_nothing_by_default(manager: ShareManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inventory is optional."""
    nothing: list[FoundShare] = []
    monkeypatch.setattr(MemoryDriver, "inventory", lambda _: nothing)
    assert manager.manage_all(CONTEXT, "fast") == []


@pytest.mark.parametrize("what", ["share", "snapshot"])
def test_what_was_let_go_of_meanwhile_is_not_taken_back(
    manager: ShareManager, shares: list[Share], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Between the look and the locks somebody may let it go: it has no mark then, and is nobody's of ours."""
    look, kept = MemoryDriver.inventory, manager.snapshots(CONTEXT)
    if what == "snapshot":
        manager.unmanage_snapshot(CONTEXT, kept[0].id)
        STORAGE["fast"][shares[0].replica.id].snapshots[kept[0].id].mark = kept[0].id
    else:
        lose(manager)

    def meanwhile(found: MemoryDriver) -> list[FoundShare]:
        monkeypatch.setattr(MemoryDriver, "inventory", look)
        answer = look(found)
        for held in STORAGE["fast"].values():
            if what == "share":
                held.mark = held.replica_mark = ""
            elif kept[0].id in held.snapshots:
                held.snapshots[kept[0].id].mark = ""
        return answer

    monkeypatch.setattr(MemoryDriver, "inventory", meanwhile)
    told = manager.manage_all(CONTEXT, "fast")
    assert told
    assert not any(each.adopted for each in told)
    assert "let go of meanwhile" in refusals(told)[0]
    assert kept[0].id not in {snapshot.id for snapshot in manager.snapshots(CONTEXT)}
