"""Share types and extra specs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from revertkit import share_types
from revertkit.api.call import Call
from revertkit.api.errors import Fault
from revertkit.api.wire.views import BOOLEAN, STRING, UUID, Key, Schema, View, optional
from revertkit.models import ShareType

VISIBLE = (
    *share_types.COPIED,
    "snapshot_inherit_share_access_support",
    "replication_type",
    "availability_zones",
    "mount_point_name_support",
    "provisioning:max_share_size",
    "provisioning:min_share_size",
    "provisioning:max_share_extend_size",
)
"""The extra specs that everybody sees; the others are between the administrator and the scheduler."""
INFERRED = {
    "snapshot_support": 24,
    "create_share_from_snapshot_support": 24,
    "revert_to_snapshot_support": 24,
    "mount_snapshot_support": 24,
    "snapshot_inherit_share_access_support": 99,
}
"""What is false where a type does not say it, from which microversion on."""
SPECS: Schema = {"type": "object", "additionalProperties": {"anyOf": [STRING, BOOLEAN]}}


@dataclass(frozen=True)
class ShownType:
    """A share type as one caller sees it."""

    type: ShareType
    specs: dict[str, Any]
    is_default: bool


TYPE: View[ShownType] = View(
    Key("id", UUID, lambda t: t.type.id),
    Key("name", STRING, lambda t: t.type.name),
    Key("extra_specs", SPECS, lambda t: t.specs),
    Key(
        "required_extra_specs",
        SPECS,
        lambda t: {share_types.REQUIRED: t.type.extra_specs.get(share_types.REQUIRED, "False")},
    ),
    Key("os-share-type-access:is_public", BOOLEAN, lambda t: t.type.is_public, until=6),
    Key("share_type_access:is_public", BOOLEAN, lambda t: t.type.is_public, since=7),
    Key("description", optional(STRING), lambda t: t.type.description, since=41),
    Key("is_default", BOOLEAN, lambda t: t.is_default, since=46),
)


def show_type(call: Call, share_type: ShareType) -> dict[str, Any]:
    """Write one type; who is no administrator sees the public extra specs only."""
    default = call.manager.default_share_type
    shown = ShownType(share_type, _specs(call, share_type), default in (share_type.id, share_type.name))
    return TYPE.show(shown, call.version)


def _specs(call: Call, share_type: ShareType) -> dict[str, Any]:
    specs = share_type.extra_specs
    if call.is_admin:
        return dict(specs)
    seen: dict[str, Any] = {key: value for key, value in specs.items() if key in VISIBLE}
    return seen | {key: False for key, since in INFERRED.items() if key not in seen and call.version.minor >= since}


def specs_of(given: Mapping[str, Any]) -> dict[str, str]:
    """Read extra specs: texts, or JSON's booleans, which are kept as ``True`` and ``False``.

    Raises:
        Fault: 400.
    """
    for key, value in given.items():
        if not isinstance(value, str | bool):
            raise Fault(400, f"The value of extra spec {key[:80]!r} is a text or a boolean, not {str(value)[:40]!r}.")
    return {key: str(value) for key, value in given.items()}
