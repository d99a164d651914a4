"""After a crash: finish each interrupted operation of this host or put it back, and bring every share online.

An operation is interrupted when its share's lock can be had at once: a living owner, paused or slow, keeps it. Never by
time-out or heartbeat. Children of a dead owner (each carries REVERTKIT_OPERATION) are waited for first.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from revertkit.errors import NotFound
from revertkit.locks import Busy
from revertkit.log import get_logger
from revertkit.models import Operation, Outcome, ShareReplica
from revertkit.operations import STORIES, load_case, lock_ids
from revertkit.operations.online import AT_REST, bring_replica_online, bring_resting_online, found_in, keep
from revertkit.operations.site import Site
from revertkit.operations.story import spoken
from revertkit.operations.supersede import shut_if_superseded
from revertkit.status import Status
from revertkit.store import operations, replicas, shares
from revertkit.system import processes
from revertkit.system.run import operation as operation_of_children

log = get_logger(__name__)
CHILDREN_SECONDS = 60.0
_ONLINE = "bringing it online"


@dataclass(frozen=True)
class Recovered:
    """What became of one operation or share. `at_rest` is whether nothing is left to mend."""

    share_id: str
    what: str
    found: str
    at_rest: bool


def recover(site: Site, share_id: str | None = None) -> list[Recovered]:
    """Recover every interrupted operation of this host (or of one share), then bring shares online."""
    with site.store.read() as tx:
        interrupted = operations.unfinished(tx, site.host, share_id)
    told = [_held(site, operation) for operation in interrupted]
    done = {recovered.share_id for recovered in told}
    with site.store.read() as tx:
        broken = [share for share in shares.on_host(tx, site.host, {Status.REVERTING_ERROR}) if share.id not in done]
        last = {share.id: operations.last_revert(tx, share.id) for share in broken}
    told += [_held(site, op) for share in broken if share_id in (None, share.id) and (op := last[share.id])]
    with site.store.read() as tx:
        resting = shares.on_host(tx, site.host, AT_REST)
    told += [bad for share in resting if share_id in (None, share.id) and (bad := _ensure(site, share.id))]
    with site.store.read() as tx:
        following = replicas.following(tx, site.host)
    told += [bad for one in following if share_id in (None, one.share_id) and (bad := _ensure_replica(site, one))]
    return told


def interrupted(site: Site) -> list[Operation]:
    """List the operations of this host that no living process works on."""
    with site.store.read() as tx:
        return [operation for operation in operations.unfinished(tx, site.host) if _ownerless(site, operation)]


def _ownerless(site: Site, operation: Operation) -> bool:
    try:
        site.locks.hold(*lock_ids(site, operation)).release()
    except (Busy, NotFound):  # somebody works on it, or ended it since
        return False
    return True


def _held(site: Site, operation: Operation) -> Recovered:
    """Recover one operation under its locks, unless its owner lives."""
    try:
        with site.locks.hold_when_let_go(*lock_ids(site, operation)):
            return _asked_again(site, operation)
    except Busy:
        return _told(operation, "under way: its process is alive", at_rest=True)
    except Exception as failure:
        log.warning("recovery met trouble", operation=operation.id, exc_info=failure)
        return _ended(site, operation) or _told(operation, f"it cannot be recovered now: {failure}", at_rest=False)


def _asked_again(site: Site, operation: Operation) -> Recovered:
    """Look again under the locks: the owner may have ended it between our look and its end."""
    if ended := _ended(site, operation):
        return ended
    if operation.finished_at and found_in(site, operation.share_id, {Status.REVERTING_ERROR}) is None:
        return _told(operation, "it was settled meanwhile", at_rest=True)
    if left := _children_left(operation.id):
        return _told(operation, f"left alone: its processes {left} still run; try again later", at_rest=False)
    with site.store.read() as tx:
        now = operations.get(tx, operation.id)
    case = load_case(site, now)
    with operation_of_children(operation.id), shut_if_superseded(case):
        STORIES[operation.kind].recover(case)
    return _ended(site, operation) or _told(operation, "it has not ended", at_rest=False)


def _children_left(operation_id: str) -> list[int]:
    """Wait until the dead owner's processes have ended, also those that one of them started meanwhile."""
    deadline = time.monotonic() + CHILDREN_SECONDS
    while pids := processes.of_operation(operation_id):
        left = processes.wait_for_end(pids, deadline - time.monotonic())
        if left or time.monotonic() > deadline:
            return left or pids
    return []


def _ended(site: Site, operation: Operation) -> Recovered | None:
    """Say how it ended, if it did since `operation` was read."""
    with site.store.read() as tx:
        now = operations.get(tx, operation.id)
    if now.finished_at == operation.finished_at:
        return None
    return _told(operation, f"{now.outcome}: {now.found}", at_rest=now.outcome is not Outcome.FAILED)


def _told(operation: Operation, found: str, *, at_rest: bool) -> Recovered:
    return Recovered(operation.share_id, spoken(operation.kind), found, at_rest)


def _ensure(site: Site, share_id: str) -> Recovered | None:
    """Bring a share at rest online as it is on record now, under its lock; answer only what is left to mend."""
    try:
        with site.locks.hold(share_id):
            trouble = _rested(site, share_id)
        return Recovered(share_id, _ONLINE, trouble, at_rest=False) if trouble else None
    except Busy:
        return None
    except Exception as failure:
        log.error("share cannot be brought online", share=share_id, exc_info=failure)
        return Recovered(share_id, _ONLINE, str(failure), at_rest=False)


def _rested(site: Site, share_id: str) -> str:
    """Bring a share online unless it is not at rest any more; say which snapshots are out of reach, and a resize
    that failed, after which the share is as large as it is on record.
    """
    found = bring_resting_online(site, share_id)
    if found is None:
        return ""
    share, online = found
    keep(site, share, online)
    if share.status is Status.AVAILABLE:
        return online.trouble
    return f"{online.trouble or 'it is online'}; it is {share.status}, of {share.size} GiB: try that again"


def _ensure_replica(site: Site, replica: ShareReplica) -> Recovered | None:
    """Bring a replica that is not active online for reading, or offline; answer only what went wrong."""
    try:
        bring_replica_online(site, replica)
    except Busy:
        return None
    except Exception as failure:
        log.error("replica cannot be brought online", replica=replica.id, exc_info=failure)
        return Recovered(replica.share_id, f"{_ONLINE} (replica {replica.id})", str(failure), at_rest=False)
    return None
