"""Capability discovery: what the class offers − what the host lacks − what the pool lacks = what is reported.

Nothing is declared. A capability is there when its entry point is: overridden, callable with the contract's arguments,
and neither a coroutine nor a generator. Host and pool may subtract, never add. What discovery cannot see is an
override that only raises; the conformance suite does.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from revertkit import driver as contract
from revertkit.driver import ShareDriver
from revertkit.errors import BackendError, NotSupported
from revertkit.models import GIB, Lack, Pool
from revertkit.pool_report import PoolReport
from revertkit.settings import DEFAULT_ZONE, BackendSettings


class Capability(StrEnum):
    """What a driver may be able to do, by its reported name; the first five are Manila's."""

    SNAPSHOTS = "snapshot_support"
    CREATE_FROM_SNAPSHOT = "create_share_from_snapshot_support"
    REVERT = "revert_to_snapshot_support"
    MOUNTABLE_SNAPSHOTS = "mount_snapshot_support"
    REPLICATION = "replication_support"
    REPLICATED_REVERT = "replicated_revert_support"
    EXTEND = "extend_support"
    SHRINK = "shrink_support"
    ACCESS_RULES = "access_rules_support"
    MANAGE = "manage_support"
    MANAGE_SNAPSHOTS = "manage_snapshot_support"


MIXINS: dict[Capability, type] = {
    Capability.SNAPSHOTS: contract.SupportsSnapshots,
    Capability.CREATE_FROM_SNAPSHOT: contract.SupportsCreateFromSnapshot,
    Capability.REVERT: contract.SupportsRevert,
    Capability.MOUNTABLE_SNAPSHOTS: contract.SupportsMountableSnapshots,
    Capability.REPLICATION: contract.SupportsReplication,
    Capability.REPLICATED_REVERT: contract.SupportsReplicatedRevert,
    Capability.EXTEND: contract.SupportsExtend,
    Capability.SHRINK: contract.SupportsShrink,
    Capability.ACCESS_RULES: contract.SupportsAccessRules,
    Capability.MANAGE: contract.SupportsManage,
    Capability.MANAGE_SNAPSHOTS: contract.SupportsManageSnapshots,
}
NEEDS: dict[Capability, tuple[Capability, ...]] = {
    Capability.CREATE_FROM_SNAPSHOT: (Capability.SNAPSHOTS,),
    Capability.REVERT: (Capability.SNAPSHOTS,),
    Capability.MOUNTABLE_SNAPSHOTS: (Capability.SNAPSHOTS,),
    Capability.REPLICATED_REVERT: (Capability.REPLICATION, Capability.SNAPSHOTS),
    Capability.MANAGE_SNAPSHOTS: (Capability.MANAGE, Capability.SNAPSHOTS),
}
OPTIONAL_VERBS = frozenset({"check_revert", "revert_state", "refused_rules", "inventory", "fence", "unfence"})
"""What a mix-in answers by itself; its other methods are the entry points."""

T = TypeVar("T")


def entry_points(capability: Capability) -> list[str]:
    """Name the methods that a driver has to bring to have `capability`."""
    methods = inspect.getmembers(MIXINS[capability], inspect.isfunction)
    return [name for name, _ in methods if name not in OPTIONAL_VERBS]


def discover(cls: type[ShareDriver]) -> frozenset[Capability]:
    """Say what the class offers, whether it inherits the mix-ins or only has their methods."""
    return frozenset(capability for capability in Capability if not why_not(cls, capability))


@cache
def why_not(cls: type[ShareDriver], capability: Capability) -> str:
    """Say why the class does not have `capability`; empty if it has it."""
    for name in entry_points(capability):
        if why := _fault(cls, name, getattr(MIXINS[capability], name)):
            return why
    for needed in NEEDS.get(capability, ()):
        if why := why_not(cls, needed):
            return f"it needs {needed}: {why}"
    return ""


def _fault(cls: type[ShareDriver], name: str, promised: Callable[..., Any]) -> str:
    method = inspect.getattr_static(cls, name, None)
    if method is None or method is promised:
        return f"{cls.__name__} has no {name}"
    if not inspect.isfunction(method):
        return f"{cls.__name__}.{name} is not a plain method"
    if inspect.iscoroutinefunction(method) or inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method):
        return f"{cls.__name__}.{name} is a coroutine or generator: it would answer before anything happened"
    arguments = list(inspect.signature(promised).parameters)
    try:
        inspect.signature(method).bind(*arguments)
    except TypeError as mismatch:
        return f"{cls.__name__}.{name} cannot be called as {name}({', '.join(arguments[1:])}): {mismatch}"
    return ""


