"""Rule 9: a driver cannot advertise what it lacks. Discovery, subtraction, false claims."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from revertkit import capabilities
from revertkit.capabilities import MIXINS, NEEDS, Capability, completed, discover, entry_points, pool_report, report
from revertkit.driver import (
    ShareDriver,
    SupportsExtend,
    SupportsReplicatedRevert,
    SupportsReplication,
    SupportsRevert,
    SupportsSnapshots,
)
from revertkit.errors import NotSupported
from revertkit.models import GIB, Lack, Pool, RevertPreview, RevertState

POOL = Pool(name="pool", total_bytes=10 * GIB, free_bytes=4 * GIB)


class Bare(ShareDriver):
    """Makes and deletes shares, no more."""

    api_version: ClassVar[int] = 1

    def pools(self) -> Any:
        """One."""
        return [POOL]

    def create_share(self, share: Any) -> Any:
        """Not asked here."""

    def delete_share(self, share: Any) -> None:
        """Not asked here."""

    def ensure_share(self, share: Any) -> Any:
        """Not asked here."""


class _Snapshots:
    def create_snapshot(self, snapshot: Any) -> Any:
        """Take one."""

    def delete_snapshot(self, snapshot: Any) -> None:
        """Delete one."""


class _Revert(_Snapshots):
    def revert_to_snapshot(self, snapshot: Any) -> Any:
        """Turn back."""


class Able(_Revert, Bare, SupportsSnapshots, SupportsRevert):
    """Snapshots and reverts, by the mix-ins."""


class Plain(_Revert, Bare):
    """The same methods, without the mix-ins."""


def driver(cls: type[ShareDriver]) -> ShareDriver:
    """Open a backend of it."""
    return cls("fast", None)


def made(bases: tuple[type, ...] = (_Snapshots, Bare), **methods: Any) -> type[ShareDriver]:
    """Make a driver's class."""
    return type("Made", bases, methods)


def test_every_capability_has_its_mixin_and_entry_points() -> None:
    """Nothing can be reported that nothing is asked for; what has a default is no entry point."""
    assert set(MIXINS) == set(Capability)
    assert all(entry_points(capability) for capability in Capability)
    assert entry_points(Capability.REVERT) == ["revert_to_snapshot"]
    assert {needed for needs in NEEDS.values() for needed in needs} <= set(Capability)


@pytest.mark.parametrize("cls", [Able, Plain])
def test_a_class_has_what_it_overrides(cls: type[ShareDriver]) -> None:
    """A plain class with the right methods counts as one that inherits the mix-ins."""
    assert discover(cls) == {Capability.SNAPSHOTS, Capability.REVERT}


def test_an_inherited_mixin_alone_is_nothing() -> None:
    """An entry point has to be overridden: the mix-in's own only raises."""
    cls = made((Bare, SupportsSnapshots, SupportsRevert, SupportsExtend))
    assert discover(cls) == frozenset()
    assert "has no revert_to_snapshot" in capabilities.why_not(cls, Capability.REVERT)


def test_half_of_the_entry_points_is_nothing() -> None:
    """Snapshots that can be taken and never deleted are no snapshot support."""
    cls = made((Bare,), create_snapshot=_Snapshots.create_snapshot)
    assert Capability.SNAPSHOTS not in discover(cls)


async def _coroutine(self: Any, snapshot: Any) -> Any:
    return None


def _generator(self: Any, snapshot: Any) -> Iterator[Any]:
    yield None


async def _async_generator(self: Any, snapshot: Any) -> Any:
    yield None


def _manila(self: Any, context: Any, snapshot: Any, share_rules: Any, snapshot_rules: Any) -> Any:
    """Manila's, with its share_server."""


def _none(self: Any) -> Any:
    """Takes nothing."""


def _keyword_only(self: Any, *, snapshot: Any) -> Any:
    """Cannot be called positionally."""


def _optional(self: Any, snapshot: Any, more: Any = None, **others: Any) -> Any:
    """Takes more where it is given."""


def _anything(*arguments: Any) -> Any:
    """Takes everything."""


@pytest.mark.parametrize(
    ("method", "said"),
    [
        (_coroutine, "coroutine"),
        (_generator, "generator"),
        (_async_generator, "generator"),
        (_manila, "cannot be called as revert_to_snapshot(snapshot)"),
        (_none, "cannot be called"),
        (_keyword_only, "cannot be called"),
        (staticmethod(_anything), "not a plain method"),
        (classmethod(_anything), "not a plain method"),
        (property(_none), "not a plain method"),
        (None, "not a plain method"),
        ("revert", "not a plain method"),
    ],
)
def test_what_cannot_be_called_as_the_contract_calls_it_is_not_there(method: Any, said: str) -> None:
    """Coroutines and generators answer before anything happened; Manila's five-argument revert does not bind."""
    cls = made(revert_to_snapshot=method)
    assert discover(cls) == {Capability.SNAPSHOTS}
    if method is not None:
        assert said in capabilities.why_not(cls, Capability.REVERT)
    with pytest.raises(NotSupported):
        capabilities.verbs(driver(cls), SupportsRevert)


