"""Share instances: what of a share is in which pool."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response

from revertkit.api.answers import JSON, accepted, answers
from revertkit.api.call import Asked, Call
from revertkit.api.errors import no_such_resource
from revertkit.api.routes.export_locations import places
from revertkit.api.routes.share_actions import status_of
from revertkit.api.wire import bodies
from revertkit.api.wire.reading import action
from revertkit.api.wire.shares import INSTANCE, LOCATION, LOCATION_IN_FULL
from revertkit.api.wire.views import array, wrapped
from revertkit.models import Share
from revertkit.store.pages import Page

router = APIRouter(prefix="/v2/share_instances", tags=["share instances"])
MANY = wrapped(share_instances=array(INSTANCE.schema()))


@router.get("", **answers("list_instances", 200, MANY))
def list_instances(call: Asked, request: Request) -> Response:
    """List all share instances."""
    return _listed(call, request)


@router.get("/detail", **answers("list_instances_in_detail", 200, MANY))
def list_in_detail(call: Asked, request: Request) -> Response:
    """List all share instances."""
    return _listed(call, request)


def _listed(call: Call, request: Request) -> Response:
    call.within(since=3)
    call.demand("share_instance:index")
    path = request.query_params.get("export_location_path") if call.version.minor >= 35 else None
    wanted = {"export_location_path": path} if path else {}
    found, _ = call.manager.share_page(call.context, wanted, Page(), everyone=True)
    return JSON({"share_instances": [INSTANCE.show(share, call.version) for share in found]})


@router.get("/{instance_id}", **answers("show_instance", 200, wrapped(share_instance=INSTANCE.schema())))
def show_one(call: Asked, instance_id: str) -> Response:
    """Show a share instance."""
    return JSON({"share_instance": INSTANCE.show(_found(call, instance_id, "share_instance:show"), call.version)})


@router.post("/{instance_id}/action", **answers("instance_action", 202, actions=bodies.INSTANCE_ACTIONS))
def instance_action(call: Asked, instance_id: str, body: Annotated[Any, Body()] = None) -> Response:
    """Set the status of a share instance, or delete it: as of its share, of which it is the only one."""
    asked, arguments = action(body, bodies.INSTANCE_ACTIONS, call.version)
    call.action = asked.name
    found = _found(call, instance_id, f"share_instance:{asked.name}")
    if asked.name == "reset_status":
        call.manager.set_share_status(call.context, found.id, status_of(arguments))
    else:
        call.manager.delete_share(call.context, found.id, force=True)
    return accepted()


@router.get(
    "/{instance_id}/export_locations",
    **answers("list_instance_locations", 200, wrapped(export_locations=array(LOCATION.schema()))),
)
def list_locations(call: Asked, instance_id: str) -> Response:
    """List where an instance is reached."""
    call.within(since=9)
    found = _found(call, instance_id, "share_instance_export_location:index")
    shown = [LOCATION.show(at, call.version, admin=call.is_admin) for at in places(found)]
    return JSON({"export_locations": shown})


@router.get(
    "/{instance_id}/export_locations/{location_id}",
    **answers("show_instance_location", 200, wrapped(export_location=LOCATION_IN_FULL.schema())),
)
def show_location(call: Asked, instance_id: str, location_id: str) -> Response:
    """Show one place where an instance is reached."""
    call.within(since=9)
    for at in places(_found(call, instance_id, "share_instance_export_location:show")):
        if at.id == location_id:
            return JSON({"export_location": LOCATION_IN_FULL.show(at, call.version, admin=call.is_admin)})
    raise no_such_resource()


def _found(call: Call, instance_id: str, rule: str) -> Share:
    call.within(since=3)
    call.demand(rule)
    found, _ = call.manager.share_page(call.context, {"replica_ids": [instance_id]}, Page(), everyone=True)
    if not found:
        raise no_such_resource()
    return found[0]
