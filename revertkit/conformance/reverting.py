"""Reverts, as a sweep interrupts them."""

from __future__ import annotations

from typing import ClassVar

import pytest

from revertkit.capabilities import verbs
from revertkit.conformance.stage import CONTEXT, Stage
from revertkit.conformance.trees import Record
from revertkit.conformance.world import Verb, World
from revertkit.driver import SupportsRevert
from revertkit.errors import Blocked
from revertkit.manager import ShareManager
from revertkit.models import Outcome, RevertState, Share
from revertkit.status import Status
from revertkit.store import operations


def as_recorded(stage: Stage, share: Share, target: Record, old: Record) -> Record:
    """Answer which of these two an available share has to hold, by how its last revert ended on record.

    Raises:
        AssertionError: it has failed, and the share is available.
    """
    with stage.manager.site.store.read() as tx:
        last = operations.last_revert(tx, share.id)
    assert last is not None
    held = {Outcome.DONE: target, Outcome.UNCHANGED: old}
    assert last.outcome in held, f"the share is available, and its revert {last.outcome}: {last.found}"
    return held[last.outcome]


class Revert(Verb):
    """The one hard thing."""

    needs: ClassVar[tuple[str, ...]] = ("revert",)

    def prepared(self, world: World) -> tuple[str, ...]:
        """Name the snapshot."""
        return (world.newer.id,)

    @staticmethod
    def call(manager: ShareManager, *names: str) -> object:
        """Turn the share back."""
        return manager.revert_to_snapshot(CONTEXT, names[0])

    def done(self, world: World, *names: str) -> None:
        """The share is online with the snapshot's content and size."""
        share = world.stage.now(world.share)
        assert share.status is Status.AVAILABLE, share.status
        assert world.stage.tree(share).record() == self._target(world), "the content is not the snapshot's"
        assert share.size == world.newer.size, "the size is not the snapshot's"

    def left_halfway(self, world: World) -> bool:
        """Neither can the share be read then, nor is it brought online."""
        stage, tree = world.stage, world.stage.tree(world.share)
        if verbs(stage.driver, SupportsRevert).revert_state(stage.instance(world.newer)) is not RevertState.HALFWAY:
            return False
        assert not tree.reachable(), "a share that is half way can be read"
        with pytest.raises(Blocked):
            stage.driver.ensure_share(stage.now(world.share).replica)
        assert not tree.reachable(), "a share that is half way was brought online"
        return True

    def content(self, world: World) -> Record:
        """The snapshot's or the old, as the record says."""
        return as_recorded(world.stage, world.share, self._target(world), world.now)

    @staticmethod
    def _target(world: World) -> Record:
        return world.taken["newer"][1]

    def taken_back(self, world: World) -> None:
        """Write other content."""
        world.plant_now()


class RevertToSmaller(Revert):
    """A revert that has to bring the size back too."""

    needs = ("revert", "extend")

    def prepared(self, world: World) -> tuple[str, ...]:
        """Grow the share."""
        world.manager.extend_share(CONTEXT, world.share.id, 2)
        world.now = world.stage.tree(world.share).record()
        return super().prepared(world)


REVERTING: dict[str, Verb] = {"revert": Revert(), "revert_to_smaller": RevertToSmaller()}
"""As :data:`revertkit.conformance.verbs.VERBS`."""
