"""Shares."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from revertkit.api.answers import JSON, accepted, answers
from revertkit.api.call import Asked, Call
from revertkit.api.errors import Fault
from revertkit.api.routes.zones import zones_of
from revertkit.api.wire import bodies, queries
from revertkit.api.wire.shares import INSTANCE, PROTOCOL, SHARE, show_share, summary
from revertkit.api.wire.views import INTEGER, LINKS, SUMMARY, Schema, array, wrapped
from revertkit.models import Share

router = APIRouter(prefix="/v2/shares", tags=["shares"])
ONE = wrapped(share=SHARE.schema())


def _many(of: Schema) -> Schema:
    listed = wrapped(shares=array(of))
    return listed | {"properties": {**listed["properties"], "shares_links": LINKS, "count": INTEGER}}


@router.get("", **answers("list_shares", 200, _many(SUMMARY)))
def list_shares(call: Asked, request: Request) -> Response:
    """List shares: ids and names."""
    return _listed(call, request, detail=False)


@router.get("/detail", **answers("list_shares_in_detail", 200, _many(SHARE.schema())))
def list_shares_in_detail(call: Asked, request: Request) -> Response:
    """List shares in full."""
    return _listed(call, request, detail=True)


def _listed(call: Call, request: Request, *, detail: bool) -> Response:
    call.demand("share:get_all")
    query = dict(request.query_params)
    page = queries.page(query, call.max_limit)
    count = queries.flag(query, "with_count") and call.version.minor >= 42
    wanted = queries.share_filters(call, query)
    everyone = queries.flag(query, "all_tenants")
    found: list[Share] = []
    number: int | None = 0
    if wanted is not None:
        found, number = call.manager.share_page(call.context, wanted, page, everyone=everyone, count=count)
    names = call.manager.type_names() if detail and found else {}
    shown = [
        show_share(call, share, names) if detail else summary(call, "shares", share.id, share.name) for share in found
    ]
    answer: dict[str, object] = {"shares": shown}
    path = "/shares/detail" if detail else "/shares"
    if following := queries.next_links(call, path, query, [share.id for share in found], page.limit or 0):
        answer["shares_links"] = following
    return JSON(answer | ({"count": number} if count else {}))


@router.post("", **answers("create_share", 200, ONE))
def create_share(call: Asked, body: bodies.CreateShare) -> Response:
    """Create a share, empty or from a snapshot; it is ``creating`` until it is ``available``."""
    call.demand("share:create")
    asked = body.share
    _check_offered(call, asked)
    source = None
    if asked.snapshot_id:
        source = call.manager.snapshot_by_id(call.context, asked.snapshot_id)
    made = call.manager.create_share(
        call.context,
        asked.size,
        name=asked.name or None,
        description=asked.description,
        share_type=_type_of(call, asked),
        snapshot=source.id if source else None,
        availability_zone=asked.availability_zone or None,
        metadata=asked.metadata,
    )
    return JSON({"share": show_share(call, made, call.manager.type_names())})


def _check_offered(call: Call, asked: bodies.NewShareBody) -> None:
    if asked.share_proto.upper() != PROTOCOL:
        raise Fault(400, f"Invalid share protocol provided: {asked.share_proto}. It has to be {PROTOCOL}.")
    if asked.is_public:
        call.demand("share:create_public_share")
        raise Fault(400, "Shares that every project can see are not offered.")
    zones = zones_of(call.manager)
    if asked.availability_zone and asked.availability_zone not in zones:
        raise Fault(404, f"There is no availability zone {asked.availability_zone!r}; there are {', '.join(zones)}.")
    if asked.share_network_id:
        raise Fault(404, "There are no share networks: driver_handles_share_servers is false here.")
    for name in ("share_group_id", "mount_point_name", "encryption_key_ref"):
        if getattr(asked, name):
            raise Fault(400, f"{name} is not offered.")


def _type_of(call: Call, asked: bodies.NewShareBody) -> str | None:
    if asked.share_type and asked.volume_type:
        raise Fault(400, "Parameters share_type and volume_type are mutually exclusive.")
    named = asked.share_type or asked.volume_type
    return call.manager.visible_type(call.context, named).id if named else None


@router.post("/manage", **answers("manage_share", 200, ONE))
def manage_share(call: Asked, body: bodies.ManageShare) -> Response:
    """Adopt what a backend has under ``export_path`` as a share; it is ``creating`` meanwhile."""
    call.within(since=7)
    call.demand("share:manage")
    asked = body.share
    if asked.protocol.upper() != PROTOCOL or asked.is_public or asked.share_server_id:
        raise Fault(400, f"A share that is managed here is {PROTOCOL}, not public, and on no share server.")
    made = call.manager.manage_share(
        call.context,
        asked.service_host,
        asked.export_path,
        name=asked.name or None,
        description=asked.description,
        share_type=call.manager.visible_type(call.context, asked.share_type).id if asked.share_type else None,
    )
    return JSON({"share": show_share(call, made, call.manager.type_names())})


@router.get("/{share_id}", **answers("show_share", 200, ONE))
def show_one(call: Asked, share_id: str) -> Response:
    """Show a share."""
    found = call.share(share_id, "share:get")
    return JSON({"share": show_share(call, found, call.manager.type_names())})


@router.put("/{share_id}", **answers("update_share", 200, ONE))
def update_share(call: Asked, share_id: str, body: bodies.UpdateShare) -> Response:
    """Give a share another name or description."""
    found = call.share(share_id, "share:update")
    if body.share.is_public:
        raise Fault(400, "Shares that every project can see are not offered.")
    changed = call.manager.describe_share(call.context, found.id, **body.share.said())
    return JSON({"share": show_share(call, changed, call.manager.type_names())})


@router.delete("/{share_id}", **answers("delete_share", 202))
def delete_share(call: Asked, share_id: str) -> Response:
    """Delete a share that has no snapshots."""
    found = call.share(share_id, "share:delete")
    call.manager.delete_share(call.context, found.id)
    return accepted()


@router.get(
    "/{share_id}/instances",
    **answers("list_instances_of_share", 200, wrapped(share_instances=array(INSTANCE.schema()))),
)
def list_instances(call: Asked, share_id: str) -> Response:
    """List a share's instances: one."""
    call.within(since=3)
    found = call.share(share_id, "share_instance:index")
    return JSON({"share_instances": [INSTANCE.show(found, call.version)]})
