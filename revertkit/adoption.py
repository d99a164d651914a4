"""Taking shares and snapshots that exist on a backend into our care, and letting go of them. Nothing is destroyed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from revertkit.acceptance import Acceptance, backend_of
from revertkit.administration import checked_notes, optional_name
from revertkit.capabilities import verbs
from revertkit.driver import SupportsManage, SupportsManageSnapshots
from revertkit.errors import BackendError, InvalidInput, NotFound, NotSupported, OperationFailed
from revertkit.locks import of_backend
from revertkit.models import (
    Context,
    FoundShare,
    Operation,
    OperationKind,
    PoolId,
    Share,
    ShareType,
    Snapshot,
    checked_existing,
    new_id,
)
from revertkit.operations import manage, manage_snapshot, rebuild
from revertkit.operations.accepted import here
from revertkit.operations.rebuild import Adopted
from revertkit.operations.share import NewShare
from revertkit.scheduler import Request, filters
from revertkit.store import operations, shares

T = TypeVar("T")


class Adoption(Acceptance):
    """The part of :class:`~revertkit.manager.ShareManager` that adopts and lets go."""

    def manage_share(
        self,
        context: Context,
        pool: str,
        existing: str,
        *,
        name: str | None = None,
        description: str | None = None,
        share_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Share:
        """Adopt what the backend of `pool` calls `existing` as a share, with its data, and bring it online.

        `pool` is a pool's full name, or a backend that has only one.

        Raises:
            InvalidInput, NotFound, NotSupported, Conflict, Blocked: nothing has changed.
            QuotaExceeded, OperationFailed: the driver took its marks off again, and nothing is on record.
        """
        wanted = self._type_of(context, share_type, None)
        new = NewShare(
            size=manage.LEAST,
            share_type=wanted,
            pool=self._one_pool(pool, wanted),
            name=optional_name(name),
            description=description,
            metadata=checked_notes(metadata or {}),
        )
        share_id = new_id()
        operation = self._adopt(context, share_id, new, _checked(existing))
        return self._unless_gone(operation, lambda: self.share(context, share_id))

    def unmanage_share(self, context: Context, share: str) -> str:
        """Let go of a share that has no snapshots on record; say where it is left. Its data stays.

        Raises:
            NotFound, NotSupported, Conflict, Blocked: nothing has changed.
            OperationFailed: the share has the status that it had.
        """
        found = self.share(context, share)
        verbs(self._driver(found.pool), SupportsManage)
        accept = partial(manage.accept_unmanage, site=self.site, context=context, share=found)
        return self._said(self._start(accept, found.id, of_backend(found.pool.backend)))

    def manage_snapshot(
        self, context: Context, share: str, existing: str, *, name: str | None = None, description: str | None = None
    ) -> Snapshot:
        """Adopt what the share's backend calls `existing` as the share's latest snapshot.

        Raises:
            as :meth:`manage_share`.
        """
        found = self.share(context, share)
        verbs(self._driver(found.pool), SupportsManageSnapshots)
        accept = partial(
            manage_snapshot.accept_manage,
            site=self.site,
            context=context,
            share=found,
            name=optional_name(name),
            description=description,
            existing=_checked(existing),
        )
        operation = self._start(accept, found.id)
        return self._unless_gone(operation, lambda: self.snapshot(context, operation.snapshot_id or ""))

    def unmanage_snapshot(self, context: Context, snapshot: str) -> str:
        """Let go of a snapshot; say where it is left; as :meth:`unmanage_share`.

        A revert to an older one may be refused then by the backend, which still has this one.
        """
        found = self.snapshot(context, snapshot)
        with self.site.store.read() as tx:
            pool = shares.get(tx, found.share_id).pool
        verbs(self._driver(pool), SupportsManageSnapshots)
        accept = partial(manage_snapshot.accept_unmanage, site=self.site, context=context, snapshot=found)
        return self._said(self._start(accept, found.share_id))

    def manage_all(self, context: Context, backend: str, *, share_type: str | None = None) -> list[Adopted]:
        """Adopt all that carries our ids on a backend and is not on record, under the same ids: after a lost database.

        Each share and snapshot is an operation of its own, run in this thread whatever the dispatch, and one that
        fails does not stop the others. Answers what was not on record: what was adopted, and what was not and why.

        Raises:
            InvalidInput, NotFound, NotSupported, BackendError: the backend cannot be asked; nothing has changed.
        """
        wanted = self._type_of(context, share_type, None)
        driver = verbs(self.site.driver(backend), SupportsManage)
        told: list[Adopted] = []
        for found in driver.inventory():
            told += self._rebuild(context, backend, wanted, found)
        return told

    # --- how

    def _rebuild(self, context: Context, backend: str, wanted: ShareType, found: FoundShare) -> list[Adopted]:
        told = []
        with self.site.store.read() as tx:
            known = rebuild.known(tx, found)
        if known is None:
            told.append(rebuild.attempted(found, None, lambda: self._rebuild_share(context, backend, wanted, found)))
        elif known.replica.id != found.replica_id:
            return [rebuild.refused(found, f"share {known.id} is on record as another one, {known.replica.id}")]
        if told and not told[0].adopted:
            return told + rebuild.left_out(found)
        for number in range(len(found.snapshots)):
            with self.site.store.read() as tx:
                missing = rebuild.missing(tx, found, number)
            if missing:
                attempt = partial(self._rebuild_snapshot, context, found, number)
                told.append(rebuild.attempted(found, number, attempt))
        return told

    def _rebuild_share(self, context: Context, backend: str, wanted: ShareType, found: FoundShare) -> Operation:
        rebuild.check(found)
        pool = PoolId(self.site.host, backend, found.pool)
        new = NewShare(
            size=found.size, share_type=wanted, pool=self._one_pool(str(pool), wanted), replica_id=found.replica_id
        )
        ask = partial(rebuild.check_there, verbs(self._driver(pool), SupportsManage), found)
        return self._adopt(context, found.share_id, new, _checked(found.existing), ask)

    def _rebuild_snapshot(self, context: Context, found: FoundShare, number: int) -> Operation:
        rebuild.check(found)
        with self.site.store.read() as tx:
            share = shares.get(tx, found.share_id)
        verbs(self._driver(share.pool), SupportsManageSnapshots)
        _checked(found.snapshots[number].existing)
        accept = partial(
            manage_snapshot.accept_rebuild,
            site=self.site,
            context=context,
            share=share,
            found=found.snapshots,
            number=number,
        )
        ask = partial(rebuild.check_there, verbs(self._driver(share.pool), SupportsManage), found, number)
        return self._ended(self._start(accept, share.id, ask=ask, dispatch=here))

    def _adopt(
        self, context: Context, share_id: str, new: NewShare, existing: str, ask: Callable[[], object] | None = None
    ) -> Operation:
        """Adopt a share; one that is to be rebuilt is asked for first, and run here."""
        kind = OperationKind.REBUILD_SHARE if ask else OperationKind.MANAGE_SHARE
        verbs(self._driver(new.pool), SupportsManage)
        accept = partial(
            manage.accept_manage,
            site=self.site,
            context=context,
            share_id=share_id,
            new=new,
            existing=existing,
            kind=kind,
        )
        locks = (share_id, of_backend(new.pool.backend))
        return self._ended(self._start(accept, *locks, ask=ask, dispatch=here if ask else None))

    def _one_pool(self, named: str, wanted: ShareType) -> PoolId:
        """Find the pool that is meant, and see that it has what the share type asks for; its room does not matter."""
        if (backend := backend_of(named)) not in self.site.backends:
            raise InvalidInput(f"there is no pool or backend {named!r} on this host (see `revertkit pool list`)")
        reports, silent = self.pools(backend)
        if silent:
            raise BackendError(f"backend {backend} cannot be asked: {silent[backend]}")
        meant = [(pool, report) for pool, report in reports if named in (str(pool), pool.backend)]
        if not meant:
            raise NotFound(f"there is no pool {named!r} on this host (see `revertkit pool list`)")
        if len(meant) > 1:
            several = ", ".join(str(pool) for pool, _ in meant)
            raise InvalidInput(f"backend {backend!r} has {len(meant)} pools; name the one that is meant: {several}")
        [(pool, report)] = meant
        if why := filters.capabilities(pool, report, Request(0, wanted.extra_specs)):
            raise NotSupported(f"pool {pool} cannot hold a share of type {wanted.name}: {why}")
        return pool

    def _unless_gone(self, operation: Operation, read: Callable[[], T]) -> T:
        """Read what is being adopted; where it runs elsewhere, it may have failed by now, and left no row.

        Raises:
            OperationFailed: it has.
        """
        try:
            return read()
        except NotFound:
            raise OperationFailed(self._said(operation)) from None

    def _ended(self, operation: Operation) -> Operation:
        with self.site.store.read() as tx:
            return operations.get(tx, operation.id)

    def _said(self, operation: Operation) -> str:
        return self._ended(operation).found or ""


def _checked(existing: str) -> str:
    try:
        return checked_existing(existing)
    except ValueError as wrong:
        raise InvalidInput(str(wrong)) from None
