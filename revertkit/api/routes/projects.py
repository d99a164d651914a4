"""Projects: without Keystone, ``openstack share quota`` asks here who a project is."""

from __future__ import annotations

from fastapi import APIRouter, Response

from revertkit.api.answers import JSON, answers
from revertkit.api.call import Asked
from revertkit.api.errors import no_such_resource
from revertkit.api.wire.views import BOOLEAN, STRING, array, wrapped
from revertkit.errors import InvalidInput
from revertkit.models import checked_name

router = APIRouter(prefix="/v2/projects", tags=["projects"])
ONE = wrapped(id=STRING, name=STRING, enabled=BOOLEAN)


@router.get("", **answers("find_projects", 200, wrapped(projects=array(ONE))))
def find(call: Asked, name: str | None = None) -> Response:
    """Find a project by its name, which is its id; an administrator any, others their own."""
    named = call.project_id if name is None else name
    return JSON({"projects": [_shown(named)] if call.is_admin or named == call.project_id else []})


@router.get("/{project_id}", **answers("show_project", 200, wrapped(project=ONE)))
def show(call: Asked, project_id: str) -> Response:
    """Show a project: its id is its name."""
    if not call.is_admin and project_id != call.project_id:
        raise no_such_resource()
    return JSON({"project": _shown(project_id)})


def _shown(project: str) -> dict[str, object]:
    try:
        checked_name(project)
    except ValueError as wrong:
        raise InvalidInput(f"project: {wrong}") from None
    return {"id": project, "name": project, "enabled": True}
