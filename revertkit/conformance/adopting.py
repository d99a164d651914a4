"""The operations that take on what is somebody else's, and let go of it: what is on it is there at every moment."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from revertkit.conformance.stage import CONTEXT, TYPE
from revertkit.conformance.trees import Record
from revertkit.conformance.world import FRESH, Verb, World
from revertkit.manager import ShareManager
from revertkit.models import Share, Snapshot
from revertkit.status import Status


class Adopting(Verb):
    """Taking something on, or letting go of it: after an interruption it is ours, or somebody else's as before."""

    called: Callable[[], str]
    """A look at what it is called by now."""
    held: Record
    """What is on it."""

    @abstractmethod
    def made(self, world: World) -> Share | Snapshot | None:
        """Find it where it is on record."""

    @abstractmethod
    def adopt(self, world: World) -> None:
        """Take it on, under the name that it has by now."""

    @abstractmethod
    def unmanage(self, world: World) -> None:
        """Take it off the record, where it is there."""

    def let_go(self, world: World) -> None:
        """Let go of it; it stays where it is."""
        self.unmanage(world)
        self.check_let_go(world)

    def check_let_go(self, world: World) -> None:
        """See that it is not on record, and there."""
        assert self.made(world) is None
        assert self.called(), "letting go of it removed it"

    @abstractmethod
    def check(self, world: World) -> None:
        """See that it is available, with all that it held."""

    def adopted(self, world: World) -> str:
        """Take it on; answer its id on record."""
        self.adopt(world)
        made = self.made(world)
        assert made is not None
        return made.id

    def done(self, world: World, *names: str) -> None:
        """It is ours, with all that it held."""
        self.check(world)

    def recovered(self, world: World) -> None:
        """See that it is one of these two."""
        if self.made(world):
            self.check(world)
        else:
            assert self.called(), "it is neither on record nor on the backend"

    def tried_again(self, world: World, *names: str) -> None:
        """Take it on, let go of it and take it on again: it holds what it did."""
        if not self.made(world):
            self.adopt(world)
        self.check(world)
        self.let_go(world)
        self.adopt(world)
        self.check(world)

    def taken_back(self, world: World) -> None:
        """Let go of it, and remove it."""
        self.unmanage(world)
        world.stage.borrowed.close()


class ManageShare(Adopting):
    """A share that was somebody else's, with content."""

    needs = ("manage", "foreign_share")

    def prepared(self, world: World) -> tuple[str, ...]:
        """Name the pool, and what has been a share before."""
        self.called = world.stage.borrowed.enter_context(world.stage.harness.foreign_share(1))
        self.adopt(world)
        made = self.made(world)
        assert made is not None
        self.held = world.stage.planted(made, "fresh")
        self.let_go(world)
        return (str(world.stage.pool_id), self.called())

    @staticmethod
    def call(manager: ShareManager, *names: str) -> object:
        """Adopt it."""
        pool, existing = names
        return manager.manage_share(CONTEXT, pool, existing, name=FRESH, share_type=TYPE)

    def made(self, world: World) -> Share | None:
        """Find the share."""
        return world.fresh_share()

    def adopt(self, world: World) -> None:
        """Manage it."""
        ManageShare.call(world.manager, str(world.stage.pool_id), self.called())

    def unmanage(self, world: World) -> None:
        """Unmanage it."""
        if made := self.made(world):
            world.manager.unmanage_share(CONTEXT, made.id)

    def check(self, world: World) -> None:
        """Read it where it is online."""
        made = self.made(world)
        assert made is not None
        assert made.status is Status.AVAILABLE, made.status
        assert world.stage.tree(made).record() == self.held, "its content is not what it was"


class UnmanageShare(ManageShare):
    """A share that is somebody else's again."""

    def prepared(self, world: World) -> tuple[str, ...]:
        """Adopt it."""
        super().prepared(world)
        return (self.adopted(world),)

    @staticmethod
    def call(manager: ShareManager, *names: str) -> object:
        """Let go of it."""
        return manager.unmanage_share(CONTEXT, names[0])

    def done(self, world: World, *names: str) -> None:
        """It is somebody else's."""
        self.check_let_go(world)


class ManageSnapshot(Adopting):
    """A snapshot that was somebody else's."""

    needs = ("manage_snapshots", "foreign_snapshot")

    def prepared(self, world: World) -> tuple[str, ...]:
        """Name the share, and its new snapshot."""
        share, self.held = world.stage.now(world.share), world.now
        self.called = world.stage.borrowed.enter_context(world.stage.harness.foreign_snapshot(share.replica))
        return (share.id, self.called())

    @staticmethod
    def call(manager: ShareManager, *names: str) -> object:
        """Adopt it."""
        share, existing = names
        return manager.manage_snapshot(CONTEXT, share, existing, name=FRESH)

    def done(self, world: World, *names: str) -> None:
        """It is ours, with all that it held; what was told that it cannot be mounted is seen once it is mended."""
        made = self.made(world)
        assert made is not None
        if not world.out_of_reach(made):
            self.check(world)

    def made(self, world: World) -> Snapshot | None:
        """Find the snapshot."""
        return world.fresh_snapshot()

    def adopt(self, world: World) -> None:
        """Manage it."""
        ManageSnapshot.call(world.manager, world.share.id, self.called())

    def unmanage(self, world: World) -> None:
        """Unmanage it."""
        if made := self.made(world):
            world.manager.unmanage_snapshot(CONTEXT, made.id)

    def check(self, world: World) -> None:
        """Read it where the harness can."""
        made = self.made(world)
        assert made is not None
        assert made.status is Status.AVAILABLE, made.status
        if world.stage.keeps_in_sight:
            assert world.stage.kept(made) == self.held, "it does not hold what it did"


class UnmanageSnapshot(ManageSnapshot):
    """A snapshot that is somebody else's again."""

    def prepared(self, world: World) -> tuple[str, ...]:
        """Adopt it."""
        super().prepared(world)
        return (self.adopted(world),)

    @staticmethod
    def call(manager: ShareManager, *names: str) -> object:
        """Let go of it."""
        return manager.unmanage_snapshot(CONTEXT, names[0])

    def done(self, world: World, *names: str) -> None:
        """It is somebody else's."""
        self.check_let_go(world)


ADOPTING: dict[str, Verb] = {
    "manage_share": ManageShare(),
    "unmanage_share": UnmanageShare(),
    "manage_snapshot": ManageSnapshot(),
    "unmanage_snapshot": UnmanageSnapshot(),
}
"""As :data:`revertkit.conformance.verbs.VERBS`."""
