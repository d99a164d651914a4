"""Adopting a share that exists on a backend already, and letting go of one.

A failure leaves no row: a share that is on record can be deleted, and that would destroy what was never ours. What a
failure may have left of ours on the backend is taken off again. When shares are rebuilt (:class:`RebuildShare`) our
marks were there before us, and they stay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from sqlalchemy import Connection

from revertkit import quota
from revertkit.capabilities import verbs
from revertkit.driver import SupportsManage
from revertkit.errors import BackendError, Blocked, Conflict
from revertkit.log import get_logger
from revertkit.models import Context, FoundShare, Operation, OperationKind, Outcome, Share
from revertkit.operations.share import NewShare, check_alone, new_record, operation_for
from revertkit.operations.site import Site
from revertkit.operations.story import Case, Story, Work, begin
from revertkit.status import Status
from revertkit.store import shares, snapshots

log = get_logger(__name__)
LEAST = 1
"""GiB that a share counts until its backend has said its size: it has at least that."""


def accept_manage(
    tx: Connection, site: Site, context: Context, share_id: str, new: NewShare, existing: str, kind: OperationKind
) -> Operation:
    """Put a share that is to be adopted on record.

    Raises:
        QuotaExceeded: nothing has changed.
    """
    share = new_record(site, context, share_id, new)
    quota.check(tx, context.project_id, new.size, shares=1, gigabytes=new.size, **quota.of_replicas(share, 1))
    shares.add(tx, share, site.zone(share.pool))
    operation = operation_for(kind, context, site, share, existing=existing)
    begin(tx, operation, share)
    return operation


class Adopt(Story):
    """What was somebody else's, and is of no record if it does not become ours."""

    comes_online = True
    tells = True
    puts_back = True
    gives_back: ClassVar[bool] = True
    """Whether a failure lets the driver take its marks off again."""

    def unmanage(self, case: Case) -> None:
        """Have the driver take its marks off what is on record now."""
        raise NotImplementedError

    def remove(self, tx: Connection, case: Case) -> None:
        """Take it off the record."""
        raise NotImplementedError

    def fail(self, case: Case, failure: Exception) -> str:
        """Let go of it, and leave no row."""
        left = self._let_go(case) if self.gives_back else "it is as it was, and not on record"
        return super().fail(case, BackendError(f"{failure}; {left}"))

    def _let_go(self, case: Case) -> str:
        """Take our marks off again; say what became of it."""
        try:
            let_go(lambda: self.unmanage(case))
        except Exception as second:
            log.error("what was begun cannot be taken back", operation=case.operation.id, exc_info=second)
            return (
                f"it is not on record, but what was begun cannot be taken back: {second}; mend that, and "
                f"`revertkit share manage --all {case.share.pool.backend}` adopts it"
            )
        return "it was let go of again, and is not on record"

    def close(self, tx: Connection, case: Case, outcome: Outcome) -> None:
        """Remove the row unless it is ours now."""
        super().close(tx, case, outcome)
        if outcome is not Outcome.DONE:
            self.remove(tx, case)


class ManageShare(Adopt):
    """A share that was somebody else's."""

    kind = OperationKind.MANAGE_SHARE
    holds_backend = True

    def work(self, case: Case) -> Work:
        """Adopt it."""
        existing = case.operation.existing or ""
        stored = verbs(case.driver, SupportsManage).manage_share(case.replica, existing)
        return Work(share=stored, said=f"{existing} is share {case.share.id}, of {stored.size} GiB")

    def record(self, tx: Connection, case: Case, work: Work) -> None:
        """Put its identity and size on record, if quota allows.

        Raises:
            QuotaExceeded: the size found is over quota.
        """
        assert work.share is not None
        quota.check(tx, case.share.project_id, work.share.size, **quota.growth(case.share, work.share.size))
        super().record(tx, case, work)

    def unmanage(self, case: Case) -> None:
        """Let go of the share."""
        with case.site.store.read() as tx:
            share = shares.get(tx, case.share.id)
        verbs(case.driver, SupportsManage).unmanage_share(share.replica)

    def remove(self, tx: Connection, case: Case) -> None:
        """Remove the share's row."""
        shares.remove(tx, case.share.id)


class RebuildShare(ManageShare):
    """A share of ours that is no longer on record."""

    kind = OperationKind.REBUILD_SHARE
    gives_back = False


def let_go(call: Callable[[], None]) -> None:
    """Let the driver let go, and again if it fails: what was half done has neither our marks nor none of them.

    Raises:
        Blocked: the first call was refused; nothing has changed.
        BackendError: the second failed too; says both.
    """
    try:
        call()
    except Blocked:
        raise
    except Exception as failure:
        log.warning("letting go again after a failure", exc_info=failure)
        try:
            call()
        except Exception as second:
            raise BackendError(f"{failure}; then, once more: {second}") from second


def accept_unmanage(tx: Connection, site: Site, context: Context, share: Share) -> Operation:
    """Begin to let go of a share that has no snapshots on record, and no other replica.

    Raises:
        Conflict: it has some, or its status forbids it.
    """
    shares.hold(tx, share.id)
    share = shares.get(tx, share.id)
    check_alone(share)
    if count := snapshots.count(tx, share.id):
        raise Conflict(f"share {share.id} has {count} snapshot{'s' * (count > 1)} on record; unmanage those first")
    operation = operation_for(OperationKind.UNMANAGE_SHARE, context, site, share, status_before=share.status)
    begin(tx, operation, share)
    return operation


class UnmanageShare(Story):
    """A share that is somebody else's again."""

    kind = OperationKind.UNMANAGE_SHARE
    records = False
    tells = True
    holds_backend = True
    puts_back = True

    def work(self, case: Case) -> Work:
        """Let go of it; its data stays."""
        driver = verbs(case.driver, SupportsManage)
        found = found_on_backend(case)
        let_go(lambda: driver.unmanage_share(case.replica))
        where = f" as {found.existing}" if found else ""
        return Work(said=f"share {case.share.id} is left on backend {case.share.pool.backend}{where}, with its data")

    def fail(self, case: Case, failure: Exception) -> str:
        """Leave the status that it had, and bring it online again if it was."""
        return super().fail(case, BackendError(f"{failure}{self._again_online(case)}"))

    def _again_online(self, case: Case) -> str:
        if case.operation.status_before is not Status.AVAILABLE:
            return ""
        try:
            self.online(case)
        except Exception as second:
            log.error("share cannot be brought online again", share=case.share.id, exc_info=second)
            return f"; then, bringing it online again: {second}; mend that and unmanage it again"
        return "; the share is online as before"

    def close(self, tx: Connection, case: Case, outcome: Outcome) -> None:
        """Remove the row once nothing of ours is on it."""
        super().close(tx, case, outcome)
        if outcome is Outcome.DONE:
            shares.remove(tx, case.share.id)


def found_on_backend(case: Case) -> FoundShare | None:
    """Find the share in its driver's inventory, for the name that it has; None where that cannot be told."""
    try:
        inventory = verbs(case.driver, SupportsManage).inventory()
    except Exception as failure:  # only the sentence about its name depends on it
        log.warning("no inventory", backend=case.share.pool.backend, exc_info=failure)
        return None
    return next((found for found in inventory if found.replica_id == case.replica.id), None)
