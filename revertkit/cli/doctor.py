"""``revertkit doctor``: what this host can run, and the mend for what it cannot."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import typer

from revertkit.cli.output import Format, FormatOption, show_rows
from revertkit.cli.session import Session, session_of

if TYPE_CHECKING:
    from revertkit.registry import Listing
    from revertkit.settings import BackendSettings, Settings


@dataclass(frozen=True)
class Check:
    """One look at the host. `exit_code` is that of the problem, where something configured cannot run."""

    check: str
    state: str
    found: str
    mend: str = ""
    exit_code: int = 0


def doctor(ctx: typer.Context, output: FormatOption = Format.TABLE) -> None:
    """Look at what this host can run: settings, state directory, database, locks, backends, every driver.

    State directory and embedded database are made if they are not there, as by any other command. Exit code 0: all
    that is configured can run. Otherwise it is that of the first problem; what is only not there for drivers that
    nobody configured is a lack, not a problem.
    """
    checks = list(_checks(session_of(ctx)))
    rows = [{key: value for key, value in asdict(check).items() if key != "exit_code"} for check in checks]
    show_rows(rows, {"check": "Check", "state": "State", "found": "Found", "mend": "Mend"}, output, "")
    if problems := [check.exit_code for check in checks if check.exit_code]:
        raise typer.Exit(problems[0])


def add_to(app: typer.Typer) -> None:
    """Make it a command of `app`."""
    app.command("doctor")(doctor)


def _checks(session: Session) -> Iterator[Check]:
    from revertkit import __version__, registry

    yield Check("revertkit", "ok", f"{__version__}, Python {platform.python_version()}, {platform.system()}")
    settings = _tried("settings", partial(_settings, session))
    yield settings
    if not settings.exit_code:
        yield from _configured(session.settings)
    for listing in registry.listing():
        yield _driver(listing)
    yield _libzfs_core()


def _configured(settings: Settings) -> Iterator[Check]:
    yield _tried("state directory", partial(_state_dir, settings))
    yield _tried("database", partial(_database, settings))
    yield _tried("locks", partial(_locks, settings))
    for name, backend in settings.all_backends.items():
        yield _tried(f"backend {name}", partial(_backend, name, backend))


def _tried(check: str, look: Callable[[], str]) -> Check:
    from revertkit.errors import RevertkitError

    try:
        return Check(check, "ok", look())
    except RevertkitError as problem:
        return Check(check, "problem", str(problem), exit_code=problem.exit_code)


def _settings(session: Session) -> str:
    from revertkit.settings import file_for

    found = session.settings
    file = file_for(session.config)
    where = str(file) if file.exists() else f"no {file}: the defaults"
    return f"{where}; project {found.project}, {len(found.all_backends)} backend(s)"


def _state_dir(settings: Settings) -> str:
    from revertkit import state_dir

    state_dir.prepare_for(settings)
    return f"{settings.state_dir}, host {state_dir.host_name(settings.state_dir, settings.host)}"


def _database(settings: Settings) -> str:
    from revertkit.cli.db import open_store
    from revertkit.store import schema

    store = open_store(settings)
    schema.ensure(store, embedded=settings.database == "sqlite")
    return f"{store.shown}, version {schema.HEAD}"


def _locks(settings: Settings) -> str:
    from revertkit.locks import Locks

    Locks(settings.state_dir / "locks").hold("doctor").release()
    return str(settings.state_dir / "locks")


def _backend(name: str, backend: BackendSettings) -> str:
    from revertkit import registry

    pools = registry.open_backend(name, backend.driver, backend.options).pools()
    return f"{backend.driver}, pools: {', '.join(pool.name for pool in pools) or 'none'}"


def _driver(listing: Listing) -> Check:
    from revertkit.cli.driver import driver_row

    row = driver_row(listing)
    if listing.usable and not listing.lacks:
        return Check(f"driver {listing.name}", "ok", "can run here")
    return Check(f"driver {listing.name}", "lack", row["reason"], row["mend"])


def _libzfs_core() -> Check:
    if found := find_spec("libzfs_core"):
        return Check("libzfs_core", "ok", str(found.origin))
    mend = "for ZFS: apt install python3-pyzfs; a virtual environment sees it with --system-site-packages only"
    return Check("libzfs_core", "lack", "Python cannot import it", mend)
