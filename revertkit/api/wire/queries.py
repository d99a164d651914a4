"""What clients ask of a list: pages, order and filters, in Manila's words, read into ours."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from revertkit.api.call import Call
from revertkit.api.errors import Fault
from revertkit.api.wire.bodies import boolean
from revertkit.store.pages import Page

SORT_KEYS = {
    "created_at": "created_at",
    "updated_at": "updated_at",
    "id": "id",
    "name": "name",
    "display_name": "name",
    "size": "size",
    "status": "status",
    "share_proto": "protocol",
    "host": "host",
    "project_id": "project_id",
    "user_id": "user_id",
    "share_type_id": "share_type_id",
    "share_type": "share_type",
    "snapshot_id": "snapshot_id",
    "share_id": "share_id",
}
NEVER = ("share_network_id", "share_group_id", "share_server_id", "source_share_group_snapshot_id", "mount_point_name")
"""What no share here has: who asks for it gets an empty list."""


def page(query: Mapping[str, str], most: int) -> Page:
    """Read limit, offset, marker and order.

    Raises:
        Fault: 400.
    """
    limit = _number(query, "limit")
    direction = query.get("sort_dir", "desc")
    if direction not in ("asc", "desc"):
        raise Fault(400, f"sort_dir is asc or desc, not {direction[:40]!r}")
    key = query.get("sort_key", "created_at")
    if key not in SORT_KEYS:
        raise Fault(400, f"sort_key is one of {', '.join(sorted(SORT_KEYS))}, not {key[:40]!r}")
    return Page(
        limit=most if limit is None else min(limit, most),
        offset=_number(query, "offset") or 0,
        marker=query.get("marker"),
        sort_key=SORT_KEYS[key],
        descending=direction == "desc",
    )


def _number(query: Mapping[str, str], name: str) -> int | None:
    if (text := query.get(name)) is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Fault(400, f"{name} param must be positive, a number, not {text[:40]!r}")
    return int(text)


def flag(query: Mapping[str, str], name: str) -> bool:
    """Read a boolean; absent is no.

    Raises:
        Fault: 400.
    """
    try:
        return bool(boolean(query.get(name, "false")))
    except ValueError:
        raise Fault(400, f"{name} is true or false, not {query[name][:40]!r}") from None


def pairs(text: str, name: str) -> dict[str, str]:
    """Read the literal of a dictionary, as the clients write metadata and extra specs to filter by.

    Raises:
        Fault: 400.
    """
    try:
        found: Any = ast.literal_eval(text) if len(text) <= 4096 else None
        return {str(key): str(value) for key, value in found.items()}  # an integer may be too long to be written
    except (ValueError, TypeError, AttributeError, SyntaxError, MemoryError, RecursionError):
        raise Fault(400, f"{name} is a dictionary of texts, as {{'key': 'value'}}, not {text[:40]!r}") from None


def share_filters(call: Call, query: Mapping[str, str]) -> dict[str, Any] | None:
    """Read the filters of a list of shares; None: nothing can match.

    Raises:
        Fault: 400, a filter that cannot be read; 403, one that only an administrator has.
    """
    if (call.version.minor >= 69 and flag(query, "is_soft_deleted")) or any(query.get(name) for name in NEVER):
        return None
    if "host" in query:
        call.demand("share:list_by_host")
    wanted: dict[str, Any] = {
        name: query[name] for name in ("status", "share_type_id", "snapshot_id", "host") if name in query
    }
    wanted |= _named(call, query)
    wanted |= {name: pairs(query[name], name) for name in ("metadata", "extra_specs") if name in query}
    if call.version.minor >= 35 and "export_location_path" in query:
        wanted["export_location_path"] = query["export_location_path"]
    if call.version.minor >= 97 and "availability_zone" in query:
        wanted["availability_zone"] = query["availability_zone"]
    return wanted


def snapshot_filters(call: Call, query: Mapping[str, str]) -> dict[str, Any]:
    """Read the filters of a list of snapshots.

    Raises:
        Fault: 400.
    """
    if query.get("name") == "":
        raise Fault(400, "name is not empty")
    wanted: dict[str, Any] = {name: query[name] for name in ("status", "share_id") if name in query}
    if (size := _number(query, "size")) is not None:
        wanted["size"] = size
    wanted |= _named(call, query)
    if call.version.minor >= 73 and "metadata" in query:
        wanted["metadata"] = pairs(query["metadata"], "metadata")
    return wanted


def _named(call: Call, query: Mapping[str, str]) -> dict[str, str]:
    wanted = {"name": query["name"]} if "name" in query else {}
    wanted |= {"name": query["display_name"]} if "display_name" in query else {}
    if call.version.minor >= 36:
        wanted |= {name: query[name] for name in ("name~", "description~", "description") if query.get(name)}
    if call.is_admin and "project_id" in query and flag(query, "all_tenants"):
        wanted["project_id"] = query["project_id"]
    return wanted


def next_links(call: Call, path: str, query: Mapping[str, str], ids: list[str], limit: int) -> list[dict[str, str]]:
    """Link to the next page, if there may be one."""
    from urllib.parse import urlencode

    if not ids or len(ids) < limit:
        return []
    kept = {key: value for key, value in query.items() if key not in ("marker", "offset")}
    asked = urlencode({**kept, "limit": str(limit), "marker": ids[-1]})
    return [{"rel": "next", "href": f"{call.base}/v2{call.prefix}{path}?{asked}"}]
