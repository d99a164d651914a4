"""The operations that are interrupted: how each is called, tried again, and taken back.

What is called may run in another process, so that it is a function of this module with names for arguments.
"""

from __future__ import annotations

from typing import ClassVar

from revertkit.conformance.accessing import ACCESSING
from revertkit.conformance.adopting import ADOPTING
from revertkit.conformance.stage import CONTEXT, TYPE
from revertkit.conformance.trees import Record
from revertkit.conformance.world import FRESH, Verb, World
from revertkit.manager import ShareManager
from revertkit.models import Snapshot
from revertkit.status import Status


class CreateShare(Verb):
    """An empty share."""

    def prepared(self, world: World) -> tuple[str, ...]:
        """Name the pool."""
        return (str(world.stage.pool_id),)

    @staticmethod
    def call(manager: ShareManager, *names: str) -> object:
        """Make it."""
        (pool,) = names
        return manager.create_share(CONTEXT, 1, name=FRESH, share_type=TYPE, pool=pool)

    def tried_again(self, world: World, *names: str) -> None:
        """Delete what is there of it, and make it again."""
        self.taken_back(world)
        self.call(world.manager, *names)
        made = world.fresh_share()
        assert made is not None
        assert made.status is Status.AVAILABLE
        world.stage.tree(made).write("word", b"it can be used")

    def taken_back(self, world: World) -> None:
        """Delete it."""
        if made := world.fresh_share():
            world.manager.delete_share(CONTEXT, made.id)


class CreateShareFromSnapshot(CreateShare):
    """A share with a snapshot's content."""

    needs = ("create_from_snapshot",)

    def prepared(self, world: World) -> tuple[str, ...]:
        """Name pool and snapshot."""
        return (*super().prepared(world), world.newer.id)

    @staticmethod
    def call(manager: ShareManager, *names: str) -> object:
        """Make it."""
        pool, snapshot = names
        return manager.create_share(CONTEXT, 1, name=FRESH, share_type=TYPE, pool=pool, snapshot=snapshot)

    def tried_again(self, world: World, *names: str) -> None:
        """Likewise; it has the snapshot's content."""
        self.taken_back(world)
        self.call(world.manager, *names)
        made = world.fresh_share()
        assert made is not None
        assert world.stage.tree(made).record() == world.taken["newer"][1]


class DeleteShare(Verb):
    """The end of a share."""

    def prepared(self, world: World) -> tuple[str, ...]:
        """Make one that has content."""
        made = world.stage.share(name=FRESH)
        world.stage.planted(made, "fresh")
        return (made.id,)

    @staticmethod
    def call(manager: ShareManager, *names: str) -> object:
        """Delete it."""
        (share,) = names
        manager.delete_share(CONTEXT, share)
        return None

    def tried_again(self, world: World, *names: str) -> None:
        """Delete it unless it is gone."""
        if world.fresh_share():
            self.call(world.manager, *names)
        assert world.fresh_share() is None


class ExtendShare(Verb):
    """A larger share."""

    needs = ("extend",)
    changes = False
    sizes = (1, 2)

    def prepared(self, world: World) -> tuple[str, ...]:
        """Make one of the smaller size."""
        made = world.stage.share(self.sizes[0], name=FRESH)
        self.held = world.stage.planted(made, "fresh")
        return (made.id,)

    @staticmethod
    def call(manager: ShareManager, *names: str) -> object:
        """Grow it."""
        return manager.extend_share(CONTEXT, names[0], 2)

    def recovered(self, world: World) -> None:
        """Set a status of failure back by hand, as an administrator would who has looked."""
        made = world.fresh_share()
        assert made is not None
        if made.status in (Status.EXTENDING_ERROR, Status.SHRINKING_ERROR):
            world.manager.set_share_status(CONTEXT, made.id, Status.AVAILABLE)
            world.manager.recover()
        assert world.stage.now(made).status is Status.AVAILABLE
        assert world.stage.tree(made).record() == self.held

    def tried_again(self, world: World, *names: str) -> None:
        """Resize it unless that is done."""
        made = world.fresh_share()
        assert made is not None
        if made.size != self.sizes[1]:
            self.call(world.manager, *names)
        assert world.stage.now(made).size == self.sizes[1]
        assert world.stage.tree(made).record() == self.held

    def taken_back(self, world: World) -> None:
        """Delete it."""
        if made := world.fresh_share():
            world.manager.delete_share(CONTEXT, made.id)


class ShrinkShare(ExtendShare):
    """A smaller share."""

    needs = ("shrink",)
    sizes = (2, 1)

    @staticmethod
    def call(manager: ShareManager, *names: str) -> object:
        """Shrink it."""
        return manager.shrink_share(CONTEXT, names[0], 1)


class CreateSnapshot(Verb):
    """One more snapshot."""

    needs = ("snapshots",)

    @staticmethod
    def call(manager: ShareManager, *names: str) -> object:
        """Take it."""
        return manager.create_snapshot(CONTEXT, names[0], name=FRESH)

    def recovered(self, world: World) -> None:
        """See that one that is available is whole, and that any other says so."""
        made = world.fresh_snapshot()
        if made and made.status is Status.AVAILABLE:
            self._check(world, made)
        else:
            assert made is None or made.status is Status.ERROR, made.status

    @staticmethod
    def _check(world: World, made: Snapshot) -> None:
        if world.stage.keeps_in_sight:
            assert world.stage.kept(made) == world.now, "the snapshot does not hold what the share held"

    def tried_again(self, world: World, *names: str) -> None:
        """Delete what is there of it, and take it again."""
        self.taken_back(world)
        self.call(world.manager, *names)
        made = world.fresh_snapshot()
        assert made is not None
        world.now = world.stage.tree(world.share).record()
        self._check(world, made)

    def taken_back(self, world: World) -> None:
        """Delete it."""
        if made := world.fresh_snapshot():
            world.manager.delete_snapshot(CONTEXT, made.id)


class DeleteSnapshot(Verb):
    """The end of a snapshot."""

    needs = ("snapshots",)

    def prepared(self, world: World) -> tuple[str, ...]:
        """Take one."""
        return (world.stage.snapshot(world.share, FRESH).id,)

    @staticmethod
    def call(manager: ShareManager, *names: str) -> object:
        """Delete it."""
        manager.delete_snapshot(CONTEXT, names[0])
        return None

    def tried_again(self, world: World, *names: str) -> None:
        """Delete it unless it is gone."""
        if world.fresh_snapshot():
            self.call(world.manager, *names)
        assert world.fresh_snapshot() is None


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

    def contents(self, world: World) -> list[Record]:
        """The old content, or the snapshot's."""
        return [world.now, world.taken["newer"][1]]

    def tried_again(self, world: World, *names: str) -> None:
        """Revert again."""
        self.call(world.manager, *names)
        assert world.stage.tree(world.share).record() == world.taken["newer"][1], "the content is not the snapshot's"
        assert world.stage.now(world.share).size == world.newer.size, "the size is not the snapshot's"

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


VERBS: dict[str, Verb] = {
    "create_share": CreateShare(),
    "create_share_from_snapshot": CreateShareFromSnapshot(),
    "delete_share": DeleteShare(),
    "extend_share": ExtendShare(),
    "shrink_share": ShrinkShare(),
    "create_snapshot": CreateSnapshot(),
    "delete_snapshot": DeleteSnapshot(),
    "revert": Revert(),
    "revert_to_smaller": RevertToSmaller(),
    **ACCESSING,
    **ADOPTING,
}
"""By the name under which a sweep's case is found: ``test_faults[revert]``."""
