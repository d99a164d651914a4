"""The reference driver: shares in this process's memory, made for tests of everything that calls a driver.

It keeps the contract to the letter and makes it hard to get away with less: a revert changes both identities, has a
true half way, and leaves a leftover to sweep; a share's content cannot be reached while it is offline. What is stored
outlives the driver object, as a disk outlives a process: a new object of the same backend name finds it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from types import MappingProxyType
from typing import ClassVar

from pydantic import Field

from revertkit.driver import (
    ShareDriver,
    SupportsAccessRules,
    SupportsCreateFromSnapshot,
    SupportsExtend,
    SupportsMountableSnapshots,
    SupportsRevert,
    SupportsShrink,
    SupportsSnapshots,
)
from revertkit.errors import BackendError, Blocked
from revertkit.models import (
    GIB,
    AccessRule,
    Blocker,
    ExportLocation,
    Pool,
    Replica,
    Reverted,
    RevertPreview,
    RevertState,
    SnapshotInstance,
    Stored,
    new_id,
)
from revertkit.system.run import step


@dataclass
class _Snapshot:
    size: int
    files: Mapping[str, bytes]
    identity: str = field(default_factory=new_id)


@dataclass
class _Share:
    size: int
    files: dict[str, bytes] = field(default_factory=dict)
    identity: str = field(default_factory=new_id)
    online: bool = False
    exported_to: tuple[AccessRule, ...] = ()
    merged_from: str = ""
    aside: dict[str, bytes] | None = None
    snapshots: dict[str, _Snapshot] = field(default_factory=dict)


_STORAGE: dict[str, dict[str, _Share]] = {}
"""By backend name and replica id. A snapshot stands with its share."""


class Files(MutableMapping[str, bytes]):
    """The content of a share as its user sees it, by path.

    Raises:
        BackendError: from every access while the share is offline.
    """

    def __init__(self, share: _Share) -> None:
        self._share = share

    def _reachable(self) -> dict[str, bytes]:
        if not self._share.online:
            raise BackendError("the share is offline")
        return self._share.files

    def __getitem__(self, path: str) -> bytes:
        return self._reachable()[path]

    def __setitem__(self, path: str, content: bytes) -> None:
        self._reachable()[path] = content

    def __delitem__(self, path: str) -> None:
        del self._reachable()[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._reachable())

    def __len__(self) -> int:
        return len(self._reachable())


class MemoryDriver(
    ShareDriver,
    SupportsSnapshots,
    SupportsCreateFromSnapshot,
    SupportsRevert,
    SupportsMountableSnapshots,
    SupportsExtend,
    SupportsShrink,
    SupportsAccessRules,
):
    """Shares in memory."""

    api_version: ClassVar[int] = 1

    class Options(ShareDriver.Options):
        """How much there is."""

        capacity_gb: int = Field(1000, ge=1, description="the pool's size in GiB")

    @staticmethod
    def reset() -> None:
        """Forget everything that any backend stores."""
        _STORAGE.clear()

    def files(self, share: Replica) -> Files:
        """Reach a share's content, to read and write it.

        Raises:
            Blocked: there is no such share.
        """
        return Files(self._share(share))

    def snapshot_files(self, snapshot: SnapshotInstance) -> Mapping[str, bytes]:
        """Read a snapshot's content, mounted or not.

        Raises:
            KeyError: there is no such snapshot.
        """
        return MappingProxyType(dict(self._share(snapshot.replica).snapshots[snapshot.snapshot_id].files))

    def exported_to(self, share: Replica) -> tuple[AccessRule, ...]:
        """Name the rules by which the share is exported now."""
        return self._share(share).exported_to

    # --- pools and shares

    def pools(self) -> list[Pool]:
        """Answer the one pool."""
        return [Pool(name="memory", total_bytes=self.options.capacity_gb * GIB, free_bytes=self._free() * GIB)]

    def _shares(self) -> dict[str, _Share]:
        return _STORAGE.setdefault(self.backend, {})

    def _free(self) -> int:
        taken = sum(share.size for share in list(self._shares().values()))
        return int(self.options.capacity_gb) - taken

    def _need(self, size: int) -> None:
        if size > self._free():
            raise Blocked(_blocker("no_space", f"{size} GiB are needed, {self._free()} are free", "free some"))

    def _share(self, share: Replica, *, at_rest: bool = False) -> _Share:
        held = self._shares().get(share.id)
        if held is None:
            raise Blocked(_blocker("share_missing", f"there is no share {share.id}", "delete it"))
        if at_rest and share.backend_id not in (None, held.identity):
            what = f"share {share.id} is {held.identity}, on record is {share.backend_id}"
            raise Blocked(_blocker("share_identity", what, "recover it"))
        return held

    def create_share(self, share: Replica) -> Stored:
        """Make it offline.

        Raises:
            Blocked: there is no room.
        """
        return self._create(share, {})

    def create_share_from_snapshot(self, share: Replica, snapshot: SnapshotInstance) -> Stored:
        """Make it offline, as a copy.

        Raises:
            Blocked: there is no room, or the snapshot is missing or another one than is on record.
        """
        _refuse(self._snapshot_blockers(snapshot))
        return self._create(share, self.snapshot_files(snapshot))

    def _create(self, share: Replica, files: Mapping[str, bytes]) -> Stored:
        if share.id not in self._shares():
            self._need(share.size)
            with step("make the share"):
                self._shares()[share.id] = _Share(share.size, dict(files))
        return _stored(self._share(share))

    def delete_share(self, share: Replica) -> None:
        """Remove it.

        Raises:
            Blocked: it has snapshots.
        """
        if (held := self._shares().get(share.id)) is None:
            return
        _refuse([_blocker("has_snapshot", f"{name} is a snapshot of it", "delete it first") for name in held.snapshots])
        with step("take the share offline"):
            held.online = False
        with step("remove the share"):
            del self._shares()[share.id]

    def ensure_share(self, share: Replica) -> list[ExportLocation]:
        """Bring it online, export it by its rules, and drop what the last revert discarded.

        Raises:
            Blocked: it is not there, or its identity is not on record, as of a revert that is half way or unrecorded.
        """
        held = self._share(share, at_rest=True)
        if held.aside is not None:
            with step("drop what was discarded"):
                held.aside = None
        if not held.online:
            with step("bring the share online"):
                held.online = True
        self.update_access(share)
        return [ExportLocation(path=f"memory:/{self.backend}/{share.id}", preferred=True)]

    def update_access(self, share: Replica) -> dict[str, str]:
        """Export by those rules that are IP addresses or networks."""
        held = self._share(share)
        refused = {rule.id: why for rule in share.rules if (why := _why_not(rule))}
        rules = tuple(rule for rule in share.rules if rule.id not in refused)
        if rules != held.exported_to:
            with step("export"):
                held.exported_to = rules
        return refused

    def extend_share(self, share: Replica, new_size: int) -> Stored:
        """Grow it.

        Raises:
            Blocked: there is no room.
        """
        held = self._share(share, at_rest=True)
        self._need(new_size - held.size)
        return self._resize(held, new_size)

    def shrink_share(self, share: Replica, new_size: int) -> Stored:
        """Shrink it.

        Raises:
            Blocked: its data would not fit.
        """
        held = self._share(share, at_rest=True)
        used = sum(map(len, held.files.values()))
        if used > new_size * GIB:
            raise Blocked(_blocker("does_not_fit", f"{used} bytes are in use", "remove data, or keep the size"))
        return self._resize(held, new_size)

    def _resize(self, held: _Share, size: int) -> Stored:
        if held.size != size:
            with step("resize"):
                held.size = size
        return _stored(held)

    # --- snapshots

    def create_snapshot(self, snapshot: SnapshotInstance) -> Stored:
        """Copy the share's content.

        Raises:
            Blocked: the share is not there, or another one than is on record.
        """
        held = self._share(snapshot.replica, at_rest=True)
        if snapshot.snapshot_id not in held.snapshots:
            with step("take the snapshot"):
                held.snapshots[snapshot.snapshot_id] = _Snapshot(snapshot.size, dict(held.files))
        return _stored(held.snapshots[snapshot.snapshot_id])

    def delete_snapshot(self, snapshot: SnapshotInstance) -> None:
        """Remove it."""
        held = self._shares().get(snapshot.replica.id)
        if held is not None and snapshot.snapshot_id in held.snapshots:
            with step("remove the snapshot"):
                del held.snapshots[snapshot.snapshot_id]

    def ensure_snapshot(self, snapshot: SnapshotInstance) -> list[ExportLocation]:
        """Say where it is; nothing has to be mounted here.

        Raises:
            Blocked: it is missing or another one than is on record.
        """
        _refuse(self._snapshot_blockers(snapshot))
        return [ExportLocation(path=f"memory:/{self.backend}/{snapshot.replica.id}@{snapshot.snapshot_id}")]

    def _snapshot_blockers(self, snapshot: SnapshotInstance) -> list[Blocker]:
        held = self._share(snapshot.replica).snapshots.get(snapshot.snapshot_id)
        name = f"snapshot {snapshot.snapshot_id}"
        if held is None:
            return [_blocker("snapshot_missing", f"there is no {name}", "delete it")]
        if held.identity != snapshot.backend_id:
            what = f"{name} is {held.identity}, on record is {snapshot.backend_id}"
            return [_blocker("snapshot_identity", what, "put the recorded one back")]
        return []

    # --- revert

    def check_revert(self, snapshot: SnapshotInstance) -> RevertPreview:
        """Answer how much the share holds: all of it would be discarded.

        Raises:
            Blocked: share or snapshot is missing or another one than is on record.
        """
        held = self._share(snapshot.replica)
        blockers = self._snapshot_blockers(snapshot)
        if held.identity != snapshot.replica.backend_id:
            what = f"share {snapshot.replica.id} is {held.identity}, on record is {snapshot.replica.backend_id}"
            blockers.append(_blocker("share_identity", what, "recover it"))
        _refuse(blockers)
        return RevertPreview(discards_bytes=sum(map(len, held.files.values())))

    def revert_state(self, snapshot: SnapshotInstance) -> RevertState:
        """Tell by the identities: the merge changes the share's, the last step the snapshot's."""
        held = self._shares().get(snapshot.replica.id)
        target = held and held.snapshots.get(snapshot.snapshot_id)
        if held is None or target is None:
            return RevertState.UNKNOWN
        if held.identity == snapshot.replica.backend_id:
            return RevertState.UNCHANGED
        if held.merged_from != snapshot.backend_id or held.online:
            return RevertState.UNKNOWN
        return RevertState.HALFWAY if target.identity == snapshot.backend_id else RevertState.REVERTED

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        """Merge the snapshot into the share, as thick LVM does, and answer both new identities.

        Raises:
            Blocked: share or snapshot is missing or another one than is on record; nothing has changed.
        """
        state = self.revert_state(snapshot)
        if state in (RevertState.UNCHANGED, RevertState.UNKNOWN):
            self.check_revert(snapshot)
        held = self._share(snapshot.replica)
        target = held.snapshots[snapshot.snapshot_id]
        if state is RevertState.UNCHANGED:
            _take_offline(held)
            _merge(held, target)
        if state is not RevertState.REVERTED:
            _finish(held, target)
        return Reverted(share=_stored(held), snapshot=_stored(target))


def _take_offline(held: _Share) -> None:
    with step("unexport") as progress:
        held.exported_to = ()
        progress(20)
    with step("take the share offline") as progress:
        held.online = False
        progress(40)


def _merge(held: _Share, target: _Snapshot) -> None:
    with step("merge the snapshot") as progress:
        held.aside, held.files = held.files, dict(target.files)
        held.merged_from, held.identity = target.identity, new_id()
        progress(60)


def _finish(held: _Share, target: _Snapshot) -> None:
    with step("bring the size back") as progress:
        held.size = target.size
        progress(80)
    with step("take the snapshot anew") as progress:
        target.identity = new_id()
        progress(100)


def _stored(held: _Share | _Snapshot) -> Stored:
    return Stored(backend_id=held.identity, size=held.size)


def _blocker(kind: str, what: str, mend: str) -> Blocker:
    return Blocker(kind=kind, what=what, mend=mend)


def _refuse(blockers: list[Blocker]) -> None:
    if blockers:
        raise Blocked(*blockers)


def _why_not(rule: AccessRule) -> str:
    if rule.access_type != "ip":
        return f"only IP addresses are known here, not {rule.access_type}"
    try:
        ip_network(rule.access_to, strict=False)
    except ValueError as error:
        return str(error)
    return ""
