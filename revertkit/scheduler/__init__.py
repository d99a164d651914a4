"""Which pool a new share goes to: one that has what its type asks for, with the most room.

Capabilities and free capacity only, so far; Manila's operators, over-subscription and weighers come with the REST API.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from revertkit import share_types
from revertkit.errors import NotSupported
from revertkit.models import PoolId

Report = Mapping[str, Any]


def place(
    pools: Sequence[tuple[PoolId, Report]], specs: Mapping[str, str], size: int, silent: Mapping[str, str]
) -> PoolId:
    """Choose a pool for a share of `size` GiB; `silent` says which backends could not be asked, and why.

    Raises:
        NotSupported: none will do; says of each why not.
    """
    refusals = {pool: why_not(report, specs, size) for pool, report in pools}
    fitting = [(report["free_capacity_gb"], pool) for pool, report in pools if not refusals[pool]]
    if not fitting:
        said = (
            "; ".join(f"{where}: {why}" for where, why in [*refusals.items(), *silent.items()])
            or "no backend is configured"
        )
        raise NotSupported(f"no pool can hold this share ({said})")
    return max(fitting)[1]


def why_not(report: Report, specs: Mapping[str, str], size: int) -> str:
    """Say why a pool cannot hold such a share; empty if it can."""
    for key, wanted in specs.items():
        if ":" not in key and not _has(report.get(key), key, wanted):
            return f"{key} is {report.get(key)}, the share type wants {wanted}"
    if report["free_capacity_gb"] < size:
        return f"{report['free_capacity_gb']} GiB free, {size} wanted"
    return ""


def _has(found: Any, key: str, wanted: str) -> bool:
    if isinstance(found, bool):
        return found or not share_types.boolean(key, wanted) if key in share_types.COPIED else found == _bool(wanted)
    return str(found).lower() == wanted.removeprefix("<is> ").lower()


def _bool(text: str) -> bool:
    return text.removeprefix("<is> ").strip().lower() in ("true", "t", "yes", "y", "on", "1")
