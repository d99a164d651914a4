"""Every error that revertkit raises on purpose, and the exit code of the command line for each.

::

    RevertkitError                1   anything below; never raised itself
    ├── InvalidInput              2   a name, size or option that is wrong in itself
    ├── NotFound                  3   no such share, snapshot, type, …
    │   └── Ambiguous             3   a name that several carry; says their ids
    ├── Conflict                  4   right in itself, but not now: a status, an operation under way, not the latest
    │   ├── HasReplicas           4   the share has other replicas, which go first
    │   └── Blocked               4   the backend stands in the way; every blocker is named, nothing has changed
    ├── QuotaExceeded             5   over quota, with the numbers
    ├── NotSupported              6   the share, its type or its backend cannot do this
    ├── BackendError              7   the backend failed; the share's status says what to do
    │   ├── CommandFailed         7   a tool failed, with its argv, status and stderr
    │   └── OperationFailed       7   an accepted operation ended badly; a user message is on record
    ├── StoreError                8   the database cannot be used
    ├── LockError                 8   the locks cannot be used
    ├── SettingsError             9   the settings file, a REVERTKIT_ variable or the state directory
    └── DriverRefused            10   a driver that this version will not load, or that lacks something here

Exit code 11 is the user's own "no" (or no terminal to ask at), 130 an interrupt. An error says what was wrong, what
was found, and what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from revertkit.models import Blocker


class RevertkitError(Exception):
    """What every error of revertkit is."""

    exit_code: ClassVar[int] = 1


class InvalidInput(RevertkitError):
    """What was asked is wrong in itself; nothing was looked up or changed."""

    exit_code = 2


class NotFound(RevertkitError):
    """There is no such thing, or it is another project's."""

    exit_code = 3


class Ambiguous(NotFound):
    """Several things carry this name; the message says their ids."""


class Conflict(RevertkitError):
    """It cannot be done now. Nothing has changed."""

    exit_code = 4


class HasReplicas(Conflict):
    """A share that has replicas beside its active one; they are named."""


class Blocked(Conflict):
    """A backend's refusal: nothing has changed, and every blocker is named."""

    def __init__(self, *blockers: Blocker) -> None:
        self.blockers = blockers
        super().__init__("; ".join(f"{b.what} ({b.mend})" for b in blockers))


class QuotaExceeded(RevertkitError):
    """Over quota; the message has the numbers. Nothing has changed."""

    exit_code = 5


class NotSupported(RevertkitError):
    """The share, its type or its backend cannot do this. Nothing has changed."""

    exit_code = 6


class BackendError(RevertkitError):
    """The backend failed. What it left is asked of the backend, never guessed."""

    exit_code = 7


class CommandFailed(BackendError):
    """A tool exited badly or ran out of time (then `status` is None and it was sent SIGTERM)."""

    def __init__(self, argv: list[str], status: int | None, stderr: str) -> None:
        self.argv, self.status, self.stderr = argv, status, stderr
        how = "ran out of time" if status is None else f"exited with {status}"
        super().__init__(f"{' '.join(argv)} {how}: {stderr.strip() or 'it said nothing'}")


class OperationFailed(BackendError):
    """An accepted operation ended badly; the share's status and a user message say what was found."""


class StoreError(RevertkitError):
    """The database cannot be opened, read or written, or is of another version."""

    exit_code = 8


class LockError(RevertkitError):
    """The locks cannot be reached. Nothing goes on without one."""

    exit_code = 8


class SettingsError(RevertkitError):
    """The settings are wrong: the file, its line and key, or the variable."""

    exit_code = 9


class DriverRefused(RevertkitError):
    """A driver will not be loaded: its version, its class, or what this host lacks, and the mend."""

    exit_code = 10
