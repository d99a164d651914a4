"""Whether a revert looks again just before its point of no return, when the share is out of its users' reach.

Between the first look and that point somebody may open the share, who would go on reading and writing what is being
turned back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest

from revertkit.capabilities import verbs
from revertkit.conformance.refusing import revert_alone, still
from revertkit.conformance.replicas import REVERTED, replicated
from revertkit.conformance.requirements import Missing, behaviour, requires
from revertkit.conformance.stage import Stage
from revertkit.driver import SupportsRevert
from revertkit.errors import Blocked, OperationFailed
from revertkit.models import RevertState, Share, Snapshot
from revertkit.system.run import Moment, StepEvent, watching

__all__ = ["test_replicated_share_that_is_opened_meanwhile", "test_share_that_is_opened_meanwhile"]


@behaviour(9)
@requires("revert", "hold")
def test_share_that_is_opened_meanwhile(stage: Stage) -> None:
    """Whoever opens it after the first look is named by the second: refused, online and unchanged; then it goes on."""
    _looks_again(stage, stage.share())


@behaviour(9, 23)
@requires("hold", *REVERTED)
def test_replicated_share_that_is_opened_meanwhile(stage: Stage) -> None:
    """A replicated share that somebody opens: likewise, for what reverts it looks again for itself."""
    _looks_again(stage, replicated(stage, "zero")[0])


def _looks_again(stage: Stage, share: Share) -> None:
    snapshot, before = stage.taken(share, "first")
    since, tree = stage.planted(share, "since"), stage.tree(share)
    with _opened_meanwhile(stage, share, snapshot) as opened:
        try:
            stage.revert(snapshot)
        except OperationFailed as failure:
            _names(failure.__cause__, opened.who)
        else:
            opened.assert_too_late()
    still(tree, since)
    assert all(found.at_rest for found in stage.manager.recover())
    with stage.unchanged(share, snapshot), _opened_meanwhile(stage, share, snapshot) as opened:
        with pytest.raises(Blocked) as refused:
            revert_alone(stage, snapshot)
        _names(refused.value, opened.who)
        still(tree, since)
    stage.revert(snapshot)
    assert stage.tree(share).record() == before


def _names(refusal: BaseException | None, who: str) -> None:
    assert isinstance(refusal, Blocked), f"no refusal, but {refusal!r}"
    assert who, "it was refused before anybody opened the share"
    assert who in str(refusal), f"{who} is not in: {refusal}"


class _Opened:
    """A watcher by which somebody opens the share as the first step of its revert begins."""

    def __init__(self, stage: Stage, share: Share, snapshot: Snapshot, holder: ExitStack) -> None:
        self._driver, self._instance = verbs(stage.driver, SupportsRevert), stage.instance(snapshot)
        self._hold = partial(stage.harness.hold, stage.tree(share))
        self._holder, self._first = holder, ""
        self._after: RevertState | None = None
        self.who = ""

    def __call__(self, event: StepEvent) -> None:
        if event.moment is Moment.BEFORE and not self.who:
            self._first, self.who = event.name, self._holder.enter_context(self._hold())
        elif self._after is None and (event.moment, event.name) == (Moment.AFTER, self._first):
            self._after = self._driver.revert_state(self._instance)

    def assert_too_late(self) -> None:
        """See that a revert that went through could not have looked once more.

        Raises:
            Missing: its first step has turned the share back already. AssertionError: it could, and did not.
        """
        assert self.who, "the revert opened no step, so that nobody could open the share meanwhile"
        if self._after in (RevertState.HALFWAY, RevertState.REVERTED):
            raise Missing("second_look", f"the first step of a revert, {self._first!r}, turns the share back")
        raise AssertionError(f"it was reverted while {self.who} had it open")


@contextmanager
def _opened_meanwhile(stage: Stage, share: Share, snapshot: Snapshot) -> Iterator[_Opened]:
    with ExitStack() as holder:
        opened = _Opened(stage, share, snapshot, holder)
        with watching(opened):
            yield opened
