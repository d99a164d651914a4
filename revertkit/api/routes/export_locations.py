"""Where a share is reached."""

from __future__ import annotations

from fastapi import APIRouter, Response

from revertkit.api.answers import JSON, answers
from revertkit.api.call import Asked
from revertkit.api.errors import no_such_resource
from revertkit.api.wire.shares import LOCATION, LOCATION_IN_FULL, ShownLocation
from revertkit.api.wire.views import array, wrapped
from revertkit.models import Share

router = APIRouter(prefix="/v2/shares", tags=["shares"])


@router.get(
    "/{share_id}/export_locations",
    **answers("list_export_locations", 200, wrapped(export_locations=array(LOCATION.schema()))),
)
def list_locations(call: Asked, share_id: str) -> Response:
    """List where a share is reached, the preferred places first."""
    call.within(since=9)
    found = call.share(share_id, "share_export_location:index")
    shown = [LOCATION.show(at, call.version, admin=call.is_admin) for at in places(found)]
    return JSON({"export_locations": shown})


@router.get(
    "/{share_id}/export_locations/{location_id}",
    **answers("show_export_location", 200, wrapped(export_location=LOCATION_IN_FULL.schema())),
)
def show_location(call: Asked, share_id: str, location_id: str) -> Response:
    """Show one place where a share is reached."""
    call.within(since=9)
    found = call.share(share_id, "share_export_location:show")
    for at in places(found):
        if at.id == location_id:
            return JSON({"export_location": LOCATION_IN_FULL.show(at, call.version, admin=call.is_admin)})
    raise no_such_resource()


def places(share: Share) -> list[ShownLocation]:
    """Answer where a share is reached, each with its id."""
    return [ShownLocation(share, location) for location in share.export_locations]
