"""A view: one table per resource says each key, from which microversion on, its type, and where it comes from.

What is sent, and what the OpenAPI document says of it, are made from the same table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Generic, TypeVar

from revertkit.api.versions import NEWEST, Version, v

T = TypeVar("T")
Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
UUID: Schema = {"type": "string", "format": "uuid"}
INTEGER: Schema = {"type": "integer"}
BOOLEAN: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "description": "UTC, without a zone"}
NOTES: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
LINKS: Schema = {"type": "array", "items": {"type": "object", "additionalProperties": {"type": "string"}}}
ANYTHING: Schema = {}


def optional(schema: Schema) -> Schema:
    """Say that it may be null."""
    return {"anyOf": [schema, {"type": "null"}]}


def array(of: Schema) -> Schema:
    """Say that it is a list of these."""
    return {"type": "array", "items": of}


def wrapped(**schemas: Schema) -> Schema:
    """Say that it is an object with these keys, all of them there."""
    return {"type": "object", "properties": schemas, "required": sorted(schemas)}


def time(at: datetime | None) -> str | None:
    """Write a time as Manila does."""
    return at.replace(tzinfo=None).isoformat(timespec="microseconds") if at else None


@dataclass(frozen=True)
class Key(Generic[T]):
    """One key of a resource, there in microversions 2.`since` to 2.`until`."""

    name: str
    schema: Schema
    of: Callable[[T], Any]
    since: int = 0
    until: int = NEWEST.minor
    admin: bool = False
    """Whether only an administrator sees it."""

    def shown(self, version: Version, admin: bool) -> bool:
        """Say whether it is there."""
        return v(self.since) <= version <= v(self.until) and (admin or not self.admin)


class View(Generic[T]):
    """All keys of a resource."""

    def __init__(self, *keys: Key[T]) -> None:
        self.keys = keys
        self._shown = cache(self._choose)

    def _choose(self, version: Version, admin: bool) -> tuple[tuple[str, Callable[[T], Any]], ...]:
        return tuple((key.name, key.of) for key in self.keys if key.shown(version, admin))

    def show(self, thing: T, version: Version, *, admin: bool = False) -> dict[str, Any]:
        """Write one."""
        return {name: of(thing) for name, of in self._shown(version, admin)}

    def schema(self) -> Schema:
        """Describe every key; required are those that are always there."""
        always = [key.name for key in self.keys if (key.since, key.until, key.admin) == (0, NEWEST.minor, False)]
        properties: dict[str, Schema] = {}
        for key in self.keys:
            known = properties.get(key.name)
            properties[key.name] = key.schema if known in (None, key.schema) else {"anyOf": [known, key.schema]}
        named = {name: always.count(name) for name in always}
        return {"type": "object", "properties": properties, "required": sorted(named)}


SUMMARY: Schema = wrapped(id=UUID, name=optional(STRING), links=LINKS)
"""What a list that is not detailed says of each."""
