"""Pools, as their backends report them now."""

from __future__ import annotations

import re
from typing import Any

from fastapi import APIRouter, Request, Response

from revertkit.api.answers import JSON, answers
from revertkit.api.call import Asked, Call
from revertkit.api.errors import Fault
from revertkit.api.wire.views import STRING, array, wrapped
from revertkit.errors import NotFound
from revertkit.models import PoolId
from revertkit.scheduler import extra_specs

router = APIRouter(prefix="/v2/scheduler-stats/pools", tags=["pools"])
SUMMARY = wrapped(name=STRING, host=STRING, backend=STRING, pool=STRING)
DETAIL = wrapped(name=STRING, host=STRING, backend=STRING, pool=STRING, capabilities={"type": "object"})


@router.get("", **answers("list_pools", 200, wrapped(pools=array(SUMMARY))))
def list_pools(call: Asked, request: Request) -> Response:
    """List pools by name."""
    call.demand("scheduler_stats:pools:index")
    return JSON({"pools": [_named(pool) for pool, _ in _chosen(call, request)]})


@router.get("/detail", **answers("list_pools_in_detail", 200, wrapped(pools=array(DETAIL))))
def list_in_detail(call: Asked, request: Request) -> Response:
    """List pools with their reports."""
    call.demand("scheduler_stats:pools:detail")
    shown = [_named(pool) | {"capabilities": report} for pool, report in _chosen(call, request)]
    return JSON({"pools": shown})


def _named(pool: PoolId) -> dict[str, Any]:
    return {"name": str(pool), "host": pool.host, "backend": pool.backend, "pool": pool.pool}


def _chosen(call: Call, request: Request) -> list[tuple[PoolId, dict[str, Any]]]:
    query = dict(request.query_params)
    specs = _specs(call, query.pop("share_type", None)) if call.version.minor >= 23 else {}
    if set(query) - {"host", "backend", "pool"}:
        return []
    reports, _ = call.manager.pools()
    return [
        (pool, report)
        for pool, report in reports
        if all(_begins(pattern, getattr(pool, key)) for key, pattern in query.items())
        and not any(extra_specs.unmet(report, specs))
    ]


def _specs(call: Call, named: str | None) -> dict[str, str]:
    if named is None:
        return {}
    try:
        return call.manager.visible_type(call.context, named).extra_specs
    except NotFound:
        raise Fault(400, f"Share type {named[:40]!r} not found.") from None


PLAIN = re.compile(r"\^?(?:\.\*|\\\W|[^\\()\[\]{}|*+?^$])*\$?")
"""A pattern that takes no time, as long as it has few ``.*``."""


def _begins(pattern: str, text: str) -> bool:
    """Match as Manila does, with a pattern at the text's beginning; what is no plain one matches itself only.

    Plain are characters, ``.``, ``\\.`` and the like, and no more than two ``.*``: no pattern may keep the server busy.
    """
    plain = PLAIN.fullmatch(pattern)
    if plain is None or pattern.count(".*") > 2 or len(pattern) > 255:
        return text.startswith(pattern)
    return re.match(pattern, text) is not None
