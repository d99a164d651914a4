"""How a revert is refused: asked of the manager as a dry run and in earnest, and of the driver alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from revertkit.capabilities import verbs
from revertkit.conformance.children import shown_elsewhere
from revertkit.conformance.requirements import Missing
from revertkit.conformance.stage import CONTEXT, Stage
from revertkit.conformance.trees import LocalTree, Tree
from revertkit.driver import SupportsReplicatedRevert, SupportsRevert
from revertkit.errors import Blocked
from revertkit.models import Reverted, Share, Snapshot
from revertkit.store import replicas, snapshots


def revert_alone(stage: Stage, snapshot: Snapshot) -> Reverted:
    """Ask the driver alone to revert, as the manager does, who has looked at nothing."""
    target, share = stage.instance(snapshot), stage.manager.share(CONTEXT, snapshot.share_id)
    if not share.replication_type:
        return verbs(stage.driver, SupportsRevert).revert_to_snapshot(target)
    with stage.manager.site.store.read() as tx:
        every = [one for other in replicas.others(tx, share.id) for one in snapshots.on_replica(tx, other.replica)]
    others = [one for one in every if one.snapshot_id == snapshot.id]
    return verbs(stage.driver, SupportsReplicatedRevert).revert_to_replicated_snapshot(target, others)


def refused(stage: Stage, share: Share, snapshot: Snapshot, *said: str) -> None:
    """See that a dry run, the manager and the driver alone refuse, say so, and leave the share online as it was."""
    tree = stage.tree(share)
    before, others = tree.record(), stage.manager.snapshots(CONTEXT, share.id)[:-1]
    held = [stage.kept(other) for other in others if stage.keeps_in_sight]
    for call in (
        lambda: stage.manager.check_revert(CONTEXT, snapshot.id),
        lambda: stage.revert(snapshot),
        lambda: revert_alone(stage, snapshot),
    ):
        with pytest.raises(Blocked) as refusal:
            call()
        assert refusal.value.blockers
        assert all(blocker.mend for blocker in refusal.value.blockers), "a blocker says no mend"
        assert all(word in str(refusal.value) for word in said), f"{said} is not in: {refusal.value}"
        still(tree, before)
    assert [stage.kept(other) for other in others if stage.keeps_in_sight] == held
    stage.assert_at_rest()


def still(tree: Tree, before: object) -> None:
    """See that a share is online and holds what it held."""
    assert tree.reachable(), "the refusal left the share offline"
    assert tree.record() == before, "the refusal changed the share's content"


@contextmanager
def second_place(stage: Stage, share: Share) -> Iterator[Tree]:
    """Have the share mounted in a second place, as in a container, and answer what is seen there.

    Raises:
        Missing: that cannot be done here.
    """
    tree = stage.tree(share)
    if not isinstance(tree, LocalTree):
        raise Missing("second_place", "its shares are no directories of this host")
    with ExitStack() as stack:
        try:
            place = stack.enter_context(shown_elsewhere(tree.path))
        except OSError as failure:
            raise Missing("second_place", str(failure)) from None
        yield LocalTree(place)
