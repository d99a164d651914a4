"""What the guides in docs/ tell to type works and prints what they show; the driver matrix is what discovery finds.

A command with the prompt ``$`` is run, in the order of its page, on the embedded directory backend. One with ``#``
needs root, a service or LVM: of those the words that are revertkit's are parsed. ``make docs`` sees to the links.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from revertkit.cli import matrix
from revertkit.cli.app import app

DOCS = Path(__file__).parents[2] / "docs"
BEFORE = {
    "user-guide.md": (
        "revertkit type create revertible --snapshot-support --revert-to-snapshot-support",
        "revertkit type create plain --snapshot-support",
        "revertkit share create 1 --name work --type revertible",
        "revertkit snapshot create work --name monday",
        "revertkit snapshot create work --name tuesday",
    ),
    "operator-guide.md": (),
}
"""What is there already when the reader of a page begins."""


class Typed(NamedTuple):
    """A command of a page, and what the page shows of its answer: nothing, or all."""

    prompt: str
    words: list[str]
    shown: list[str]


def typed(page: str) -> Iterator[Typed]:
    """Find what a page tells to type."""
    for block in re.findall(r"^```console\n(.*?)^```$", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE):
        for line, answer in re.findall(r"^([$#] .*)\n((?:(?![$#] ).*\n)*)", block, re.MULTILINE):
            yield Typed(line[0], shlex.split(line[2:], comments=True), answer.splitlines())


def settled(lines: list[str]) -> list[str]:
    """Take away what differs from one time to the next: ids, times, ages."""
    text = "\n".join(line.rstrip() for line in lines)
    text = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "ID", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME", text)
    return re.sub(r"taken \d+ (s|minutes?) ago", "taken AGE ago", text).splitlines()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader without settings, on the host of the pages."""
    for name, value in {"HOST": "node-1", "STATE_DIR": tmp_path, "CONFIG": "/dev/null"}.items():
        monkeypatch.setenv(f"REVERTKIT_{name}", str(value))


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("page", BEFORE)
def test_what_is_typed_prints_what_is_shown(page: str) -> None:
    """Answers as they are shown, an error where one is shown and nowhere else."""
    run = [command for command in typed(page) if command.prompt == "$"]
    assert len(run) > 8
    for words in map(shlex.split, BEFORE[page]):
        assert CliRunner().invoke(app, words[1:]).exit_code == 0, words
    for command in run:
        assert command.words[0] == "revertkit"
        result = CliRunner().invoke(app, command.words[1:])
        refused = any(line.startswith("error: ") for line in command.shown)
        assert (result.exit_code != 0) == refused, f"{command.words}: {result.output}"
        if command.shown:
            assert settled(result.output.splitlines()) == settled(command.shown), command.words


@pytest.mark.parametrize("page", [path.name for path in sorted(DOCS.glob("*.md"))])
def test_every_option_is_one(page: str) -> None:
    """In every page, whatever the prompt: commands, arguments and options are parsed, and nothing is run."""
    for command in typed(page):
        if command.words[:1] == ["revertkit"]:
            result = CliRunner().invoke(app, [*command.words[1:], "--help"])
            assert result.exit_code == 0, f"{command.words}: {result.output}"


def test_an_option_that_is_none_is_seen() -> None:
    """So that the test before can fail."""
    assert CliRunner().invoke(app, ["revert-to-snapshot", "monday", "--force", "--help"]).exit_code == 2


def test_the_driver_matrix_is_up_to_date() -> None:
    """`make docs/driver-matrix.md` writes it, of the drivers that come with revertkit."""
    written = (DOCS / "driver-matrix.md").read_text().splitlines()
    assert written == list(matrix.page()), "run `make docs/driver-matrix.md`"
