"""What a case stands on: one backend under a manager of its own, emptied after each case."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from revertkit import registry
from revertkit.capabilities import Capability, report, verbs
from revertkit.conformance.claims import Claims
from revertkit.conformance.harness import Harness
from revertkit.conformance.repeating import RepeatingSite
from revertkit.conformance.requirements import Missing
from revertkit.conformance.trees import Record, Tree
from revertkit.driver import ShareDriver, SupportsReplication, SupportsSnapshots
from revertkit.errors import OperationFailed, RevertkitError
from revertkit.manager import ShareManager
from revertkit.models import Context, Pool, PoolId, Share, ShareReplica, Snapshot, SnapshotInstance, Stored, new_id
from revertkit.operations.accepted import Accepted, Dispatch, Progress, here
from revertkit.operations.access import REFUSED
from revertkit.operations.site import Site
from revertkit.settings import BackendSettings, Settings
from revertkit.status import RESTING, RuleState, Status
from revertkit.store import operations, shares, snapshots

CONTEXT = Context(project_id="conformance", is_admin=True)
TYPE = "conformance"
REPLICATED = "replicated"
ADDRESS = "127.0.0.1"
"""To whom a case lets the backend export."""


class Told(Settings):
    """Settings without the environment: whoever has ``REVERTKIT_STATE_DIR`` set keeps their records to themselves."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what is told, and nothing else."""
        return (init_settings,)


class Parked:
    """A dispatch that keeps accepted operations instead of running them."""

    def __init__(self) -> None:
        self.accepted: list[Accepted] = []

    def __call__(self, accepted: Accepted) -> None:
        """Keep it, and its locks."""
        self.accepted.append(accepted)

    def abandon(self) -> None:
        """Be gone, as a process is: the locks are free, and the operation is on record as under way."""
        for accepted in self.accepted:
            accepted.held.release()


