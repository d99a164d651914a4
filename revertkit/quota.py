"""Quotas per project: limits, use, and what operations under way have reserved.

A new share or snapshot counts from its accept on, by its row. A growth (extend, or a revert to a larger size) is
reserved by the accept and in use when it is recorded; a shrink frees at the record only (specification, "The share
size might have changed").
"""

from __future__ import annotations

from sqlalchemy import Connection

from revertkit.errors import InvalidInput, QuotaExceeded
from revertkit.models import QuotaUse, Share
from revertkit.store import quotas

DEFAULTS = {
    "shares": 50,
    "gigabytes": 1000,
    "snapshots": 50,
    "snapshot_gigabytes": 1000,
    "share_replicas": 100,
    "replica_gigabytes": 1000,
    "per_share_gigabytes": -1,
}
"""Manila's; -1 is no limit."""


def usage(tx: Connection, project_id: str) -> dict[str, QuotaUse]:
    """Answer limit, use and reservations of every resource of a project."""
    limits = DEFAULTS | quotas.limits(tx, quotas.DEFAULTS) | quotas.limits(tx, project_id)
    used, reserved = quotas.in_use(tx, project_id), quotas.reserved(tx, project_id)
    return {
        name: QuotaUse(limit=limits[name], in_use=used.get(name, 0), reserved=reserved.get(name, 0))
        for name in DEFAULTS
    }


def check(tx: Connection, project_id: str, share_size: int | None = None, **wanted: int) -> None:
    """See whether a project may have `wanted` more, within the transaction that goes on to take it.

    Raises:
        QuotaExceeded: names every resource that it would be over, with the numbers.
    """
    now = usage(tx, project_id)
    over = [
        f"{name}: {use.in_use} in use + {use.reserved} reserved + {wanted[name]} wanted > limit {use.limit}"
        for name, use in now.items()
        if wanted.get(name, 0) > 0 <= use.limit < use.in_use + use.reserved + wanted[name]
    ]
    largest = now["per_share_gigabytes"].limit
    if share_size is not None and 0 <= largest < share_size:
        over.append(f"per_share_gigabytes: {share_size} wanted > limit {largest}")
    if over:
        raise QuotaExceeded(f"project {project_id} would be over quota: {'; '.join(over)}")


def of_replicas(share: Share, count: int) -> dict[str, int]:
    """Say what `count` replicas of a share take, its active one among them; nothing where it is not replicated."""
    return {"share_replicas": count, "replica_gigabytes": count * share.size} if share.replication_type else {}


def growth(share: Share, new_size: int) -> dict[str, int]:
    """Say what a share takes more when it gets `new_size` GiB, on each of its replicas."""
    more = new_size - share.size
    every = {"replica_gigabytes": more * (1 + len(share.replica.peers))} if share.replication_type else {}
    return {"gigabytes": more, **every}


def checked_resource(name: str) -> str:
    """Return `name` if it is a resource that has a quota.

    Raises:
        InvalidInput: it is none; says which are.
    """
    if name not in DEFAULTS:
        raise InvalidInput(f"there is no quota {name!r}; there are {', '.join(DEFAULTS)}")
    return name
