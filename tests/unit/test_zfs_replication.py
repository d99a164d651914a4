"""What looks at a replica and its active one mean: bases, what is due, what is stale; and what a key may ask for."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from revertkit.drivers.zfs import lineage, streams
from revertkit.drivers.zfs.active import Active, by_ssh
from revertkit.drivers.zfs.listing import EMPTY, MARKER, RECEIVED, SIZE, SNAPSHOT, Dataset, Kind, Point
from revertkit.drivers.zfs.replication import _equal, _has_base, _in_the_way
from revertkit.drivers.zfs.send_server import checked
from revertkit.errors import BackendError, InvalidInput
from revertkit.models import Replica, SnapshotInstance, new_id

A, B, C = (f"{letter * 8}-d9f1-4c1e-8a53-{letter * 12}" for letter in "abc")
"""In capitals they are others, and no test that they name is called differently in the next run."""
HERE, THERE = f"tank1/share-{B}", f"tank0/share-{A}"
SPACE = dict.fromkeys(["used", "available", "referenced", "written", "usedbydataset", "refquota"], 0)
SETTINGS = {"readonly": "on"}


def snap(guid: int, txg: int, snapshot_id: str | None = None) -> Point:
    """A snapshot on record."""
    own = snapshot_id or new_id()
    return Point(f"{THERE}@snap-{own}", Kind.SNAPSHOT, str(guid), txg, snapshot_id=own, size=1)


def marker(of: str, guid: int, txg: int, *, received: bool = True) -> Point:
    """A marker of a replica's progress."""
    name = f"{THERE}@{lineage.marker_name(of)}"
    return Point(name, Kind.SNAPSHOT, str(guid), txg, marker=of, received=received)


def stranger(guid: int, txg: int, kind: Kind = Kind.SNAPSHOT) -> Point:
    """Somebody's own."""
    return Point(f"{THERE}{'@' if kind is Kind.SNAPSHOT else '#'}by-hand-{guid}", kind, str(guid), txg)


def dataset(name: str, *points: Point, empty: bool = False, written: int = 0) -> Dataset:
    """One look."""
    return Dataset(name, "9", {**SPACE, "written": written}, SETTINGS, points=points, empty=empty)


def there(*points: Point) -> Dataset:
    """One look at the active one."""
    return dataset(THERE, *points)


def here(*points: Point, later: int = 1000, **more: bool) -> Dataset:
    """One look at the replica; there a snapshot has another transaction, and the same guid."""
    moved = (replace(p, name=p.name.replace(THERE, HERE), createtxg=p.createtxg + later) for p in points)
    return dataset(HERE, *moved, **more)


S1, S2, S3 = snap(1, 10), snap(2, 20), snap(3, 30)


def test_the_base_is_the_newest_that_both_hold_by_guid_alone() -> None:
    """Names and transactions differ; a snapshot of the same name is not the same."""
    same_name = replace(S3, guid="33")
    found = lineage.base(here(S1, S2, same_name), there(S1, S2, S3))
    assert found is not None
    assert (found.here.guid, found.there.guid) == ("2", "2")
    assert found.here.createtxg != found.there.createtxg
    assert lineage.base(here(), there(S1)) is None
    assert lineage.base(here(S3), there(S1, S2)) is None
    bookmark = Point(f"{THERE}#b", Kind.BOOKMARK, "3", 30)
    assert lineage.base(here(S3), there(S1, bookmark)) is None, "nothing can be turned back to a bookmark"


def test_a_marker_is_a_base_too() -> None:
    """And what is older on the replica, and gone on the active one, does not matter."""
    mark = marker(B, 7, 25)
    found = lineage.base(here(S1, S2, mark), there(S1, mark, S3))
    assert found is not None
    assert found.there == mark


