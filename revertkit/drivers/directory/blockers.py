"""What may stand in the way of an operation on a share, each with its mend. Looks, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from revertkit.drivers.directory.home import Home, Wrapper
from revertkit.errors import Blocked
from revertkit.models import GIB, Blocker, SnapshotInstance
from revertkit.system import processes
from revertkit.system.holders import holders
from revertkit.system.mounts import mounts_within, shown_elsewhere


def of_identity(home: Home, recorded: str | None) -> Iterator[Blocker]:
    """The share is another one than is on record, or its file system is not there.

    A share that its user removed altogether blocks nothing: it is as good as empty.
    """
    live = home.live()
    if live is None and (recorded is None or not home.path.is_dir()):
        yield _missing(home)
    if live is not None and (live.identity is None or recorded not in (None, live.identity)):
        what = f"{live.path} is {live.identity or 'nobody'} by its file `identity`, on record is {recorded}"
        yield Blocker(kind="share_identity", what=what, mend="put the recorded share back, or mend that file")


def of_file_system(home: Home, recorded: str | None) -> Iterator[Blocker]:
    """The share's file system is not there: what would be deleted would only be lost from the record.

    Told by our own directory, which no deletion removes, so that a deletion can be called again.
    """
    if recorded is not None and not home.path.parent.is_dir():
        yield _missing(home)


def _missing(home: Home) -> Blocker:
    what = f"nothing of the share is in {home.root}"
    return Blocker(kind="share_missing", what=what, mend="mount the file system that holds it")


def of_mounts(home: Home) -> Iterator[Blocker]:
    """Something is mounted inside the share: it would be copied with it, and emptied when the copy is discarded."""
    live = home.live()
    for point in mounts_within(live.path) if live else ():
        yield Blocker(kind="mounted", what=f"{point} is mounted inside the share", mend="unmount it")


def of_other_places(home: Home) -> Iterator[Blocker]:
    """The share is mounted in a container, or elsewhere: whoever works there would be left with what is discarded."""
    live = home.live()
    for place in shown_elsewhere(live.path) if live else ():
        yield Blocker(kind="mounted", what=f"the share is mounted at {place} too", mend="unmount it there")


def of_snapshot(home: Home, snapshot: SnapshotInstance) -> Iterator[Blocker]:
    """The snapshot is missing, alone or with its whole share, or another one than is on record."""
    held = home.snapshot(snapshot.snapshot_id)
    if not home.path.is_dir():
        yield _missing(home)
    elif not held.exists():
        yield Blocker(kind="snapshot_missing", what=f"{held.path} is not there", mend="delete the snapshot")
    elif held.identity is None or held.identity != snapshot.backend_id:
        what = f"{held.path} is {held.identity or 'nobody'} by its file `identity`, on record is {snapshot.backend_id}"
        yield Blocker(kind="snapshot_identity", what=what, mend="put the recorded snapshot back")


def of_use(*wrappers: Wrapper | None, peers: Sequence[str] = ()) -> Iterator[Blocker]:
    """A process that we can see has it open, unless it only brings the data to a replica: a revert ends that."""
    found = holders(*[wrapper.path for wrapper in wrappers if wrapper])
    transfers = {pid for peer in peers for pid in processes.of_operation(peer)} if found else set()
    for holder in [holder for holder in found if holder.pid not in transfers]:
        yield Blocker(kind="open", what=f"in use by {holder}", mend="close it or end the process")


def of_revert(home: Home, snapshot: SnapshotInstance) -> Iterator[Blocker]:
    """All that can stand in the way of a revert; to revert, the identities have to be on record."""
    yield from of_identity(home, snapshot.replica.backend_id or "nothing")
    yield from of_snapshot(home, snapshot)
    yield from of_mounts(home)
    yield from of_other_places(home)
    yield from of_use(home.live(), home.snapshot(snapshot.snapshot_id), peers=snapshot.replica.peers)


def of_snapshots(home: Home) -> Iterator[Blocker]:
    """The share has snapshots, which would be lost with it."""
    for held in home.snapshots():
        yield Blocker(kind="has_snapshot", what=f"{held.path} is a snapshot of it", mend="delete the snapshot first")


def of_size(used: int, size: int) -> Iterator[Blocker]:
    """What is in use does not fit in `size` GiB."""
    if used > size * GIB:
        what = f"{used} bytes are in use, {size} GiB are {size * GIB}"
        yield Blocker(kind="does_not_fit", what=what, mend="remove data, or keep the size")


def refuse(found: Iterable[Blocker]) -> None:
    """Refuse if anything was found.

    Raises:
        Blocked: with all of it, each once.
    """
    if every := list(dict.fromkeys(found)):
        raise Blocked(*every)
