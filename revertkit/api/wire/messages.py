"""User messages: Manila's ids of actions, and of details. A detail that Manila does not know is one of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from revertkit.api.call import Call
from revertkit.api.wire.shares import links
from revertkit.api.wire.views import LINKS, STRING, TIME, UUID, Key, View, time
from revertkit.models import Message, MessageDetail, OperationKind

ACTIONS = {
    OperationKind.CREATE_SHARE: "002",
    OperationKind.CREATE_SHARE_FROM_SNAPSHOT: "002",
    OperationKind.DELETE_SHARE: "007",
    OperationKind.EXTEND_SHARE: "008",
    OperationKind.SHRINK_SHARE: "009",
    OperationKind.CREATE_SNAPSHOT: "002",
    OperationKind.DELETE_SNAPSHOT: "007",
    OperationKind.REVERT_TO_SNAPSHOT: "006",
    OperationKind.ALLOW_ACCESS: "010",
    OperationKind.DENY_ACCESS: "003",
    OperationKind.ALLOW_SNAPSHOT_ACCESS: "010",
    OperationKind.DENY_SNAPSHOT_ACCESS: "003",
}
MANAGE = "901"
"""The action of managing and unmanaging, of which Manila tells nothing."""
DETAILS = {
    MessageDetail.FAILED: "001",
    MessageDetail.REFUSED: "018",
    MessageDetail.DONE: "901",
    MessageDetail.TROUBLE: "902",
}
"""001: an unknown error; 018: the driver refused; 901: done; 902: done, but a snapshot is out of reach."""


def action_id(kind: OperationKind) -> str:
    """Answer the id of an action."""
    return ACTIONS.get(kind, MANAGE)


MESSAGE: View[tuple[Message, list[dict[str, str]]]] = View(
    Key("id", UUID, lambda m: m[0].id),
    Key("project_id", STRING, lambda m: m[0].project_id),
    Key("request_id", STRING, lambda m: m[0].request_id),
    Key("resource_type", STRING, lambda m: m[0].resource_type),
    Key("resource_id", UUID, lambda m: m[0].resource_id),
    Key("action_id", STRING, lambda m: action_id(m[0].action)),
    Key("detail_id", STRING, lambda m: DETAILS[m[0].detail]),
    Key("message_level", STRING, lambda m: m[0].level),
    Key("user_message", STRING, lambda m: m[0].text),
    Key("created_at", TIME, lambda m: time(m[0].created_at)),
    Key("expires_at", TIME, lambda m: time(m[0].expires_at)),
    Key("links", LINKS, lambda m: m[1]),
)


def show_message(call: Call, message: Message) -> dict[str, Any]:
    """Write one message."""
    return MESSAGE.show((message, links(call, "messages", message.id)), call.version)


FILTERS = ("resource_id", "resource_type", "action_id", "detail_id", "message_level", "request_id")


def matches(shown: Mapping[str, Any], query: Mapping[str, str]) -> bool:
    """Say whether a message, as it is shown, has all that a query asks for."""
    since, before = query.get("created_since", ""), query.get("created_before", "~")
    return since <= shown["created_at"] <= before and all(
        shown[name] == query[name] for name in FILTERS if name in query
    )
