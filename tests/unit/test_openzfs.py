"""The readers of what OpenZFS says, on output captured from OpenZFS 2.3.9, and what one look means for a revert."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from revertkit.drivers.zfs import checks, openzfs
from revertkit.drivers.zfs.listing import Dataset, Health, Kind, Point, parse, parse_all, parse_health
from revertkit.errors import BackendError, InvalidInput
from revertkit.models import GIB, Replica, RevertState, SnapshotInstance, new_id

NAME = "tank1/a"
PROPERTIES = """\
tank1/a	type	filesystem	-
tank1/a	guid	4892189180562525724	-
tank1/a	createtxg	25	-
tank1/a	creation	1763815625	-
tank1/a	used	24576	-
tank1/a	available	1878876160	-
tank1/a	referenced	24576	-
tank1/a	written	0	-
tank1/a	usedbydataset	24576	-
tank1/a	refquota	0	default
tank1/a	refreservation	0	default
tank1/a	mountpoint	/tank1/a	default
tank1/a	canmount	noauto	local
tank1/a	sharenfs	off	default
tank1/a	readonly	off	default
tank1/a	devices	off	local
tank1/a	setuid	off	local
tank1/a	receive_resume_token	-	-
tank1/a	clones	-	-
tank1/a	revertkit:share	-	-
"""
SNAPSHOT = """\
tank1/a@s	type	snapshot	-
tank1/a@s	guid	12423883578854837587	-
tank1/a@s	createtxg	27	-
tank1/a@s	creation	1763815627	-
tank1/a@s	used	0	-
tank1/a@s	available	-	-
tank1/a@s	referenced	24576	-
tank1/a@s	written	24576	-
tank1/a@s	usedbydataset	-	-
tank1/a@s	refquota	-	-
tank1/a@s	refreservation	-	-
tank1/a@s	mountpoint	-	-
tank1/a@s	canmount	-	-
tank1/a@s	sharenfs	-	-
tank1/a@s	readonly	-	-
tank1/a@s	receive_resume_token	-	-
tank1/a@s	clones	-	-
tank1/a@s	revertkit:share	-	-
"""
BOOKMARK = """\
tank1/a#b	type	bookmark	-
tank1/a#b	guid	12423883578854837587	-
tank1/a#b	createtxg	27	-
tank1/a#b	creation	1763815627	-
tank1/a#b	used	-	-
tank1/a#b	available	-	-
tank1/a#b	referenced	24576	-
tank1/a#b	written	-	-
tank1/a#b	usedbydataset	-	-
tank1/a#b	refquota	-	-
tank1/a#b	refreservation	-	-
tank1/a#b	mountpoint	-	-
tank1/a#b	canmount	-	-
tank1/a#b	sharenfs	-	-
tank1/a#b	readonly	-	-
tank1/a#b	receive_resume_token	-	-
tank1/a#b	clones	-	-
tank1/a#b	revertkit:share	-	-
"""
LISTING = PROPERTIES + SNAPSHOT + BOOKMARK
"""Of ``zfs create``, ``zfs snapshot tank1/a@s``, ``zfs bookmark tank1/a@s tank1/a#b``."""

SHARE_ID, SNAPSHOT_ID = new_id(), new_id()
OLD = Point(f"{NAME}@old", Kind.SNAPSHOT, "1", 10, snapshot_id=new_id(), size=1)
TARGET = Point(f"{NAME}@snap", Kind.SNAPSHOT, "2", 20, referenced=4096, snapshot_id=SNAPSHOT_ID, size=1)
HEALTHY = Health("ONLINE", readonly=False)
SPACE = {
    "used": 0,
    "available": GIB,
    "referenced": 0,
    "written": 0,
    "usedbydataset": 0,
    "refquota": GIB,
    "refreservation": 0,
}
DATASET = Dataset(NAME, "99", SPACE, {"readonly": "off"}, share_id=SHARE_ID, points=(OLD, TARGET))
SHARE = Replica(id=new_id(), share_id=SHARE_ID, host="node-1", pool="tank1", size=1, backend_id="99")
RECORD = SnapshotInstance(
    id=new_id(), snapshot_id=SNAPSHOT_ID, replica=SHARE, size=1, created_at=datetime.now(UTC), backend_id="2"
)


def space(**changed: int) -> dict[str, int]:
    return {**SPACE, **changed}


