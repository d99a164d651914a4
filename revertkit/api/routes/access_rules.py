"""Access rules of shares, as a resource of their own (from 2.45 on; before, ``access_list`` is an action)."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from revertkit.api.answers import JSON, answers
from revertkit.api.call import Asked, Call
from revertkit.api.errors import Fault, no_such_resource
from revertkit.api.wire import bodies
from revertkit.api.wire.rules import LISTED, RULE, ShownRule
from revertkit.api.wire.views import NOTES, array, wrapped
from revertkit.errors import NotFound

router = APIRouter(prefix="/v2/share-access-rules", tags=["access rules"])


@router.get("", **answers("list_access_rules", 200, wrapped(access_list=array(LISTED.schema()))))
def list_rules(call: Asked, request: Request, share_id: str | None = None) -> Response:
    """List the access rules of one share."""
    call.within(since=45)
    if share_id is None:
        raise Fault(400, "The field 'share_id' has to be specified.")
    try:
        share = call.share(share_id, "share:access_get_all")
    except Fault as missing:
        raise (Fault(400, f"Share {share_id[:40]} not found.") if missing.code == 404 else missing) from None
    rules = call.manager.access_rules(call.context, share.id)
    wanted = {key: request.query_params[key] for key in ("access_type", "access_to") if key in request.query_params}
    chosen = [rule for rule in rules if all(getattr(rule, key) == value for key, value in wanted.items())]
    return JSON({"access_list": [LISTED.show(ShownRule(rule, share.id), call.version) for rule in chosen]})


@router.get("/{rule_id}", **answers("show_access_rule", 200, wrapped(access=RULE.schema())))
def show_rule(call: Asked, rule_id: str) -> Response:
    """Show an access rule."""
    call.within(since=45)
    return JSON({"access": RULE.show(_found(call, rule_id, "share:access_get"), call.version)})


@router.put("/{rule_id}/metadata", **answers("update_access_rule_metadata", 200, wrapped(metadata=NOTES)))
def update_metadata(call: Asked, rule_id: str, body: bodies.Metadata) -> Response:
    """Add to the metadata of an access rule."""
    call.within(since=45)
    found = _found(call, rule_id, "share:allow_access")
    notes = call.manager.note_rule(call.context, found.rule.id, lambda known: known | body.metadata)
    return JSON({"metadata": notes})


@router.delete("/{rule_id}/metadata/{key}", **answers("delete_access_rule_metadata", 200))
def delete_metadata(call: Asked, rule_id: str, key: str) -> Response:
    """Remove one key from the metadata of an access rule."""
    call.within(since=45)
    found = _found(call, rule_id, "share:allow_access")
    if key not in found.rule.metadata:
        raise no_such_resource()
    call.manager.note_rule(call.context, found.rule.id, lambda known: {k: w for k, w in known.items() if k != key})
    return Response()


def _found(call: Call, rule_id: str, rule: str) -> ShownRule:
    try:
        share, found = call.manager.access_rule(call.context, rule_id)
    except NotFound:
        raise no_such_resource() from None
    call.demand(rule, share.project_id)
    return ShownRule(found, share.id)
