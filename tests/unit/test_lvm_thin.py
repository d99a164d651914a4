"""LVM, thin: a real report read right, the table of states, what blocks, and what one look is enough to rebuild."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from revertkit.drivers.lvm import LvmDriver, adopt, family, filesystems, lineage, lvm2, rows
from revertkit.drivers.lvm.lineage import Lineage
from revertkit.drivers.lvm.rows import Volume
from revertkit.errors import BackendError, Blocked, InvalidInput
from revertkit.models import GIB, Replica, RevertState, SnapshotInstance
from revertkit.system.run import Completed

BARE = {"lv_merging": "0", "lv_merge_failed": "-1", "lv_snapshot_invalid": "-1", "lv_check_needed": "-1"}
BARE |= {"lv_health_status": "", "snap_percent": "", "data_percent": "", "metadata_percent": "", "pool_lv": ""}
BARE |= {"vg_name": "vgx", "vg_free": "641728512", "lv_active": "0", "lv_device_open": "-1", "origin": ""}
THIN = BARE | {"pool_lv": "pool0", "lv_size": "314572800", "lv_layout": "thin,sparse", "lv_attr": "Vwi---tz--"}
REPORT = [
    THIN
    | {"lv_name": "new-i1", "lv_uuid": "qndh58-NZK0-R0dR-MN72-NQrV-ATa6-Xg938J", "lv_time": "1795360166"}
    | {"lv_tags": "revertkit.reverted=i1,revertkit.share=r1", "origin": "snap-i1"},
    THIN
    | {"lv_name": "old-i1", "lv_uuid": "NGK7VD-ybku-CzGI-yJZh-u0Rd-epWt-uUaNcK", "lv_time": "1795360137"}
    | {"lv_tags": "revertkit.of=s1,revertkit.share=r1,revertkit.size=1"},
    BARE
    | {"lv_name": "pool0", "lv_uuid": "6hgFdJ-ks8S-lGsy-ugGV-bboa-y6ng-3Zeqo3", "lv_time": "1795360120"}
    | {"lv_attr": "twi-aotz--", "lv_layout": "thin,pool", "lv_size": "419430400", "lv_tags": "", "lv_active": "1"}
    | {"lv_check_needed": "0", "snap_percent": "5.00", "data_percent": "5.00", "metadata_percent": "11.13"},
    BARE
    | {"lv_name": "[pool0_tdata]", "lv_uuid": "ZnF4ff-dqhX-Yp7g-SsfS-Zgnm-Ih0G-Hl7rSR", "lv_time": "1795360123"}
    | {"lv_attr": "Twi-ao----", "lv_layout": "linear", "lv_size": "419430400", "lv_tags": "", "lv_active": "1"},
    THIN
    | {"lv_name": "snap-i1", "lv_uuid": "xhrDTD-YnP8-Ioxs-aN4J-Gz2E-N3Rt-swPxxm", "lv_time": "1795360163"}
    | {"lv_tags": "revertkit.share=r1,revertkit.snapshot=i1", "lv_attr": "Vri---tz-k", "origin": "old-i1"},
]
"""What lvs 2.03.31 said of a share between the two renames of a revert."""

SHARE = Replica(id="r1", share_id="s1", host="h", pool="vg0/pool0", size=1, backend_id="old-uuid")
SNAPSHOT = SnapshotInstance(
    id="n1", snapshot_id="i1", replica=SHARE, size=1, created_at=datetime(2026, 1, 1, tzinfo=UTC), backend_id="snap"
)
OLD = Volume(
    group="vg0",
    name="share-r1",
    uuid="old-uuid",
    size=GIB,
    tags=frozenset(family.share_tags(SHARE, 1, "xfs")),
    taken=100,
    origin="",
    active=True,
    open=False,
    read_only=False,
    merging=False,
    merge_failed=False,
    invalid=False,
    used_percent=None,
    group_free=0,
    layout="thin,sparse",
    pool="pool0",
    data_percent=10.0,
)
POOL = replace(OLD, name="pool0", uuid="p", tags=frozenset(), layout="thin,pool", pool="", metadata_percent=10.0)
BODY = replace(
    OLD,
    name="snap-i1",
    uuid="snap",
    tags=frozenset(family.tags(SNAPSHOT)),
    taken=200,
    origin="share-r1",
    read_only=True,
)
STAGE = replace(OLD, name="new-i1", uuid="new", tags=OLD.tags | {"revertkit.was=old-uuid", "revertkit.reverted=i1"})
ASIDE = replace(OLD, name="old-i1")
NEW = replace(STAGE, name="share-r1", origin="snap-i1")


def look(*volumes: Volume) -> Lineage:
    return lineage.lineage([*volumes, POOL], "r1", "pool0")


def kinds(*volumes: Volume, snapshot: SnapshotInstance = SNAPSHOT) -> list[str]:
    return [b.kind for b in lineage.blockers(look(*volumes), snapshot, 95)]


@pytest.mark.parametrize(
    ("volumes", "state"),
    [
        ((OLD, BODY), RevertState.UNCHANGED),
        ((OLD, BODY, STAGE), RevertState.UNCHANGED),
        ((BODY, STAGE, ASIDE), RevertState.HALFWAY),
        ((BODY, NEW, ASIDE), RevertState.REVERTED),
        ((BODY, NEW), RevertState.REVERTED),
        ((BODY, ASIDE), RevertState.UNKNOWN),
        ((BODY,), RevertState.UNKNOWN),
        ((OLD,), RevertState.UNKNOWN),
        ((STAGE, ASIDE), RevertState.UNKNOWN),
    ],
)
def test_how_far_a_swap_is(volumes: tuple[Volume, ...], state: RevertState) -> None:
    assert lineage.state(look(*volumes), SNAPSHOT) is state


def test_once_recorded_it_is_a_share_like_any_other() -> None:
    recorded = SNAPSHOT.model_copy(update={"replica": SHARE.model_copy(update={"backend_id": "new"})})
    assert lineage.state(look(NEW, BODY, ASIDE), recorded) is RevertState.UNCHANGED
    assert kinds(NEW, BODY, ASIDE, snapshot=recorded) == []


def test_a_swap_to_another_snapshot_is_not_this_one() -> None:
    other = replace(NEW, tags=NEW.tags - {"revertkit.reverted=i1"} | {"revertkit.reverted=i2"})
    assert lineage.state(look(other, BODY), SNAPSHOT) is RevertState.UNCHANGED
    assert kinds(other, BODY) == ["identity"]


def test_half_way_is_only_between_the_renames() -> None:
    assert look(OLD, BODY, STAGE).halfway == ()
    assert look(BODY, STAGE, ASIDE).halfway == (STAGE, ASIDE)
    assert look(BODY, NEW, ASIDE).halfway == ()


def test_what_was_staged_for_another_volume_is_not_used() -> None:
    assert lineage.staged(look(OLD, BODY, STAGE), SNAPSHOT) == STAGE
    assert lineage.staged(look(replace(OLD, uuid="x"), BODY, STAGE), SNAPSHOT) is None
    assert lineage.staged(look(OLD, BODY), SNAPSHOT) is None


def test_what_blocks() -> None:
    newer = replace(
        BODY, name="snap-i2", tags=frozenset({*OLD.tags, "revertkit.snapshot=i2", f"revertkit.taken={2**60}"})
    )
    stranger = replace(BODY, name="mine", tags=frozenset(), taken=900)
    assert kinds(OLD, BODY, stranger) == []
    assert kinds(OLD, BODY, newer) == ["newer"]
    assert kinds() == ["missing", "missing"]
    assert kinds(replace(OLD, uuid="x"), replace(BODY, uuid="y")) == ["identity", "identity"]


def test_another_pool_s_volumes_are_not_ours() -> None:
    assert look(replace(OLD, pool="pool1"), BODY).origin is None
    assert family.family([OLD, BODY, STAGE], "r1").origin is None, "nor are they a thick backend's of the same group"


@pytest.mark.parametrize("name", ["old-monday", "new-monday"])
def test_an_adopted_snapshot_that_has_its_name_still_is_no_leftover(name: str) -> None:
    """Tagged, and killed before it was renamed: what a revert has left is removed, and this is not."""
    adopted = replace(BODY, name=name)
    assert (look(OLD, adopted).rooms, look(adopted).halfway) == ((), ())
    assert look(OLD, adopted, ASIDE).rooms == (ASIDE,)


def test_a_full_pool_and_a_sick_one(monkeypatch: pytest.MonkeyPatch) -> None:
    full = replace(POOL, metadata_percent=96.5)
    (blocker,) = lineage.full(full, 95)
    assert blocker.kind == "space"
    assert "10 % of its data and 96.5 % of its metadata" in blocker.what
    assert lineage.full(POOL, 95) == []
    assert lineage.full(replace(POOL, data_percent=None, metadata_percent=None), 1) == []
    seen = [b.kind for b in lineage.blockers(replace(look(OLD, BODY, STAGE), pool=full), SNAPSHOT, 95)]
    assert seen == [], "what is staged needs no more room"
    assert [b.kind for b in lineage.ailing(replace(POOL, ailment="out_of_data"))] == ["pool"]
    assert [b.kind for b in lineage.ailing(None)] == ["pool"]
    monkeypatch.setattr(lvm2, "volumes", lambda _: [full, OLD, BODY, STAGE, ASIDE])
    monkeypatch.setattr(lvm2, "version", lambda: (2, 3, 31))
    (pool,) = LvmDriver("b", options(thin_limit_percent=95)).pools()
    assert "snapshot_support" in {lack.capability for lack in pool.lacks}
    assert (pool.name, pool.total_bytes, pool.free_bytes) == ("vg0/pool0", GIB, GIB * 9 // 10)
    assert pool.extra["provisioned_capacity_gb"] == 1.0


def options(**more: Any) -> LvmDriver.Options:
    settings = {"volume_group": "vg0", "thin_pool": "pool0", "mount_root": Path("/srv")}
    return LvmDriver.Options.model_validate(settings | more)


def test_a_real_report_of_a_swap_half_way() -> None:
    volumes = rows.parse(json.dumps({"report": [{"lv": REPORT}]}))
    seen = lineage.lineage(volumes, "r1", "pool0")
    assert [v.name for v in seen.halfway] == ["new-i1", "old-i1"]
    assert lineage.state(seen, SNAPSHOT) is RevertState.HALFWAY
    body = seen.body("i1")
    assert body is not None
    assert (body.read_only, body.pool, body.used_percent) == (True, "pool0", None)
    assert seen.pool is not None
    assert (seen.pool.data_percent, seen.pool.metadata_percent, seen.pool.ailment) == (5.0, 11.13, "")
    assert [v.name for v in volumes if v.hidden] == ["pool0_tdata"]


def test_one_look_rebuilds_the_records(monkeypatch: pytest.MonkeyPatch) -> None:
    older = SNAPSHOT.model_copy(update={"snapshot_id": "i0", "created_at": datetime(2025, 1, 1, tzinfo=UTC), "size": 3})
    first = replace(BODY, name="snap-i0", tags=frozenset(family.tags(older)))
    monkeypatch.setattr(
        lvm2, "volumes", lambda _: [POOL, NEW, BODY, first, ASIDE, replace(OLD, name="x", tags=frozenset())]
    )
    (found,) = LvmDriver("b", options()).inventory()
    assert (found.existing, found.replica_id, found.share_id, found.size) == ("share-r1", "r1", "s1", 1)
    assert found.pool == "vg0/pool0"
    assert [(s.snapshot_id, s.size, s.created_at) for s in found.snapshots] == [
        ("i0", 3, older.created_at),
        ("i1", 1, SNAPSHOT.created_at),
    ]


@pytest.mark.parametrize("existing", ["data", "vg0/data", "/dev/vg0/data"])
def test_names_that_are_taken(existing: str) -> None:
    assert adopt.name_of(existing, "vg0") == "data"


@pytest.mark.parametrize(
    "existing", ["", "-y", "vg1/data", "/dev/vg1/data", "/dev/data", "a b", "../x", "vg0/", "..", "@t"]
)
def test_names_that_are_refused(existing: str) -> None:
    with pytest.raises(InvalidInput):
        adopt.name_of(existing, "vg0")


def refused(monkeypatch: pytest.MonkeyPatch, *volumes: Volume, existing: str = "data") -> list[str]:
    monkeypatch.setattr(lvm2, "volumes", lambda _: [POOL, *volumes])
    with pytest.raises(Blocked) as blocked:
        LvmDriver("b", options()).manage_share(SHARE.model_copy(update={"id": "r9"}), existing)
    return [b.kind for b in blocked.value.blockers]


def test_what_cannot_be_managed(monkeypatch: pytest.MonkeyPatch) -> None:
    data = replace(OLD, name="data", tags=frozenset())
    assert refused(monkeypatch) == ["missing"]
    assert refused(monkeypatch, replace(data, hidden=True)) == ["missing"]
    assert refused(monkeypatch, replace(data, tags=OLD.tags)) == ["managed"]
    assert refused(monkeypatch, existing="pool0") == ["layout"]
    assert refused(monkeypatch, replace(data, layout="linear", pool="")) == ["layout"]
    assert refused(monkeypatch, replace(data, read_only=True, size=GIB + 1)) == ["size", "layout"]
    monkeypatch.setattr(filesystems, "found_on", lambda _: ("btrfs", 0))
    assert refused(monkeypatch, data) == ["filesystem"]


def test_a_copy_without_an_identity_of_its_own_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """As xfs_admin 6.13 does where the log is not empty: exit status 0, and nothing done."""
    said = Completed(0, "", "ERROR: The filesystem has valuable metadata changes in a log")
    monkeypatch.setattr(filesystems, "run", lambda *_, **__: said)
    monkeypatch.setattr(filesystems, "_probed", lambda _: {"UUID": "same"})
    with pytest.raises(BackendError, match="valuable metadata"):
        filesystems.renew(Path("/dev/vg0/x"), "xfs")


def test_blkid_tells_kind_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "DEVNAME=/dev/vg0/c1\nUUID=39\nFSSIZE=1006632960\nFSLASTBLOCK=262144\nFSBLOCKSIZE=4096\nTYPE=xfs\n"
    monkeypatch.setattr(filesystems, "run", lambda *_, **__: SimpleNamespace(stdout=said))
    assert filesystems.found_on(Path("/dev/vg0/c1")) == ("xfs", GIB)
    monkeypatch.setattr(filesystems, "run", lambda *_, **__: SimpleNamespace(stdout=""))
    assert filesystems.found_on(Path("/dev/vg0/c1")) == ("", 0)