def test_what_is_beyond_the_base_was_discarded() -> None:
    """By the replica's own transactions."""
    mark = marker(B, 7, 25)
    held = here(S1, S2, mark)
    base = lineage.base(held, there(S1))
    assert [p.guid for p in lineage.beyond(held, base)] == ["2", "7"]
    assert lineage.foreign(lineage.beyond(held, base)) == []
    held = here(S1, stranger(50, 15), mark, stranger(51, 26, Kind.BOOKMARK))
    assert [p.guid for p in lineage.foreign(lineage.beyond(held, lineage.base(held, there(S1))))] == ["50", "51"]
    assert lineage.foreign(lineage.beyond(held, lineage.base(held, there(S1, mark)))) == [held.points[-1]]


def test_all_of_ours_is_due_in_order_and_nothing_of_a_stranger() -> None:
    """Every snapshot, markers that others hold, the new marker; none that was taken after it."""
    new, others, unborn = marker(B, 7, 40, received=False), marker(C, 8, 15), marker(C, 9, 35, received=False)
    active = there(S1, others, S2, stranger(50, 25), S3, unborn, new, snap(4, 45))
    assert [p.guid for p in lineage.due(here(), active, new)] == ["1", "8", "2", "3", "7"]
    assert [p.guid for p in lineage.due(here(S1, others, S2), active, new)] == ["3", "7"]
    assert [p.guid for p in lineage.due(here(S1, others, S2, S3), active, new)] == ["7"]


def test_a_marker_goes_when_a_newer_one_has_arrived_and_not_before() -> None:
    """One that is only taken proves nothing; what belongs to a replica that is gone goes at once."""
    old, new, gone = marker(B, 7, 10), marker(B, 8, 20, received=False), marker(C, 9, 15)
    assert lineage.stale(there(old, new), A, {B}) == []
    assert lineage.stale(there(old, gone, new), A, {B}) == [gone]
    assert lineage.stale(lineage.with_received(there(old, new), new), A, {B}) == [old]
    assert lineage.stale(there(S1, S2, stranger(50, 30)), A, {B}) == []


def test_the_active_ones_own_marker_stays_until_every_other_replica_has_a_newer_one() -> None:
    """After a promotion it is what the others follow by."""
    own, of_b, of_c = marker(A, 7, 10), marker(B, 8, 20), marker(C, 9, 30)
    assert lineage.stale(there(own), A, {B, C}) == []
    assert lineage.stale(there(own, of_b), A, {B, C}) == []
    assert lineage.stale(there(own, of_b, of_c), A, {B, C}) == [own]
    earlier = replace(of_c, createtxg=5)
    assert lineage.stale(there(earlier, own, of_b), A, {B, C}) == []
    assert lineage.stale(there(own, of_b), A, ()) == [own, of_b], "no other replica is left"


def test_any_two_that_follow_have_a_base_in_common_once_one_is_promoted() -> None:
    """Looks in any order; what each holds of the others' markers is enough, and no snapshot is needed."""
    order = [B, C, C, B, C, B, B, C]
    active, held = there(), {B: here(empty=True), C: here(empty=True)}
    for turn, who in enumerate(order, 1):
        new = marker(who, 100 + turn, 10 * turn, received=False)
        active = there(*active.points, new)
        for point in lineage.due(held[who], active, new):
            last = len(held[who].points) + 1000
            arrived = replace(point, name=point.name.replace(THERE, HERE), createtxg=last, received=True)
            held[who] = dataset(HERE, *held[who].points, arrived)
        active = lineage.with_received(active, new)
        stale = lineage.stale(active, A, {B, C})
        active = there(*[p for p in active.points if p not in stale])
        known = {p.guid for p in active.points}
        held[who] = dataset(HERE, *[p for p in held[who].points if p.guid in known])
        assert len([p for p in active.points if p.marker == who]) == 1, "one marker to a pair"
        if len(set(order[:turn])) == 2:
            assert lineage.base(held[B], held[C]) is not None, order[:turn]
            for one in (B, C):
                other = C if one is B else B
                assert (
                    not lineage.needed(held[one], held[one].points[-1], [])
                    or lineage.stale(held[one], one, {A, other}) == []
                ), "nothing goes before the others have followed"


