"""LVM: real reports read right, errors recognised, and what one look says of a revert."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from revertkit.drivers.lvm import family, lvm2, rows
from revertkit.drivers.lvm.family import Family
from revertkit.drivers.lvm.rows import Volume
from revertkit.errors import BackendError, InvalidInput
from revertkit.models import Replica, RevertState, SnapshotInstance

SHARE = Replica(id="r1", share_id="s1", host="h", pool="vg0", size=1, backend_id="uuid-r1")
SNAPSHOT = SnapshotInstance(
    id="i1", snapshot_id="n1", replica=SHARE, size=1, created_at=datetime(2026, 1, 1, tzinfo=UTC), backend_id="old"
)
ORIGIN = Volume(
    group="vg0",
    name="share-r1",
    uuid="uuid-r1",
    size=1 << 30,
    tags=frozenset({"revertkit.share=r1"}),
    taken=100,
    origin="",
    active=True,
    open=False,
    read_only=False,
    merging=False,
    merge_failed=False,
    invalid=False,
    used_percent=None,
    group_free=1 << 40,
)
BODY = replace(
    ORIGIN,
    name="snap-i1",
    uuid="old",
    tags=frozenset(family.tags(SNAPSHOT)),
    taken=200,
    origin="share-r1",
    read_only=True,
    used_percent=1.0,
)
ROOM = replace(BODY, name="room-i1", uuid="new", tags=BODY.tags | {"revertkit.was=old"}, origin="", read_only=False)
MERGING = replace(BODY, merging=True)


def look(*volumes: Volume) -> Family:
    return family.family(volumes, "r1")


def kinds(*volumes: Volume) -> list[str]:
    return [b.kind for b in family.blockers(look(*volumes), SNAPSHOT)]


@pytest.mark.parametrize(
    ("volumes", "state"),
    [
        ((ORIGIN, BODY), RevertState.UNCHANGED),
        ((ORIGIN, BODY, ROOM), RevertState.UNCHANGED),
        ((ORIGIN, MERGING, ROOM), RevertState.HALFWAY),
        ((ORIGIN, MERGING), RevertState.HALFWAY),
        ((ORIGIN, ROOM), RevertState.HALFWAY),
        ((ORIGIN, replace(ROOM, origin="share-r1")), RevertState.HALFWAY),
        ((ORIGIN, replace(ROOM, name="snap-i1", origin="share-r1", read_only=True)), RevertState.REVERTED),
        ((ORIGIN,), RevertState.UNKNOWN),
        ((BODY,), RevertState.UNKNOWN),
    ],
)
def test_how_far_a_revert_is(volumes: tuple[Volume, ...], state: RevertState) -> None:
    assert family.state(look(*volumes), SNAPSHOT) is state


def test_once_recorded_it_is_a_snapshot_like_any_other() -> None:
    fresh = replace(ROOM, name="snap-i1", origin="share-r1")
    on_record = SNAPSHOT.model_copy(update={"backend_id": "new"})
    assert family.state(look(ORIGIN, fresh), on_record) is RevertState.UNCHANGED


def test_only_a_room_that_never_began_is_swept() -> None:
    assert family.leftovers(look(ORIGIN, BODY, ROOM)) == [ROOM]
    assert family.leftovers(look(ORIGIN, MERGING, ROOM)) == []
    assert family.leftovers(look(ORIGIN, ROOM)) == []
    assert family.leftovers(look(ORIGIN, replace(ROOM, origin="share-r1"))) == []
    assert family.leftovers(look(ORIGIN, BODY, replace(ROOM, tags=frozenset()))) == []


def test_nothing_is_removed_without_our_tag() -> None:
    with pytest.raises(BackendError, match="no tag"):
        lvm2.remove(replace(BODY, tags=frozenset({"revertkit", "share=r1"})))


def test_every_blocker_is_named() -> None:
    stranger = replace(BODY, name="mine", uuid="x", tags=frozenset(), taken=200)
    wrong = replace(BODY, uuid="other", invalid=True, group_free=0)
    assert kinds(replace(ORIGIN, uuid="other"), wrong, stranger) == [
        "identity",
        "identity",
        "invalid",
        "newer",
        "space",
    ]
    assert kinds() == ["missing", "missing"]
    assert kinds(ORIGIN, replace(BODY, used_percent=100.0)) == ["invalid"]
    assert kinds(ORIGIN, BODY, replace(stranger, taken=199)) == []


def test_order_among_ours_is_what_the_records_say() -> None:
    """A snapshot taken anew is younger by LVM's clock than one that was taken after it was first taken."""
    tags = {"revertkit.share=r1", "revertkit.snapshot=i0", "revertkit.taken=5"}
    assert kinds(ORIGIN, BODY, replace(BODY, name="snap-i0", tags=frozenset(tags), taken=300)) == []


def test_the_room_is_not_asked_for_twice() -> None:
    assert kinds(ORIGIN, replace(BODY, group_free=0), ROOM) == []


@pytest.mark.parametrize("hostile", ["", "-y", "../x", "a b", "a/b", "@all", "x" * 65])
def test_what_is_no_volume_s_name(hostile: str) -> None:
    with pytest.raises(InvalidInput):
        rows.named("share", hostile.replace("-y", "-y "))
