"""A share on one machine, its replica on another that reaches it by SSH alone, and either of them losing its power.

Runs on the VMs' host, and starts the second machine, which goes again at the end.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest
from hosts import Host, Pair, Refused, ended, told

from revertkit.models import RevertState
from revertkit.status import ReplicaState

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[Host, Host]]:
    """Both machines, each trusting the other as docs/replication-zfs.md says."""
    both = Host("primary", "tank0/two-hosts"), Host("secondary", "tank0/two-hosts")
    for host in both:
        host.vm("up")
    known = [host.call("set_up", pool=host.pool) for host in both]
    for host, other, keys in zip(both, reversed(both), reversed(known), strict=True):
        host.call("trust", pool=host.pool, host=other.name, address=other.address, **keys)
    yield both
    for host in both:
        host.call("take_down", pool=host.pool)
    both[1].vm("down")


@pytest.fixture
def pair(hosts: tuple[Host, Host]) -> Iterator[Pair]:
    """A share with a snapshot, written over since, and a replica that is in sync with what is there now."""
    made = Pair(*hosts)
    made.on_active("write")
    made.take()
    made.in_sync()
    yield made
    made.remove()


@pytest.fixture
def kept(pair: Pair) -> str:
    """What the snapshot holds; the share, and so its replica, holds something else."""
    before = pair.in_sync()
    pair.on_active("wreck")
    assert pair.in_sync() != before
    return before


def test_a_replica_elsewhere_follows_a_revert(pair: Pair, kept: str) -> None:
    """And another one, and what is written after it."""
    pair.revert()
    assert pair.on_active("record") == kept
    assert pair.in_sync() == kept
    pair.on_active("wreck")
    pair.revert()
    assert pair.in_sync() == kept
    pair.on_active("fill", mebibytes=5)
    assert pair.in_sync() != kept


def test_the_replica_is_away_while_the_share_is_reverted(pair: Pair, kept: str) -> None:
    """The revert does not wait for it; it follows when it is back."""
    pair.far.vm("reset", "--no-wait")
    pair.revert()
    assert pair.on_active("record") == kept
    pair.far.vm("up")
    assert pair.in_sync() == kept


@pytest.mark.parametrize("which", ["near", "far"])
def test_the_power_goes_in_the_middle_of_a_transfer(pair: Pair, kept: str, which: str) -> None:
    """Of either; the transfer goes on, and a revert is followed."""
    pair.on_active("fill", mebibytes=150)
    look = pair.far.begin("update_replica_state", **pair.looked_at())
    assert any(event.get("percent") for event in told(look)), "the power has to go while it moves"
    host = pair.near if which == "near" else pair.far
    host.vm("reset")
    _cut_short(look, which)
    pair.online()
    assert pair.look().state is ReplicaState.IN_SYNC  # a marker may be left: the other end still sends it
    pair.revert()
    assert pair.on_active("record") == kept
    _wait_for_the_other_end(pair)
    assert pair.in_sync() == kept


def _wait_for_the_other_end(pair: Pair) -> None:
    """Look until no marker is left: a host learns from TCP alone that whom it sends to is gone."""
    end = time.monotonic() + 600
    while (report := pair.look()).found:
        assert "markers are left" in report.found
        assert time.monotonic() < end, report.found
        time.sleep(5)


def _cut_short(look: subprocess.Popen[str], which: str) -> None:
    """See how the look has ended: refused, where it was the other end that lost its power."""
    if which == "near":
        with pytest.raises(Refused):
            ended(look)
    else:
        look.kill()
        look.wait(60)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_the_power_goes_in_the_middle_of_a_revert(pair: Pair, kept: str, moment: str) -> None:
    """At the rollback; recovered, the share holds the one or the other, and the replica is what the share is."""
    discarded = pair.on_active("record")
    accepted = pair.accept_revert()
    revert = pair.near.begin("revert_to_replicated_snapshot", **accepted)
    at = {"moment": moment, "step": "lzc_rollback_to"}
    assert any(at.items() <= event.items() for event in told(revert))
    pair.near.vm("reset")
    revert.kill()
    revert.wait(60)
    state = RevertState(pair.near.call("revert_state", snapshot=accepted["snapshot"]))
    assert state is not RevertState.UNKNOWN
    if state is RevertState.HALFWAY:
        pair.near.call("revert_to_replicated_snapshot", **accepted)
    pair.online()
    assert pair.on_active("record") == (discarded if state is RevertState.UNCHANGED else kept)
    if state is RevertState.UNCHANGED:
        pair.revert()
    assert pair.in_sync() == kept


def test_a_fence_keeps_writers_out_from_the_other_host(pair: Pair, kept: str) -> None:
    """At once, whoever has a file open; it can be read on, and either side lets writers in again."""
    for let_go in (pair.unfence, pair.online):
        writer = pair.on_active_begin("keep_writing")
        assert next(told(writer))["written"] == 1
        pair.fence()
        assert ended(writer) >= 1
        fenced = pair.in_sync()
        let_go()
        pair.on_active("fill", mebibytes=1)
        assert pair.in_sync() != fenced


def test_a_promotion_between_hosts_loses_nothing(pair: Pair, kept: str) -> None:
    """What was written to the last moment is on the new active one, and nothing is written to the old one after it."""
    writer = pair.on_active_begin("keep_writing")
    assert next(told(writer))["written"] == 1
    pair.fence()
    written = ended(writer)
    pair.look()
    pair.promote()
    assert pair.on_active("written") == written
    with pytest.raises(Refused, match="Read-only"):
        pair.of(pair.replica).call("fill", share=pair.replica.id, mebibytes=1)
    pair.on_active("fill", mebibytes=1)
    assert pair.in_sync() != kept


def test_a_promotion_while_the_old_active_one_is_away_brings_nothing_back(pair: Pair, kept: str) -> None:
    """The replica has never heard of the revert; the old active one, back, follows the new one."""
    pair.revert()
    pair.near.vm("reset", "--no-wait")
    pair.promote()
    assert pair.on_active("record") == kept
    pair.on_active("fill", mebibytes=5)
    pair.near.vm("up")
    assert pair.in_sync() != kept
    pair.revert()
    assert pair.in_sync() == kept
    assert pair.look().state is ReplicaState.IN_SYNC
