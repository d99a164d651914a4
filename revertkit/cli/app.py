"""The whole command: its groups, its global options, and how it ends."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from revertkit.cli import (
    access,
    db,
    demo,
    doctor,
    driver,
    manage,
    message,
    pool,
    quota,
    recover,
    replica,
    revert,
    serve,
    share,
    snapshot,
    snapshot_access,
    types,
)
from revertkit.cli.output import fail, note, visible
from revertkit.cli.session import Session

EPILOG = """
[bold]Examples[/bold]
  revertkit demo                                  all of it, on this machine
  revertkit type create std --snapshot-support --revert-to-snapshot-support
  revertkit share create 1 --name work --type std
  revertkit snapshot create work --name monday
  revertkit revert-to-snapshot monday --dry-run   what would be thrown away?
  revertkit revert-to-snapshot monday
  revertkit replica create work --wait            a copy in another pool, that follows
  revertkit revert-to-snapshot monday --wait      until every replica has followed
  revertkit share manage fast vg0/old --name old  adopt a volume that is there already
  revertkit share manage --all fast               after the loss of the database
  revertkit serve                                 the REST API, for `openstack share`
  revertkit --project blue share list --format json

[bold]Exit codes[/bold]
   0  done
   1  a fault of revertkit itself; of demo: something differs
   2  wrong input
   3  no such thing, or a name that several carry
   4  conflict: not now, not the latest, or the backend stands in the way
   5  over quota
   6  not supported by the share, its type or its backend
   7  the backend failed; of recover and share manage --all: something is left;
      of replica and --wait: a replica is not in sync
   8  the database or the locks cannot be used
   9  wrong settings
  10  a driver is refused
  11  not confirmed
 130  interrupted
"""


UsageError: type[Exception] = typer.BadParameter.__bases__[0]
"""Typer's own, which it does not export."""


class Root(TyperGroup):
    """The top of the command: whatever is raised below ends here, in one message and one exit code."""

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run a command and exit."""
        try:
            code = super().main(*args, **{**kwargs, "standalone_mode": False})
        except UsageError as wrong:
            _show_usage_error(wrong)
            code = 2
        sys.exit(code if isinstance(code, int) else 0)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse what is no text: nothing here has a name that cannot be stored."""
        for arg in args:
            try:
                arg.encode()
            except UnicodeEncodeError:
                raise typer.BadParameter(f"{visible(arg)!r} is not UTF-8", ctx) from None
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run what was parsed."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, UsageError, BrokenPipeError):
            raise
        except Exception as failure:
            raise typer.Exit(_told(failure, verbose=ctx.obj.verbose)) from failure


def _show_usage_error(wrong: Any) -> None:
    if text := wrong.format_message():
        command = f" (see `{wrong.ctx.command_path} --help`)" if wrong.ctx else ""
        fail(text.replace(": Value error, ", ": ").rstrip(".") + command)  # pydantic's words, by way of typer


def _told(failure: Exception, *, verbose: bool) -> int:
    """Say what went wrong; answer the exit code."""
    from revertkit.errors import RevertkitError

    if verbose:
        note("".join(traceback.format_exception(failure)))
    if isinstance(failure, RevertkitError):
        fail(str(failure))
        return failure.exit_code
    fail(f"unexpected {type(failure).__name__}: {failure}; run it as `revertkit --verbose …` to see where")
    return 1


app = typer.Typer(
    cls=Root,
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from revertkit import __version__

        typer.echo(f"revertkit {__version__}")
        raise typer.Exit


@app.callback()
def revertkit(
    ctx: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            metavar="FILE",
            help="The settings file, instead of /etc/revertkit/revertkit.toml (root) or the one in ~/.config.",
        ),
    ] = None,
    project: Annotated[
        str | None, typer.Option("--project", "-p", help="The project to speak for, instead of the settings' one.")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log every step to stderr; show where an error came from.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Turn a share back, in place, to its most recent snapshot, and never lose a snapshot doing it."""
    ctx.obj = Session(config, project, verbose)


revert.add_to(app)
recover.add_to(app)
serve.add_to(app)
doctor.add_to(app)
demo.add_to(app)
manage.add_to(share.app, snapshot.app)
share.app.add_typer(access.app, name="access")
snapshot.app.add_typer(snapshot_access.app, name="access")
for name, group in {
    "share": share,
    "snapshot": snapshot,
    "replica": replica,
    "type": types,
    "quota": quota,
    "message": message,
    "pool": pool,
    "driver": driver,
    "db": db,
}.items():
    app.add_typer(group.app, name=name)
