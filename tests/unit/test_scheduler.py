"""Placement: the pool that has what the type asks for, with the most room."""

from __future__ import annotations

from typing import Any

import pytest

from revertkit import scheduler
from revertkit.errors import NotSupported
from revertkit.models import PoolId

REPORT = {"free_capacity_gb": 10.0, "revert_to_snapshot_support": True, "driver_handles_share_servers": False}


def pool(name: str, **more: Any) -> tuple[PoolId, dict[str, Any]]:
    """Report a pool."""
    return PoolId("node-1", "fast", name), {**REPORT, **more}


def test_the_most_room_wins_among_those_that_can() -> None:
    """A larger pool that lacks what the type asks for is never chosen (rule 9)."""
    pools = [
        pool("small"),
        pool("large", free_capacity_gb=20.0),
        pool("larger", free_capacity_gb=99.0, revert_to_snapshot_support=False),
    ]
    assert scheduler.place(pools, {"revert_to_snapshot_support": "true"}, 5, {}).pool == "large"
    assert scheduler.place(pools, {"revert_to_snapshot_support": "false"}, 5, {}).pool == "larger"
    assert scheduler.place(pools, {}, 5, {}).pool == "larger"


@pytest.mark.parametrize(
    ("specs", "size", "said"),
    [
        ({"revert_to_snapshot_support": "true"}, 11, "10.0 GiB free, 11 wanted"),
        ({"driver_handles_share_servers": "true"}, 1, "driver_handles_share_servers is False"),
        ({"colour": "red"}, 1, "colour is None, the share type wants red"),
        ({"mount_snapshot_support": "true"}, 1, "mount_snapshot_support is None"),
    ],
)
def test_nothing_fits_and_every_pool_says_why(specs: dict[str, str], size: int, said: str) -> None:
    """Behaviour 12: no scheduler ever sends a driver what it cannot do; the answer names each pool's reason."""
    with pytest.raises(NotSupported) as refused:
        scheduler.place([pool("one"), pool("two")], specs, size, {"slow": "it did not answer"})
    assert said in str(refused.value)
    assert "node-1@fast#one" in str(refused.value)
    assert "node-1@fast#two" in str(refused.value)
    assert "slow: it did not answer" in str(refused.value)


def test_a_scoped_spec_is_somebody_elses() -> None:
    """Specs with a scope (``vendor:key``) choose no pool."""
    assert scheduler.place([pool("one")], {"acme:colour": "red"}, 1, {}).pool == "one"


def test_other_specs_are_compared_as_text_and_as_booleans() -> None:
    """``thin=True`` meets a report of True, ``vendor=acme`` one of ``Acme``; Manila's ``<is>`` is understood."""
    pools = [pool("one", thin=True, vendor="Acme")]
    for specs in ({"thin": "True"}, {"thin": "<is> yes"}, {"vendor": "acme"}):
        assert scheduler.place(pools, specs, 1, {}).pool == "one"
    for specs in ({"thin": "no"}, {"vendor": "other"}):
        with pytest.raises(NotSupported):
            scheduler.place(pools, specs, 1, {})


def test_no_backend_at_all() -> None:
    """The answer of a host without backends."""
    with pytest.raises(NotSupported, match="no backend is configured"):
        scheduler.place([], {}, 1, {})
