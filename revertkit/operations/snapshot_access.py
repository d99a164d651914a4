"""Allowing and denying access to a snapshot, which is mounted read-only and exported under rules of its own."""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import Connection

from revertkit.capabilities import verbs
from revertkit.driver import SupportsMountableSnapshots
from revertkit.errors import BackendError, NotSupported
from revertkit.models import AccessLevel, AccessRule, Context, Operation, OperationKind, Share, Snapshot
from revertkit.operations.access import REFUSED, Allow, Deny, deny, new_rule
from revertkit.operations.online import Online, bring_snapshot_online
from revertkit.operations.share import operation_for
from revertkit.operations.site import Site
from revertkit.operations.story import Case, Story, Work, begin
from revertkit.store import shares, snapshots
from revertkit.store.access import OF_SNAPSHOTS, Rules


def check(share: Share) -> None:
    """See whether the share's snapshots are mounted at all.

    Raises:
        NotSupported: its type did not say so when it was made.
    """
    if not share.mount_snapshot_support:
        raise NotSupported(
            f"share {share.id} was made without mount_snapshot_support (see its share type): its snapshots are not "
            "mounted, so nobody can be let in"
        )


def accept_allow(tx: Connection, site: Site, context: Context, snapshot: Snapshot, access_to: str) -> Operation:
    """Put a new rule on record; it lets read, never write.

    Raises:
        InvalidInput: no address. NotSupported: snapshots of this share are not mounted.
        Conflict: there is a rule for it already, or a status forbids it.
    """
    share, snapshot = _held(tx, snapshot)
    rule = new_rule(site, access_to, AccessLevel.RO)
    operation = _operation(OperationKind.ALLOW_SNAPSHOT_ACCESS, context, site, share, snapshot, rule)
    begin(tx, operation, share, snapshot)
    OF_SNAPSHOTS.add(tx, snapshot.id, rule)
    return operation


def accept_deny(tx: Connection, site: Site, context: Context, snapshot: Snapshot, rule: AccessRule) -> Operation:
    """Begin to take a rule away.

    Raises:
        NotSupported: snapshots of this share are not mounted. Conflict: a status forbids it.
    """
    share, snapshot = _held(tx, snapshot)
    operation = _operation(OperationKind.DENY_SNAPSHOT_ACCESS, context, site, share, snapshot, rule)
    begin(tx, operation, share, snapshot)
    deny(tx, OF_SNAPSHOTS, rule, operation)
    return operation


def _held(tx: Connection, snapshot: Snapshot) -> tuple[Share, Snapshot]:
    shares.hold(tx, snapshot.share_id)
    share = shares.get(tx, snapshot.share_id)
    check(share)
    return share, snapshots.get(tx, snapshot.id)


def _operation(
    kind: OperationKind, context: Context, site: Site, share: Share, snapshot: Snapshot, rule: AccessRule
) -> Operation:
    return operation_for(kind, context, site, share, snapshot_id=snapshot.id, rule_id=rule.id)


class _OfSnapshot(Story):
    rules: ClassVar[Rules] = OF_SNAPSHOTS
    comes_online = True

    def work(self, case: Case) -> Work:
        """Nothing more than to ask: to bring the snapshot online is to make its rules true.

        Raises:
            BackendError: the backend cannot apply the rule that this is about.
        """
        refused = verbs(case.driver, SupportsMountableSnapshots).refused_rules(case.target)
        if why := refused.get(case.operation.rule_id or ""):
            raise BackendError(f"{REFUSED}: {why}")
        return Work()

    def online(self, case: Case) -> Online:
        """Mount and export it by the rules that are on record.

        Raises:
            whatever ``ensure_snapshot`` does; the rule is in error then.
        """
        return bring_snapshot_online(case.site, case.share.id, case.target.snapshot_id)


class AllowSnapshotAccess(_OfSnapshot, Allow):
    """One more may mount a snapshot."""

    kind = OperationKind.ALLOW_SNAPSHOT_ACCESS


class DenySnapshotAccess(_OfSnapshot, Deny):
    """One fewer may mount a snapshot."""

    kind = OperationKind.DENY_SNAPSHOT_ACCESS
