"""Share types, who may use those that are not public, and their extra specs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response

from revertkit import share_types
from revertkit.api.answers import JSON, accepted, answers
from revertkit.api.call import Asked, Call
from revertkit.api.errors import Fault, no_such_resource
from revertkit.api.wire import bodies, queries
from revertkit.api.wire.reading import action
from revertkit.api.wire.types import SPECS, TYPE, show_type, specs_of
from revertkit.api.wire.views import STRING, UUID, array, wrapped
from revertkit.models import ShareType

router = APIRouter(prefix="/v2/types", tags=["share types"])
SHOWN = TYPE.schema()
ONE = wrapped(share_type=SHOWN, volume_type=SHOWN)
ACCESS = wrapped(share_type_access=array(wrapped(share_type_id=UUID, project_id=STRING)))


def _one(call: Call, share_type: ShareType) -> Response:
    shown = show_type(call, share_type)
    return JSON({"share_type": shown, "volume_type": shown})


@router.get("", **answers("list_types", 200, wrapped(share_types=array(SHOWN), volume_types=array(SHOWN))))
def list_types(call: Asked, request: Request) -> Response:
    """List the share types that the caller may use."""
    call.demand("share_type:index")
    query = dict(request.query_params)
    found = call.manager.visible_types(call.context)
    public = query.get("is_public", "true" if call.is_admin else "all").lower()
    if call.is_admin and public not in ("all", "none"):
        wanted = queries.flag(query, "is_public") if "is_public" in query else True
        found = [each for each in found if each.is_public is wanted]
    if "extra_specs" in query and call.version.minor >= 43:
        asked = queries.pairs(query["extra_specs"], "extra_specs")
        found = [each for each in found if asked.items() <= each.extra_specs.items()]
    shown = [show_type(call, each) for each in found]
    return JSON({"share_types": shown, "volume_types": shown})


@router.post("", **answers("create_type", 200, ONE))
def create_type(call: Asked, body: bodies.CreateType) -> Response:
    """Create a share type."""
    call.demand("share_type:create")
    asked = body.share_type
    specs = specs_of(asked.extra_specs)
    if call.version.minor < 24:
        specs = {"snapshot_support": "True"} | specs
    description = asked.description if call.version.minor >= 41 else None
    made = call.manager.create_type(asked.name, specs, description=description, is_public=asked.is_public)
    return _one(call, made)


@router.get("/default", **answers("show_default_type", 200, ONE))
def show_default(call: Asked) -> Response:
    """Show the type of a share that is created without one."""
    call.demand("share_type:default")
    if not (default := call.manager.default_share_type):
        raise Fault(404, "Default share type not found")
    return _one(call, call.manager.visible_type(call.context, default))


@router.get("/{type_id}", **answers("show_type", 200, ONE))
def show_one(call: Asked, type_id: str) -> Response:
    """Show a share type."""
    return _one(call, _found(call, type_id, "share_type:show"))


@router.put("/{type_id}", **answers("update_type", 200, ONE))
def update_type(call: Asked, type_id: str, body: bodies.UpdateType) -> Response:
    """Change a share type's name, description, or whether it is public."""
    call.within(since=50)
    found = _found(call, type_id, "share_type:update")
    asked = body.share_type
    given = {
        key: getattr(asked, key)
        for key in asked.model_fields_set
        if key == "description" or getattr(asked, key) is not None
    }
    if not given:
        raise Fault(400, "Specify at least one of name, description and share_type_access:is_public.")
    return _one(call, call.manager.describe_type(found.id, **given))


@router.delete("/{type_id}", **answers("delete_type", 202))
def delete_type(call: Asked, type_id: str) -> Response:
    """Delete a share type that no share has."""
    call.manager.delete_type(_found(call, type_id, "share_type:delete").id)
    return accepted()


