"""What cases do with replicas, of which each share here has one, in the harness's `peer`."""

from __future__ import annotations

from revertkit.conformance.stage import CONTEXT, REPLICATED, Stage
from revertkit.models import Share, ShareReplica
from revertkit.status import ReplicaState

REPLICAS = ("replication", "peer")
"""What a case of replicas requires."""
REVERTED = ("replicated_revert", *REPLICAS)
"""What one requires that reverts a replicated share."""


def replicated(stage: Stage, word: str) -> tuple[Share, ShareReplica]:
    """Make a share that holds a word's content, and a replica of it that is in sync."""
    share = stage.share(share_type=REPLICATED)
    stage.planted(share, word)
    return share, look(stage, stage.manager.create_replica(CONTEXT, share.id, pool=stage.peer))


def look(stage: Stage, replica: ShareReplica) -> ShareReplica:
    """Look at a replica, which has to be in sync then."""
    found = stage.manager.resync_replica(CONTEXT, replica.id)
    assert found.replica_state is ReplicaState.IN_SYNC, f"{found.replica_state} after a look: {found.found}"
    return found


def promote(stage: Stage, replica: ShareReplica, *, force: bool = False) -> None:
    """Make a replica the active one."""
    stage.manager.promote_replica(CONTEXT, replica.id, force=force)


def other(stage: Stage, share: Share) -> ShareReplica:
    """Read the one replica that is not active."""
    (found,) = [one for one in stage.manager.replicas(CONTEXT, share.id) if not one.active]
    return found
