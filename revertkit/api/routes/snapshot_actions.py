"""The actions of a snapshot, its access list, and where it is reached."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body, Response

from revertkit.api.answers import JSON, accepted, answers
from revertkit.api.call import Asked, Call
from revertkit.api.errors import Fault, no_such_resource
from revertkit.api.routes.share_actions import status_of
from revertkit.api.wire import bodies
from revertkit.api.wire.reading import action
from revertkit.api.wire.rules import SNAPSHOT_RULE
from revertkit.api.wire.snapshots import SNAPSHOT_LOCATION, SNAPSHOT_LOCATION_IN_FULL, ShownSnapshotLocation
from revertkit.api.wire.views import array, wrapped
from revertkit.models import Snapshot

router = APIRouter(prefix="/v2/snapshots", tags=["snapshots"])


@router.post(
    "/{snapshot_id}/action",
    **answers("snapshot_action", 202, wrapped(snapshot_access=SNAPSHOT_RULE.schema()), actions=bodies.SNAPSHOT_ACTIONS),
)
def snapshot_action(call: Asked, snapshot_id: str, body: Annotated[Any, Body()] = None) -> Response:
    """Do something with a snapshot."""
    asked, arguments = action(body, bodies.SNAPSHOT_ACTIONS, call.version)
    call.action = asked.name
    return _DO[asked.name](call, snapshot_id, arguments)


def _reset_status(call: Call, snapshot_id: str, asked: bodies.ResetStatus) -> Response:
    found = call.snapshot(snapshot_id, "share_snapshot:reset_status")
    call.manager.set_snapshot_status(call.context, found.id, status_of(asked))
    return accepted()


def _force_delete(call: Call, snapshot_id: str, asked: bodies.Nothing) -> Response:
    found = call.snapshot(snapshot_id, "share_snapshot:force_delete")
    call.manager.delete_snapshot(call.context, found.id, force=True)
    return accepted()


def _allow(call: Call, snapshot_id: str, asked: bodies.Allow) -> Response:
    found = call.snapshot(snapshot_id, "share_snapshot:allow_access")
    if asked.access_type != "ip":
        raise Fault(400, f"access_type {asked.access_type!r} is not offered; it has to be 'ip'.")
    rule = call.manager.allow_snapshot_access(call.context, found.id, asked.access_to)
    return JSON({"snapshot_access": SNAPSHOT_RULE.show(rule, call.version)}, 202)


def _deny(call: Call, snapshot_id: str, asked: bodies.Deny) -> Response:
    found = call.snapshot(snapshot_id, "share_snapshot:deny_access")
    call.manager.deny_snapshot_access(call.context, found.id, asked.access_id)
    return accepted()


def _unmanage(call: Call, snapshot_id: str, asked: bodies.Nothing) -> Response:
    found = call.snapshot(snapshot_id, "share_snapshot:unmanage_snapshot")
    call.manager.unmanage_snapshot(call.context, found.id)
    return accepted()


_DO: dict[str, Callable[[Call, str, Any], Response]] = {
    "reset_status": _reset_status,
    "force_delete": _force_delete,
    "allow_access": _allow,
    "deny_access": _deny,
    "unmanage": _unmanage,
}


@router.get(
    "/{snapshot_id}/access-list",
    **answers("list_snapshot_rules", 200, wrapped(snapshot_access_list=array(SNAPSHOT_RULE.schema()))),
)
def list_rules(call: Asked, snapshot_id: str) -> Response:
    """List who may mount a snapshot."""
    call.within(since=32)
    found = call.snapshot(snapshot_id, "share_snapshot:access_list")
    rules = call.manager.snapshot_access_rules(call.context, found.id)
    return JSON({"snapshot_access_list": [SNAPSHOT_RULE.show(rule, call.version) for rule in rules]})


@router.get(
    "/{snapshot_id}/export-locations",
    **answers(
        "list_snapshot_locations",
        200,
        wrapped(share_snapshot_export_locations=array(SNAPSHOT_LOCATION.schema())),
    ),
)
def list_locations(call: Asked, snapshot_id: str) -> Response:
    """List where a snapshot is reached."""
    call.within(since=32)
    found = call.snapshot(snapshot_id, "share_snapshot_export_location:index")
    shown = [SNAPSHOT_LOCATION.show(at, call.version, admin=call.is_admin) for at in _places(found)]
    return JSON({"share_snapshot_export_locations": shown})


@router.get(
    "/{snapshot_id}/export-locations/{location_id}",
    **answers(
        "show_snapshot_location", 200, wrapped(share_snapshot_export_location=SNAPSHOT_LOCATION_IN_FULL.schema())
    ),
)
def show_location(call: Asked, snapshot_id: str, location_id: str) -> Response:
    """Show one place where a snapshot is reached."""
    call.within(since=32)
    found = call.snapshot(snapshot_id, "share_snapshot_export_location:show")
    for at in _places(found):
        if at.id == location_id:
            shown = SNAPSHOT_LOCATION_IN_FULL.show(at, call.version, admin=call.is_admin)
            return JSON({"share_snapshot_export_location": shown})
    raise no_such_resource()


def _places(snapshot: Snapshot) -> list[ShownSnapshotLocation]:
    return [ShownSnapshotLocation(snapshot, location) for location in snapshot.export_locations]