def test_a_deleted_snapshot_is_kept_only_while_a_replica_may_depend_on_it() -> None:
    """After a revert has taken the markers."""
    assert lineage.unmarked(there(S1), {B})
    assert lineage.unmarked(there(S1, marker(B, 7, 20, received=False)), {B})
    assert not lineage.unmarked(there(S1, marker(B, 7, 5)), {B})
    assert lineage.unmarked(there(S1, marker(B, 7, 5)), {B, C})


def test_what_a_cut_look_took_and_never_sent_is_abandoned() -> None:
    """Not what has arrived, nor another replica's."""
    arrived, lost, others = (
        marker(B, 7, 10, received=False),
        marker(B, 8, 20, received=False),
        marker(C, 9, 30, received=False),
    )
    assert lineage.abandoned(here(arrived), there(arrived, lost, others), B) == [lost]


def test_what_was_received_is_known_by_its_name() -> None:
    """A receive brings no properties. A stranger's name says nothing."""
    bare = replace(S1, snapshot_id=None, size=None)
    mark = replace(marker(B, 7, 20), marker=None, received=False)
    found = here(bare, mark, stranger(50, 30), S2)
    share = Replica(id=B, share_id=new_id(), host="h", pool="tank1", size=1)
    assert S1.snapshot_id is not None
    record = SnapshotInstance(
        id=new_id(), snapshot_id=S1.snapshot_id, replica=share, size=3, created_at=datetime.now(UTC)
    )
    claims = lineage.claims(found, [record])
    assert claims == {
        found.points[0].name: {SNAPSHOT: S1.snapshot_id, SIZE: "3"},
        found.points[1].name: {MARKER: B + RECEIVED},
    }
    assert lineage.claims(found, []) == {found.points[1].name: {MARKER: B + RECEIVED}}, "unmanaged, it is somebody's"


@pytest.mark.parametrize("name", ["snap-1", f"snap-{A}-x", f"marker-{A}", f"marker-{A}-xyz", f"x-snap-{A}", A.upper()])
def test_what_only_looks_like_a_name_of_ours_is_a_strangers(name: str) -> None:
    """Exactly as we write them."""
    assert lineage.properties(name, 1) == {}


def test_when_a_replica_cannot_follow() -> None:
    """Without a base only a full copy can help; one that was made for that needs none."""
    assert _has_base(here(S1), there(S1))
    assert _has_base(here(empty=True), there(S1))
    assert not _has_base(here(), there(S1)), "it may have been active: nobody replaces it unasked"
    assert not _has_base(here(S2), there(S1))
    assert not _has_base(here(S2, empty=True), there(S1))


def test_what_is_not_ours_and_beyond_the_base_is_in_the_way() -> None:
    """By name; what is older than the base is in nobody's."""
    assert "by-hand-50" in _in_the_way(here(S1, stranger(50, 20)), there(S1), ())
    assert "by-hand-50" in _in_the_way(here(stranger(50, 20), empty=True), there(S1), ())
    assert _in_the_way(here(stranger(50, 5), S1), there(S1), ()) == ""
    assert _in_the_way(here(S1, S2, marker(B, 7, 25)), there(S1), ()) == ""


def test_the_last_copy_of_a_snapshot_on_record_is_never_turned_back_from() -> None:
    """Somebody has destroyed the active one's by hand. One that is on record no more may go."""
    assert S2.snapshot_id is not None
    wanted = [record_of(S1.snapshot_id), record_of(S2.snapshot_id)]
    assert S2.snapshot_id in _in_the_way(here(S1, S2), there(S1), wanted)
    assert _in_the_way(here(S1, S2), there(S1), wanted[:1]) == ""
    mark = marker(B, 7, 25)
    assert _in_the_way(here(S1, S2, mark), there(S1, mark), wanted) == "", "older than the base, it stays"


def record_of(snapshot_id: str | None) -> SnapshotInstance:
    """An instance on the replica."""
    share = Replica(id=B, share_id=new_id(), host="h", pool="tank1", size=1)
    now = datetime.now(UTC)
    return SnapshotInstance(id=new_id(), snapshot_id=str(snapshot_id), replica=share, size=1, created_at=now)


