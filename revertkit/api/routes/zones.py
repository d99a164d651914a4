"""Availability zones."""

from __future__ import annotations

import uuid

from fastapi import APIRouter, Response

from revertkit.api.answers import JSON, answers
from revertkit.api.call import Asked, Call
from revertkit.api.wire.views import STRING, UUID, array, optional, wrapped
from revertkit.manager import ShareManager
from revertkit.settings import DEFAULT_ZONE

router = APIRouter(prefix="/v2", tags=["availability zones"])
ONE = wrapped(id=UUID, name=STRING, created_at=optional(STRING), updated_at=optional(STRING))
MANY = wrapped(availability_zones=array(ONE))


@router.get("/availability-zones", **answers("list_zones", 200, MANY))
def list_zones(call: Asked) -> Response:
    """List the availability zones."""
    call.within(since=7)
    return _listed(call)


@router.get("/os-availability-zone", **answers("list_zones_as_before", 200, MANY))
def list_before(call: Asked) -> Response:
    """List the availability zones, up to 2.6."""
    call.within(until=6)
    return _listed(call)


def _listed(call: Call) -> Response:
    call.demand("availability_zone:index")
    return JSON({"availability_zones": [_shown(name) for name in zones_of(call.manager)]})


def _shown(name: str) -> dict[str, str | None]:
    return {"id": str(uuid.uuid5(uuid.NAMESPACE_DNS, name)), "name": name, "created_at": None, "updated_at": None}


def zones_of(manager: ShareManager) -> list[str]:
    """Name the availability zones of the configured backends."""
    return sorted({backend.availability_zone or DEFAULT_ZONE for backend in manager.site.backends.values()})
