"""The driver matrix: what discovery finds in every installed driver, as rows and as the page docs/driver-matrix.md.

It is of the classes, not of a host: what this host or a pool lacks is for ``revertkit doctor`` and ``pool show`` to
say, so the page is the same wherever it is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from revertkit import registry
from revertkit.capabilities import Capability, why_not
from revertkit.conformance.report import table
from revertkit.driver import ShareDriver

PAGE = """\
# Driver matrix

What each driver can do, found by looking for the entry points of [the contract](driver-api.md): nothing here is
declared by a driver, or written by hand (`make docs/driver-matrix.md`).

A host or a pool may have less than its driver, for want of a tool, of a right or of a setting: `revertkit pool show`
says what one has, and why not. [The conformance suite](conformance.md) finds out whether a driver keeps its word."""
OPTIONS = """\
## Settings

Beside `driver` and what [every backend has](scheduler.md#what-a-pool-reports), in its section `[backends.NAME]` of the
settings file; `revertkit driver show NAME` says the same."""


def rows() -> list[dict[str, Any]]:
    """Make one row per capability, one column per driver: whether its class has it."""
    found = {one.name: one.cls for one in registry.listing() if one.cls}
    return [
        {"what": str(capability)} | {name: not why_not(cls, capability) for name, cls in found.items()}
        for capability in Capability
    ]


def options(cls: type[ShareDriver]) -> list[dict[str, Any]]:
    """Describe what a settings file can say of a backend of this driver."""
    return [
        {
            "name": name,
            "type": getattr(field.annotation, "__name__", str(field.annotation)),
            "required": field.is_required(),
            "default": None if field.is_required() else field.get_default(call_default_factory=True),
            "description": field.description or "",
        }
        for name, field in cls.Options.model_fields.items()
    ]


def page() -> Iterator[str]:
    """Make the page, line by line."""
    yield from [*PAGE.splitlines(), ""]
    found = rows()
    yield from table(["", *list(found[0])[1:]], [_capability(**row) for row in found])
    yield from ["", *OPTIONS.splitlines()]
    for one in registry.listing():
        if one.cls:
            yield from ["", f"### {one.name}", ""]
            yield from table(["Option", "Default", ""], [_option(option) for option in options(one.cls)])


def _capability(what: str, **drivers: bool) -> list[str]:
    return [f"`{what}`", *("yes" if has else "–" for has in drivers.values())]


def _option(option: dict[str, Any]) -> list[str]:
    default = option["default"]
    said = "*required*" if option["required"] else "–" if default in (None, ()) else f"`{default}`"
    return [f"`{option['name']}`", said, option["description"]]
