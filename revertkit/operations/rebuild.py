"""What a backend holds of ours against what is on record: what to adopt again, and what became of each piece."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Connection

from revertkit.driver import SupportsManage
from revertkit.errors import BackendError, Conflict, NotFound
from revertkit.log import get_logger
from revertkit.models import FoundShare, Operation, Share
from revertkit.store import shares, snapshots

log = get_logger(__name__)


@dataclass(frozen=True)
class Adopted:
    """What became of one share or snapshot of ours that was not on record."""

    what: str
    id: str
    share_id: str
    existing: str
    adopted: bool
    found: str
    """What was found, or why it was not adopted."""


def known(tx: Connection, found: FoundShare) -> Share | None:
    """Answer what is on record under a found share's id, whichever project has it."""
    with suppress(NotFound):
        return shares.get(tx, found.share_id)
    return None


def missing(tx: Connection, found: FoundShare, number: int) -> bool:
    """Say whether a found snapshot is not on record."""
    with suppress(NotFound):
        snapshots.get(tx, found.snapshots[number].snapshot_id)
        return False
    return True


def check(found: FoundShare) -> None:
    """See that what a driver found can be what it says: ids become names of files and mount points.

    Raises:
        BackendError: an id is none, or a time has no zone.
    """
    for text in (found.share_id, found.replica_id, *(one.snapshot_id for one in found.snapshots)):
        if not _is_id(text):
            raise BackendError(f"{text!r} is no id of ours; it is left alone")
    for one in found.snapshots:
        if one.created_at.tzinfo is None:
            raise BackendError(f"the time of snapshot {one.snapshot_id} has no zone")


def check_there(driver: SupportsManage, found: FoundShare, number: int | None = None) -> None:
    """See, with the locks held, that what was found is still ours: it may have been let go of since.

    Raises:
        Conflict: it is not.
    """
    now = next((each for each in driver.inventory() if each.replica_id == found.replica_id), None)
    ours = now is not None and now.share_id == found.share_id
    if number is not None and now is not None:
        ours = found.snapshots[number].snapshot_id in {one.snapshot_id for one in now.snapshots}
    if not ours:
        raise Conflict("it was let go of meanwhile")


def attempted(found: FoundShare, number: int | None, adopt: Callable[[], Operation]) -> Adopted:
    """Try to adopt a share, or its snapshot of that number; say what became of it, whatever it is."""
    try:
        return _told(found, number, adopted=True, why=adopt().found or "")
    except Exception as failure:
        log.warning("not adopted", share=found.share_id, existing=found.existing, exc_info=failure)
        return _told(found, number, adopted=False, why=str(failure))


def refused(found: FoundShare, why: str) -> Adopted:
    """Say of a share why it is not adopted."""
    return _told(found, None, adopted=False, why=why)


def left_out(found: FoundShare) -> list[Adopted]:
    """Say of a share's snapshots that they are left out with it."""
    return [_told(found, n, adopted=False, why="its share was not adopted") for n in range(len(found.snapshots))]


def _told(found: FoundShare, number: int | None, *, adopted: bool, why: str) -> Adopted:
    if number is None:
        return Adopted("share", found.share_id, found.share_id, found.existing, adopted, why)
    one = found.snapshots[number]
    return Adopted("snapshot", one.snapshot_id, found.share_id, one.existing, adopted, why)


def _is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
