"""ShareManager, the front door: each verb finds what it is about, asks the driver, accepts, and dispatches.

The rules are in ``operations/``, one story per file. A verb takes the share's lock before its accept, so that an
operation on record without a lock is one whose process is gone. With the default dispatch a verb returns when the
operation has ended; with another it returns when it is accepted, and the record tells the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from revertkit import state_dir
from revertkit.access import Access
from revertkit.administration import checked_notes, optional_name
from revertkit.adoption import Adoption
from revertkit.capabilities import verbs
from revertkit.driver import (
    SupportsCreateFromSnapshot,
    SupportsExtend,
    SupportsShrink,
    SupportsSnapshots,
)
from revertkit.errors import InvalidInput
from revertkit.locks import Locks
from revertkit.models import (
    Context,
    Operation,
    RevertPreview,
    Share,
    Snapshot,
    new_id,
)
from revertkit.operations import recover as recovery
from revertkit.operations import revert as revert_story
from revertkit.operations import set_status
from revertkit.operations import share as share_story
from revertkit.operations import snapshot as snapshot_story
from revertkit.operations.accepted import Dispatch, Progress, here
from revertkit.operations.site import Site
from revertkit.placement import Placement, check_size
from revertkit.records import Records
from revertkit.replication import Replication
from revertkit.settings import Settings
from revertkit.status import Status
from revertkit.store import Store, schema, shares, snapshots


class ShareManager(Access, Adoption, Replication, Placement, Records):
    """Shares, snapshots and everything that is done with them, on one host."""

    @classmethod
    def open(cls, settings: Settings, *, dispatch: Dispatch = here, progress: Progress | None = None) -> ShareManager:
        """Open the manager that the settings describe; make the embedded database if it is not there.

        Raises:
            SettingsError, StoreError, LockError: with the mend; nothing else was touched.
        """
        state_dir.prepare_for(settings)
        host = state_dir.host_name(settings.state_dir, settings.host)
        embedded = settings.database == "sqlite"
        store = Store.embedded(settings.state_dir) if embedded else Store(settings.database)
        schema.ensure(store, embedded=embedded)
        site = Site(host, store, Locks(settings.state_dir / "locks"), settings.all_backends)
        return cls(site, dispatch=dispatch, progress=progress, default_share_type=settings.default_share_type)

    # --- shares

    def create_share(
        self,
        context: Context,
        size: int,
        *,
        name: str | None = None,
        description: str | None = None,
        share_type: str | None = None,
        snapshot: str | None = None,
        pool: str | None = None,
        availability_zone: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Share:
        """Make a share of `size` GiB, empty or with a snapshot's content, and bring it online.

        It goes to the best pool that can (:meth:`explain` says which), or that can among those of `pool` (a pool or a
        backend) and `availability_zone`.

        Raises:
            InvalidInput, NotFound, NotSupported, Conflict, QuotaExceeded: nothing has changed.
            OperationFailed: the share is in ``error``.
        """
        check_size(size)
        source = self.snapshot(context, snapshot) if snapshot else None
        wanted = self._type_of(context, share_type, source)
        request = self._request(size, wanted.extra_specs, source, pool, availability_zone)
        new = share_story.NewShare(
            size=size,
            share_type=wanted,
            pool=self._explained(request).chosen(),
            name=optional_name(name),
            description=description,
            snapshot=source,
            metadata=checked_notes(metadata or {}),
        )
        if source:
            verbs(self._driver(new.pool), SupportsCreateFromSnapshot)
        share_id = new_id()
        accept = partial(share_story.accept_create, site=self.site, context=context, share_id=share_id, new=new)
        self._start(accept, share_id, *([source.share_id] if source else []))
        return self.share(context, share_id)

    def shares(self, context: Context, *, all_projects: bool = False) -> list[Share]:
        """List the project's shares, oldest first."""
        with self.site.store.read() as tx:
            return shares.listed(tx, None if all_projects else context.project_id)

    def delete_share(self, context: Context, share: str, *, force: bool = False) -> None:
        """Delete a share that has no snapshots; `force` begins from any resting status.

        Raises:
            NotFound, Conflict: nothing has changed. OperationFailed: it is in ``error_deleting``.
        """
        found = self.share(context, share)
        self._driver(found.pool)
        accept = partial(share_story.accept_delete, site=self.site, context=context, share=found, force=force)
        self._start(accept, found.id)

    def extend_share(self, context: Context, share: str, new_size: int) -> Share:
        """Grow a share to `new_size` GiB; the growth is reserved first.

        Raises:
            as :meth:`create_share`; on OperationFailed the share is in ``extending_error``.
        """
        return self._resize(context, share, new_size, grow=True)

    def shrink_share(self, context: Context, share: str, new_size: int) -> Share:
        """Shrink a share to `new_size` GiB; quota is freed when it is done.

        Raises:
            as :meth:`create_share`; on OperationFailed the share is in ``shrinking_error``.
        """
        return self._resize(context, share, new_size, grow=False)

    # --- snapshots

    def create_snapshot(
        self,
        context: Context,
        share: str,
        *,
        name: str | None = None,
        description: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Snapshot:
        """Take a snapshot of a share.

        Raises:
            NotFound, NotSupported, Conflict, QuotaExceeded: nothing has changed.
            OperationFailed: the snapshot is in ``error``, the share available.
        """
        found = self.share(context, share)
        verbs(self._driver(found.pool), SupportsSnapshots)
        accept = partial(
            snapshot_story.accept_create,
            site=self.site,
            context=context,
            share=found,
            name=optional_name(name),
            description=description,
            metadata=checked_notes(metadata or {}),
        )
        operation = self._start(accept, found.id)
        return self.snapshot(context, operation.snapshot_id or "")

    def snapshots(self, context: Context, share: str | None = None, *, all_projects: bool = False) -> list[Snapshot]:
        """List the project's snapshots, or a share's, oldest first."""
        share_id = self.share(context, share).id if share else None
        with self.site.store.read() as tx:
            return snapshots.listed(tx, None if all_projects else context.project_id, share_id)

    def delete_snapshot(self, context: Context, snapshot: str, *, force: bool = False) -> None:
        """Delete a snapshot; `force` begins from any resting status.

        Raises:
            NotFound, Conflict: nothing has changed. OperationFailed: it is in ``error_deleting``.
        """
        found = self.snapshot(context, snapshot)
        with self.site.store.read() as tx:
            pool = shares.get(tx, found.share_id).pool
        verbs(self._driver(pool), SupportsSnapshots)
        accept = partial(snapshot_story.accept_delete, site=self.site, context=context, snapshot=found, force=force)
        self._start(accept, found.share_id)

    # --- revert

    def check_revert(self, context: Context, snapshot: str) -> RevertPreview:
        """Say whether a revert to `snapshot` would be refused now, and what it would throw away. Changes nothing.

        Raises:
            NotFound, NotSupported, Conflict, Blocked, QuotaExceeded: what :meth:`revert_to_snapshot` would raise.
        """
        found = self.snapshot(context, snapshot)
        with self.site.store.read() as tx:
            share = shares.get(tx, found.share_id)
            revert_story.check(tx, share, found)
        self._driver(share.pool)
        return revert_story.ask(self.site, share, found)

    def revert_to_snapshot(self, context: Context, snapshot: str, *, share: str | None = None) -> Share:
        """Turn the snapshot's share back to it, in place. It has to be the share's most recent one.

        Whoever names a `share` (by its id) beside it is refused if the snapshot is not one of its.

        Raises:
            NotFound, NotSupported, Conflict, Blocked, QuotaExceeded: nothing has changed.
            OperationFailed: the share is in ``reverting_error``, no snapshot is lost; `recover` brings it back.
        """
        found = self.snapshot(context, snapshot)
        with self.site.store.read() as tx:
            meant = shares.get(tx, share or found.share_id)
            revert_story.check(tx, meant, found)
        self._driver(meant.pool)
        accept = partial(revert_story.accept, site=self.site, context=context, snapshot=found)
        self._start(accept, meant.id, ask=lambda: revert_story.ask(self.site, meant, found))
        return self.share(context, meant.id)

    def recover(self, share_id: str | None = None) -> list[recovery.Recovered]:
        """Finish or put back every interrupted operation of this host, then bring every share online."""
        return recovery.recover(self.site, share_id)

    def interrupted(self) -> list[Operation]:
        """List the operations of this host whose process is gone: `recover` has work."""
        return recovery.interrupted(self.site)

    def set_share_status(self, context: Context, share: str, status: Status) -> Share:
        """Set a share's status by hand: a resting one, with no living owner, never out of a half-way revert.

        Raises:
            InvalidInput, NotFound, Conflict: nothing has changed.
        """
        found = self.share(context, share)
        set_status.of_share(self.site, found, status)
        return self.share(context, found.id)

    def set_snapshot_status(self, context: Context, snapshot: str, status: Status) -> Snapshot:
        """Set a snapshot's status by hand; as :meth:`set_share_status`."""
        found = self.snapshot(context, snapshot)
        set_status.of_snapshot(self.site, found, status)
        return self.snapshot(context, found.id)

    # --- how

    def _resize(self, context: Context, share: str, new_size: int, *, grow: bool) -> Share:
        check_size(new_size)
        found = self.share(context, share)
        if not share_story.resizes(found, new_size, grow=grow):
            want = "larger" if grow else "smaller"
            raise InvalidInput(f"share {found.id} has {found.size} GiB; the new size has to be {want}, not {new_size}")
        verbs(self._driver(found.pool), SupportsExtend if grow else SupportsShrink)
        if grow:
            self._check_growth(found, new_size)
        accept = partial(
            share_story.accept_resize, site=self.site, context=context, share=found, new_size=new_size, grow=grow
        )
        self._start(accept, found.id)
        return self.share(context, found.id)
