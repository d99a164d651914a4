"""Allowing and denying access to a share; what rules of snapshots have in common with it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from sqlalchemy import Connection

from revertkit.capabilities import verbs
from revertkit.driver import SupportsAccessRules
from revertkit.errors import BackendError, InvalidInput
from revertkit.models import AccessLevel, AccessRule, Context, Operation, OperationKind, Outcome, Share, new_id
from revertkit.operations.online import Online, bring_replicas_online, bring_share_online
from revertkit.operations.share import operation_for
from revertkit.operations.site import Site
from revertkit.operations.story import Case, Story, Work, begin
from revertkit.status import RuleState
from revertkit.store import move, shares
from revertkit.store.access import OF_SHARES, Rules

REFUSED = "the backend refused the rule"
"""What an operation says whose rule the driver answered with a reason, instead of raising."""


def checked_address(text: str) -> str:
    """Return an IP address or network as it is written in full.

    Raises:
        InvalidInput: it is none, has host bits set, or names a zone, which may be any text (RFC 4007, 11.2).
    """
    if "%" in text:
        raise InvalidInput(f"access goes to an IP address or network without a zone (%), not {text!r}")
    try:
        return str(ipaddress.ip_network(text) if "/" in text else ipaddress.ip_address(text))
    except ValueError as wrong:
        raise InvalidInput(f"access goes to an IP address or network: {wrong}") from None


def new_rule(site: Site, access_to: str, level: AccessLevel, metadata: Mapping[str, str] | None = None) -> AccessRule:
    """Make the record of a new rule.

    Raises:
        InvalidInput: no address.
    """
    return AccessRule(
        id=new_id(),
        access_to=checked_address(access_to),
        access_level=level,
        state=RuleState.APPLYING,
        metadata=dict(metadata or {}),
        created_at=site.now(),
    )


def accept_allow(
    tx: Connection,
    site: Site,
    context: Context,
    share: Share,
    access_to: str,
    level: AccessLevel,
    metadata: Mapping[str, str] | None = None,
) -> Operation:
    """Put a new rule on record.

    Raises:
        InvalidInput: no address. Conflict: there is one for it already, or the share's status forbids it.
    """
    shares.hold(tx, share.id)
    share = shares.get(tx, share.id)
    rule = new_rule(site, access_to, level, metadata)
    operation = operation_for(OperationKind.ALLOW_ACCESS, context, site, share, rule_id=rule.id)
    begin(tx, operation, share)
    OF_SHARES.add(tx, share.id, rule)
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
    deny(tx, OF_SHARES, rule, operation)
    return operation


def deny(tx: Connection, rules: Rules, rule: AccessRule, operation: Operation) -> None:
    """Move a rule that is to go.

    Raises:
        Conflict: it is being applied or denied.
    """
    move(tx, rules.table, rule.id, {RuleState.ACTIVE, RuleState.ERROR}, RuleState.DENYING, operation.created_at)


class Allow(Story):
    """One more may mount it."""

    rules: ClassVar[Rules]

    def close(self, tx: Connection, case: Case, outcome: Outcome) -> None:
        """Settle the rule."""
        to = RuleState.ACTIVE if outcome is Outcome.DONE else RuleState.ERROR
        _settle(tx, case, self.rules, RuleState.APPLYING, to)


class Deny(Story):
    """One fewer may mount it."""

    rules: ClassVar[Rules]

    def close(self, tx: Connection, case: Case, outcome: Outcome) -> None:
        """Remove the rule, or leave it in error."""
        if outcome is Outcome.DONE:
            self.rules.remove(tx, case.operation.rule_id or "")
        else:
            _settle(tx, case, self.rules, RuleState.DENYING, RuleState.ERROR)


class _OfShare(Story):
    rules: ClassVar[Rules] = OF_SHARES
    comes_online = True

    def work(self, case: Case) -> Work:
        """Make the rules that are on record the backend's.

        Raises:
            BackendError: the backend refused the rule that this is about.
        """
        refused = verbs(case.driver, SupportsAccessRules).update_access(case.replica)
        if why := refused.get(case.operation.rule_id or ""):
            raise BackendError(f"{REFUSED}: {why}")
        return Work()

    def online(self, case: Case) -> Online:
        """Bring the share online alone, since a rule of it is no snapshot's; its other replicas too, as they may be."""
        online = bring_share_online(case.site, case.share.id)
        others = bring_replicas_online(case.site, case.share.id) if case.replica.peers else ""
        return replace(online, trouble=others)


class AllowAccess(_OfShare, Allow):
    """One more may mount a share."""

    kind = OperationKind.ALLOW_ACCESS


class DenyAccess(_OfShare, Deny):
    """One fewer may mount a share."""

    kind = OperationKind.DENY_ACCESS


def _settle(tx: Connection, case: Case, rules: Rules, before: RuleState, to: RuleState) -> None:
    move(tx, rules.table, case.operation.rule_id or "", {before, to}, to, case.site.now())