@router.post("/{type_id}/action", **answers("type_action", 202, actions=bodies.TYPE_ACTIONS))
def type_action(call: Asked, type_id: str, body: Annotated[Any, Body()] = None) -> Response:
    """Open or close a type that is not public to a project."""
    asked, arguments = action(body, bodies.TYPE_ACTIONS, call.version)
    call.action = asked.name
    opens = asked.name == "addProjectAccess"
    found = _found(call, type_id, "share_type:add_project_access" if opens else "share_type:remove_project_access")
    change = call.manager.open_type if opens else call.manager.close_type
    change(found.id, arguments.project)
    return accepted()


@router.get("/{type_id}/share_type_access", **answers("list_type_access", 200, ACCESS))
def list_access(call: Asked, type_id: str) -> Response:
    """List the projects that a type which is not public is open to."""
    call.within(since=7)
    return _access(call, type_id)


@router.get("/{type_id}/os-share-type-access", **answers("list_type_access_as_before", 200, ACCESS))
def list_access_before(call: Asked, type_id: str) -> Response:
    """List them, up to 2.6."""
    call.within(until=6)
    return _access(call, type_id)


def _access(call: Call, type_id: str) -> Response:
    found = _found(call, type_id, "share_type:list_project_access")
    if found.is_public:
        raise Fault(404, "Access list not available for public share types.")
    projects = call.manager.type_projects(found.id)
    return JSON({"share_type_access": [{"share_type_id": found.id, "project_id": each} for each in projects]})


# --- extra specs


@router.get("/{type_id}/extra_specs", **answers("list_extra_specs", 200, wrapped(extra_specs=SPECS)))
def list_specs(call: Asked, type_id: str) -> Response:
    """List a type's extra specs."""
    return JSON({"extra_specs": _found(call, type_id, "share_types_extra_spec:index").extra_specs})


@router.post("/{type_id}/extra_specs", **answers("add_extra_specs", 200, wrapped(extra_specs=SPECS)))
def add_specs(call: Asked, type_id: str, body: bodies.ExtraSpecs) -> Response:
    """Set extra specs of a type; others stay, and shares that exist keep what they copied."""
    found = _found(call, type_id, "share_types_extra_spec:create")
    call.manager.set_type_specs(found.id, specs := specs_of(body.extra_specs))
    return JSON({"extra_specs": specs})


@router.get("/{type_id}/extra_specs/{key}", **answers("show_extra_spec", 200, SPECS))
def show_spec(call: Asked, type_id: str, key: str) -> Response:
    """Show one extra spec."""
    specs = _found(call, type_id, "share_types_extra_spec:show").extra_specs
    if key not in specs:
        raise no_such_resource()
    return JSON({key: specs[key]})


@router.put("/{type_id}/extra_specs/{key}", **answers("set_extra_spec", 200, SPECS))
def set_spec(call: Asked, type_id: str, key: str, body: Annotated[dict[str, Any], Body()]) -> Response:
    """Set one extra spec: the body is an object with that key."""
    found = _found(call, type_id, "share_types_extra_spec:update")
    if list(body) != [key]:
        raise Fault(400, "Request body and URI mismatch, or more than one item in it")
    call.manager.set_type_specs(found.id, specs := specs_of(body))
    return JSON(specs)


@router.delete("/{type_id}/extra_specs/{key}", **answers("delete_extra_spec", 202))
def delete_spec(call: Asked, type_id: str, key: str) -> Response:
    """Remove one extra spec, if it is not a required one."""
    specs = _found(call, type_id, "share_types_extra_spec:delete")
    if key not in specs.extra_specs:
        raise no_such_resource()
    if key == share_types.REQUIRED or (key == "snapshot_support" and call.version.minor < 24):
        raise Fault(403, f"Extra spec {key!r} is required.")
    call.manager.unset_type_specs(specs.id, [key])
    return accepted()


def _found(call: Call, type_id: str, rule: str) -> ShareType:
    call.demand(rule)
    found = call.manager.visible_type(call.context, type_id)
    if found.id != type_id:
        raise Fault(404, "Share type not found.")
    return found
