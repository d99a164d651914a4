"""Where a new share goes: its type, its snapshot and the caller's wish, put to the scheduler with today's reports."""

from __future__ import annotations

from typing import Any

from revertkit import scheduler
from revertkit.acceptance import Acceptance, backend_of
from revertkit.errors import InvalidInput, NotSupported
from revertkit.models import MAX_SIZE, Context, PoolId, Share, Snapshot
from revertkit.scheduler import Explanation, Request, filters
from revertkit.store import backends as stored_backends
from revertkit.store import share_types as stored_types
from revertkit.store import shares


class Placement(Acceptance):
    """The part of :class:`~revertkit.manager.ShareManager` that finds room."""

    def explain(
        self,
        context: Context,
        size: int,
        *,
        share_type: str | None = None,
        snapshot: str | None = None,
        pool: str | None = None,
        availability_zone: str | None = None,
    ) -> Explanation:
        """Say of every pool whether a share as :meth:`create_share` would make it can go there, and why not.

        Quota is not looked at. Nothing changes.

        Raises:
            InvalidInput, NotFound: there is no such type, snapshot or pool, or it can be no size.
        """
        check_size(size)
        source = self.snapshot(context, snapshot) if snapshot else None
        specs = self._type_of(context, share_type, source).extra_specs
        return self._explained(self._request(size, specs, source, pool, availability_zone))

    def _request(
        self, size: int, specs: dict[str, str], source: Snapshot | None, named: str | None, zone: str | None
    ) -> Request:
        """Put it to the scheduler; a share from a snapshot has to be in its snapshot's pool, unless one is named."""
        if source and not named:
            with self.site.store.read() as tx:
                named = str(shares.get(tx, source.share_id).pool)
        return Request(size, specs, zone=zone, named=named, from_snapshot=source is not None, now=self.site.now())

    def _explained(self, request: Request) -> Explanation:
        reports, silent = self._reports_for(request)
        return scheduler.explain(reports, request, silent)

    def _reports_for(self, request: Request) -> tuple[list[tuple[PoolId, dict[str, Any]]], dict[str, str]]:
        """Ask the backends that can be meant; one that is disabled takes nothing new, and may let grow what it has.

        Raises:
            InvalidInput: there is no such pool or backend here.
        """
        named = request.named
        backends = [name for name in self.site.backends if named is None or name == backend_of(named)]
        if not backends:
            raise InvalidInput(f"there is no pool or backend {named!r} on this host (see `revertkit pool list`)")
        with self.site.store.read() as tx:
            disabled = {} if request.grows else stored_backends.disabled(tx, self.site.host)
        enabled = [name for name in backends if name not in disabled]
        reports, silent = self.pools(*enabled) if enabled else ([], {})
        said = {name: f"it is disabled: {why}" if why else "it is disabled" for name, why in disabled.items()}
        return reports, silent | {name: why for name, why in said.items() if name in backends}

    def _check_growth(self, share: Share, new_size: int) -> None:
        """See that a share's pool has room for its growth.

        Raises:
            NotSupported: it has not; says what there is.
        """
        with self.site.store.read() as tx:
            specs = stored_types.get(tx, share.share_type_id).extra_specs
        growth = Request(new_size - share.size, specs, grows=True, named=str(share.pool), now=self.site.now())
        reports, silent = self._reports_for(growth)
        asked = (filters.sound, filters.capacity)
        why = {pool: "; ".join(filter(None, (ask(pool, report, growth) for ask in asked))) for pool, report in reports}
        if refused := silent.get(share.pool.backend) or why.get(share.pool, "it is not there any more"):
            raise NotSupported(f"share {share.id} cannot grow to {new_size} GiB in pool {share.pool}: {refused}")


def check_size(size: int) -> None:
    """Refuse what can be no share's size.

    Raises:
        InvalidInput: it cannot.
    """
    if not 1 <= size <= MAX_SIZE:
        raise InvalidInput(f"a size is a number of GiB from 1 to {MAX_SIZE}, not {size}")
