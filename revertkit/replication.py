"""The replicas of shares: making, deleting, promoting them, and looking at them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from revertkit import scheduler
from revertkit.acceptance import scope_of
from revertkit.capabilities import verbs
from revertkit.driver import SupportsReplication
from revertkit.errors import Conflict, NotFound, NotSupported
from revertkit.locks import of_replica
from revertkit.models import Context, PoolId, Share, ShareReplica
from revertkit.operations import promote as promote_story
from revertkit.operations import recover as recovery
from revertkit.operations import replica as replica_story
from revertkit.operations import supersede as superseding
from revertkit.operations.look import Looked, look_at_all
from revertkit.placement import Placement
from revertkit.scheduler import Active, Request
from revertkit.store import replicas, shares
from revertkit.store import share_types as stored_types


class Replication(Placement):
    """The part of :class:`~revertkit.manager.ShareManager` that keeps several copies of a share."""

    def replica(self, context: Context, replica_id: str) -> ShareReplica:
        """Read a replica, active or not.

        Raises:
            NotFound: there is none of this id that this caller may see.
        """
        with self.site.store.read() as tx:
            found = replicas.get(tx, replica_id)
        if scope_of(context) not in (None, found.project_id):
            raise NotFound(f"there is no replica {replica_id}")
        return found

    def replicas(self, context: Context, share: str | None = None, *, all_projects: bool = False) -> list[ShareReplica]:
        """List the replicas of a share, the active one too, or of all of the project's shares that can have several."""
        share_id = self.share(context, share).id if share else None
        project = None if all_projects or share_id else context.project_id
        with self.site.store.read() as tx:
            return replicas.listed(tx, project, share_id)

    def create_replica(
        self, context: Context, share: str, *, pool: str | None = None, availability_zone: str | None = None
    ) -> ShareReplica:
        """Make one more replica of a share, in another pool than every other. Its data comes with its first look.

        Without `pool` (a pool or a backend) it goes to the best one that can, in `availability_zone` if that is said.

        Raises:
            InvalidInput, NotFound, NotSupported, Conflict, Blocked, QuotaExceeded: nothing has changed.
            OperationFailed: the replica is in ``error``.
        """
        found = self.share(context, share)
        replica_story.check_replicated(found)
        new = replica_story.NewReplica(self._place_of_replica(found, pool, availability_zone))
        verbs(self._driver(new.pool), SupportsReplication)
        accept = partial(replica_story.accept_create, site=self.site, context=context, share=found, new=new)
        self._start(accept, of_replica(new.id))
        return self.replica(context, new.id)

    def delete_replica(self, context: Context, replica_id: str, *, force: bool = False) -> None:
        """Delete a replica that is not active; `force` begins from any resting status.

        Raises:
            NotFound, NotSupported, Conflict: nothing has changed. OperationFailed: it is in ``error_deleting``.
        """
        found = self.replica(context, replica_id)
        if not self._is_here(found.pool):
            raise NotSupported(
                f"replica {found.id} is in pool {found.pool}, which {self.site.host} does not have: delete it on its "
                "host; if that, or the backend, is gone for good, `revertkit replica delete --forget`"
            )
        verbs(self._driver(found.pool), SupportsReplication)
        accept = partial(replica_story.accept_delete, site=self.site, context=context, replica=found, force=force)
        self._start(accept, of_replica(found.id))

    def forget_replica(self, context: Context, replica_id: str) -> None:
        """Take a replica off the record whose backend or host is gone for good. What it holds, if anything, stays.

        A promotion of it that was under way has failed then. The active one, which may have been made read-only for
        it, is brought online if it is here; where it is on another host, `recover` there does that.

        Raises:
            NotFound, Conflict: nothing has changed; its backend is here, so that it can be deleted, among others.
        """
        found = self.replica(context, replica_id)
        if self._is_here(found.pool):
            raise Conflict(f"the backend of replica {found.id}, {found.pool.backend}, is configured here: delete it")
        abandon = partial(superseding.abandon, site=self.site, replica_id=found.id)
        with self._hold(of_replica(found.id)), self.site.store.write() as tx:
            held_up = replica_story.forget(tx, found, abandon)
        if held_up:
            recovery.recover(self.site, found.share_id)

    def promote_replica(self, context: Context, replica_id: str, *, force: bool = False) -> ShareReplica:
        """Make a replica the active one; what was active follows it from then on.

        Without `force` it has to be in sync, and nothing is lost: the active one is made read-only and followed to its
        last byte first; where its driver cannot do so from another host, the message says so. With `force` the replica
        is promoted as it is, also where the active one cannot be reached.

        Raises:
            NotFound, NotSupported, Conflict, Blocked: nothing has changed.
            OperationFailed: the active one is as before; or the new one is active but offline, and the message says so.
        """
        found = self.replica(context, replica_id)
        with self.site.store.read() as tx:
            promote_story.check(tx, shares.get(tx, found.share_id), found, force=force)
        verbs(self._driver(found.pool), SupportsReplication)
        by = f"the promotion of replica {found.id} by force"
        accept = partial(
            promote_story.accept,
            site=self.site,
            context=context,
            replica=found,
            supersede=partial(superseding.supersede, site=self.site, share_id=found.share_id, by=by) if force else None,
        )
        self._start(accept, found.share_id, of_replica(found.id))
        return self.replica(context, found.id)

    def resync_replica(self, context: Context, replica_id: str, *, full_copy: bool = False) -> ShareReplica:
        """Look at a replica now, and answer how it stands; with `full_copy` it is made anew and copied whole.

        Raises:
            NotFound, NotSupported, Conflict: nothing has changed. BackendError: it could not be made anew.
        """
        found = self.replica(context, replica_id)
        verbs(self._driver(found.pool), SupportsReplication)
        accept = partial(
            replica_story.accept_resync, site=self.site, context=context, replica=found, full_copy=full_copy
        )
        self._start(accept, of_replica(found.id))
        return self.replica(context, found.id)

    def look_at_replicas(self) -> list[Looked]:
        """Look at every replica of this host that is not active: what a server or a timer does every few minutes."""
        return look_at_all(self.site)

    # --- how

    def _is_here(self, pool: PoolId) -> bool:
        return pool.host == self.site.host and pool.backend in self.site.backends

    def _place_of_replica(self, share: Share, named: str | None, zone: str | None) -> PoolId:
        """Find the best pool that can hold one more replica.

        Raises:
            InvalidInput: the one that is named has one already, or there is no such pool. NotSupported: none can.
        """
        with self.site.store.read() as tx:
            specs = stored_types.get(tx, share.share_type_id).extra_specs
            every = replicas.listed(tx, None, share.id)
        wish = Request(share.size, specs, zone=zone, named=named, now=self.site.now())
        reports, silent = self._reports_for(wish)
        meant = [pool for pool, _ in reports if named in (str(pool), pool.backend)]
        if meant and {one.pool for one in every}.issuperset(meant):
            replica_story.check_place(share, every, meant[0])
        active = Active(share.pool, self._domain(share.pool, reports), frozenset(one.pool for one in every))
        return scheduler.explain(reports, replace(wish, replica_of=active), silent).chosen()

    def _domain(self, active: PoolId, reports: list[tuple[PoolId, dict[str, Any]]]) -> str | None:
        """Say what the active one's pool replicates with; of one on another host, whatever the others do."""
        here, _ = self.pools(active.backend) if active.host == self.site.host else (reports, {})
        return next((report["replication_domain"] for pool, report in here if pool == active or here is reports), None)
