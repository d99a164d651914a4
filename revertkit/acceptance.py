"""What every verb of the manager does before its story begins: find what it is about, accept it, dispatch it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from revertkit import telemetry
from revertkit.administration import Administration
from revertkit.capabilities import pool_report
from revertkit.driver import ShareDriver
from revertkit.errors import InvalidInput, NotSupported, RevertkitError
from revertkit.locks import BACKEND, REPLICA, Busy, Held
from revertkit.models import Context, Operation, PoolId, Share, ShareType, Snapshot
from revertkit.operations.accepted import Accepted, Dispatch, Progress, here
from revertkit.operations.site import Site
from revertkit.store import operations, shares, snapshots
from revertkit.store import share_types as stored_types


class Acceptance(Administration):
    """The part of :class:`~revertkit.manager.ShareManager` that its verbs are made of."""

    def __init__(
        self,
        site: Site,
        *,
        dispatch: Dispatch = here,
        progress: Progress | None = None,
        default_share_type: str | None = None,
    ) -> None:
        super().__init__(site)
        self._dispatch, self._progress, self._default_type = dispatch, progress, default_share_type

    @property
    def default_share_type(self) -> str | None:
        """The type, by id or name, of a share that is made without one."""
        return self._default_type

    def share(self, context: Context, share: str) -> Share:
        """Find a share by id or name.

        Raises:
            NotFound: there is none in the project. Ambiguous: several carry the name.
        """
        with self.site.store.read() as tx:
            return shares.find(tx, share, scope_of(context))

    def snapshot(self, context: Context, snapshot: str) -> Snapshot:
        """Find a snapshot by id or name.

        Raises:
            NotFound: there is none in the project. Ambiguous: several carry the name.
        """
        with self.site.store.read() as tx:
            return snapshots.find(tx, snapshot, scope_of(context))

    def pools(self, *backends: str) -> tuple[list[tuple[PoolId, dict[str, Any]]], dict[str, str]]:
        """Report every pool of these backends (of all), in the words of Manila's scheduler.

        The second answer says, by backend, why one could not be asked.
        """
        reports: list[tuple[PoolId, dict[str, Any]]] = []
        silent: dict[str, str] = {}
        for backend in backends or self.site.backends:
            try:
                reports += self._pools_of(backend)
            except RevertkitError as failure:
                silent[backend] = str(failure)
        return reports, silent

    def _start(
        self,
        accept: Callable[[Connection], Operation],
        *share_ids: str,
        ask: Callable[[], object] | None = None,
        dispatch: Dispatch | None = None,
    ) -> Operation:
        """Take the locks, ask, accept in one transaction, and dispatch.

        Raises:
            Busy, and what `ask` and `accept` do: nothing has changed, and no lock is held.
            OperationFailed, StoreError: as the operation's story says, where it runs here.
        """
        held = self._hold(*share_ids)
        try:
            if ask:
                ask()
            with self.site.store.write() as tx:
                operation = accept(tx)
            (dispatch or self._dispatch)(Accepted(self.site, operation, held, self._progress))
        except BaseException:
            held.release()
            raise
        return operation

    def _hold(self, *share_ids: str) -> Held:
        """Take the locks; one whose operation has ended on record is about to be let go, and is waited for."""
        began = time.monotonic()
        try:
            held = self.site.locks.hold_when_let_go(*share_ids, owned=lambda: any(map(self._under_way, share_ids)))
        except Busy:
            telemetry.tell(telemetry.LockRefused())
            raise
        telemetry.tell(telemetry.LockTaken(time.monotonic() - began))
        return held

    def _under_way(self, lock_id: str) -> bool:
        """Say whether what holds this lock is on record; of a whole backend nothing is, and it is not waited for."""
        if lock_id.startswith(BACKEND):
            return True
        with self.site.store.read() as tx:
            if lock_id.startswith(REPLICA):
                return bool(operations.unfinished(tx, replica_id=lock_id.removeprefix(REPLICA)))
            return bool(operations.unfinished(tx, share_id=lock_id))

    def _driver(self, pool: PoolId) -> ShareDriver:
        """Answer the driver of a pool of this host.

        Raises:
            NotSupported: it is another host's. NotFound, DriverRefused, SettingsError: it cannot be opened.
        """
        if pool.host != self.site.host:
            raise NotSupported(f"pool {pool} belongs to host {pool.host}; this is {self.site.host}: run it there")
        return self.site.driver(pool.backend)

    def _type_of(self, context: Context, share_type: str | None, source: Snapshot | None) -> ShareType:
        """Answer the share type of a new share: the one named, its source's, or the default.

        Raises:
            InvalidInput: there is none of these. NotFound: it is not there.
        """
        if share_type is None and source:
            with self.site.store.read() as tx:
                return stored_types.get(tx, shares.get(tx, source.share_id).share_type_id)
        if named := share_type or self._default_type:
            return self.type(named)
        raise InvalidInput("a share needs a share type: name one, or set default_share_type (see `revertkit type`)")

    def _pools_of(self, backend: str) -> list[tuple[PoolId, dict[str, Any]]]:
        driver, told = self.site.driver(backend), self.site.backends[backend]
        with self.site.store.read() as tx:
            allocated = shares.allocated(tx, self.site.host, backend)
        return [
            (
                PoolId(self.site.host, backend, pool.name),
                pool_report(
                    driver, pool, told.driver, told, allocated=allocated.get(pool.name, 0), now=self.site.now()
                ),
            )
            for pool in driver.pools()
        ]


def scope_of(context: Context) -> str | None:
    """Say which project's things somebody may see: their own, or, of an administrator, any (None)."""
    return None if context.is_admin else context.project_id


def backend_of(named: str) -> str:
    """Read the backend's name out of a pool's full name, or take it as it is."""
    try:
        return PoolId.parse(named).backend if "@" in named else named
    except ValueError as wrong:
        raise InvalidInput(str(wrong)) from None
