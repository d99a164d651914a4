"""The operations that change a share's size."""

from __future__ import annotations

from revertkit.conformance.stage import CONTEXT
from revertkit.conformance.world import FRESH, Verb, World
from revertkit.manager import ShareManager
from revertkit.models import Share
from revertkit.status import Status


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
        """See that it is online with its content: as it is on record, or, where it failed, of one of both sizes."""
        made = world.fresh_share()
        assert made is not None
        if made.status in (Status.EXTENDING_ERROR, Status.SHRINKING_ERROR):
            self._check(world, made, *self.sizes)
        else:
            assert made.status is Status.AVAILABLE, made.status
            self._check(world, made)

    def _check(self, world: World, made: Share, *sizes: int) -> None:
        world.check_size(made, *sizes)
        assert world.stage.tree(made).record() == self.held

    def done(self, world: World, *names: str) -> None:
        """It has the new size, by the record and by what it can hold, and its content."""
        made = world.fresh_share()
        assert made is not None
        assert (made.status, made.size) == (Status.AVAILABLE, self.sizes[1])
        self._check(world, made)

    def tried_again(self, world: World, *names: str) -> None:
        """Resize it unless that is done: it may have its new size, and have failed to come online."""
        made = world.fresh_share()
        assert made is not None
        if (made.status, made.size) != (Status.AVAILABLE, self.sizes[1]):
            self.call(world.manager, *names)
        self.done(world, *names)

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


RESIZING: dict[str, Verb] = {"extend_share": ExtendShare(), "shrink_share": ShrinkShare()}
"""As :data:`revertkit.conformance.verbs.VERBS`."""
