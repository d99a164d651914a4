"""Access rules."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import IntegrityError

from revertkit.errors import Conflict, NotFound
from revertkit.models import AccessRule
from revertkit.store.shares import rule_record
from revertkit.store.tables import access_rules


def add(tx: Connection, share_id: str, rule: AccessRule) -> None:
    """Insert a rule.

    Raises:
        Conflict: there is one for this address already.
    """
    row = rule.model_dump(exclude={"state"}) | {"share_id": share_id, "status": rule.state}
    try:
        tx.execute(insert(access_rules).values(row))
    except IntegrityError:
        raise Conflict(f"share {share_id} has a rule for {rule.access_to} already") from None


def listed(tx: Connection, share_id: str) -> list[AccessRule]:
    """List the share's rules, oldest first."""
    query = select(access_rules).where(access_rules.c.share_id == share_id)
    return [rule_record(row) for row in tx.execute(query.order_by(access_rules.c.created_at, access_rules.c.id))]


def find(tx: Connection, share_id: str, text: str) -> AccessRule:
    """Find a rule of the share by its id or its address.

    Raises:
        NotFound: there is none.
    """
    for rule in listed(tx, share_id):
        if text in (rule.id, rule.access_to):
            return rule
    raise NotFound(f"share {share_id} has no access rule {text!r}")


def remove(tx: Connection, rule_id: str) -> None:
    """Delete a rule's row."""
    tx.execute(delete(access_rules).where(access_rules.c.id == rule_id))
