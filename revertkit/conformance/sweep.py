"""Interrupting one operation at each of its steps, in each way, and seeing every time that nothing is lost."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from revertkit.conformance.interruptions import Ended, Way, interrupted, lied_to, steps_and_commands
from revertkit.conformance.points import Points, sample
from revertkit.conformance.report import Swept
from revertkit.conformance.requirements import Missing
from revertkit.conformance.stage import CONTEXT, Stage
from revertkit.conformance.world import Verb, World
from revertkit.manager import ShareManager
from revertkit.models import Share
from revertkit.status import Status

log = logging.getLogger(__name__)
LIE = "lie"
RECOVERIES = 2
"""After how many deaths of an operation its recovery dies too, at each of its own steps; after as many again of those
that leave a revert half way."""
AT = "at this point: "
"""How the note begins that says where a sweep was."""


class Sweep:
    """One operation, swept."""

    def __init__(self, stage: Stage, name: str, verb: Verb) -> None:
        self.stage, self.name, self.verb = stage, name, verb
        self.world = World(stage)
        if "exports" in verb.needs and self.world.not_exported:
            raise Missing("exports", self.world.not_exported)
        if not verb.keeps_access:
            verb.taken_back(self.world)

    def undisturbed(self) -> tuple[list[str], list[str]]:
        """Let it run its course once; answer its steps, and its commands."""
        names = self.verb.prepared(self.world)
        found = steps_and_commands(lambda: self.verb.call(self.stage.manager, *names))
        self.verb.done(self.world, *names)
        self.verb.taken_back(self.world)
        return found

    def interrupted_everywhere(self, asked: Points) -> list[Swept]:
        """Raise and kill at each of its steps, or where it is `asked` for; after some deaths, kill recovery too.

        Raises:
            AssertionError: something was lost, or it has to have steps and shows none; a note says at which point.
        """
        steps, _ = self.undisturbed()
        assert steps or not self.verb.changes, (
            f"{self.name} changes the backend and opens no step: it cannot be interrupted here. "
            "Open a revertkit.system.run.step around each change; commands by revertkit.system.run.run open theirs"
        )
        points = [(number, way) for number in range(len(steps)) for way in Way]
        swept = Swept(operation=self.name, steps=len(steps), points=len(points), swept=0)
        deaths: dict[bool, list[tuple[int, Way, int]]] = {True: [], False: []}
        for number, way in asked.drawn(points, self.name, lambda point: point_of(self.name, steps, *point)):
            with at(point_of(self.name, steps, number, way)):
                halfway, recovery = self._point(
                    lambda *names, n=number, w=way: interrupted(self.stage, w, n, self.verb.call, *names)
                )
            swept.count(str(way))
            if way.deadly:
                deaths[halfway].append((number, way, recovery))
        again = [death for found in deaths.values() for death in sample(found, RECOVERIES, f"{asked.seed} {self.name}")]
        recoveries = self._recoveries_killed(again, steps, asked)
        self._end()
        return [swept, recoveries] if recoveries.points else [swept]

    def _recoveries_killed(self, deaths: Sequence[tuple[int, Way, int]], steps: list[str], asked: Points) -> Swept:
        """Kill the recovery from each of these deaths, which took so many steps, after each step or at a sample."""
        points = [(number, way, step) for number, way, taken in deaths for step in range(taken)]
        most = max((taken for _, _, taken in deaths), default=0)
        swept = Swept(operation=f"{self.name} (recovery)", steps=most, points=len(points), swept=0)

        def called(point: tuple[int, Way, int]) -> str:
            number, way, step = point
            return f"{point_of(self.name, steps, number, way)}, then recovery: death after its step {step + 1}"

        for number, way, step in asked.drawn(points, swept.operation, called):
            with at(called((number, way, step))):
                if self._recovery_killed(way, number, step):
                    swept.count(str(Way.DEATH_AFTER))
                else:
                    swept.points -= 1  # this time it took fewer
        return swept

    def _recovery_killed(self, way: Way, number: int, step: int) -> bool:
        names = self.verb.prepared(self.world)
        interrupted(self.stage, way, number, self.verb.call, *names)
        self.stage.manager = self.stage.opened()
        ended = interrupted(self.stage, Way.DEATH_AFTER, step, _recover)
        self._mended(names)
        return ended.came

    def lied_to_everywhere(self, asked: Points) -> Swept:
        """Let each of its commands, or those `asked` for, answer success and do nothing.

        Raises:
            Missing: it runs none. AssertionError: as :meth:`interrupted_everywhere`.
        """
        _, commands = self.undisturbed()
        if not commands:
            raise Missing("commands", f"{self.name} runs no command by revertkit.system.run")
        swept = Swept(operation=f"{self.name} ({LIE})", steps=len(commands), points=len(commands), swept=0)
        for number in asked.drawn(range(len(commands)), swept.operation, lambda lie: lie_of(self.name, lie, commands)):
            with at(lie_of(self.name, number, commands)):
                self._point(lambda *names, n=number: lied_to(self.stage, n, self.verb.call, *names))
            swept.count(LIE)
        self._end()
        return swept

    def _point(self, interrupt: Callable[..., Ended]) -> tuple[bool, int]:
        """Interrupt it, and see that all can be mended; answer whether it was left half way, and recovery's steps."""
        names = self.verb.prepared(self.world)
        ended = interrupt(*names)
        assert ended.came, "it took fewer steps than when nothing disturbed it, and was not interrupted"
        if ended.answered:
            self.verb.done(self.world, *names)
        return self._mended(names)

    def _mended(self, names: tuple[str, ...]) -> tuple[bool, int]:
        self.stage.manager = self.stage.opened()
        halfway = self.verb.left_halfway(self.world)
        steps = self._recover()
        self.verb.recovered(self.world)
        self._check()
        self._write_and_recover()
        self.verb.tried_again(self.world, *names)
        self.world.check_size(self.stage.now(self.world.share))
        self.stage.assert_at_rest()
        self.verb.taken_back(self.world)
        return halfway, steps

    def _recover(self) -> int:
        """Start anew, as after the death of the program; answer how many steps that took."""
        self.stage.manager = self.stage.opened()
        steps, _ = steps_and_commands(self.stage.manager.recover)
        self.stage.assert_at_rest()
        return len(steps)

    def _check(self) -> None:
        stage, world = self.stage, self.world
        share, tree = stage.now(world.share), stage.tree(world.share)
        assert share.status is Status.AVAILABLE, self._said(share)
        world.check_size(share)
        found = tree.record()
        assert found == self.verb.content(world), "the share does not hold what it has to by what is on record"
        world.now = found
        if self.verb.keeps_access:
            assert stage.access(world.share) == world.access, "the share is not exported as before"
        for snapshot, held in world.taken.values():
            assert stage.manager.snapshot(CONTEXT, snapshot.id).status is Status.AVAILABLE, (
                "a snapshot is not available"
            )
            assert not stage.keeps_in_sight or stage.kept(snapshot) == held, "a snapshot has lost its content"

    def _said(self, share: Share) -> str:
        """Say what recovery has said, and what of a driver it goes by."""
        told = next((message.text for message in self.stage.manager.messages(CONTEXT)), "nothing")
        hint = "between the old data and the new, a driver answers HALFWAY, and finishes when it is called again"
        if share.status is not Status.REVERTING_ERROR:
            hint = "a driver that is called again finishes what it has begun"
        return f"the share is {share.status} after `recover`, which says: {told} ({hint})"

    def _write_and_recover(self) -> None:
        """What a client writes once the share is available is there after another start."""
        tree = self.stage.tree(self.world.share)
        tree.write("since", b"written after the recovery")
        self.world.now = tree.record()
        self.stage.opened().recover()
        assert self.stage.tree(self.world.share).record() == self.world.now, "another `recover` lost what was written"

    def _end(self) -> None:
        """See that every snapshot can be reverted to after all this."""
        stage, world = self.stage, self.world
        if stage.claims("revert"):
            for snapshot, held in reversed(world.taken.values()):
                stage.revert(snapshot)
                assert stage.tree(world.share).record() == held, "in the end a snapshot does not bring its content back"
                stage.drop(snapshot)
        stage.assert_nothing_left()


def _recover(manager: ShareManager) -> object:
    return manager.recover()


def point_of(operation: str, steps: Sequence[str], number: int, way: Way) -> str:
    """Call a point of an operation by a name."""
    return f"{operation}: {way} step {number + 1} of {len(steps)}, {steps[number]!r}"


def lie_of(operation: str, number: int, commands: Sequence[str]) -> str:
    """Call a lie to an operation by a name."""
    return f"{operation}: command {number + 1} of {len(commands)} answered 0 and did nothing, {commands[number]!r}"


@contextmanager
def at(point: str) -> Iterator[None]:
    """Let the log say that a sweep is at this point, and whatever is raised at which point it was."""
    log.info(point)
    try:
        yield
    except BaseException as failure:
        failure.add_note(AT + point)
        raise