def test_a_listing_is_read_with_its_points_in_order_of_their_transactions() -> None:
    found = parse(LISTING, NAME)
    assert (found.guid, found.space["available"], found.settings["canmount"]) == (
        "4892189180562525724",
        1878876160,
        "noauto",
    )
    assert [(p.name, p.kind, p.createtxg) for p in found.points] == [
        ("tank1/a@s", Kind.SNAPSHOT, 27),
        ("tank1/a#b", Kind.BOOKMARK, 27),
    ]
    assert found.snapshot("s") == found.snapshots[0]
    assert found.newer(found.snapshots[0]) == []


def test_only_local_user_properties_count() -> None:
    inherited = LISTING + f"tank1/a\trevertkit:share\t{SHARE_ID}\tinherited from tank1\n"
    inherited += f"tank1/a@s\trevertkit:snapshot\t{SNAPSHOT_ID}\tinherited from tank1/a\n"
    inherited += "tank1/a@s\trevertkit:size\t3\treceived\n"
    found = parse(inherited, NAME)
    assert (found.share_id, found.snapshots[0].snapshot_id, found.snapshots[0].size) == (None, None, None)
    found = parse(inherited.replace("inherited from tank1", "local").replace("received", "local"), NAME)
    assert found.share_id == SHARE_ID
    assert found.snapshots[0].size == 3


def test_children_are_not_points() -> None:
    child = PROPERTIES.replace(NAME, f"{NAME}/child")
    found = parse(LISTING + child, NAME)
    assert found.children == (f"{NAME}/child",)
    assert len(found.points) == 2


def test_several_datasets_are_told_apart() -> None:
    """Also those that have no points, and one whose name begins with another's."""
    others = PROPERTIES.replace(NAME, "tank1") + PROPERTIES.replace(NAME, f"{NAME}b")
    found = {dataset.name: dataset for dataset in parse_all(others + LISTING)}
    assert {name: len(dataset.points) for name, dataset in found.items()} == {"tank1": 0, f"{NAME}b": 0, NAME: 2}
    assert found[NAME].children == ()
    assert found[NAME].snapshots[0].creation == 1763815627


def test_a_value_may_hold_tabs() -> None:
    assert parse(LISTING.replace("/tank1/a\tdefault", "/tank1\tx\tlocal"), NAME).settings["mountpoint"] == "/tank1\tx"


@pytest.mark.parametrize("listing", ["", "tank1/b\ttype\tfilesystem\t-\n", "cannot open 'tank1/a'\n"])
def test_what_is_no_listing_is_an_error(listing: str) -> None:
    with pytest.raises(BackendError, match="zfs get said"):
        parse(listing, NAME)


def test_the_health_of_a_pool() -> None:
    assert checks.lacks("tank1", parse_health("ONLINE\toff\n")) == []
    assert checks.lacks("tank1", parse_health("DEGRADED\toff\n")) == []
    assert "SUSPENDED" in checks.lacks("tank1", parse_health("SUSPENDED\toff\n"))[0].why
    assert "read-only" in checks.lacks("tank1", parse_health("ONLINE\ton\n"))[0].why
    with pytest.raises(BackendError):
        parse_health("no pools available\n")


@pytest.mark.parametrize("name", ["", "-r", "tank1/-r", "tank1//a", "tank1/a@s", "tank1/a#b", "tank1/a b", "/tank1"])
def test_names_that_could_mean_something_else_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        openzfs.checked(name)


@pytest.mark.parametrize("name", ["a/b", "a@b", "-d", "a%b", "a,b", ""])
def test_snapshot_names_that_could_name_several_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        openzfs.snapshot_name(NAME, name)


def test_a_refusal_says_what_its_errno_means_of_the_call() -> None:
    refusal = openzfs.Refusal("lzc_rollback_to", NAME, 17)
    assert str(refusal) == "lzc_rollback_to of tank1/a failed: a snapshot or bookmark is newer than the target (EEXIST)"
    assert "No space left" in str(openzfs.Refusal("lzc_receive", NAME, 28))
    assert openzfs.reason("lzc_create", 1025)  # ZFS_ERR_…: beyond the system's numbers


STATES = [
    (DATASET, False, RevertState.UNCHANGED),  # nothing written, but no mark either: never begun, or on record
    (replace(DATASET, reverting="2"), False, RevertState.HALFWAY),
    (replace(DATASET, reverting="2", rolled_back=True), False, RevertState.REVERTED),
    (replace(DATASET, reverting="2"), True, RevertState.UNKNOWN),  # somebody mounted it: its writes may not be on disk
    (replace(DATASET, reverting="2", rolled_back=True, space=space(written=512)), False, RevertState.REVERTED),
    (replace(DATASET, reverting="2", rolled_back=True, space=space(refquota=2 * GIB)), False, RevertState.HALFWAY),
    (replace(DATASET, reverting="1"), False, RevertState.UNCHANGED),
    (
        replace(DATASET, reverting="2", points=(TARGET, Point(f"{NAME}@new", Kind.SNAPSHOT, "3", 30))),
        False,
        RevertState.HALFWAY,  # calling again is refused by the kernel, and leaves it so
    ),
]


