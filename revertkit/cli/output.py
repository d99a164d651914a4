"""What goes to the terminal: tables, JSON, lines, questions. Nothing else in revertkit prints.

What a command answers goes to stdout; notes, questions, errors and progress go to stderr. Names come from a database
that others wrote to: no character of them is markup, and none reaches the terminal that it would obey.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum, StrEnum
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Row = Mapping[str, Any]
GAP = 2
FOLDED = {
    "name": 12,
    "created_at": 10,
    "share": 12,
    "pool": 17,
    "what": 12,
    "text": 18,
    "found": 18,
    "mend": 18,
    "reason": 18,
    "refusals": 18,
}
"""To what width a column of free text may be folded; any other is as wide as what is in it."""


class Format(StrEnum):
    """How an answer is printed."""

    TABLE = "table"
    JSON = "json"


FormatOption = Annotated[Format, typer.Option("--format", "-f", help="Print a table for people, or JSON for programs.")]


def visible(text: str) -> str:
    """Return `text` with every character that a terminal would obey, or hide, written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def show_rows(rows: Sequence[Row], columns: Mapping[str, str], output: Format, empty: str) -> None:
    """Print a listing: the named columns (key to title) as a table, or every key as a JSON array."""
    if output is Format.JSON:
        _json(rows)
        return
    if not rows:
        note(empty)
        return
    from rich.table import Table

    terminal = console()
    widths = _widths({key: _widest(key, title, rows) for key, title in columns.items()}, terminal.width)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0))
    for key, width in widths.items():
        numbers = all(isinstance(row[key], int | float) and not isinstance(row[key], bool) for row in rows)
        table.add_column(columns[key], justify="right" if numbers else "left", width=width, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row[key]) for key in widths))
    terminal.print(table)
    if hidden := [title for key, title in columns.items() if key not in widths]:
        note(f"(no room for: {', '.join(hidden)}; a wider terminal or --format json shows it)")


def show_record(row: Row, output: Format) -> None:
    """Print one thing: a line per key, or a JSON object."""
    if output is Format.JSON:
        _json(row)
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, GAP, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in row.items():
        table.add_row(key, _cell(value))
    console().print(table)


def console(*, err: bool = False) -> Console:
    """Make a console of stdout or stderr; away from a terminal, a line is as long as it has to be."""
    from rich.console import Console

    stream = sys.stderr if err else sys.stdout
    return Console(file=stream, markup=False, highlight=False, emoji=False, width=None if stream.isatty() else 1000)


def say(text: str = "") -> None:
    """Print one line of the answer."""
    typer.echo(_indented(text))


def note(text: str) -> None:
    """Print one line beside the answer, on stderr."""
    typer.echo(_indented(text), err=True)


def fail(text: str) -> None:
    """Print an error."""
    note(f"error: {text}")


def ask(question: str) -> bool | None:
    """Ask yes or no, no being the default; None if there is no terminal to ask at."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    typer.echo(f"{_indented(question)} [y/N] ", err=True, nl=False)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _indented(text: str) -> str:
    """Keep the lines of a tool's output apart, but let none of them pass for a line of ours."""
    return "\n  ".join(visible(line) for line in text.splitlines())


def _json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, default=_plain))


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _widest(key: str, title: str, rows: Sequence[Row]) -> int:
    """Measure the longest line of a column."""
    from rich.cells import cell_len

    return max(cell_len(line) for row in rows for line in [title, *_shown(row[key]).splitlines()])


def _widths(widest: Mapping[str, int], width: int) -> dict[str, int]:
    """Say how wide each column is that there is room for. The first ones matter most; what can be folded gives way."""
    needs = {key: min(wide, FOLDED.get(key, wide)) for key, wide in widest.items()}
    ends = accumulate(need + GAP for need in needs.values())
    widths = {key: need for (key, need), end in zip(needs.items(), ends, strict=True) if end - GAP <= width}
    widths = widths or dict(list(needs.items())[:1])
    room = width - sum(widths.values()) - GAP * (len(widths) - 1)
    folded = sorted((key for key in widths if widths[key] < widest[key]), key=lambda key: widest[key] - widths[key])
    for left, key in zip(range(len(folded), 0, -1), folded, strict=True):
        more = min(widest[key] - widths[key], max(room, 0) // left)
        widths[key] += more
        room -= more
    return widths


def _cell(value: Any) -> Text:
    from rich.text import Text

    return Text(_shown(value))


def _shown(value: Any) -> str:
    if value is None or value == "" or value == [] or value == {}:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, Mapping):
        return "\n".join(f"{visible(str(key))} = {_shown(held)}" for key, held in value.items())
    if isinstance(value, list | tuple):
        return "\n".join(_shown(held) for held in value)
    return visible(str(value.value if isinstance(value, Enum) else value))
