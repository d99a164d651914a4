"""What a driver reports that it can do, and what it is then asked for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from revertkit.capabilities import MIXINS, Capability, false_claims, host_lacks, why_not
from revertkit.conformance.requirements import CLAIMS, Missing, behaviour, requires
from revertkit.conformance.stage import ADDRESS, CONTEXT, TYPE, Stage
from revertkit.errors import Blocked, NotSupported
from revertkit.models import Share, Snapshot, new_id
from revertkit.status import Status
from revertkit.system.run import StepEvent, watching

__all__ = [
    "test_a_type_that_wants_what_is_not_claimed_is_not_placed",
    "test_everything_that_is_claimed_can_be_called",
    "test_nothing_is_claimed_that_is_not_there",
    "test_share_that_was_made_without_revert_support",
    "test_what_is_not_claimed_is_refused",
]


@behaviour(12)
def test_nothing_is_claimed_that_is_not_there(stage: Stage) -> None:
    """The pool's report claims no more than the entry points, and its numbers can be true."""
    pool = stage.driver.pools()[0]
    assert false_claims(stage.driver, pool) == []
    named = {lack.capability for lack in (*host_lacks(type(stage.driver)), *pool.lacks)} - {None}
    assert named <= {*Capability}, "a lack takes away what is called so in reports, as extend_support"
    assert 0 <= pool.free_bytes <= pool.total_bytes
    assert pool.total_bytes > 0


@behaviour(12)
def test_everything_that_is_claimed_can_be_called(stage: Stage) -> None:
    """Each claimed entry point does something: an override that only raises is found out here."""
    share = stage.share()
    stage.planted(share, "first")
    if stage.claims("snapshots"):
        snapshot = stage.snapshot(share)
        if stage.claims("mountable_snapshots"):
            stage.mounted(snapshot).read("same")
        if stage.claims("create_from_snapshot"):
            stage.manager.delete_share(CONTEXT, stage.share(snapshot=snapshot.id).id)
        if stage.claims("revert"):
            stage.revert(snapshot)
        stage.drop(snapshot)
    for verb, size in (("extend", 2), ("shrink", 1)):
        if stage.claims(verb):
            _resized(stage, verb, size)
    if stage.claims("access_rules"):
        _allowed(stage)
    stage.manager.delete_share(CONTEXT, share.id)


def _resized(stage: Stage, verb: str, size: int) -> None:
    share = stage.share(3 - size)
    resize = stage.manager.extend_share if verb == "extend" else stage.manager.shrink_share
    assert resize(CONTEXT, share.id, size).size == size
    stage.manager.delete_share(CONTEXT, share.id)


def _allowed(stage: Stage) -> None:
    """A rule is applied, or the driver says why it refuses this one: a backend may be set up to export nothing."""
    share = stage.share()
    try:
        rule = stage.allow(share)
        stage.manager.deny_access(CONTEXT, share.id, rule)
    except Missing as refused:
        assert "refused the rule" in str(refused), refused


@behaviour(12)
def test_what_is_not_claimed_is_refused(stage: Stage) -> None:
    """Each verb that the driver does not have is refused as not supported, with nothing changed, and no step begun.

    One that only this pool lacks may be refused by the driver too.
    """
    share, larger = stage.share(), stage.share(2)
    taken = [stage.snapshot(share)] if stage.claims("snapshots") else []
    stage.planted(share, "since")
    begun: list[StepEvent] = []
    with stage.unchanged(share, *taken), stage.unchanged(larger):
        for name, call in (_calls(stage, share, larger) | _calls_with(stage, taken)).items():
            if not stage.claims(name):
                lacked_by_class = why_not(type(stage.driver), CLAIMS[name])
                refusals = NotSupported if lacked_by_class else (NotSupported, Blocked)
                with watching(begun.append), pytest.raises(refusals):
                    call()
                assert not begun, f"{name} is refused, and yet: {begun}"


def _calls(stage: Stage, share: Share, larger: Share) -> dict[str, Callable[[], object]]:
    manager = stage.manager
    return {
        "snapshots": lambda: manager.create_snapshot(CONTEXT, share.id),
        "extend": lambda: manager.extend_share(CONTEXT, share.id, 2),
        "shrink": lambda: manager.shrink_share(CONTEXT, larger.id, 1),
        "access_rules": lambda: manager.allow_access(CONTEXT, share.id, ADDRESS),
        "manage": lambda: manager.manage_share(CONTEXT, str(stage.pool_id), "any", share_type=TYPE),
    }


def _calls_with(stage: Stage, taken: list[Snapshot]) -> dict[str, Callable[[], object]]:
    """Those that need a snapshot, where the driver can take one."""
    if not taken:
        return {}
    (snapshot,) = taken
    return {
        "create_from_snapshot": lambda: stage.share(snapshot=snapshot.id),
        "revert": lambda: stage.revert(snapshot),
        "mountable_snapshots": lambda: stage.manager.allow_snapshot_access(CONTEXT, snapshot.id, ADDRESS),
    }


@behaviour(12)
def test_a_type_that_wants_what_is_not_claimed_is_not_placed(stage: Stage) -> None:
    """No scheduler sends a share to a pool that cannot do what its type asks for."""
    for capability in Capability:
        if stage.lacks[capability] and capability in MIXINS:
            kind = stage.manager.create_type(
                new_id(), {"driver_handles_share_servers": "false", str(capability): "true"}
            )
            with pytest.raises(NotSupported, match=str(capability)):
                stage.share(share_type=kind.id)
            stage.manager.delete_type(kind.id)


@behaviour(12)
@requires("snapshots")
def test_share_that_was_made_without_revert_support(stage: Stage) -> None:
    """Whatever the driver can do, a share whose type did not ask for reverts is not reverted."""
    specs = {"driver_handles_share_servers": "false", "snapshot_support": "true"}
    plain = stage.manager.create_type(new_id(), specs)
    share = stage.share(share_type=plain.id)
    snapshot = stage.snapshot(share)
    before = stage.planted(share, "since")
    with pytest.raises(NotSupported, match="revert_to_snapshot_support"):
        stage.revert(snapshot)
    assert stage.tree(share).record() == before
    assert stage.now(share).status is Status.AVAILABLE
    stage.drop(snapshot)
    stage.manager.delete_share(CONTEXT, share.id)
    stage.manager.delete_type(plain.id)