@pytest.mark.parametrize("method", [_optional, _anything])
def test_a_signature_that_binds_is_enough(method: Callable[..., Any]) -> None:
    """More arguments with defaults, or any arguments, can be called as the contract does."""
    assert Capability.REVERT in discover(made(revert_to_snapshot=method))


def test_revert_needs_snapshots() -> None:
    """The NEEDS table: there is nothing to revert to without them, and the reason says so."""
    cls = made((Bare,), revert_to_snapshot=_optional)
    assert discover(cls) == frozenset()
    assert "it needs snapshot_support" in capabilities.why_not(cls, Capability.REVERT)


def test_a_plain_class_gets_the_defaults_of_the_mixins() -> None:
    """What can be left out is there after all, and the driver narrows to the mix-in."""
    opened = driver(completed(Plain))
    assert isinstance(opened, SupportsRevert)
    assert capabilities.verbs(opened, SupportsRevert).revert_state(None) is RevertState.UNKNOWN  # type: ignore[arg-type]
    assert opened.check_revert(None) == RevertPreview()  # type: ignore[arg-type]
    assert not isinstance(opened, SupportsExtend)
    assert completed(Able) is Able
    assert completed(Plain).__name__ == "Plain"


def test_the_host_subtracts() -> None:
    """A lack of the probe takes one capability away, with reason and mend, and what needs it too."""

    class Lacking(Able):
        @classmethod
        def probe(cls) -> list[Lack]:
            return [Lack(why="there is no lvconvert", mend="install lvm2", capability="snapshot_support")]

    opened = driver(Lacking)
    found = report(opened, POOL)
    assert found[Capability.SNAPSHOTS] == "there is no lvconvert (install lvm2)"
    assert "it needs snapshot_support" in found[Capability.REVERT]
    with pytest.raises(NotSupported, match="install lvm2"):
        capabilities.verbs(opened, SupportsSnapshots)
    published = pool_report(opened, POOL, "x")
    assert published["revert_to_snapshot_support"] is published["snapshot_support"] is False


def test_the_pool_subtracts() -> None:
    """One pool lacks what another of the same backend has."""
    lacking = POOL.model_copy(update={"lacks": (Lack(why="old", mend="new", capability="revert_to_snapshot_support"),)})
    assert pool_report(driver(Able), lacking, "x")["revert_to_snapshot_support"] is False
    assert pool_report(driver(Able), POOL, "x")["revert_to_snapshot_support"] is True


def test_a_pool_that_says_no_is_believed() -> None:
    """An explicit False in the pool's own words subtracts too."""
    modest = POOL.model_copy(update={"extra": {"revert_to_snapshot_support": False}})
    published = pool_report(driver(Able), modest, "x")
    assert published["revert_to_snapshot_support"] is False
    assert published["driver_errors"] == []


@pytest.mark.parametrize("cls", [Bare, made(revert_to_snapshot=_manila)])
def test_a_false_claim_is_published_as_false_and_reported(cls: type[ShareDriver]) -> None:
    """Rule 9: an explicit True without the entry point is published False, and reported as the driver's error."""
    claiming = POOL.model_copy(update={"extra": {"revert_to_snapshot_support": True, "vendor_name": "Acme"}})
    published = pool_report(driver(cls), claiming, "x")
    assert published["revert_to_snapshot_support"] is False
    (error,) = published["driver_errors"]
    assert "revert_to_snapshot_support is claimed but" in error
    assert published["vendor_name"] == "Acme"


def test_a_pool_cannot_speak_over_what_is_measured() -> None:
    """Name, capacity and errors are the manager's own words, whatever ``extra`` says."""
    loud = POOL.model_copy(update={"extra": {"free_capacity_gb": 1e9, "pool_name": "other", "driver_errors": []}})
    published = pool_report(driver(Able), loud, "x")
    assert (published["free_capacity_gb"], published["total_capacity_gb"], published["pool_name"]) == (4, 10, "pool")


def test_for_a_replicated_type_revert_is_the_replicated_entry_point() -> None:
    """Rule 9, its end: a driver of replicas that reverts only alone does not support revert."""

    def replica(self: Any, replica: Any, active: Any, snapshots: Any) -> Any:
        """Not asked here."""

    replication = {
        "replication_type": "dr",
        "create_replica": replica,
        "update_replica_state": replica,
        "delete_replica": lambda self, replica, snapshots: None,
        "promote_replica": lambda self, replica, active, snapshots: None,
    }
    alone = made((_Revert, Bare, SupportsReplication), **replication)
    assert pool_report(driver(alone), POOL, "x")["replication_type"] == "dr"
    assert pool_report(driver(alone), POOL, "x")["revert_to_snapshot_support"] is False
    both = made((alone, SupportsReplicatedRevert), revert_to_replicated_snapshot=lambda self, snapshot, others: None)
    assert pool_report(driver(both), POOL, "x")["revert_to_snapshot_support"] is True
