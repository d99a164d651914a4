"""The operations that are interrupted: how each is called, seen to be done, tried again, and taken back.

What is called may run in another process, so that it is a function of a module with names for arguments.
"""

from __future__ import annotations

from revertkit.conformance.accessing import ACCESSING
from revertkit.conformance.adopting import ADOPTING
from revertkit.conformance.resizing import RESIZING
from revertkit.conformance.reverting import REVERTING
from revertkit.conformance.stage import CONTEXT, TYPE
from revertkit.conformance.trees import Record, Tree
from revertkit.conformance.world import FRESH, Verb, World
from revertkit.manager import ShareManager
from revertkit.models import Share, Snapshot
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

    def done(self, world: World, *names: str) -> None:
        """It can be used."""
        world.stage.tree(self._made(world)).write("word", b"it can be used")

    @staticmethod
    def _made(world: World) -> Share:
        made = world.fresh_share()
        assert made is not None
        assert made.status is Status.AVAILABLE, made.status
        return made

    def recovered(self, world: World) -> None:
        """See that it is whole, or in error: half a share is no available one."""
        if made := world.fresh_share():
            if made.status is Status.AVAILABLE:
                self.done(world)
            else:
                assert made.status is Status.ERROR, made.status

    def tried_again(self, world: World, *names: str) -> None:
        """Delete what is there of it, and make it again."""
        self.taken_back(world)
        super().tried_again(world, *names)

    def taken_back(self, world: World) -> None:
        """Delete it."""
        if made := world.fresh_share():
            world.manager.delete_share(CONTEXT, made.id)


class CreateShareFromSnapshot(CreateShare):
    """A share with a snapshot's content."""

    needs = ("create_from_snapshot",)
    expected: Record
    """What the one that was made has to hold: the snapshot's content, and what was written to it since."""

    def prepared(self, world: World) -> tuple[str, ...]:
        """Name pool and snapshot."""
        self.expected = world.taken["newer"][1]
        return (*super().prepared(world), world.newer.id)

    @staticmethod
    def call(manager: ShareManager, *names: str) -> object:
        """Make it."""
        pool, snapshot = names
        return manager.create_share(CONTEXT, 1, name=FRESH, share_type=TYPE, pool=pool, snapshot=snapshot)

    def done(self, world: World, *names: str) -> None:
        """It has the snapshot's content, and can be used."""
        tree = world.stage.tree(self._made(world))
        assert tree.record() == self.expected, "it does not hold what the snapshot holds, and what was written since"
        super().done(world, *names)
        self.expected = tree.record()

    def taken_back(self, world: World) -> None:
        """Delete it: the next one starts with the snapshot's content."""
        super().taken_back(world)
        self.expected = world.taken["newer"][1]


class DeleteShare(Verb):
    """The end of a share."""

    tree: Tree
    """How its content was reached."""

    def prepared(self, world: World) -> tuple[str, ...]:
        """Make one that has content."""
        made = world.stage.share(name=FRESH)
        world.stage.planted(made, "fresh")
        self.tree = world.stage.tree(made)
        return (made.id,)

    @staticmethod
    def call(manager: ShareManager, *names: str) -> object:
        """Delete it."""
        (share,) = names
        manager.delete_share(CONTEXT, share)
        return None

    def done(self, world: World, *names: str) -> None:
        """It is neither on record nor to be read."""
        assert world.fresh_share() is None
        assert not self.tree.reachable(), "the share is deleted, and can be read"

    def tried_again(self, world: World, *names: str) -> None:
        """Delete it unless it is gone."""
        if world.fresh_share():
            self.call(world.manager, *names)
        self.done(world, *names)


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

    def done(self, world: World, *names: str) -> None:
        """It holds what the share holds; one of which was told that it cannot be mounted is seen once it is mended."""
        made = world.fresh_snapshot()
        assert made is not None
        assert made.status is Status.AVAILABLE, made.status
        if not world.out_of_reach(made):
            self._check(world, made)

    @staticmethod
    def _check(world: World, made: Snapshot) -> None:
        if world.stage.keeps_in_sight:
            assert world.stage.kept(made) == world.now, "the snapshot does not hold what the share held"

    def tried_again(self, world: World, *names: str) -> None:
        """Delete what is there of it, and take it again."""
        self.taken_back(world)
        super().tried_again(world, *names)

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

    def done(self, world: World, *names: str) -> None:
        """It is not on record; that nothing is left of it is seen at the end."""
        assert world.fresh_snapshot() is None

    def tried_again(self, world: World, *names: str) -> None:
        """Delete it unless it is gone."""
        if world.fresh_snapshot():
            self.call(world.manager, *names)
        self.done(world, *names)


VERBS: dict[str, Verb] = {
    "create_share": CreateShare(),
    "create_share_from_snapshot": CreateShareFromSnapshot(),
    "delete_share": DeleteShare(),
    **RESIZING,
    "create_snapshot": CreateSnapshot(),
    "delete_snapshot": DeleteSnapshot(),
    **REVERTING,
    **ACCESSING,
    **ADOPTING,
}
"""By the name under which a sweep's case is found: ``test_faults[revert]``."""
