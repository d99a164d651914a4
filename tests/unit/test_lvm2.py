"""LVM, thick: real reports read right, errors recognised, and what one look says of a revert."""

from __future__ import annotations

import fcntl
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from revertkit.capabilities import Capability, discover
from revertkit.drivers.lvm import LvmDriver, adopt, failures, family, kernel, lvm2, options, rows
from revertkit.drivers.lvm.family import Family
from revertkit.drivers.lvm.online import Front
from revertkit.drivers.lvm.rows import Volume
from revertkit.drivers.lvm.thick import Thick
from revertkit.errors import BackendError, CommandFailed, InvalidInput
from revertkit.models import Replica, RevertState, SnapshotInstance
from revertkit.system.run import Completed

REPORT = """
  {
      "report": [
          {
              "lv": [
                  {"lv_name":"room-a", "lv_uuid":"eaVRgS-McpG-NHPQ-iCl5-SWlq-Q07A-zw6vcY", "lv_size":"222298112",
                   "lv_tags":"revertkit.share=cap,revertkit.snapshot=a,revertkit.was=foo", "lv_time":"1795350642",
                   "lv_layout":"linear", "pool_lv":"",
                   "lv_check_needed":"-1", "lv_health_status":"", "data_percent":"", "metadata_percent":"",
                   "lv_attr":"-wi-------", "origin":"", "lv_active":"0", "lv_device_open":"-1", "lv_merging":"0",
                   "lv_merge_failed":"-1", "lv_snapshot_invalid":"-1", "snap_percent":"", "vg_name":"vg0",
                   "vg_free":"2768240640"},
                  {"lv_name":"share-cap", "lv_uuid":"fWZ7uO-VVpy-w6bV-6jea-ese8-U1Hq-WXU8Jo", "lv_size":"1073741824",
                   "lv_tags":"revertkit.share=cap", "lv_time":"1795350427", "lv_layout":"linear", "pool_lv":"",
                   "lv_check_needed":"-1", "lv_health_status":"", "data_percent":"", "metadata_percent":"",
                   "lv_attr":"Owi---s---", "origin":"",
                   "lv_active":"0", "lv_device_open":"-1", "lv_merging":"1", "lv_merge_failed":"-1",
                   "lv_snapshot_invalid":"-1", "snap_percent":"", "vg_name":"vg0", "vg_free":"2768240640"},
                  {"lv_name":"[snap-a]", "lv_uuid":"iTdgIn-oI5Q-VuLN-T1g0-xWnj-F9n6-Tt2hqN", "lv_size":"226492416",
                   "lv_tags":"revertkit.share=cap,revertkit.snapshot=a", "lv_time":"1795350445",
                   "lv_layout":"linear", "pool_lv":"",
                   "lv_check_needed":"-1", "lv_health_status":"", "data_percent":"", "metadata_percent":"",
                   "lv_attr":"Sri---s---", "origin":"share-cap", "lv_active":"0", "lv_device_open":"-1",
                   "lv_merging":"1", "lv_merge_failed":"-1", "lv_snapshot_invalid":"-1", "snap_percent":"",
                   "vg_name":"vg0", "vg_free":"2768240640"},
                  {"lv_name":"stranger", "lv_uuid":"kVbL79-FbBv-ca3I-pT9u-6CQ1-8C0c-UNiSwB", "lv_size":"67108864",
                   "lv_tags":"", "lv_time":"1795350606", "lv_layout":"linear", "pool_lv":"",
                   "lv_check_needed":"-1", "lv_health_status":"", "data_percent":"", "metadata_percent":"",
                   "lv_attr":"swi-I-s---", "origin":"share-cap",
                   "lv_active":"1", "lv_device_open":"0", "lv_merging":"0", "lv_merge_failed":"0",
                   "lv_snapshot_invalid":"1", "snap_percent":"100.00", "vg_name":"vg0", "vg_free":"2923429888"}
              ]
          }
      ]
      ,
      "log": [
      ]
  }
"""
"""What lvs 2.03.31 said of a merge that waits for its origin's activation, and of a snapshot that has overflowed."""

