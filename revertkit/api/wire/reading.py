"""Reading bodies: what FastAPI has parsed becomes an action, and what was wrong is said as Manila says it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from revertkit.api.errors import Fault, no_such_resource
from revertkit.api.versions import Version
from revertkit.api.wire.bodies import Action, Body, Nothing
from revertkit.api.wire.views import Schema

MALFORMED = "Malformed request body"
WRAPPERS = ("share", "snapshot", "share_replica", "share_type", "volume_type", "quota_set", "extra_specs")
"""Keys that hold a whole body; one that is missing, or no object, is 422 in Manila, not 400."""


def action(body: Any, actions: Sequence[Action], version: Version) -> tuple[Action, Any]:
    """Find which of `actions` is meant, and read its arguments.

    Raises:
        Fault: 400, it is none or its arguments are wrong; 404, it is none of this microversion.
    """
    if body is None or isinstance(body, bytes):
        raise Fault(400, "There is no such action: None")
    if not isinstance(body, dict) or len(body) != 1:
        raise Fault(400, MALFORMED)
    [(name, arguments)] = body.items()
    meant = next((each for each in actions if each.called(name, version)), None)
    if meant is None:
        if any(name in each.names() for each in actions):
            raise no_such_resource()
        raise Fault(400, f"There is no such action: {name}")
    if meant.arguments is Nothing:
        return meant, Nothing()
    return meant, _arguments(meant.arguments, arguments)


def _arguments(model: type[Body], given: Any) -> Body:
    if not isinstance(given, dict):
        raise Fault(400, f"Invalid input for field/attribute. Value: {_short(given)}. It has to be an object.")
    try:
        return model.model_validate(given)
    except ValidationError as wrong:
        raise Fault(400, told(wrong.errors()[0])) from None


def fault_of_body(errors: Sequence[Any]) -> Fault:
    """Say what FastAPI found wrong in a request."""
    first = errors[0]
    where = [str(part) for part in first["loc"]]
    if where[0] != "body":
        return Fault(400, told({**first, "loc": where[1:]}))
    if first["type"] == "json_invalid" or len(where) == 1:
        return Fault(400, MALFORMED)
    if len(where) == 2 and where[1] in WRAPPERS:
        return Fault(422, "Unable to process the contained instructions")
    return Fault(400, told({**first, "loc": where[2:] or where[1:]}))


def told(error: Any) -> str:
    """Say in Manila's words what was wrong with one field."""
    where = ".".join(str(part) for part in error["loc"]) or "body"
    why = str(error["msg"]).removeprefix("Value error, ")
    value = "" if error["type"] == "missing" else f" Value: {_short(error.get('input'))}."
    return f"Invalid input for field/attribute {where}.{value} {why}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def action_schema(actions: Sequence[Action]) -> Schema:
    """Describe the body of an action: one object with one key."""
    choices = []
    for each in actions:
        arguments: Schema = {} if each.arguments is Nothing else each.arguments.model_json_schema()
        for name in each.names():
            choices.append({"type": "object", "properties": {name: arguments}, "required": [name]})
    return {"type": "object", "oneOf": choices, "minProperties": 1, "maxProperties": 1}
