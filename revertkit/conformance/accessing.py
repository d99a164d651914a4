"""The operations on who may mount a share, or a snapshot."""

from __future__ import annotations

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

    def tried_again(self, world: World, *names: str) -> None:
        """Take away what is there of the rule, and allow again."""
        self.taken_back(world)
        self.call(world.manager, *names)

    def taken_back(self, world: World) -> None:
        """Take the rule away."""
        for rule in world.manager.access_rules(CONTEXT, world.share.id):
            world.manager.deny_access(CONTEXT, world.share.id, rule.id)


class DenyAccess(AllowAccess):
    """One fewer may mount it."""

    def prepared(self, world: World) -> tuple[str, ...]:
        """Let it in first."""
        return (world.share.id, world.stage.allow(world.share))

    @staticmethod
    def call(manager: ShareManager, *names: str) -> object:
        """Take the rule away."""
        manager.deny_access(CONTEXT, *names)
        return None

    def tried_again(self, world: World, *names: str) -> None:
        """Take the rule away unless it is gone."""
        try:
            self.call(world.manager, *names)
        except NotFound:
            assert not world.manager.access_rules(CONTEXT, world.share.id)


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

    def tried_again(self, world: World, *names: str) -> None:
        """Take away what is there of the rule, and allow again."""
        self.taken_back(world)
        AllowSnapshotAccess.call(world.manager, world.newer.id)
        rules = world.manager.snapshot_access_rules(CONTEXT, world.newer.id)
        assert [(rule.access_to, rule.state) for rule in rules] == [(ADDRESS, RuleState.ACTIVE)]

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

    def tried_again(self, world: World, *names: str) -> None:
        """Take the rule away unless it is gone, and let it in again."""
        self.taken_back(world)
        assert not world.manager.snapshot_access_rules(CONTEXT, world.newer.id)
        super().tried_again(world)


ACCESSING: dict[str, Verb] = {
    "allow_access": AllowAccess(),
    "deny_access": DenyAccess(),
    "allow_snapshot_access": AllowSnapshotAccess(),
    "deny_snapshot_access": DenySnapshotAccess(),
}
"""As :data:`revertkit.conformance.verbs.VERBS`."""
