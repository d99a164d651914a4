"""Setting a status by hand, for an administrator who knows better. It changes a record, never a backend."""

from __future__ import annotations

from revertkit.errors import Conflict, InvalidInput
from revertkit.models import Operation, RevertState, Share, Snapshot
from revertkit.operations import load_case
from revertkit.operations.revert import reverts
from revertkit.operations.site import Site
from revertkit.status import RESTING, Status
from revertkit.store import move, operations, shares
from revertkit.store.tables import instances, replicas

SETTABLE = frozenset({Status.AVAILABLE, Status.ERROR, Status.ERROR_DELETING})
"""Only statuses that an operation leads out of."""


def of_share(site: Site, share: Share, status: Status) -> None:
    """Set the status of a share that no living process works on and that is not in the middle of a revert.

    Raises:
        InvalidInput: a status that nothing leads out of. Conflict: someone works on it, or `recover` has to.
    """
    _check(status)
    with site.locks.hold(share.id):
        with site.store.read() as tx:
            share = shares.get(tx, share.id)
        if share.status is Status.REVERTING_ERROR:
            _check_whole(site, share, status)
        with site.store.write() as tx:
            _check_unowned(share.id, operations.unfinished(tx, share_id=share.id))
            move(tx, replicas, share.replica.id, RESTING, status, site.now())


def of_snapshot(site: Site, snapshot: Snapshot, status: Status) -> None:
    """Set the status of a snapshot; as :func:`of_share`, and `recover` has to find it as the failed revert left it."""
    _check(status)
    with site.locks.hold(snapshot.share_id), site.store.write() as tx:
        _check_unowned(snapshot.share_id, operations.unfinished(tx, share_id=snapshot.share_id))
        if shares.get(tx, snapshot.share_id).status is Status.REVERTING_ERROR:
            raise Conflict(f"share {snapshot.share_id} is reverting_error: run `revertkit recover` first")
        move(tx, instances, snapshot.instance_id, RESTING, status, site.now())


def _check(status: Status) -> None:
    if status not in SETTABLE:
        raise InvalidInput(f"a status can be set to {', '.join(sorted(SETTABLE))}, not to {status}")


def _check_unowned(share_id: str, unfinished: list[Operation]) -> None:
    if unfinished:
        raise Conflict(
            f"an operation on share {share_id} was interrupted: run `revertkit recover`, which asks the backend"
        )


def _check_whole(site: Site, share: Share, status: Status) -> None:
    """Let nobody say that a share is whole whose backend says otherwise, or cannot say."""
    if share.pool.host != site.host:
        raise Conflict(f"its backend has to be asked how far its revert came: do this on host {share.pool.host}")
    with site.store.read() as tx:
        last = operations.last_revert(tx, share.id)
    if last is None or last.recorded:
        return
    case = load_case(site, last)
    state = reverts(case.driver, share).revert_state(case.target)
    if state in (RevertState.HALFWAY, RevertState.REVERTED):
        raise Conflict(f"the backend says that its revert is {state}: run `revertkit recover`, which finishes it")
    if state is RevertState.UNKNOWN and status is Status.AVAILABLE:
        raise Conflict(
            "the backend cannot say how far its revert came: if somebody has mounted it by hand, unmount it and run "
            "`revertkit recover`; where you have seen for yourself that it is whole, set it to error first"
        )
