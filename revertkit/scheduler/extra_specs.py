"""Extra specs against a pool's report, with Manila's operators and every one of their turns.

What Manila does is in its ``scheduler/filters/extra_specs_ops.py`` and ``scheduler/utils.py``; tests/oracle/ holds this
file against those. The one difference: where Manila's code raises (``<in>`` of a number, a bare ``<or>``), nothing is
met here. docs/scheduler.md has the table for people.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from revertkit import share_types

Report = Mapping[str, Any]

OPERATORS: dict[str, Callable[[Any, str], bool]] = {
    "=": lambda found, wanted: float(found) >= float(wanted),
    "==": lambda found, wanted: float(found) == float(wanted),
    "!=": lambda found, wanted: float(found) != float(wanted),
    ">=": lambda found, wanted: float(found) >= float(wanted),
    "<=": lambda found, wanted: float(found) <= float(wanted),
    "<in>": lambda found, wanted: wanted in found,
    "<is>": lambda found, wanted: bool(share_types.truth(str(found))) is bool(share_types.truth(wanted)),
    "s==": operator.eq,
    "s!=": operator.ne,
    "s<": operator.lt,
    "s<=": operator.le,
    "s>": operator.gt,
    "s>=": operator.ge,
}
"""By its first word. ``=`` is ``>=``; ``<`` and ``>`` alone are none. ``<or>`` takes many words, the others one."""
CHOOSES_NO_CAPABILITY = ("availability_zones", "capabilities:availability_zones", "default_qos_type")
BOOLEANS = (share_types.REQUIRED, *share_types.COPIED, "snapshot_inherit_share_access_support")
"""Specs that mean ``<is> True`` where they say ``True``."""


def unmet(report: Report, specs: Mapping[str, str]) -> Iterator[str]:
    """Say of each spec that this pool does not meet what was found and what is wanted.

    Keys with a scope (``vendor:key``) are somebody else's, but for ``capabilities:``, where each further part goes a
    level down. What is not reported, or None, meets nothing.
    """
    if specs.get("default_qos_type") and not report.get("qos_type_support"):
        yield f"qos_type_support is {report.get('qos_type_support')}, default_qos_type needs it"
    for key, wanted in specs.items():
        scope, *within = key.split(":")
        if key in CHOOSES_NO_CAPABILITY or (within and scope != "capabilities"):
            continue
        found = _reported(report, within if scope == "capabilities" else [scope])
        values = found if isinstance(found, list) else [found]
        asked = f"<is> {wanted}" if key in BOOLEANS and not wanted.startswith("<is>") else wanted
        if found is None or not any(matches(value, asked) for value in values):
            yield f"{key} is {found}, the share type wants {wanted}"


def matches(found: Any, wanted: str) -> bool:
    """Say whether one reported value meets one spec. Case does not matter; only the word after the operator does."""
    found = found.lower() if isinstance(found, str) else found
    wanted = wanted.lower()
    first, *words = wanted.split() or [""]
    if first == "<or>":
        return found in words[::2]
    if first not in OPERATORS:
        return bool(found == (share_types.truth(wanted) if isinstance(found, bool) else wanted))
    if found is None or not words:
        return False
    try:
        return OPERATORS[first](found, words[0])
    except (ValueError, TypeError, OverflowError):
        return False


def _reported(report: Report, path: list[str]) -> Any:
    found: Any = report
    for part in path:
        found = found.get(part) if isinstance(found, dict) else None
    return found
