"""Allowing and denying access."""

from __future__ import annotations

import ipaddress

from sqlalchemy import Connection

from revertkit.capabilities import verbs
from revertkit.driver import SupportsAccessRules
from revertkit.errors import BackendError, InvalidInput
from revertkit.models import AccessLevel, AccessRule, Context, Operation, OperationKind, Outcome, Share, new_id
from revertkit.operations.share import operation_for
from revertkit.operations.site import Site
from revertkit.operations.story import Case, Story, Work, begin
from revertkit.status import RuleState
from revertkit.store import access, move, shares
from revertkit.store.tables import access_rules


def checked_address(text: str) -> str:
    """Return an IP address or network as it is written in full.

    Raises:
        InvalidInput: it is none, or has host bits set.
    """
    try:
        return str(ipaddress.ip_network(text) if "/" in text else ipaddress.ip_address(text))
    except ValueError as wrong:
        raise InvalidInput(f"access goes to an IP address or network: {wrong}") from None


def accept_allow(
    tx: Connection, site: Site, context: Context, share: Share, access_to: str, level: AccessLevel
) -> Operation:
    """Put a new rule on record.

    Raises:
        InvalidInput: no address. Conflict: there is one for it already, or the share's status forbids it.
    """
    shares.hold(tx, share.id)
    share = shares.get(tx, share.id)
    rule = AccessRule(
        id=new_id(),
        access_to=checked_address(access_to),
        access_level=level,
        state=RuleState.APPLYING,
        created_at=site.now(),
    )
    operation = operation_for(OperationKind.ALLOW_ACCESS, context, site, share, rule_id=rule.id)
    begin(tx, operation, share)
    access.add(tx, share.id, rule)
    return operation


def accept_deny(tx: Connection, site: Site, context: Context, share: Share, rule: AccessRule) -> Operation:
    """Begin to take a rule away.

    Raises:
        Conflict: the rule's or the share's status forbids it.
    """
    shares.hold(tx, share.id)
    share = shares.get(tx, share.id)
    operation = operation_for(OperationKind.DENY_ACCESS, context, site, share, rule_id=rule.id)
    begin(tx, operation, share)
    move(tx, access_rules, rule.id, {RuleState.ACTIVE, RuleState.ERROR}, RuleState.DENYING, operation.created_at)
    return operation


class _UpdateAccess(Story):
    comes_online = True

    def work(self, case: Case) -> Work:
        """Make the rules that are on record the backend's.

        Raises:
            BackendError: the backend refused the rule that this is about.
        """
        refused = verbs(case.driver, SupportsAccessRules).update_access(case.replica)
        if why := refused.get(case.operation.rule_id or ""):
            raise BackendError(f"the backend refused the rule: {why}")
        return Work()


class AllowAccess(_UpdateAccess):
    """One more may mount it."""

    kind = OperationKind.ALLOW_ACCESS

    def close(self, tx: Connection, case: Case, outcome: Outcome) -> None:
        """Settle the rule."""
        to = RuleState.ACTIVE if outcome is Outcome.DONE else RuleState.ERROR
        _settle(tx, case, RuleState.APPLYING, to)


class DenyAccess(_UpdateAccess):
    """One fewer may mount it."""

    kind = OperationKind.DENY_ACCESS

    def close(self, tx: Connection, case: Case, outcome: Outcome) -> None:
        """Remove the rule, or leave it in error."""
        if outcome is Outcome.DONE:
            access.remove(tx, case.operation.rule_id or "")
        else:
            _settle(tx, case, RuleState.DENYING, RuleState.ERROR)


def _settle(tx: Connection, case: Case, before: RuleState, to: RuleState) -> None:
    move(tx, access_rules, case.operation.rule_id or "", {before, to}, to, case.site.now())
