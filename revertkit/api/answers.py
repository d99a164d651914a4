"""Answers: their JSON, and how the OpenAPI document tells of each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import Response

from revertkit.api.errors import codes_of
from revertkit.api.wire.bodies import Action
from revertkit.api.wire.reading import action_schema
from revertkit.api.wire.views import Schema

EVERYWHERE = {400, 401, 403, 404, 406, 408, 413, 422, 431, 503}
"""What the door and the reading of a request may answer on any route under ``/v2``."""
_TOLD: Schema = {
    "type": "object",
    "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
    "required": ["code", "message"],
}
ERROR: Schema = {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": _TOLD}


class JSON(Response):
    """An answer in JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Write it; half a character, which a client may have sent, goes back as it came: escaped."""
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(errors="backslashreplace")


def accepted() -> Response:
    """Answer that it was accepted, and goes on."""
    return Response(status_code=202)


def answers(
    name: str, code: int, schema: Schema | None = None, *, actions: Sequence[Action] = (), also: int | None = None
) -> dict[str, Any]:
    """Say what FastAPI has to know of a route: its name, its code, what it answers, and every error.

    `also` is a second code, of an answer without a body.
    """
    routes = [name, *(f"{name}:{action.name}" for action in actions)]
    responses: dict[int, dict[str, Any]] = {
        each: _documented(each, ERROR) for each in sorted(EVERYWHERE | codes_of(*routes)) if each != code
    }
    responses |= {also: _documented(also, None)} if also else {}
    responses[code] = _documented(code, schema)
    how: dict[str, Any] = {"name": name, "operation_id": name, "status_code": code, "responses": responses}
    if schema is None:
        how["response_class"] = Response
    if actions:
        content = {"application/json": {"schema": action_schema(actions)}}
        how["openapi_extra"] = {"requestBody": {"content": content, "required": True}}
    return how


def is_error(response: dict[str, Any]) -> bool:
    """Say whether a documented response is an error's."""
    return bool(response.get("content", {}).get("application/json", {}).get("schema") == ERROR)


def _documented(code: int, schema: Schema | None) -> dict[str, Any]:
    told: dict[str, Any] = {"description": HTTPStatus(code).phrase}
    return told | ({"content": {"application/json": {"schema": schema}}} if schema is not None else {})
