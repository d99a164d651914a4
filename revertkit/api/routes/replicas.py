"""Share replicas and their actions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response

from revertkit.api.answers import JSON, accepted, answers
from revertkit.api.call import Asked, Call
from revertkit.api.errors import DENIED, Fault, no_such_resource
from revertkit.api.routes.share_actions import status_of
from revertkit.api.wire import bodies, queries
from revertkit.api.wire.reading import action
from revertkit.api.wire.replicas import LOCATION, LOCATION_IN_FULL, REPLICA, SUMMARY, ShownReplicaLocation
from revertkit.api.wire.views import LINKS, Schema, array, wrapped
from revertkit.errors import NotFound
from revertkit.models import ShareReplica
from revertkit.status import ReplicaState

router = APIRouter(prefix="/v2/share-replicas", tags=["replicas"])
ONE = wrapped(share_replica=REPLICA.schema())


def _many(of: Schema) -> Schema:
    listed = wrapped(share_replicas=array(of))
    return listed | {"properties": {**listed["properties"], "share_replicas_links": LINKS}}


def _offered(call: Call) -> None:
    """Replicas are there from 2.56 on; from 2.11 on for who asks for what is experimental."""
    call.within(since=11 if call.experimental else 56)


@router.get("", **answers("list_replicas", 200, _many(SUMMARY.schema())))
def list_replicas(call: Asked, request: Request) -> Response:
    """List replicas, of one share or of all that can have several."""
    return _listed(call, request, detail=False)


@router.get("/detail", **answers("list_replicas_in_detail", 200, _many(REPLICA.schema())))
def list_in_detail(call: Asked, request: Request) -> Response:
    """List replicas in full."""
    return _listed(call, request, detail=True)


def _listed(call: Call, request: Request, *, detail: bool) -> Response:
    _offered(call)
    call.demand("share_replica:get_all")
    query = dict(request.query_params)
    page = queries.page(query, call.max_limit)
    view = REPLICA if detail else SUMMARY
    found = _of(call, query.get("share_id"), everyone=queries.flag(query, "all_tenants"))
    ids = [each.id for each in found]
    start = ids.index(page.marker) + 1 if page.marker in ids else page.offset
    part = found[start : start + (page.limit or 0)]
    answer = {"share_replicas": [view.show(each, call.version, admin=call.is_admin) for each in part]}
    path = "/share-replicas/detail" if detail else "/share-replicas"
    if links := queries.next_links(call, path, query, [each.id for each in part], page.limit or 0):
        answer["share_replicas_links"] = links
    return JSON(answer)


def _of(call: Call, share_id: str | None, *, everyone: bool) -> list[ShareReplica]:
    """List those of one share, of which there are none if it is not there; or all."""
    if share_id is None:
        return call.manager.replicas(call.context, all_projects=everyone and call.is_admin)
    try:
        return call.manager.replicas(call.context, call.share(share_id, "share_replica:get_all").id)
    except Fault as missing:
        if missing.code == 404:
            return []
        raise


@router.post("", **answers("create_replica", 202, ONE))
def create_replica(call: Asked, body: bodies.CreateReplica) -> Response:
    """Make one more replica of a share; its data comes with its first look."""
    _offered(call)
    asked = body.share_replica
    share = call.share(asked.share_id, "share_replica:create")
    if asked.share_network_id:
        raise Fault(400, "There are no share networks: driver_handles_share_servers is false here.")
    pool = str((asked.scheduler_hints or {}).get("only_host") or "") or None
    made = call.manager.create_replica(
        call.context, share.id, pool=pool, availability_zone=asked.availability_zone or None
    )
    return JSON({"share_replica": REPLICA.show(made, call.version, admin=call.is_admin)}, 202)


@router.get("/{replica_id}", **answers("show_replica", 200, ONE))
def show_one(call: Asked, replica_id: str) -> Response:
    """Show a replica."""
    found = _found(call, replica_id, "share_replica:show")
    return JSON({"share_replica": REPLICA.show(found, call.version, admin=call.is_admin)})


@router.delete("/{replica_id}", **answers("delete_replica", 202))
def delete_replica(call: Asked, replica_id: str) -> Response:
    """Delete a replica that is not the active one."""
    found = _found(call, replica_id, "share_replica:delete")
    call.manager.delete_replica(call.context, found.id)
    return accepted()


@router.post("/{replica_id}/action", **answers("replica_action", 202, ONE, actions=bodies.REPLICA_ACTIONS, also=200))
def replica_action(call: Asked, replica_id: str, body: Annotated[Any, Body()] = None) -> Response:
    """Do something with a replica."""
    asked, arguments = action(body, bodies.REPLICA_ACTIONS, call.version)
    call.action = asked.name
    found = _found(call, replica_id, f"share_replica:{asked.name}")
    return _DO[asked.name](call, found, arguments)


def _promote(call: Call, found: ShareReplica, asked: bodies.Nothing) -> Response:
    """Promote it. One that is not in sync loses what it has not: an administrator may want that, nobody else."""
    if found.active:
        return Response()
    behind = found.replica_state is not ReplicaState.IN_SYNC
    if behind and not call.is_admin:
        raise Fault(403, DENIED)
    promoted = call.manager.promote_replica(call.context, found.id, force=behind)
    return JSON({"share_replica": REPLICA.show(promoted, call.version, admin=call.is_admin)}, 202)


def _resync(call: Call, found: ShareReplica, asked: bodies.Nothing) -> Response:
    if found.active:
        return Response()
    call.manager.resync_replica(call.context, found.id)
    return accepted()


def _force_delete(call: Call, found: ShareReplica, asked: bodies.Nothing) -> Response:
    call.manager.delete_replica(call.context, found.id, force=True)
    return accepted()


def _reset_status(call: Call, found: ShareReplica, asked: bodies.ResetStatus) -> Response:
    status = status_of(asked)
    if not found.active:
        raise Fault(400, "The status of a replica that is not active is not set by hand: resync or delete it.")
    call.manager.set_share_status(call.context, found.share_id, status)
    return accepted()


def _reset_replica_state(call: Call, found: ShareReplica, asked: bodies.ResetReplicaState) -> Response:
    raise Fault(400, f"Replica {found.id} is {found.replica_state}, as its last look found: it is not set by hand.")


_DO: dict[str, Callable[[Call, ShareReplica, Any], Response]] = {
    "promote": _promote,
    "resync": _resync,
    "force_delete": _force_delete,
    "reset_status": _reset_status,
    "reset_replica_state": _reset_replica_state,
}


@router.get(
    "/{replica_id}/export-locations",
    **answers("list_replica_locations", 200, wrapped(export_locations=array(LOCATION.schema()))),
)
def list_locations(call: Asked, replica_id: str) -> Response:
    """List where a replica is reached."""
    call.within(since=47)
    found = _found(call, replica_id, "share_replica_export_location:index")
    shown = [LOCATION.show(at, call.version, admin=call.is_admin) for at in _places(found)]
    return JSON({"export_locations": shown})


@router.get(
    "/{replica_id}/export-locations/{location_id}",
    **answers("show_replica_location", 200, wrapped(export_location=LOCATION_IN_FULL.schema())),
)
def show_location(call: Asked, replica_id: str, location_id: str) -> Response:
    """Show one place where a replica is reached."""
    call.within(since=47)
    for at in _places(_found(call, replica_id, "share_replica_export_location:show")):
        if at.id == location_id:
            return JSON({"export_location": LOCATION_IN_FULL.show(at, call.version, admin=call.is_admin)})
    raise no_such_resource()


def _places(replica: ShareReplica) -> list[ShownReplicaLocation]:
    return [ShownReplicaLocation(replica, location) for location in replica.export_locations]


def _found(call: Call, replica_id: str, rule: str) -> ShareReplica:
    _offered(call)
    try:
        found = call.manager.replica(call.context, replica_id)
    except NotFound:
        raise no_such_resource() from None
    call.demand(rule, found.project_id)
    return found