SHARE = Replica(id="r1", share_id="s1", host="h", pool="vg0", size=1, backend_id="uuid-r1")
SNAPSHOT = SnapshotInstance(
    id="n1", snapshot_id="i1", replica=SHARE, size=1, created_at=datetime(2026, 1, 1, tzinfo=UTC), backend_id="old"
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
HUSK = replace(BODY, origin="", used_percent=None)


def look(*volumes: Volume) -> Family:
    return family.family(volumes, "r1")


def thick(root: Path) -> Thick:
    return Thick(group="vg0", front=Front(root, None), ensure_share=lambda _: None, percent=25)


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
        ((ORIGIN, HUSK, ROOM), RevertState.HALFWAY),
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


@pytest.mark.parametrize(("online", "state"), [(False, RevertState.REVERTED), (True, RevertState.UNKNOWN)])
def test_what_is_online_is_not_taken_for_just_reverted(
    online: bool, state: RevertState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its users may have written to it since; nor is it unchanged, or recovery would say that nothing has happened."""
    monkeypatch.setattr(Front, "is_online", lambda *_: online)
    fresh = replace(ROOM, name="snap-i1", origin="share-r1", read_only=True)
    assert thick(tmp_path).state_of(look(ORIGIN, fresh), SNAPSHOT) is state
    assert thick(tmp_path).state_of(look(ORIGIN, BODY), SNAPSHOT) is RevertState.UNCHANGED


def test_only_a_room_that_never_began_is_swept() -> None:
    assert family.leftovers(look(ORIGIN, BODY, ROOM)) == [ROOM]
    assert family.leftovers(look(ORIGIN, MERGING, ROOM)) == []
    assert family.leftovers(look(ORIGIN, ROOM)) == []
    assert family.leftovers(look(ORIGIN, replace(ROOM, origin="share-r1"))) == []
    assert family.leftovers(look(ORIGIN, BODY, replace(ROOM, tags=frozenset()))) == []


def test_an_adopted_snapshot_that_is_called_like_a_room_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tagged, and killed before it had its name: it neither says "half way" nor is removed when it is let go of."""
    adopted = replace(BODY, name="room-monday")
    assert (look(ORIGIN, adopted).rooms, look(ORIGIN, adopted).halfway) == ((), ())
    there = {"origin": ORIGIN, "adopted": adopted}
    monkeypatch.setattr(lvm2, "volumes", lambda group: list(there.values()))
    monkeypatch.setattr(lvm2, "mark", lambda v, gone: there.update(adopted=replace(v, tags=v.tags - {*gone})))
    monkeypatch.setattr(lvm2, "remove", lambda *found: pytest.fail("it is removed") if found else None)
    adopt.let_go_of_snapshot(thick(tmp_path), SNAPSHOT)
    assert there == {"origin": ORIGIN, "adopted": replace(BODY, name="room-monday", tags=frozenset())}


def test_tags_that_lvm_says_it_took_off_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lvm2, "volumes", lambda group: [ORIGIN, BODY])
    monkeypatch.setattr(lvm2, "mark", lambda volume, gone: None)
    monkeypatch.setattr(lvm2, "remove", lambda *found: None)
    with pytest.raises(BackendError, match="but they are there"):
        adopt.let_go_of_snapshot(thick(tmp_path), SNAPSHOT)


def test_what_a_revert_put_there_is_deleted_by_the_record_of_before() -> None:
    """The record of the revert was lost; LVM's own tag tells whose place the volume has. A stranger has none."""
    retaken = replace(BODY, tags=BODY.tags | {"revertkit.was=old"}, uuid="new")
    assert BODY.uuid == SNAPSHOT.backend_id == "old"
    assert family.another_snapshot(look(ORIGIN, BODY), SNAPSHOT) == []
    assert family.another_snapshot(look(ORIGIN, retaken), SNAPSHOT) == []
    assert family.another_snapshot(look(ORIGIN), SNAPSHOT) == []
    strangers = (replace(BODY, uuid="new"), replace(retaken, tags=BODY.tags | {"revertkit.was=other"}))
    for stranger in strangers:
        assert [b.kind for b in family.another_snapshot(look(ORIGIN, stranger), SNAPSHOT)] == ["identity"]


def test_a_husk_is_no_snapshot_and_is_known_by_name_and_tags() -> None:
    seen = look(ORIGIN, HUSK, ROOM)
    assert (seen.snapshots, seen.husk("i1"), family.leftovers(seen)) == ((), HUSK, [])
    assert look(ORIGIN, replace(HUSK, tags=frozenset({"revertkit.share=r1"}))).husk("i1") is None
    assert look(ORIGIN, BODY).husk("i1") is None


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


def test_a_real_report() -> None:
    room, share, snap, stranger = rows.parse(REPORT)
    assert (share.name, share.size, share.merging, share.active, share.open) == (
        "share-cap",
        1 << 30,
        True,
        False,
        False,
    )
    assert (snap.name, snap.origin, snap.merging, snap.read_only) == ("snap-a", "share-cap", True, True)
    assert (snap.used_percent, snap.tag("snapshot"), snap.tag("was")) == (None, "a", None)
    assert (room.origin, room.tag("was"), room.read_only, room.taken) == ("", "foo", False, 1795350642)
    assert (stranger.invalid, stranger.used_percent, stranger.tags) == (True, 100.0, frozenset())
    assert str(snap.path) == "/dev/vg0/snap-a"


def test_a_real_report_of_a_merge_is_half_way() -> None:
    seen = family.family(rows.parse(REPORT), "cap")
    assert [v.name for v in seen.halfway] == ["snap-a"]
    assert family.leftovers(seen) == []


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ('Volume group "vg0" has insufficient free space (713 extents): 25600 required.', failures.NoSpace),
        ("Cannot create new thin volume, free space in thin pool vg0/pool0 reached threshold.", failures.NoSpace),
        ("Logical volume vg0/share-cap contains a filesystem in use.", failures.InUse),
        ("Logical volume vg0/share-cap in use.", failures.InUse),
        ('Logical Volume "share-cap" already exists in volume group "vg0"', failures.Exists),
        ("New size (256 extents) matches existing size (256 extents).", failures.NothingToDo),
        ("New size given (52 extents) not larger than existing size (54 extents)", failures.NothingToDo),
        ("Check of pool cuts/pool failed (status:64). Manual repair required!", failures.PoolRefused),
        ('WARNING: Checksum error on /dev/vdb at offset 364544.\n  Volume group "cuts" not found', failures.Unreadable),
        ("Snapshot origin volumes can be resized only while inactive: try lvchange -an.", CommandFailed),
    ],
)
def test_what_lvm_says_has_a_name(monkeypatch: pytest.MonkeyPatch, said: str, kind: type[CommandFailed]) -> None:
    def refuse(argv: list[str]) -> Completed:
        raise CommandFailed(argv, 5, f"  {said}\n")

    monkeypatch.setattr(lvm2, "run", refuse)
    with pytest.raises(CommandFailed) as failure:
        lvm2.activate(ORIGIN)
    assert type(failure.value) is kind
    assert failure.value.argv[0] == "lvchange"
    assert said in str(failure.value)
    assert getattr(kind, "mend", "") in str(failure.value)


