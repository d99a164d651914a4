"""``revertkit driver``: which drivers are installed, what they could do here, and a project for a new one."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from revertkit.cli.output import Format, FormatOption, say, show_record, show_rows

if TYPE_CHECKING:
    from revertkit.driver import ShareDriver
    from revertkit.registry import Listing

app = typer.Typer(no_args_is_help=True, help="List the installed drivers, or begin a new one.")


@app.command("list")
def list_(ctx: typer.Context, output: FormatOption = Format.TABLE) -> None:
    """List the installed drivers, each usable here or with the reason and the mend."""
    from revertkit import registry

    rows = [driver_row(listing) for listing in registry.listing()]
    columns = {"name": "Driver", "usable": "Usable", "reason": "Reason", "mend": "Mend"}
    show_rows(rows, columns, output, "there is no driver; is revertkit installed as a package?")


@app.command("show")
def show(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The driver's name, as `revertkit driver list` says.")],
    output: FormatOption = Format.TABLE,
) -> None:
    """Show a driver: its options in the settings file, and each capability that was discovered, or why not."""
    from revertkit import registry
    from revertkit.cli import matrix

    found = registry.find(name)
    options = matrix.options(found.cls) if found.cls else []
    capabilities = _capabilities(found.cls) if found.cls else {}
    if output is Format.JSON:
        show_record({**driver_row(found), "options": options, "capabilities": capabilities}, output)
        return
    said = {capability: f"no: {why}" if why else "yes" for capability, why in capabilities.items()}
    show_record(
        {**driver_row(found), **{f"option {option['name']}": _told(option) for option in options}, **said}, output
    )


@app.command("new")
def new(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="What settings files will call the driver: a word such as acme or acme-san."
        ),
    ],
    directory: Annotated[
        Path | None,
        typer.Option(
            "--directory",
            "-d",
            metavar="DIR",
            show_default="revertkit-NAME",
            help="Where to write it: a directory that is not there yet.",
        ),
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Write a project for a new driver: its package, a harness, tests, a CI file.

    As written it keeps shares in plain directories and passes the conformance suite.

    docs/driver-author.md says how it becomes a driver of your storage.
    """
    from revertkit import scaffold

    names = scaffold.named(name)
    directory = directory or Path(names["project"])
    written = scaffold.write(names, directory)
    steps = [
        shlex.join(["cd", str(directory)]),
        "pip install --editable '.[test]'",
        f"python -m pytest --pyargs revertkit.conformance --driver {name}",
    ]
    if output is Format.JSON:
        files = sorted(str(path) for path in written)
        show_record({"name": name, "directory": str(directory), "files": files, "next": steps}, output)
        return
    say(f"{directory} is a driver that passes the conformance suite, with plain directories for storage. See it:")
    for line in ["", *(f"  {step}" for step in steps), ""]:
        say(line)
    say(f"Then make it yours, from {names['package']}/storage.py upwards; its README.md says in which order.")


class Table(StrEnum):
    """How the matrix is printed."""

    MARKDOWN = "markdown"
    JSON = "json"


@app.command("matrix")
def matrix_(
    reports: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[REPORT...]", help="Files that the conformance suite wrote by --report."),
    ] = None,
    output: Annotated[Table, typer.Option("--format", "-f", help="Print a table for documents, or JSON.")] = (
        Table.MARKDOWN
    ),
) -> None:
    """Print what drivers can do, one column each.

    Without a REPORT: what is discovered of every installed driver, and its settings, as a page. With reports: what
    those drivers have proven: capabilities, cases, points swept, versions, dates.
    """
    from revertkit.cli import matrix
    from revertkit.conformance import report

    read = [report.read(path) for path in reports or []]
    if output is Table.JSON:
        show_rows(report.rows(read) if read else matrix.rows(), {}, Format.JSON, "")
    else:
        for line in report.markdown(read) if read else matrix.page():
            say(line)


def driver_row(listing: Listing) -> dict[str, Any]:
    """Show one registered driver."""
    mends = ["install it again, or tell its author: docs/driver-api.md"] if listing.refused else []
    mends += [lack.mend for lack in listing.lacks]
    reasons = [f"{lack.capability}: {lack.why}" if lack.capability else lack.why for lack in listing.lacks]
    return {
        "name": listing.name,
        "target": listing.target,
        "usable": listing.usable,
        "reason": "; ".join([listing.refused] if listing.refused else reasons),
        "mend": "; ".join(mends),
    }


def _told(option: dict[str, Any]) -> str:
    how = "required" if option["required"] else f"default {option['default']}"
    return f"{option['description']} ({option['type']}, {how})"


def _capabilities(cls: type[ShareDriver]) -> dict[str, str]:
    from revertkit.capabilities import Capability, lacks, why_not

    taken = lacks(cls)
    return {str(c): why_not(cls, c) or taken.get(c, "") for c in Capability}
