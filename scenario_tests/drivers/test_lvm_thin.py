"""What is particular to thin volumes: strangers' snapshots, a pool past its limit, a holder that nobody sees."""

from __future__ import annotations

import pytest
from lvm_bench import GROUP, Bench, disturb, driver_of, fill, kinds, manifest, sh
from namespaces import mounted_elsewhere

from revertkit.capabilities import Capability, pool_report
from revertkit.drivers.lvm import lvm2
from revertkit.errors import Blocked
from revertkit.models import Replica, RevertState, new_id


def leftovers(bench: Bench) -> list[str]:
    ours = [v.name for v in lvm2.volumes(GROUP) if v.tag("share") == bench.share.id]
    return [name for name in ours if name.startswith(("new-", "old-"))]


def test_a_newer_stranger_is_in_nobody_s_way(thin: Bench) -> None:
    fill(thin.top, "A")
    wanted = manifest(thin.top)
    snapshot = thin.snap()
    disturb(thin.top)
    name = f"stranger-{thin.share.id[:8]}"
    sh("lvcreate", "-y", "-s", "-n", name, f"{GROUP}/{thin.volume_name}")
    try:
        thin.revert(snapshot)
        assert manifest(thin.top) == wanted
        assert name in [v.name for v in lvm2.volumes(GROUP)]
    finally:
        sh("lvremove", "-y", f"{GROUP}/{name}")


def test_a_newer_one_of_ours_blocks(thin: Bench) -> None:
    fill(thin.top, "A")
    before = manifest(thin.top)
    older, newer = thin.snap(), thin.snap()
    for verb in (thin.driver.check_revert, thin.driver.revert_to_snapshot):
        with pytest.raises(Blocked, match=newer.snapshot_id) as blocked:
            verb(older)
        assert kinds(blocked) == {"newer"}
    assert manifest(thin.top) == before
    assert leftovers(thin) == []


def test_a_pool_past_its_limit(thin: Bench) -> None:
    """The limit is put below what is used, instead of filling the pool."""
    fill(thin.top, "A")
    snapshot = thin.snap()
    disturb(thin.top)
    before = manifest(thin.top)
    kind = "thin-xfs" if thin.volume().filesystem == "xfs" else "thin-ext4"
    strict = driver_of(kind, thin_limit_percent=1)
    other = Replica(id=new_id(), share_id=new_id(), host="test", pool=thin.share.pool, size=1)
    another = snapshot.model_copy(update={"id": new_id(), "snapshot_id": new_id()})
    for verb, argument in (
        (strict.check_revert, snapshot),
        (strict.revert_to_snapshot, snapshot),
        (strict.create_snapshot, another),
        (strict.create_share, other),
    ):
        with pytest.raises(Blocked, match="% of its data and") as blocked:
            verb(argument)
        assert kinds(blocked) == {"space"}
    assert manifest(thin.top) == before
    assert leftovers(thin) == []
    (pool,) = strict.pools()
    report = pool_report(strict, pool, "lvm")
    assert report["thin_provisioning"] is True
    assert report[Capability.REVERT] is False
    (roomy,) = thin.driver.pools()
    assert roomy.lacks == ()
    assert pool_report(thin.driver, roomy, "lvm")[Capability.REVERT] is True


def test_held_where_no_process_can_be_seen(thin: Bench) -> None:
    """A mount in another namespace: found when the volume is deactivated; all is put back."""
    fill(thin.top, "A")
    snapshot = thin.snap()
    disturb(thin.top)
    before = manifest(thin.top)
    with mounted_elsewhere(thin.top), pytest.raises(Blocked, match="cannot name"):
        thin.driver.revert_to_snapshot(snapshot)
    assert manifest(thin.top) == before
    assert leftovers(thin) == []
    assert thin.driver.revert_state(snapshot) is RevertState.UNCHANGED


def test_a_snapshot_stays_mounted_through_a_revert(thin: Bench) -> None:
    fill(thin.top, "A")
    wanted = manifest(thin.top)
    snapshot = thin.snap()
    disturb(thin.top)
    thin.driver.ensure_snapshot(snapshot)
    place = thin.driver.front.snapshot(thin.body(snapshot))
    assert place is not None
    with (place.directory / "kept").open() as held:
        thin.revert(snapshot)
        assert held.read() == "kept A\n" * 200
    assert manifest(place.directory) == manifest(thin.top) == wanted
    thin.delete(snapshot)
