"""The operations on who may mount a share, or a snapshot."""

from __future__ import annotations

from contextlib import suppress

from revertkit.conformance.stage import ADDRESS, CONTEXT
from revertkit.conformance.world import Verb, World
from revertkit.errors import NotFound
from revertkit.manager import ShareManager
from revertkit.status import RuleState


class AllowAccess(Verb):
    """One more may mount it."""

    needs = ("access_rules", "exports")
    changes = False
    keeps_access = False

    @staticmethod
    def call(manager: ShareManager, *names: str) -> object:
        """Let an address in."""
        return manager.allow_access(CONTEXT, names[0], ADDRESS)

    def done(self, world: World, *names: str) -> None:
        """It is let in."""
        assert world.stage.access(world.share) == world.access, "the share is not exported to whom it is by its rules"

    def tried_again(self, world: World, *names: str) -> None:
        """Take away what is there of the rule, and allow again."""
        self.taken_back(world)
        super().tried_again(world, *names)

    def taken_back(self, world: World) -> None:
        """Take the rule away."""
        for rule in world.manager.access_rules(CONTEXT, world.share.id):
            world.manager.deny_access(CONTEXT, world.share.id, rule.id)


class DenyAccess(AllowAccess):
    """One fewer may mount it."""

    closed: object
    """To whom it is exported without the rule."""

    def prepared(self, world: World) -> tuple[str, ...]:
        """Let it in first."""
        self.closed = world.stage.access(world.share)
        return (world.share.id, world.stage.allow(world.share))

    @staticmethod
    def call(manager: ShareManager, *names: str) -> object:
        """Take the rule away."""
        manager.deny_access(CONTEXT, *names)
        return None

    def done(self, world: World, *names: str) -> None:
        """It is let in no more."""
        assert world.stage.access(world.share) == self.closed, "the share is exported to whom no rule lets in"

    def tried_again(self, world: World, *names: str) -> None:
        """Take the rule away unless it is gone."""
        with suppress(NotFound):
            self.call(world.manager, *names)
        self.done(world, *names)


class AllowSnapshotAccess(Verb):
    """One more may mount a snapshot; nothing happens to its share."""

    needs = ("mountable_snapshots", "access_rules", "exports")
    changes = False

    def prepared(self, world: World) -> tuple[str, ...]:
        """Name the snapshot."""
        return (world.newer.id,)

    @staticmethod
    def call(manager: ShareManager, *names: str) -> object:
        """Let an address in."""
        return manager.allow_snapshot_access(CONTEXT, names[0], ADDRESS)

    def done(self, world: World, *names: str) -> None:
        """It is let in, by the record: no hook looks further."""
        rules = world.manager.snapshot_access_rules(CONTEXT, world.newer.id)
        assert [(rule.access_to, rule.state) for rule in rules] == [(ADDRESS, RuleState.ACTIVE)]

    def tried_again(self, world: World, *names: str) -> None:
        """Take away what is there of the rule, and allow again."""
        self.taken_back(world)
        super().tried_again(world, *names)

    def taken_back(self, world: World) -> None:
        """Take the rule away."""
        for rule in world.manager.snapshot_access_rules(CONTEXT, world.newer.id):
            world.manager.deny_snapshot_access(CONTEXT, world.newer.id, rule.id)


class DenySnapshotAccess(AllowSnapshotAccess):
    """One fewer may mount a snapshot."""

    def prepared(self, world: World) -> tuple[str, ...]:
        """Let it in first."""
        (snapshot,) = super().prepared(world)
        return (snapshot, world.manager.allow_snapshot_access(CONTEXT, snapshot, ADDRESS).id)

    @staticmethod
    def call(manager: ShareManager, *names: str) -> object:
        """Take the rule away."""
        manager.deny_snapshot_access(CONTEXT, *names)
        return None

    def done(self, world: World, *names: str) -> None:
        """It is let in no more, by the record."""
        assert not world.manager.snapshot_access_rules(CONTEXT, world.newer.id)

    def tried_again(self, world: World, *names: str) -> None:
        """Take the rule away unless it is gone, and let it in again."""
        self.taken_back(world)
        self.done(world, *names)
        allow = ACCESSING["allow_snapshot_access"]
        allow.tried_again(world, world.newer.id)


ACCESSING: dict[str, Verb] = {
    "allow_access": AllowAccess(),
    "deny_access": DenyAccess(),
    "allow_snapshot_access": AllowSnapshotAccess(),
    "deny_snapshot_access": DenySnapshotAccess(),
}
"""As :data:`revertkit.conformance.verbs.VERBS`."""
