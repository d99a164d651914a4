"""Access rules, of shares and of snapshots: the same but for whose they are."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Table, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from revertkit.errors import Conflict, NotFound
from revertkit.models import AccessRule
from revertkit.store.shares import rule_record
from revertkit.store.tables import access_rules, snapshot_access_rules


@dataclass(frozen=True)
class Rules:
    """The rules of one kind of thing."""

    table: Table
    noun: str

    def add(self, tx: Connection, owner_id: str, rule: AccessRule) -> None:
        """Insert a rule.

        Raises:
            Conflict: there is one for this address already.
        """
        row = rule.model_dump(exclude={"state"}) | {f"{self.noun}_id": owner_id, "status": rule.state}
        try:
            tx.execute(insert(self.table).values(row))
        except IntegrityError:
            raise Conflict(f"{self.noun} {owner_id} has a rule for {rule.access_to} already") from None

    def listed(self, tx: Connection, owner_id: str) -> list[AccessRule]:
        """List the rules of one share or snapshot, oldest first."""
        query = select(self.table).where(self.table.c[f"{self.noun}_id"] == owner_id)
        return [rule_record(row) for row in tx.execute(query.order_by(self.table.c.created_at, self.table.c.id))]

    def find(self, tx: Connection, owner_id: str, text: str) -> AccessRule:
        """Find a rule by its id or its address.

        Raises:
            NotFound: there is none.
        """
        for rule in self.listed(tx, owner_id):
            if text in (rule.id, rule.access_to):
                return rule
        raise NotFound(f"{self.noun} {owner_id} has no access rule {text!r}")

    def get(self, tx: Connection, rule_id: str) -> tuple[str, AccessRule]:
        """Read a rule, and whose it is.

        Raises:
            NotFound: there is none.
        """
        row = tx.execute(select(self.table).where(self.table.c.id == rule_id)).first()
        if row is None:
            raise NotFound(f"there is no access rule {rule_id!r}")
        return str(row._mapping[f"{self.noun}_id"]), rule_record(row)

    def note(self, tx: Connection, rule_id: str, metadata: dict[str, str]) -> None:
        """Set a rule's metadata."""
        tx.execute(update(self.table).where(self.table.c.id == rule_id).values(metadata=metadata))

    def remove(self, tx: Connection, rule_id: str) -> None:
        """Delete a rule's row."""
        tx.execute(delete(self.table).where(self.table.c.id == rule_id))


OF_SHARES = Rules(access_rules, "share")
OF_SNAPSHOTS = Rules(snapshot_access_rules, "snapshot")
