"""User messages: what became of operations that ended without whoever asked."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from revertkit.api.answers import JSON, answers
from revertkit.api.call import Asked
from revertkit.api.errors import no_such_resource
from revertkit.api.wire import queries
from revertkit.api.wire.messages import MESSAGE, matches, show_message
from revertkit.api.wire.views import LINKS, array, wrapped
from revertkit.errors import NotFound

router = APIRouter(prefix="/v2/messages", tags=["messages"])
MANY = wrapped(messages=array(MESSAGE.schema()))


@router.get(
    "",
    **answers("list_messages", 200, MANY | {"properties": {**MANY["properties"], "messages_links": LINKS}}),
)
def list_messages(call: Asked, request: Request) -> Response:
    """List the project's messages, newest first."""
    call.within(since=37)
    call.demand("message:get_all")
    query = dict(request.query_params)
    page = queries.page(query, call.max_limit)
    asked = query if call.version.minor >= 52 else {k: w for k, w in query.items() if not k.startswith("created_")}
    shown = [show_message(call, message) for message in call.manager.messages(call.context)]
    chosen = [each for each in shown if matches(each, asked)]
    if not page.descending:
        chosen.reverse()
    ids = [each["id"] for each in chosen]
    start = ids.index(page.marker) + 1 if page.marker in ids else page.offset
    part = chosen[start : start + (page.limit or 0)]
    links = queries.next_links(call, "/messages", query, [each["id"] for each in part], page.limit or 0)
    return JSON({"messages": part} | ({"messages_links": links} if links else {}))


@router.get("/{message_id}", **answers("show_message", 200, wrapped(message=MESSAGE.schema())))
def show_one(call: Asked, message_id: str) -> Response:
    """Show a message."""
    call.within(since=37)
    call.demand("message:get")
    try:
        return JSON({"message": show_message(call, call.manager.message(call.context, message_id))})
    except NotFound:
        raise no_such_resource() from None


@router.delete("/{message_id}", **answers("delete_message", 204))
def delete(call: Asked, message_id: str) -> Response:
    """Delete a message."""
    call.within(since=37)
    call.demand("message:delete")
    call.manager.delete_message(call.context, message_id)
    return Response(status_code=204)