class Stage(Claims):
    """One backend, what its driver claims for it, and the manager that everything goes through."""

    def __init__(self, harness: Harness, home: Path, *, repeat: int = 1) -> None:
        """Open it on what the harness's ``storage`` answered.

        Raises:
            DriverRefused, SettingsError, BackendError: it cannot be; says why.
        """
        self._repeat = repeat
        self.borrowed = ExitStack()
        """What hooks of the harness have made: removed when a case asks for it, or at its end."""
        self.harness = harness
        backend = BackendSettings.model_validate({"driver": harness.driver, **harness.options})
        backends = {harness.backend: backend, **self._peers()}
        self.settings = Told(host="host", state_dir=home / "state", backends=backends)
        self._first = ShareManager.open(self.settings).site
        self.manager = self.opened()
        self.pool: Pool = self.driver.pools()[0]
        super().__init__(harness, report(self.driver, self.pool))
        self.manager.create_type(TYPE, self._specs())
        if self.replicates:
            kind = verbs(self.driver, SupportsReplication).replication_type
            self.manager.create_type(REPLICATED, {**self._specs(), "replication_type": kind})

    def _peers(self) -> dict[str, BackendSettings]:
        """Describe the backend that replicas are made in, where the driver has replicas and the harness a peer."""
        probe = registry.open_backend(self.harness.backend, self.harness.driver, self.harness.options)
        if not self.hooked("peer") or report(probe, probe.pools()[0])[Capability.REPLICATION]:
            return {}
        self.peer, options = self.harness.peer()
        return {self.peer: BackendSettings.model_validate({"driver": self.harness.driver, **options})}

    @property
    def replicates(self) -> bool:
        """Whether there is another backend for replicas."""
        return len(self.settings.backends) > 1

    def opened(
        self, *, repeat: int | None = None, dispatch: Dispatch = here, progress: Progress | None = None
    ) -> ShareManager:
        """Open a manager with drivers of its own on the same records, as the next start of a program would."""
        first, times = self._first, self._repeat if repeat is None else repeat
        site = Site(first.host, first.store, first.locks, first.backends)
        return ShareManager(RepeatingSite(site, times) if times > 1 else site, dispatch=dispatch, progress=progress)

    def _specs(self) -> dict[str, str]:
        wanted = {"driver_handles_share_servers": "false"}
        copied = (
            Capability.SNAPSHOTS,
            Capability.CREATE_FROM_SNAPSHOT,
            Capability.REVERT,
            Capability.MOUNTABLE_SNAPSHOTS,
        )
        return wanted | {str(c): "true" for c in copied if not self.lacks[c]}

    @property
    def driver(self) -> ShareDriver:
        """The driver, as the manager has it."""
        return self.manager.site.driver(self.harness.backend)

    @property
    def pool_id(self) -> PoolId:
        """The one pool that shares are made in."""
        return PoolId(self.settings.host or "", self.harness.backend, self.pool.name)

    @property
    def room(self) -> float:
        """How many bytes the pool has free, where it promises shares more than it has; elsewhere no end of them."""
        pool = self.driver.pools()[0]
        return pool.free_bytes if pool.extra.get("thin_provisioning") else math.inf

    # --- what cases do

    def share(self, size: int = 1, **more: Any) -> Share:
        """Make a share."""
        more = {"share_type": TYPE, "pool": str(self.pool_id), **more}
        return self.manager.create_share(CONTEXT, size, **more)

    def snapshot(self, share: Share, name: str | None = None) -> Snapshot:
        """Take a snapshot."""
        return self.manager.create_snapshot(CONTEXT, share.id, name=name)

    def revert(self, snapshot: Snapshot) -> Share:
        """Revert its share to it."""
        return self.manager.revert_to_snapshot(CONTEXT, snapshot.id)

    def drop(self, snapshot: Snapshot) -> None:
        """Delete a snapshot."""
        self.manager.delete_snapshot(CONTEXT, snapshot.id)

    def now(self, share: Share) -> Share:
        """Read a share's record anew."""
        return self.manager.share(CONTEXT, share.id)

    def tree(self, share: Share) -> Tree:
        """Reach a share's content where it is online now."""
        found = self.now(share)
        return self.harness.tree(found.replica, found.export_locations)

    def instance(self, snapshot: Snapshot) -> SnapshotInstance:
        """Read what a driver is told of a snapshot now."""
        with self.manager.site.store.read() as tx:
            return snapshots.instance(tx, snapshot.id, shares.get(tx, snapshot.share_id))

    def planted(self, share: Share, word: str) -> Record:
        """Plant a word's content, and answer its record."""
        tree = self.tree(share)
        tree.plant(word)
        return tree.record()

    def taken(self, share: Share, word: str) -> tuple[Snapshot, Record]:
        """Plant a word's content and take a snapshot of it."""
        record = self.planted(share, word)
        return self.snapshot(share, word), record

    # --- what a snapshot holds

    def mounted(self, snapshot: Snapshot) -> Tree:
        """Reach a snapshot where it is mounted."""
        found = self.manager.snapshot(CONTEXT, snapshot.id)
        return self.harness.snapshot_tree(self.instance(snapshot), found.export_locations)

    def kept(self, snapshot: Snapshot) -> Record:
        """Read what a snapshot holds: as the harness can, or as a new share made from it.

        Raises:
            Missing: neither can be had.
        """
        if self.sees_snapshots:
            return self.mounted(snapshot).record()
        if not self.claims("create_from_snapshot"):
            raise Missing("kept", "the harness reads no snapshot, and no share can be made from one")
        child = self.share(self.instance(snapshot).size, snapshot=snapshot.id)
        try:
            return self.tree(child).record()
        finally:
            self.manager.delete_share(CONTEXT, child.id)

    # --- what is not as it is on record

    @contextmanager
    def share_of_another_identity(self, share: Share) -> Iterator[None]:
        """Let what stands in the share's place be another one than is on record."""
        found = self.now(share)
        true = Stored(backend_id=found.replica.backend_id or "", size=found.size, undo_id=found.replica.undo_id)
        self._set_stored(found, true.model_copy(update={"backend_id": new_id()}))
        try:
            yield
        finally:
            self._set_stored(found, true)

    def _set_stored(self, share: Share, stored: Stored) -> None:
        with self.manager.site.store.write() as tx:
            shares.set_stored(tx, share.replica, stored)

    @contextmanager
    def snapshot_of_another_identity(self, snapshot: Snapshot) -> Iterator[None]:
        """Let what stands in the snapshot's place be another one than is on record."""
        true = self.instance(snapshot).backend_id or ""
        self._set_backend_id(snapshot, new_id())
        try:
            yield
        finally:
            self._set_backend_id(snapshot, true)

    def _set_backend_id(self, snapshot: Snapshot, backend_id: str) -> None:
        with self.manager.site.store.write() as tx:
            snapshots.set_backend_id(tx, snapshot.instance_id, backend_id)

    def lose(self, snapshot: Snapshot, replica: ShareReplica | None = None) -> None:
        """Remove a snapshot from the backend, past the manager; from that of a replica, where one is named."""
        driver, lost = self.driver, [self.instance(snapshot)]
        if replica is not None:
            driver = self.manager.site.driver(replica.pool.backend)
            with self.manager.site.store.read() as tx:
                lost = [one for one in snapshots.on_replica(tx, replica.replica) if one.snapshot_id == snapshot.id]
        verbs(driver, SupportsSnapshots).delete_snapshot(lost[0])

    # --- access

    def allow(self, share: Share) -> str:
        """Let :data:`ADDRESS` in; answer the rule's id.

        Raises:
            Missing: the backend exports nothing, as its settings are.
        """
        try:
            return self.manager.allow_access(CONTEXT, share.id, ADDRESS).id
        except OperationFailed as failed:
            self.deny_all(share)
            if REFUSED not in str(failed):
                raise
            raise Missing("exports", str(failed)) from None

    def deny_all(self, share: Share) -> None:
        """Take away every rule."""
        for rule in self.manager.access_rules(CONTEXT, share.id):
            self.manager.deny_access(CONTEXT, share.id, rule.id)

    def exported(self, share: Share) -> object:
        """Tell to whom the storage itself exports a share now."""
        return self.harness.exported(self.now(share).replica)

    def access(self, share: Share) -> object:
        """Tell who may reach a share: on record, at which locations, and as the storage has it if there is a hook."""
        found = self.now(share)
        rules = [(rule.access_to, rule.access_level, rule.state) for rule in found.replica.rules]
        really = self.exported(share) if self.hooked("exported") else None
        return found.export_locations, rules, really

    # --- at rest

    def assert_at_rest(self) -> None:
        """See that nothing is under way: statuses, rules and operations at rest, and no quota set aside."""
        assert not self.manager.interrupted(), "an operation is still on record as under way"
        with self.manager.site.store.read() as tx:
            assert operations.unfinished(tx) == []
            every = shares.listed(tx, None)
            statuses = [share.status for share in every] + [taken.status for taken in snapshots.listed(tx, None)]
        assert set(statuses) <= RESTING, statuses
        rules = {rule.state for share in every for rule in share.replica.rules}
        assert rules <= {RuleState.ACTIVE, RuleState.ERROR}, rules
        reserved = {name: use.reserved for name, use in self.manager.quotas(CONTEXT.project_id).items() if use.reserved}
        assert not reserved, reserved

    def assert_nothing_left(self) -> None:
        """See that the storage holds nothing beyond what is on record, if the harness can look."""
        if self.hooked("leftovers"):
            with self.manager.site.store.read() as tx:
                every = shares.listed(tx, None)
                taken = [
                    snapshots.instance(tx, found.id, share)
                    for share in every
                    for found in snapshots.listed(tx, None, share.id)
                ]
            left = list(self.harness.leftovers([share.replica for share in every], taken))
            assert not left, f"on the backend, and on no record, of this case or of one before it: {', '.join(left)}"

    @contextmanager
    def unchanged(self, share: Share, *taken: Snapshot) -> Iterator[None]:
        """See that a refusal changes nothing: content, exports and statuses, of the snapshots too."""
        tree = self.tree(share)
        before = tree.record(), self.access(share), [self.kept(one) for one in taken if self.keeps_in_sight]
        yield
        assert self.now(share).status is Status.AVAILABLE
        assert tree.record() == before[0], "the refusal changed the share's content"
        assert self.access(share) == before[1], "the refusal changed who may reach the share"
        for one, held in zip(taken, before[2], strict=False):
            assert self.kept(one) == held, "the refusal changed a snapshot"
        assert {self.manager.snapshot(CONTEXT, one.id).status for one in taken} <= {Status.AVAILABLE}

    def clear(self) -> list[str]:
        """Delete all that is on record, and what the harness made for the case; answer what could not be."""
        manager = self.manager = self.opened()
        manager.recover()
        left: list[str] = []
        with manager.site.store.read() as tx:
            every = shares.listed(tx, None)
        for share in reversed(every):
            for replica in [one for one in manager.replicas(CONTEXT, share.id) if not one.active]:
                left += _tried(manager.delete_replica, replica.id)
            for snapshot in reversed(manager.snapshots(CONTEXT, share.id)):
                left += _tried(manager.delete_snapshot, snapshot.id)
            left += _tried(manager.delete_share, share.id)
        self.borrowed.close()
        return left


def _tried(delete: Callable[..., None], name: str) -> list[str]:
    try:
        delete(CONTEXT, name, force=True)
    except RevertkitError as failure:
        return [f"{name}: {failure}"]
    return []
