"""Quota sets and limits. Quotas are kept per project; of users and share types there are none of their own."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from revertkit.api.answers import JSON, accepted, answers
from revertkit.api.call import Asked, Call
from revertkit.api.errors import DENIED, Fault
from revertkit.api.wire import bodies, quotas
from revertkit.api.wire.views import ANYTHING, INTEGER, array, wrapped
from revertkit.errors import NotFound

router = APIRouter(prefix="/v2", tags=["quotas"])
SET = wrapped(quota_set=quotas.schema())
DETAILED = wrapped(quota_set=quotas.schema(detail=True))
ABSOLUTE = {"type": "object", "additionalProperties": INTEGER}


@router.get("/quota-sets/{project_id}", **answers("show_quotas", 200, SET))
def show(call: Asked, project_id: str, request: Request) -> Response:
    """Show a project's limits."""
    call.within(since=7)
    return _shown(call, project_id, request)


@router.get("/os-quota-sets/{project_id}", **answers("show_quotas_as_before", 200, SET))
def show_before(call: Asked, project_id: str, request: Request) -> Response:
    """Show a project's limits, up to 2.6."""
    call.within(until=6)
    return _shown(call, project_id, request)


@router.get("/quota-sets/{project_id}/detail", **answers("show_quotas_in_detail", 200, DETAILED))
def show_detail(call: Asked, project_id: str, request: Request) -> Response:
    """Show a project's limits, what is in use, and what is reserved."""
    call.within(since=25)
    return _shown(call, project_id, request, detail=True)


@router.get("/quota-sets/{project_id}/defaults", **answers("show_default_quotas", 200, SET))
def show_defaults(call: Asked, project_id: str, request: Request) -> Response:
    """Show the limits of a project that has none of its own."""
    call.within(since=7)
    call.demand("quota_set:show", project_id)
    uses = call.manager.quotas("")
    return JSON({"quota_set": {"id": project_id, **quotas.quota_set(uses, call.version)}})


def _shown(call: Call, project_id: str, request: Request, *, detail: bool = False) -> Response:
    if not call.allows("quota_set:show", project_id):
        raise Fault(403, DENIED)
    of_type = _check_narrowed(call, request)
    uses = call.manager.quotas(project_id)
    shown = quotas.quota_set(uses, call.version, of_type=of_type, detail=detail)
    return JSON({"quota_set": {"id": project_id, **shown}})


def _check_narrowed(call: Call, request: Request) -> bool:
    """See whether it is narrowed to a share type that there is; a user's quotas are the project's."""
    named = request.query_params.get("share_type")
    if named and request.query_params.get("user_id"):
        raise Fault(400, "Parameters user_id and share_type are mutually exclusive.")
    if named:
        try:
            call.manager.visible_type(call.context, named)
        except NotFound:
            raise Fault(404, f"Share type {named[:40]!r} not found.") from None
    return bool(named)


@router.put("/quota-sets/{project_id}", **answers("update_quotas", 200, SET))
def update(call: Asked, project_id: str, body: bodies.QuotaSet, request: Request) -> Response:
    """Set limits of a project."""
    call.within(since=7)
    call.demand("quota_set:update")
    if _check_narrowed(call, request) or request.query_params.get("user_id"):
        raise Fault(400, "Quotas are kept per project; a user or a share type has none of its own here.")
    limits, force = quotas.wanted(body.quota_set)
    now = call.manager.quotas(project_id)
    for key, limit in limits.items():
        used = now[key].in_use + now[key].reserved
        if not force and -1 < limit < used:
            raise Fault(400, f"Quota limit {limit} of {key} is below the {used} in use; force sets it all the same.")
    for key, limit in limits.items():
        call.manager.set_quota(project_id, key, limit)
    return JSON({"quota_set": quotas.quota_set(call.manager.quotas(project_id), call.version)})


@router.delete("/quota-sets/{project_id}", **answers("delete_quotas", 202))
def delete(call: Asked, project_id: str, request: Request) -> Response:
    """Put a project's limits back to the defaults."""
    call.within(since=7)
    call.demand("quota_set:delete")
    if not (_check_narrowed(call, request) or request.query_params.get("user_id")):
        call.manager.reset_quotas(project_id)
    return accepted()


@router.get("/limits", **answers("show_limits", 200, wrapped(limits=wrapped(rate=array(ANYTHING), absolute=ABSOLUTE))))
def show_limits(call: Asked) -> Response:
    """Show the caller's own project's limits and what it uses."""
    uses = call.manager.quotas(call.project_id)
    return JSON({"limits": {"rate": [], "absolute": quotas.absolute(uses, call.version)}})
