"""What a sweep works on: a share with two snapshots; and what an operation has to say of itself to be swept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from revertkit.conformance.requirements import Missing
from revertkit.conformance.stage import CONTEXT, Stage
from revertkit.conformance.trees import Record
from revertkit.manager import ShareManager
from revertkit.models import Share, Snapshot

FRESH = "fresh"
"""What an operation makes, or what it is made for."""


class World:
    """A share with two snapshots and other content since."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.share = stage.share(name="subject")
        self.taken: dict[str, tuple[Snapshot, Record]] = {}
        if stage.claims("snapshots"):
            self.taken = {word: stage.taken(self.share, word) for word in ("older", "newer")}
        self.now = stage.planted(self.share, "now")
        self.not_exported = self._not_exported()
        self.access = stage.access(self.share)
        self.capacity = stage.tree(self.share).capacity()

    def _not_exported(self) -> str:
        """Export the share, so that there is an export to be lost; say why it cannot be."""
        if not self.stage.claims("access_rules"):
            return "access rules are not claimed"
        try:
            self.stage.allow(self.share)
        except Missing as missing:
            return str(missing)
        return ""

    @property
    def manager(self) -> ShareManager:
        """The manager, as the last start opened it."""
        return self.stage.manager

    @property
    def newer(self) -> Snapshot:
        """The most recent snapshot."""
        return self.taken["newer"][0]

    def plant_now(self) -> None:
        """Let the share's content be another one again than any snapshot's."""
        self.now = self.stage.planted(self.share, "now")

    def check_size(self, share: Share, *others: int) -> None:
        """See that what a share can hold is what is on record, or one of `others`.

        Within a tenth, since a file system needs some for itself; and no more than its pool has room for, where that
        promises more than it has.
        """
        small, found = self.capacity, self.stage.tree(share).capacity()
        if small is not None and found is not None:
            room = self.stage.room
            fits = any(0.9 * min(small * size, room) < found < 1.2 * small * size for size in (share.size, *others))
            assert fits, f"{share.size} GiB are on record, it holds {found} bytes"

    def fresh_share(self) -> Share | None:
        """Find the share that an operation made."""
        return next((share for share in self.manager.shares(CONTEXT) if share.name == FRESH), None)

    def fresh_snapshot(self) -> Snapshot | None:
        """Find the snapshot that an operation made."""
        return next((one for one in self.manager.snapshots(CONTEXT, self.share.id) if one.name == FRESH), None)

    def out_of_reach(self, snapshot: Snapshot) -> bool:
        """Whether a snapshot is reached nowhere, and a message says that it cannot be."""
        told = f"snapshot {snapshot.id} cannot be brought online"
        return not snapshot.export_locations and any(told in one.text for one in self.manager.messages(CONTEXT))


class Verb(ABC):
    """One operation."""

    needs: ClassVar[tuple[str, ...]] = ()
    changes: ClassVar[bool] = True
    """Whether it has to change something on any backend, so that there is a step to interrupt."""
    keeps_access: ClassVar[bool] = True
    """Whether the share is exported afterwards as it was before."""

    def prepared(self, world: World) -> tuple[str, ...]:
        """Make what it needs; answer the arguments of :meth:`call`."""
        return (world.share.id,)

    @staticmethod
    @abstractmethod
    def call(manager: ShareManager, *names: str) -> object:
        """Begin the operation, in whatever process."""

    @abstractmethod
    def done(self, world: World, *names: str) -> None:
        """See that it is done, wherever :meth:`call` answered success: undisturbed, interrupted, lied to, again."""

    def left_halfway(self, world: World) -> bool:
        """See, before anything is mended, that what is left half way is shown to nobody; say whether it is."""
        return False

    def content(self, world: World) -> Record:
        """Answer what the share has to hold after an interruption and a recovery."""
        return world.now

    def recovered(self, world: World) -> None:  # noqa: B027 - most have nothing of their own to look at
        """Do what is left to a user after `recover`, and look at what the interruption left of its own."""

    def tried_again(self, world: World, *names: str) -> None:
        """Do the same again, as the user who saw it fail, and see that it is done."""
        self.call(world.manager, *names)
        self.done(world, *names)

    def taken_back(self, world: World) -> None:  # noqa: B027 - or nothing to take back
        """Let the world be as it was before."""
