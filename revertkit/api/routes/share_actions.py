"""The actions of a share, the revert first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body, Response

from revertkit.api.answers import JSON, accepted, answers
from revertkit.api.call import Asked, Call
from revertkit.api.errors import Fault
from revertkit.api.wire import bodies
from revertkit.api.wire.reading import action
from revertkit.api.wire.rules import LISTED, RULE, ShownRule
from revertkit.api.wire.views import array, wrapped
from revertkit.models import AccessLevel
from revertkit.status import Status

router = APIRouter(prefix="/v2/shares", tags=["shares"])
ANSWERED = {
    "oneOf": [wrapped(access=RULE.schema()), wrapped(access_list=array(LISTED.schema()))],
    "description": "of allow_access and access_list",
}


@router.post("/{share_id}/action", **answers("share_action", 200, ANSWERED, actions=bodies.SHARE_ACTIONS, also=202))
def share_action(call: Asked, share_id: str, body: Annotated[Any, Body()] = None) -> Response:
    """Do something with a share; but for the two that answer at once, it is accepted and goes on."""
    asked, arguments = action(body, bodies.SHARE_ACTIONS, call.version)
    call.action = asked.name
    return _DO[asked.name](call, share_id, arguments)


def _revert(call: Call, share_id: str, asked: bodies.Revert) -> Response:
    found = call.share(share_id, "share:revert_to_snapshot")
    call.manager.revert_to_snapshot(call.context, asked.snapshot_id, share=found.id)
    return accepted()


def _extend(call: Call, share_id: str, asked: bodies.Resize) -> Response:
    found = call.share(share_id, "share:extend")
    if asked.force and call.version.minor >= 64:
        call.demand("share:force_extend", found.project_id)
    call.manager.extend_share(call.context, found.id, asked.new_size)
    return accepted()


def _shrink(call: Call, share_id: str, asked: bodies.Resize) -> Response:
    found = call.share(share_id, "share:shrink")
    call.manager.shrink_share(call.context, found.id, asked.new_size)
    return accepted()


def _allow(call: Call, share_id: str, asked: bodies.Allow) -> Response:
    found = call.share(share_id, "share:allow_access")
    _check_offered(asked)
    level = AccessLevel(asked.access_level or AccessLevel.RW)
    notes = asked.metadata if call.version.minor >= 45 else None
    rule = call.manager.allow_access(call.context, found.id, asked.access_to, level, metadata=notes)
    return JSON({"access": RULE.show(ShownRule(rule, found.id), call.version)})


def _check_offered(asked: bodies.Allow) -> None:
    if asked.access_type != "ip":
        raise Fault(400, f"access_type {asked.access_type!r} is not offered; it has to be 'ip'.")
    if asked.lock_visibility or asked.lock_deletion:
        raise Fault(400, "Locks on access rules are not offered.")


def _deny(call: Call, share_id: str, asked: bodies.Deny) -> Response:
    found = call.share(share_id, "share:deny_access")
    call.manager.deny_access(call.context, found.id, asked.access_id)
    return accepted()


def _access_list(call: Call, share_id: str, asked: bodies.Nothing) -> Response:
    found = call.share(share_id, "share:access_get_all")
    rules = call.manager.access_rules(call.context, found.id)
    return JSON({"access_list": [LISTED.show(ShownRule(rule, found.id), call.version) for rule in rules]})


def _reset_status(call: Call, share_id: str, asked: bodies.ResetStatus) -> Response:
    found = call.share(share_id, "share:reset_status")
    call.manager.set_share_status(call.context, found.id, status_of(asked))
    return accepted()


def status_of(asked: bodies.ResetStatus) -> Status:
    """Read a status to set.

    Raises:
        Fault: 400, it is none.
    """
    try:
        return Status(asked.status)
    except ValueError:
        raise Fault(400, f"Invalid status {asked.status[:40]!r}: there is no such status here.") from None


def _reset_task_state(call: Call, share_id: str, asked: bodies.ResetTaskState) -> Response:
    call.share(share_id, "share:reset_task_state")
    if asked.task_state is not None:
        raise Fault(400, "Shares are not migrated here: their task_state is always null.")
    return accepted()


def _force_delete(call: Call, share_id: str, asked: bodies.Nothing) -> Response:
    found = call.share(share_id, "share:force_delete")
    call.manager.delete_share(call.context, found.id, force=True)
    return accepted()


def _unmanage(call: Call, share_id: str, asked: bodies.Nothing) -> Response:
    found = call.share(share_id, "share:unmanage")
    call.manager.unmanage_share(call.context, found.id)
    return accepted()


_DO: dict[str, Callable[[Call, str, Any], Response]] = {
    "revert": _revert,
    "extend": _extend,
    "shrink": _shrink,
    "allow_access": _allow,
    "deny_access": _deny,
    "access_list": _access_list,
    "reset_status": _reset_status,
    "reset_task_state": _reset_task_state,
    "force_delete": _force_delete,
    "unmanage": _unmanage,
}