def test_a_change_outlasts_a_power_cut(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each disk of the group is flushed after the change, and only then; one that has left it meanwhile is let be."""
    disks, done = [tmp_path / "vdb", tmp_path / "vdc"], []
    for disk in disks:
        disk.touch()

    def answer(argv: list[str], changes: bool = True) -> Completed:
        done.append(argv[0])
        return Completed(0, "".join(f"  {disk}\n" for disk in disks) + "  [unknown]\n", "")

    monkeypatch.setattr(lvm2, "run", answer)
    monkeypatch.setattr(os, "fsync", lambda opened: done.append(Path(f"/proc/self/fd/{opened}").readlink().name))
    lvm2._disks.cache_clear()
    lvm2.rename(ORIGIN, "other")
    lvm2.rename(ORIGIN, "other")
    assert done == ["lvrename", "vgs", "vdb", "vdc", "lvrename", "vdb", "vdc"]
    disks.pop().unlink()
    lvm2.rename(ORIGIN, "other")
    assert done[7:] == ["lvrename", "vdb", "vgs", "vdb"]
    lvm2._disks.cache_clear()


def test_a_disk_that_cannot_be_flushed_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    """What LVM was told and has said of itself may be gone after a power cut then."""
    monkeypatch.setattr(lvm2, "run", lambda argv, changes=True: Completed(0, "/dev/full\n", ""))
    lvm2._disks.cache_clear()
    with pytest.raises(BackendError, match="/dev/full does not write down its cache"):
        lvm2.rename(ORIGIN, "other")
    lvm2._disks.cache_clear()


def test_suspended_devices_of_one_share(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As the kernel shows an origin whose tool was killed while its devices were suspended."""
    devices = {"dm-0": ("vg0-share--r1-real", 1), "dm-1": ("vg0-share--r1", 1), "dm-2": ("vg0-snap--a-cow", 0)}
    devices |= {"dm-3": ("vg0-snap--a", 1), "dm-4": ("vg0-share--r2", 1)}
    for node, (name, suspended) in devices.items():
        for part in ("dm", "holders", "slaves"):
            (tmp_path / node / part).mkdir(parents=True)
        (tmp_path / node / "dm/name").write_text(f"{name}\n")
        (tmp_path / node / "dm/suspended").write_text(f"{suspended}\n")
    for above, below in (("dm-1", "dm-0"), ("dm-3", "dm-0"), ("dm-3", "dm-2")):
        (tmp_path / below / "holders" / above).touch()
        (tmp_path / above / "slaves" / below).touch()
    (tmp_path / "dm-9").mkdir()  # going away while we look
    monkeypatch.setattr(kernel, "SYSFS", tmp_path)
    assert kernel.suspended("vg0", "share-r1") == ["vg0-share--r1-real", "vg0-snap--a", "vg0-share--r1"]
    assert kernel.suspended("vg0", "share-r3") == []


def test_a_device_is_never_resumed_under_a_living_tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A tool has the group's lock while it works; once that is free, what is suspended is a killed one's."""
    lock, held = tmp_path / "V_vg0", ["vg0-snap--a", "vg0-share--r1"]
    monkeypatch.setattr(kernel, "LOCKS", tmp_path)
    monkeypatch.setattr(kernel, "suspended", lambda *_: list(held))
    monkeypatch.setattr(kernel, "run", lambda argv: held.remove(argv[-1]))
    at_work = lock.open("w")
    fcntl.flock(at_work, fcntl.LOCK_EX)
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        assert len(held) == 2, "resumed while the lock was held"
        if len(naps) == 3:
            lock.unlink()  # as a tool does
            at_work.close()

    monkeypatch.setattr(kernel.time, "sleep", nap)
    kernel.resume_suspended("vg0", "share-r1")
    assert (len(naps), held) == (3, [])


@pytest.mark.parametrize("elsewhere", [False, True], ids=["stuck", "LVM has its locks elsewhere"])
def test_a_device_is_resumed_in_the_end(elsewhere: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A tool may be stuck for ever, as in reading what it has suspended itself."""
    held = ["vg0-share--r1"]
    monkeypatch.setattr(kernel, "LOCKS", tmp_path / "none" if elsewhere else tmp_path)
    monkeypatch.setattr(kernel, "A_TOOLS_SECONDS", 0.2)
    monkeypatch.setattr(kernel, "suspended", lambda *_: list(held))
    monkeypatch.setattr(kernel, "run", lambda argv: held.remove(argv[-1]))
    with (tmp_path / "V_vg0").open("w") as at_work:
        fcntl.flock(at_work, fcntl.LOCK_EX)
        kernel.resume_suspended("vg0", "share-r1")
    assert held == []


def test_what_the_driver_is_found_to_support() -> None:
    missing = {Capability.REPLICATION, Capability.REPLICATED_REVERT}
    assert discover(LvmDriver) == set(Capability) - missing


@pytest.mark.parametrize(
    ("told", "thin", "lacked"),
    [
        ("2.03.16(2) (2022-05-18)", False, {"shrink_support", "revert_to_snapshot_support"}),
        ("2.03.11(2) (2021-01-08)", True, {"shrink_support"}),
        ("2.03.17(2) (2022-11-10)", False, set()),
        ("2.04.1(2) (2030-01-01)", False, set()),
    ],
)
def test_an_old_lvm_cannot_turn_back_a_share_that_has_grown(
    told: str, thin: bool, lacked: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found out when the backend is looked at, and not in the middle of a revert."""
    said = f"  LVM version:     {told}\n  Library version: 1.02.185 (2022-05-18)\n"
    monkeypatch.setattr(lvm2, "run", lambda argv, changes=True: Completed(0, said, ""))
    monkeypatch.setattr(options, "tool", lambda name: Path("/sbin") / name)
    lvm2.version.cache_clear()
    given = {"volume_group": "vg0", "mount_root": "/srv"} | ({"thin_pool": "pool0"} if thin else {})
    lacks = options.backend_lacks(options.LvmOptions.model_validate(given))
    lvm2.version.cache_clear()
    assert {lack.capability for lack in lacks} == lacked
    assert all("install LVM 2.03.17 or newer" in lack.mend for lack in lacks)


@pytest.mark.parametrize(
    "wrong",
    [{"volume_group": "-y"}, {"volume_group": "a b"}, {"mount_root": "srv"}, {"export_address": "host"}, {"thin": 1}],
)
def test_settings_that_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LvmDriver.Options.model_validate({"volume_group": "vg0", "mount_root": "/srv"} | wrong)