@cache
def completed(cls: type[ShareDriver]) -> type[ShareDriver]:
    """Give a class that has the methods but not the mix-ins the mix-ins, for their defaults and for isinstance."""
    missing = tuple(MIXINS[c] for c in Capability if not why_not(cls, c) and not issubclass(cls, MIXINS[c]))
    return type(cls.__name__, (cls, *missing), {"__module__": cls.__module__}) if missing else cls


def verbs(driver: ShareDriver, mixin: type[T]) -> T:
    """Answer the driver as `mixin`, narrowed for mypy.

    Raises:
        NotSupported: with the reason; nothing was called.
    """
    capability = next(c for c, m in MIXINS.items() if m is mixin)
    why = why_not(type(driver), capability) or lacks(type(driver)).get(capability, "")
    if why:
        raise NotSupported(f"backend {driver.backend} cannot do this: {why}")
    assert isinstance(driver, mixin)
    return driver


@cache
def host_lacks(cls: type[ShareDriver]) -> tuple[Lack, ...]:
    """Probe the host once for this class."""
    return tuple(cls.probe())


def lacks(cls: type[ShareDriver], pool: Pool | None = None) -> dict[str, str]:
    """Say, by capability, what host and pool take away, with the mend."""
    found = [*host_lacks(cls), *(pool.lacks if pool else ())]
    return {lack.capability: f"{lack.why} ({lack.mend})" for lack in found if lack.capability}


def report(driver: ShareDriver, pool: Pool) -> dict[Capability, str]:
    """Say of each capability why this pool does not have it; empty means that it has."""
    taken = lacks(type(driver), pool)
    own = {c: why_not(type(driver), c) or taken.get(c, "") for c in Capability}
    own |= {c: "its driver says no" for c in Capability if not own[c] and pool.extra.get(c) is False}
    return {
        c: why or next((f"it needs {n}: {own[n]}" for n in NEEDS.get(c, ()) if own[n]), "") for c, why in own.items()
    }


def false_claims(driver: ShareDriver, pool: Pool) -> list[str]:
    """Name the driver's errors: capabilities that it reports as True without the entry point, or against its probe."""
    supported = report(driver, pool)
    return [f"{c} is claimed but {why}" for c, why in supported.items() if why and pool.extra.get(c) is True]


def pool_report(
    driver: ShareDriver,
    pool: Pool,
    driver_name: str,
    told: BackendSettings | None = None,
    *,
    allocated: int = 0,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Report one pool in the words of Manila's scheduler (pool_report.py): a dictionary that is JSON as it is.

    `told` is what the administrator says of the backend, `allocated` how much its shares on record have, in GiB.

    Raises:
        BackendError: what the driver says of the pool is no report; names the key.
    """
    told = told or BackendSettings(driver=driver_name)
    supported = report(driver, pool)
    replicated = getattr(driver, "replication_type", None) if not supported[Capability.REPLICATION] else None
    # One word for share types with and without replicas, either of which may come to a pool that has them.
    reverts = (Capability.REVERT, Capability.REPLICATED_REVERT) if replicated else (Capability.REVERT,)
    faults = [f"{lack.why} ({lack.mend})" for lack in pool.lacks if not lack.capability]
    found = {
        **told.reserved,
        "provisioned_capacity_gb": allocated,
        **pool.extra,
        **{str(c): not why for c, why in supported.items()},
        str(Capability.REVERT): not any(supported[each] for each in reverts),
        "share_backend_name": driver.backend,
        "pool_name": pool.name,
        "driver_name": driver_name,
        "driver_handles_share_servers": False,
        "availability_zone": told.availability_zone or DEFAULT_ZONE,
        "replication_type": replicated,
        "replication_domain": told.replication_domain or (driver_name if replicated else None),
        "total_capacity_gb": _gib(pool.total_bytes),
        "free_capacity_gb": 0 if faults else _gib(pool.free_bytes),
        "allocated_capacity_gb": allocated,
        "reported_at": now or datetime.now(UTC),
        "faults": faults,
        "driver_errors": false_claims(driver, pool),
    }
    try:
        return PoolReport.model_validate(found).model_dump(mode="json")
    except (ValidationError, PydanticSerializationError) as wrong:
        raise BackendError(f"driver {driver_name!r} reports of its pool {pool.name}: {_fault_in(wrong)}") from None


def _gib(count: int) -> float:
    """Turn bytes to GiB, down to two digits: more than there is must not be told."""
    return max(count, 0) * 100 // GIB / 100


def _fault_in(wrong: ValidationError | PydanticSerializationError) -> str:
    if isinstance(wrong, PydanticSerializationError):
        return str(wrong)
    first = wrong.errors()[0]
    return f"{'.'.join(map(str, first['loc']))} is {first['input']!r}: {first['msg']}"
