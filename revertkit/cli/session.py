"""One run of the command line: its global options, and the manager that its commands call. Opened late, for speed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from revertkit.cli.output import note
from revertkit.cli.progress import ProgressBar

if TYPE_CHECKING:
    from revertkit.manager import ShareManager
    from revertkit.models import Context, Operation
    from revertkit.operations.accepted import Accepted
    from revertkit.settings import Settings


@dataclass
class Session:
    """The global options, and what follows from them."""

    config: Path | None = None
    project: str | None = None
    verbose: bool = False
    running: Operation | None = None

    @cached_property
    def settings(self) -> Settings:
        """The settings; read once."""
        from revertkit.settings import load

        return load(self.config)

    def settings_for_api(self, given: dict[str, Any]) -> Settings:
        """The settings with what was given for the REST API over them.

        Raises:
            InvalidInput: a value that cannot be one.
        """
        from pydantic import ValidationError

        from revertkit.errors import InvalidInput
        from revertkit.settings import ApiSettings

        try:
            api = ApiSettings.model_validate({**self.settings.api.model_dump(), **given})
        except ValidationError as wrong:
            said = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in wrong.errors())
            raise InvalidInput(said) from None
        return self.settings.model_copy(update={"api": api, "project": self.context().project_id})

    def context(self, project: str | None = None) -> Context:
        """Say for which project a command speaks: the one named, else that of --project, else of the settings.

        Raises:
            InvalidInput: it cannot be one's name.
        """
        from revertkit.errors import InvalidInput
        from revertkit.models import Context, checked_name

        named = next(p for p in (project, self.project, self.settings.project) if p is not None)
        try:
            return Context(project_id=checked_name(named))
        except ValueError as wrong:
            raise InvalidInput(f"project: {wrong}") from None

    @contextmanager
    def manager(self, *, hint: bool = False) -> Iterator[ShareManager]:
        """Open the manager, with a progress bar; `hint` tells of interrupted operations at the end.

        Raises:
            SettingsError, StoreError, LockError: as :meth:`ShareManager.open`.
        """
        from revertkit.manager import ShareManager

        set_up_logs(verbose=self.verbose)
        with ProgressBar() as bar:
            manager = ShareManager.open(self.settings, dispatch=self._dispatch, progress=bar)
            try:
                yield manager
            except KeyboardInterrupt:
                self._advise()
                raise
        if hint and (left := len(manager.interrupted())):
            was = "operation was" if left == 1 else "operations were"
            note(f"{left} {was} interrupted; run `revertkit recover`")

    def _dispatch(self, accepted: Accepted) -> None:
        """Run it here, and know at an interrupt that it was under way."""
        self.running = accepted.operation
        accepted.run()
        self.running = None

    def _advise(self) -> None:
        if self.running:
            what = self.running.kind.replace("_", " ")
            note(f"interrupted in the middle: {what} of share {self.running.share_id}; run `revertkit recover`")


def set_up_logs(*, verbose: bool, level: str | None = None) -> None:
    """Send the log to stderr: all of it if `verbose`, else from `level` on; without one nothing, because what went
    wrong is in the error already."""
    import logging

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    logger = logging.getLogger("revertkit")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.DEBUG if verbose else level or logging.CRITICAL + 1)


def session_of(ctx: typer.Context) -> Session:
    """Answer the session of a command."""
    session = ctx.find_object(Session)
    assert session is not None
    return session