def test_in_sync_is_what_holds_the_marker_that_the_active_one_still_has() -> None:
    """And nothing beyond it, on a share that is not being reverted."""
    mark = marker(B, 7, 20)
    assert _equal(here(S1, mark), there(S1, mark), mark)
    assert not _equal(here(S1, mark), there(S1), mark)
    assert not _equal(here(S1), there(S1, mark), mark)
    assert not _equal(here(S1, mark, S2), there(S1, mark), mark)
    assert not _equal(dataset(HERE, *here(S1, mark).points, written=1), there(S1, mark), mark)
    assert not _equal(here(S1, mark), replace(there(S1, mark), reverting="1"), mark)


# --- what OpenZFS 2.3.9 says

FULL = """\
full\ttank0/x@s1\t42029168
size\t42029168
23:45:34\t134256\ttank0/x@s1
23:45:35\t134256\ttank0/x@s1
23:45:40\t36133472\ttank0/x@s1
"""
RESUMED = """\
resume token contents:
nvlist version: 0
\tfromguid = 0x5c9a227608ab717
\tobject = 0x3
\toffset = 0x12e0000
\tbytes = 0x130c328
\ttoguid = 0x86005058180a19ff
\ttoname = tank0/x@s2
\tembedok = 1
\tcompressok = 1
incremental\ttank0/x@s1\ttank0/x@s2\t22050632
size\t22050632
23:45:51\t7752864\ttank0/x@s2
23:45:52\t21942336\ttank0/x@s2
"""
"""Of ``zfs send -vP``, on standard error."""
TOKEN = """\
     fromguid: 417042730515609367
     object: 3
     offset: 19791872
     bytes: 19972904
     toguid: 9655805940373002751
     toname: 'tank0/x@s2'
     embedok
     compressok
"""
"""Of ``zstream token``."""
RESUME_TOKEN = (
    "1-109c46c85e-118-789c636064000310a501c49c50360710a715e5e7a69766a6304081f8f6ae04f545275915806c762475f"
    "94959a9c9250c0ccc507518f26969c5a92520193d46983c1b927c5265496a31c8fec3068cd8f497e4435cf15f924b222280a"
    "14d03499e132c9f97989b0aa413f3b20df42b1c8a8d20ee9080ea87f92f35372935253f1b6c3e379278727e6e41516a71315"
    "00a0e007efb22a0"
)


def percents(said: str, number: int = 0, of: int = 1) -> list[float | None]:
    """Hear it line by line, as it comes."""
    told = streams.Progress(number, of)
    return [told(line) for line in said.splitlines(keepends=True)]


def test_the_progress_of_a_send() -> None:
    """Of the size that it says first; what is no progress is another's to tell."""
    assert percents(FULL) == [0.0, 0.0, *(pytest.approx(part, abs=0.1) for part in (0.3, 0.3, 86.0))]
    assert percents(FULL, 1, 2)[-1] == pytest.approx(93.0, abs=0.1)
    assert percents(RESUMED)[:10] == [None] * 10
    assert percents(RESUMED)[-1] == pytest.approx(99.5, abs=0.1)
    assert percents("cannot open 'tank0/x@s1': dataset does not exist\n") == [None]
    assert percents("23:45:34\t312\ttank0/x@s1\n") == [0.0], "no size was said"


def test_what_a_token_stands_for() -> None:
    """The snapshot that was being sent, by name and guid."""
    assert streams.parse_token(TOKEN) == streams.Resumable("tank0/x@s2", "9655805940373002751")
    with pytest.raises(BackendError, match="names no snapshot"):
        streams.parse_token("Invalid resume token\n")