@pytest.mark.parametrize(("dataset", "mounted", "state"), STATES)
def test_how_far_a_revert_has_come(dataset: Dataset, mounted: bool, state: RevertState) -> None:
    assert checks.revert_state(dataset, TARGET, 1, mounted) is state


def test_a_mark_without_its_snapshot_cannot_be_told() -> None:
    assert checks.revert_state(replace(DATASET, reverting="2"), None, 1, mounted=False) is RevertState.UNKNOWN


def test_a_full_share_has_a_refquota_that_can_be_set() -> None:
    """The size of the share wherever that is well above what it refers to."""
    assert checks.refquota(2, GIB) == 2 * GIB
    assert checks.refquota(1, GIB + 70_000) == GIB + 70_000 + checks.BEYOND
    full = replace(TARGET, referenced=GIB + 70_000)
    done = replace(DATASET, reverting="2", rolled_back=True, points=(OLD, full))
    assert checks.revert_state(done, full, 1, mounted=False) is RevertState.HALFWAY
    fits = replace(done, space=space(refquota=checks.refquota(1, full.referenced)))
    assert checks.revert_state(fits, full, 1, mounted=False) is RevertState.REVERTED


def test_nobody_is_told_to_destroy_what_a_revert_was_begun_to() -> None:
    """The record of it may be lost: what is newer than the snapshots on record is then the very one to keep."""
    (strange,) = checks.refusals(DATASET, OLD, HEALTHY)
    (begun,) = checks.refusals(replace(DATASET, reverting=TARGET.guid), OLD, HEALTHY)
    assert strange.mend == f"if it is not needed: zfs destroy {TARGET.name}"
    assert "destroy" not in begun.mend


def test_nothing_in_the_way() -> None:
    assert list(checks.refusals(DATASET, TARGET, HEALTHY)) == []
    assert checks.stranger(DATASET, SHARE, NAME) is None
    assert checks.strange_snapshot(TARGET, RECORD, TARGET.name) is None


def test_a_bookmark_of_the_target_itself_is_not_newer() -> None:
    same = Point(f"{NAME}#same", Kind.BOOKMARK, "2", 20)
    assert list(checks.refusals(replace(DATASET, points=(OLD, TARGET, same)), TARGET, HEALTHY)) == []


def test_every_blocker_is_named() -> None:
    newer = Point(f"{NAME}@newer", Kind.SNAPSHOT, "3", 30), Point(f"{NAME}#mark", Kind.BOOKMARK, "3", 30)
    dataset = replace(
        DATASET,
        points=(OLD, TARGET, *newer),
        space=space(refreservation=2 * GIB, usedbydataset=2 * GIB),
    )
    found = list(checks.refusals(dataset, TARGET, Health("SUSPENDED", readonly=False)))
    assert [b.kind for b in found] == ["pool", "snapshot", "bookmark", "space"]
    assert f"{NAME}@newer" in found[1].what
    assert f"{NAME}#mark" in found[2].what


@pytest.mark.parametrize(
    ("dataset", "says"),
    [
        (None, "there is no dataset"),
        (replace(DATASET, share_id=None), "carries no share id"),
        (replace(DATASET, share_id="another"), "carries the share id another"),
        (replace(DATASET, guid="77"), "is 77 and not 99"),
    ],
)
def test_a_dataset_that_is_not_the_one_on_record(dataset: Dataset | None, says: str) -> None:
    blocker = checks.stranger(dataset, SHARE, NAME)
    assert blocker is not None
    assert says in blocker.what


@pytest.mark.parametrize(
    ("point", "says"),
    [
        (None, "there is no snapshot"),
        (replace(TARGET, snapshot_id=None), "carries no snapshot id"),
        (replace(TARGET, guid="77"), "is 77 and not 2"),
    ],
)
def test_a_snapshot_that_is_not_the_one_on_record(point: Point | None, says: str) -> None:
    blocker = checks.strange_snapshot(point, RECORD, TARGET.name)
    assert blocker is not None
    assert says in blocker.what
