"""Metadata of shares, and (from 2.73 on) of snapshots: the same, but for whose it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter, Response

from revertkit.api.answers import JSON, answers
from revertkit.api.call import Asked, Call
from revertkit.api.errors import Fault, no_such_resource
from revertkit.api.wire import bodies
from revertkit.api.wire.views import NOTES, wrapped
from revertkit.models import Share, Snapshot

Change = Callable[[dict[str, str]], dict[str, str]]
ALL, ONE = wrapped(metadata=NOTES), wrapped(meta=NOTES)


@dataclass(frozen=True)
class Owner:
    """Whose metadata it is."""

    noun: str
    since: int
    read: str
    change: str
    delete: str

    def find(self, call: Call, thing_id: str, rule: str) -> Share | Snapshot:
        """Find the one that the URL names."""
        call.within(since=self.since)
        return call.share(thing_id, rule) if self.noun == "share" else call.snapshot(thing_id, rule)

    def note(self, call: Call, thing_id: str, change: Change) -> dict[str, str]:
        """Change its metadata, and answer what it is now."""
        if self.noun == "share":
            return call.manager.note_share(call.context, thing_id, change).metadata
        return call.manager.note_snapshot(call.context, thing_id, change).metadata


def routes_of(owner: Owner) -> APIRouter:
    """Make the routes of one owner."""
    router = APIRouter(prefix=f"/v2/{owner.noun}s/{{thing_id}}/metadata", tags=[f"{owner.noun}s"])

    @router.get("", **answers(f"list_{owner.noun}_metadata", 200, ALL))
    def list_all(call: Asked, thing_id: str) -> Response:
        """List all of its metadata."""
        return JSON({"metadata": owner.find(call, thing_id, owner.read).metadata})

    @router.post("", **answers(f"add_{owner.noun}_metadata", 200, ALL))
    def add(call: Asked, thing_id: str, body: bodies.Metadata) -> Response:
        """Add to its metadata."""
        owner.find(call, thing_id, owner.change)
        return JSON({"metadata": owner.note(call, thing_id, lambda known: known | body.metadata)})

    @router.put("", **answers(f"replace_{owner.noun}_metadata", 200, ALL))
    def replace(call: Asked, thing_id: str, body: bodies.Metadata) -> Response:
        """Replace its metadata."""
        owner.find(call, thing_id, owner.change)
        return JSON({"metadata": owner.note(call, thing_id, lambda known: body.metadata)})

    _add_items(router, owner)
    return router


def _add_items(router: APIRouter, owner: Owner) -> None:
    @router.get("/{key}", **answers(f"show_{owner.noun}_metadata_item", 200, ONE))
    def show_item(call: Asked, thing_id: str, key: str) -> Response:
        """Show one key of its metadata."""
        notes = owner.find(call, thing_id, owner.read).metadata
        if key not in notes:
            raise no_such_resource()
        return JSON({"meta": {key: notes[key]}})

    @router.put("/{key}", **answers(f"set_{owner.noun}_metadata_item", 200, ONE))
    def set_item(call: Asked, thing_id: str, key: str, body: bodies.OneNote) -> Response:
        """Set one key of its metadata."""
        owner.find(call, thing_id, owner.change)
        if list(body.meta) != [key]:
            raise Fault(400, "Request body and URI mismatch")
        owner.note(call, thing_id, lambda known: known | body.meta)
        return JSON({"meta": body.meta})

    @router.delete("/{key}", **answers(f"delete_{owner.noun}_metadata_item", 200))
    def delete_item(call: Asked, thing_id: str, key: str) -> Response:
        """Remove one key of its metadata."""
        if key not in owner.find(call, thing_id, owner.delete).metadata:
            raise no_such_resource()
        owner.note(call, thing_id, lambda known: {k: w for k, w in known.items() if k != key})
        return Response()


of_shares = routes_of(
    Owner("share", 0, "share:get_share_metadata", "share:update_share_metadata", "share:delete_share_metadata")
)
of_snapshots = routes_of(
    Owner(
        "snapshot",
        73,
        "share_snapshot:get_metadata",
        "share_snapshot:update_metadata",
        "share_snapshot:delete_metadata",
    )
)
