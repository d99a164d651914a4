"""Snapshots."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from revertkit.api.answers import JSON, accepted, answers
from revertkit.api.call import Asked, Call
from revertkit.api.wire import bodies, queries
from revertkit.api.wire.shares import summary
from revertkit.api.wire.snapshots import SNAPSHOT, show_snapshot
from revertkit.api.wire.views import INTEGER, LINKS, SUMMARY, Schema, array, wrapped

router = APIRouter(prefix="/v2/snapshots", tags=["snapshots"])
ONE = wrapped(snapshot=SNAPSHOT.schema())


def _many(of: Schema) -> Schema:
    listed = wrapped(snapshots=array(of))
    return listed | {"properties": {**listed["properties"], "share_snapshots_links": LINKS, "count": INTEGER}}


@router.get("", **answers("list_snapshots", 200, _many(SUMMARY)))
def list_snapshots(call: Asked, request: Request) -> Response:
    """List snapshots: ids and names."""
    return _listed(call, request, detail=False)


@router.get("/detail", **answers("list_snapshots_in_detail", 200, _many(SNAPSHOT.schema())))
def list_snapshots_in_detail(call: Asked, request: Request) -> Response:
    """List snapshots in full."""
    return _listed(call, request, detail=True)


def _listed(call: Call, request: Request, *, detail: bool) -> Response:
    call.demand("share_snapshot:get_all_snapshots")
    query = dict(request.query_params)
    page = queries.page(query, call.max_limit)
    count = queries.flag(query, "with_count") and call.version.minor >= 79
    everyone = queries.flag(query, "all_tenants")
    wanted = queries.snapshot_filters(call, query)
    found, number = call.manager.snapshot_page(call.context, wanted, page, everyone=everyone, count=count)
    shown = [show_snapshot(call, s) if detail else summary(call, "snapshots", s.id, s.name) for s in found]
    answer: dict[str, object] = {"snapshots": shown}
    path = "/snapshots/detail" if detail else "/snapshots"
    if following := queries.next_links(call, path, query, [s.id for s in found], page.limit or 0):
        answer["share_snapshots_links"] = following
    return JSON(answer | ({"count": number} if count else {}))


@router.post("", **answers("create_snapshot", 202, ONE))
def create_snapshot(call: Asked, body: bodies.CreateSnapshot) -> Response:
    """Take a snapshot; it is ``creating`` until it is ``available``, and its share ``snapshotting``."""
    asked = body.snapshot
    share = call.share(asked.share_id, "share:create_snapshot")
    made = call.manager.create_snapshot(
        call.context,
        share.id,
        name=asked.name or None,
        description=asked.description,
        metadata=asked.metadata if call.version.minor >= 73 else None,
    )
    return JSON({"snapshot": show_snapshot(call, made)}, 202)


@router.post("/manage", **answers("manage_snapshot", 202, ONE))
def manage_snapshot(call: Asked, body: bodies.ManageSnapshot) -> Response:
    """Adopt what the share's backend has under ``provider_location`` as its latest snapshot."""
    call.within(since=12)
    asked = body.snapshot
    share = call.share(asked.share_id, "share_snapshot:manage_snapshot")
    made = call.manager.manage_snapshot(
        call.context, share.id, asked.provider_location, name=asked.name or None, description=asked.description
    )
    return JSON({"snapshot": show_snapshot(call, made)}, 202)


@router.get("/{snapshot_id}", **answers("show_snapshot", 200, ONE))
def show_one(call: Asked, snapshot_id: str) -> Response:
    """Show a snapshot."""
    return JSON({"snapshot": show_snapshot(call, call.snapshot(snapshot_id, "share_snapshot:get_snapshot"))})


@router.put("/{snapshot_id}", **answers("update_snapshot", 200, ONE))
def update_snapshot(call: Asked, snapshot_id: str, body: bodies.UpdateSnapshot) -> Response:
    """Give a snapshot another name or description."""
    found = call.snapshot(snapshot_id, "share:snapshot_update")
    changed = call.manager.describe_snapshot(call.context, found.id, **body.snapshot.said())
    return JSON({"snapshot": show_snapshot(call, changed)})


@router.delete("/{snapshot_id}", **answers("delete_snapshot", 202))
def delete_snapshot(call: Asked, snapshot_id: str) -> Response:
    """Delete a snapshot."""
    found = call.snapshot(snapshot_id, "share:delete_snapshot")
    call.manager.delete_snapshot(call.context, found.id)
    return accepted()
