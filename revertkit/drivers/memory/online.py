"""Who reaches a share or snapshot in memory, and what is answered of one."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network

from revertkit.drivers.memory.storage import Kept, Volume
from revertkit.models import AccessRule, Stored
from revertkit.system.run import step


def export(held: Volume | Kept, rules: Sequence[AccessRule]) -> dict[str, str]:
    """Export by those of the rules that can be; answer why the others cannot."""
    left_out = refused(rules)
    fitting = tuple(rule for rule in rules if rule.id not in left_out)
    if [(r.access_to, r.access_level) for r in fitting] != [(r.access_to, r.access_level) for r in held.exported_to]:
        with step("export"):
            held.exported_to = fitting
    return left_out


def snapshot_offline(kept: Kept) -> None:
    """Take a snapshot out of reach."""
    if kept.online:
        with step("take the snapshot offline"):
            kept.online, kept.exported_to = False, ()


def stored(held: Volume | Kept) -> Stored:
    """Answer what is there."""
    return Stored(backend_id=held.identity, size=held.size)


def refused(rules: Sequence[AccessRule]) -> dict[str, str]:
    """Say, by rule id, why one cannot be exported by."""
    return {rule.id: why for rule in rules if (why := _why_not(rule))}


def _why_not(rule: AccessRule) -> str:
    if rule.access_type != "ip":
        return f"only IP addresses are known here, not {rule.access_type}"
    try:
        ip_network(rule.access_to, strict=False)
    except ValueError as error:
        return str(error)
    return ""
