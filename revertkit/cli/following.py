"""Seeing replicas back to in_sync: what ``--wait`` does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from revertkit.cli.output import note
from revertkit.status import ReplicaState

if TYPE_CHECKING:
    from revertkit.manager import ShareManager
    from revertkit.models import Context, ShareReplica

NOT_IN_SYNC = 7
ENOUGH = 3
"""How often in a row a look may find the same in the way until it is no use to look on."""
PAUSE_SECONDS = 1.0


def follow(manager: ShareManager, me: Context, replica: ShareReplica) -> ShareReplica:
    """Look at a replica until it is in sync, or until looking brings it no further; tell each step of its way.

    Where somebody else looks at it already (a server), that is waited for.
    """
    from revertkit.errors import RevertkitError
    from revertkit.locks import Busy

    told: list[str] = []
    while True:
        try:
            replica = manager.resync_replica(me, replica.id)
        except Busy:
            replica = manager.replica(me, replica.id)
            if replica.replica_state is not ReplicaState.IN_SYNC:
                time.sleep(PAUSE_SECONDS)
                continue
        except RevertkitError as refusal:  # what came before is done; this one cannot be looked at from here, or now
            note(f"replica {replica.id} in {replica.pool}: {refusal}")
            return manager.replica(me, replica.id)
        way = f"replica {replica.id} in {replica.pool}: {replica.replica_state}"
        way += f" ({replica.found})" if replica.found else ""
        if way not in told:
            note(way)
        told.append(way)
        stuck = told[-ENOUGH:] == [way] * ENOUGH
        if stuck or replica.replica_state in (ReplicaState.IN_SYNC, ReplicaState.ERROR):
            return replica
        time.sleep(PAUSE_SECONDS)


def follow_all(manager: ShareManager, me: Context, share_id: str) -> list[ShareReplica]:
    """See every other replica of a share back to in_sync, as far as can be; answer all, the active one too."""
    for replica in manager.replicas(me, share_id):
        if not replica.active:
            follow(manager, me, replica)
    return manager.replicas(me, share_id)


def all_in_sync(replicas: list[ShareReplica]) -> bool:
    """Say whether every one of them is in sync, or active."""
    return all(one.active or one.replica_state is ReplicaState.IN_SYNC for one in replicas)
