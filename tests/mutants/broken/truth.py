"""Broken in what they say."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import ClassVar

from broken.base import Broken
from revertkit.capabilities import Capability
from revertkit.drivers.directory import DirectoryDriver
from revertkit.drivers.directory.home import Home, Wrapper
from revertkit.models import (
    ExportLocation,
    Lack,
    Pool,
    Replica,
    Reverted,
    RevertPreview,
    SnapshotInstance,
    Stored,
)
from revertkit.system.run import step


class SaysHundredAtTheStart(Broken):
    """Done, says the bar, and the work begins."""

    seen_by = "test_progress_only_grows"

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        with step("begin") as progress:
            progress(100)
        return super().revert_to_snapshot(snapshot)


class ProgressGoesBack(Broken):
    """Further than it is, and then back."""

    seen_by = "test_progress_only_grows"

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        with step("begin") as progress:
            progress(90)
        return super().revert_to_snapshot(snapshot)


class DryRunThatChanges(Broken):
    """Tries whether the share can be taken offline by doing it."""

    seen_by = "test_dry_run_changes_nothing"

    def check_revert(self, snapshot: SnapshotInstance) -> RevertPreview:
        answer = super().check_revert(snapshot)
        with step("try to take it offline"):
            pass
        return answer


class ThrowsNothingAway(Broken):
    """A dry run promises that nothing would be lost, and has not looked."""

    seen_by = "test_dry_run_changes_nothing"

    def check_revert(self, snapshot: SnapshotInstance) -> RevertPreview:
        super().check_revert(snapshot)
        return RevertPreview(discards_bytes=0)


class AlwaysChangesSomething(Broken):
    """Mounts anew each time that it is asked to see to it."""

    seen_by = "test_nothing_is_changed_where_all_is_well"

    def ensure_share(self, share: Replica) -> list[ExportLocation]:
        answer = super().ensure_share(share)
        with step("mount it anew"):
            pass
        return answer


class ClaimsWhatOnlyRaises(Broken):
    """The entry point is there, and nothing behind it."""

    seen_by = "test_everything_that_is_claimed_can_be_called"

    def shrink_share(self, share: Replica, new_size: int) -> Stored:
        raise NotImplementedError


class DoesWhatItsPoolLacks(Broken):
    """Says that shares cannot be shrunk there, and shrinks them when it is asked."""

    seen_by = "test_what_is_not_claimed_is_refused"

    def pools(self) -> list[Pool]:
        lack = Lack(why="nothing can be shrunk here", mend="use another pool", capability=Capability.SHRINK)
        return [pool.model_copy(update={"lacks": (lack,)}) for pool in super().pools()]


class LacksByAnotherName(Broken):
    """Takes a capability away that no report knows: it is claimed all the same."""

    seen_by = "test_nothing_is_claimed_that_is_not_there"

    def pools(self) -> list[Pool]:
        lack = Lack(why="nothing can be shrunk here", mend="use another pool", capability="shrink")
        return [pool.model_copy(update={"lacks": (lack,)}) for pool in super().pools()]


class ClaimsInItsReport(DirectoryDriver):
    """Says in the report that it can, without the entry point."""

    api_version: ClassVar[int] = 1
    seen_by: ClassVar[str] = "test_nothing_is_claimed_that_is_not_there"

    def pools(self) -> list[Pool]:
        return [pool.model_copy(update={"extra": {"mount_snapshot_support": True}}) for pool in super().pools()]


class TrustsItsTools(DirectoryDriver):
    """A copy is complete when cp(1) says so."""

    api_version: ClassVar[int] = 1
    seen_by: ClassVar[str] = "test_lies[revert]"

    def _home(self, share: Replica) -> Home:
        return _Trusting(self.options.mount_root, share.id)


class _Trusting(Home):
    def _fill(self, part: Wrapper, source: Path | None, *, compare: bool) -> None:
        if source is not None:
            from revertkit.system.run import run

            part.data.mkdir()
            run(["cp", "--archive", f"{source}/.", part.data])
        else:
            super()._fill(part, source, compare=compare)


class RunsCommandsItself(Broken):
    """Starts them past revertkit, and never looks at their exit status."""

    seen_by = "test_lies[revert]"

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        with step("copy"):
            subprocess.run(["cp", "/nowhere/*", "/tmp"], stderr=subprocess.DEVNULL, check=False)
        return super().revert_to_snapshot(snapshot)