def test_a_send_is_resumed_only_where_its_snapshot_could_have_been_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server reads the token before it hands it on."""
    from revertkit.drivers.zfs import openzfs

    named = streams.Resumable(SENT, "1")
    monkeypatch.setattr(openzfs, "read_token", lambda _: named)
    assert checked(f"zfs send -vP -t {RESUME_TOKEN}", "tank0") == (streams.resume(RESUME_TOKEN), SENT)
    for strange in (f"{THERE}@by-hand", f"tank1/share-{A}@snap-{B}"):
        named = streams.Resumable(strange, "1")
        with pytest.raises(InvalidInput, match="this key may not run"):
            checked(f"zfs send -vP -t {RESUME_TOKEN}", "tank0")


# --- what is let through


SENT = f"{THERE}@snap-{B}"
MARK = f"{THERE}@marker-{B}-0123456789ab"


def asked_by_active() -> list[list[str]]:
    """Record what :class:`Active` runs, by the real functions."""
    from revertkit.drivers.zfs import openzfs

    return [
        openzfs._get(THERE, depth=1),
        ["zfs", "snapshot", "-o", f"{MARKER}={B}", MARK],
        ["zfs", "set", f"{MARKER}={B}{RECEIVED}", MARK],
        ["zfs", "destroy", MARK],
        ["zfs", "set", "readonly=on", THERE],
        ["zfs", "set", "readonly=off", THERE],
        streams.send(SENT, None),
        streams.send(MARK, SENT),
    ]


@pytest.mark.parametrize("argv", asked_by_active(), ids=lambda argv: argv[1])
def test_what_a_replica_asks_for_is_let_through(argv: list[str]) -> None:
    """Word by word."""
    found, sent = checked(" ".join(argv), "tank0")
    assert found == argv
    assert sent == (argv[-1] if argv[1] == "send" else "")


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "sh",
        f"zfs destroy {SENT}",
        f"zfs destroy {THERE}",
        f"zfs destroy -r {MARK}",
        f"zfs destroy {MARK} ",
        f"zfs destroy {MARK}\n",
        f"zfs destroy {MARK}; sh",
        f"zfs destroy {THERE}@by-hand",
        f"zfs rollback {SENT}",
        f"zfs set {MARKER}={B} {THERE}",
        f"zfs set {SNAPSHOT}={B} {MARK}",
        f"zfs set mountpoint=/ {THERE}",
        f"zfs set readonly=on mountpoint=/ {THERE}",
        "zfs set readonly=on tank0",
        f"zfs snapshot {MARK}",
        f"zfs send -vPLec {THERE}@by-hand",
        f"zfs send -vPLecR {SENT}",
        f"zfs send -vPLec tank1/share-{A}@snap-{B}",
        f"zfs send -vPLec tank0/x/share-{A}@snap-{B}",
        f"zfs send -vP -t {SENT}",
        "zfs send -vP -t 1-2-3-4 -w",
        f"zfs receive {SENT}",
        f"zfs get -Hp all {THERE}",
        "zpool destroy tank0",
    ],
)
def test_anything_else_is_refused(asked: str) -> None:
    """To the last character, and only below the pool that the key is for."""
    with pytest.raises(InvalidInput, match="this key may not run"):
        checked(asked, "tank0")


def test_the_server_loads_no_more_than_it_needs() -> None:
    """It starts for every command of a replication: without this it took half a second instead of a tenth."""
    asked = "import sys, revertkit.drivers.zfs.send_server; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout.split()
    assert "revertkit.drivers.zfs.openzfs" in loaded
    assert not {"pydantic", "structlog", "sh", "revertkit.driver"} & set(loaded)


def test_the_pool_of_a_key_is_no_pattern() -> None:
    """A dot is a dot."""
    with pytest.raises(InvalidInput):
        checked(f"zfs destroy tankX0/share-{A}@marker-{B}-0123456789ab", "tank.0")


def test_the_way_to_another_host_checks_its_key_and_asks_nobody() -> None:
    """No password, no agent's other keys, no unknown host."""
    from pathlib import Path

    via = by_ssh("user@host", Path("/key"), Path("/known"))
    said = " ".join(via)
    for option in ("BatchMode=yes", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "UserKnownHostsFile=/known"):
        assert option in said
    assert via[-2:] == ("--", "user@host")
    assert Active(THERE, via).name == THERE


def test_only_a_first_copy_may_replace_a_dataset() -> None:
    """``-F`` destroys what is newer than the base."""
    assert "-F" not in streams.receive(MARK, first=False)
    assert "-F" in streams.receive(MARK, first=True)
    assert {"-s", "-u"} <= set(streams.receive(MARK, first=False))
    assert EMPTY.startswith("revertkit:")
