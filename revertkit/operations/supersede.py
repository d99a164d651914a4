"""Ending what others have under way, whose hosts are out of reach, and letting go of a share that was taken so.

Such a host may be alive, and go on. It finds in each transaction that its operation was ended (story.py), and writes
nothing to the record any more; and here it lets nobody write to the share.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from revertkit.models import Operation, Outcome
from revertkit.operations import STORIES, load_case
from revertkit.operations.online import bring_resting_online, make_read_only
from revertkit.operations.site import Site
from revertkit.operations.story import Case, Superseded
from revertkit.store import operations, snapshots


def supersede(tx: Connection, site: Site, share_id: str, by: str) -> None:
    """End what other hosts, which are out of reach, have under way on a share or its snapshots: `by` goes on without.

    A revert among it may have been done or not; whatever follows has to take it for done.
    """
    found = operations.unfinished(tx, share_id=share_id)
    for snapshot in snapshots.listed(tx, None, share_id):  # a new share may be made of one
        found += [one for one in operations.unfinished(tx, snapshot_id=snapshot.id) if one.share_id != share_id]
    for operation in found:
        if operation.host != site.host and STORIES[operation.kind].holds_share:
            _end(tx, site, operation, f"superseded by {by}")


def abandon(tx: Connection, site: Site, replica_id: str) -> list[Operation]:
    """End what is under way on a replica, whose lock is held and whose host or backend is gone for good; answer it."""
    found = operations.unfinished(tx, replica_id=replica_id)
    for operation in found:
        _end(tx, site, operation, f"replica {replica_id} was forgotten")
    return found


def _end(tx: Connection, site: Site, operation: Operation, why: str) -> None:
    STORIES[operation.kind].close(tx, load_case(site, operation), Outcome.FAILED)
    operations.finish(tx, operation.id, Outcome.FAILED, why, site.now())


@contextmanager
def shut_if_superseded(case: Case) -> Iterator[None]:
    """Let nobody write to a share of this host, whose lock is held, once what ran on it was superseded.

    A driver that is refused something puts the share online again, and cannot know that it is another's by then.

    Raises:
        Superseded: with what went wrong, where the share may still be written to here.
    """
    try:
        yield
    except Superseded as end:
        if case.share.pool.host == case.site.host and STORIES[case.operation.kind].holds_share:
            _shut(case, end)
        raise


def _shut(case: Case, end: Superseded) -> None:
    try:
        make_read_only(case.site, case.share)
        bring_resting_online(case.site, case.share.id)  # ours again, if what superseded it has failed meanwhile
    except Exception as failure:
        what = "what is written to it here is lost; mend that and run `revertkit recover`"
        raise Superseded(f"{end}; it cannot be made read-only: {failure}; {what}") from failure
