"""docs/driver-author.md and docs/driver-api.md: what is quoted is there, what is typed works, nothing is left out.

A block says in a comment above it what it is: the file that it is quoted from, or that it is run. Where the commands
run the suite, one case of it is run here: in full it is run by test_btrfs.py and test_driver_new.py.
"""

from __future__ import annotations

import importlib
import inspect
import re
import shlex
import shutil
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from author import ROOT, Author

from revertkit import driver as contract
from revertkit.capabilities import MIXINS, OPTIONAL_VERBS
from revertkit.models import new_id

pytestmark = pytest.mark.timeout(1200)
"""Each is a stranger's commands from the shell up: seconds, but many on a machine that is busy."""
AUTHOR = (ROOT / "docs" / "driver-author.md").read_text()
API = (ROOT / "docs" / "driver-api.md").read_text()
ONE_CASE = ("-k", "test_everything_is_as_it_was")


class Block(NamedTuple):
    """A block of code, and what the comment above it says."""

    said: str
    language: str
    text: str


BLOCKS = [
    Block(*found)
    for found in re.findall(r"(?:<!-- (.*?) -->\n)?^```(\w+)\n(.*?)^```$", AUTHOR, re.DOTALL | re.MULTILINE)
]
QUOTED = [block for block in BLOCKS if block.said.startswith("examples/")]


def commands(said: str) -> Iterator[list[str]]:
    """Name the commands of the blocks that are run in this way, word by word."""
    for block in BLOCKS:
        if block.said == said:
            for line in block.text.splitlines():
                assert line[:2] in ("$ ", "# "), f"a command begins with its prompt: {line}"
                yield shlex.split(line[2:])


def test_every_block_is_quoted_or_run() -> None:
    """None is only there to be believed."""
    assert len(QUOTED) > 8
    ways = {"run", "run as root", "run as root, with a btrfs", "settings"}
    assert {block.said for block in BLOCKS} - {block.said for block in QUOTED} == ways
    assert BLOCKS[-1].text in AUTHOR[-1500:], "the last block was not found"


@pytest.mark.parametrize("block", QUOTED, ids=lambda block: f"{Path(block.said).name}: {block.text.split()[0]}")
def test_what_is_quoted_is_there(block: Block) -> None:
    """Word by word, at whatever depth."""
    source = (ROOT / block.said).read_text()
    assert any(textwrap.indent(block.text, " " * 4 * depth) in source for depth in range(3)), block.text


def typed(author: Author, words: list[str], where: Path) -> Path:
    """Type one command of the document; answer where the author stands then."""
    if words[0] == "cd":
        return where / words[1]
    if words[0] == "pip":
        assert words[1:3] == ["install", "--editable"]
        author.installs((where / words[3].partition("[")[0]).resolve())
        return where
    words = words[2:] if words[:2] == ["python", "-m"] else words
    more = ONE_CASE if words[0] == "pytest" else ()
    done = author.types(author.python, "-m", *words, *more, cwd=where)
    assert done.returncode == 0, f"{shlex.join(words)}: {done.stdout}{done.stderr}"
    return where


def test_a_new_project_as_it_is_told(author: Author) -> None:
    """From nothing to a driver that is registered and conforms."""
    where = author.directory / f"told-{new_id()[:8]}"
    where.mkdir()
    for words in commands("run"):
        where = typed(author, words, where)
    assert (where / "revertkit_acme" / "driver.py").is_file()


def test_the_example_as_it_is_told(btrfs_driver: Author) -> None:
    """In its directory of a clone, with a report that becomes a table."""
    where = btrfs_driver.directory / f"source-{new_id()[:8]}"
    shutil.copytree(ROOT / "examples", where / "examples")
    for words in commands("run as root"):
        where = typed(btrfs_driver, words, where)
    assert "btrfs" in (where / "btrfs.json").read_text()


IN_USE = """
import os, pathlib, subprocess, sys
from revertkit_btrfs.harness import loop_btrfs

home = pathlib.Path(sys.argv[1])
with loop_btrfs(home) as root:
    (home / "settings.toml").write_text((home / "told.toml").read_text().replace("/srv/shares", str(root)))
    os.environ |= {"REVERTKIT_CONFIG": str(home / "settings.toml"), "REVERTKIT_STATE_DIR": str(home / "state")}
    for line in (home / "commands").read_text().splitlines():
        subprocess.run([sys.executable, "-m", *line.split()], check=True)
"""
"""A desk with a btrfs on it, for as long as the commands take."""


def test_in_use_as_it_is_told(btrfs_driver: Author) -> None:
    """The settings, and a first revert by the command line."""
    home = btrfs_driver.directory / f"use-{new_id()[:8]}"
    home.mkdir()
    (settings,) = [block.text for block in BLOCKS if block.said == "settings"]
    assert tomllib.loads(settings)["backends"]["fast"]["mount_root"] == "/srv/shares"
    (home / "told.toml").write_text(settings)
    (home / "commands").write_text("\n".join(" ".join(words) for words in commands("run as root, with a btrfs")))
    done = btrfs_driver.types(btrfs_driver.python, "-c", IN_USE, home)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_version_has_its_section() -> None:
    """Newest first, down to the first."""
    versions = [int(number) for number in re.findall(r"^## Version (\d+)$", API, re.MULTILINE)]
    assert versions == list(range(contract.API_VERSION, 0, -1))


def test_every_tool_is_called_as_it_is_told() -> None:
    """By the names of its parameters, in their order."""
    table = API.partition("## Tools for the host")[2]
    told = re.findall(r"`(\w+)\.(\w+)\((.*?)\)`", table)
    assert len(told) > 15
    for module, name, arguments in told:
        function = getattr(importlib.import_module(f"revertkit.system.{module}"), name)
        parameters = [str(p) for p in inspect.signature(function).parameters.values()]
        plain = [re.sub(r": [^=]*?(?= = |$)", "", p).replace(" = ", "=") for p in parameters]
        assert arguments.replace("*, ", "").split(", ") == ", ".join(plain).split(", "), name


def test_every_verb_is_in_the_table() -> None:
    """Each class in a row of its own, with what a driver brings and what has a default, and no more."""
    rows = {cells[1].strip(" `"): cells for cells in (line.split("|") for line in API.splitlines()) if len(cells) == 6}
    for capability, mixin in MIXINS.items():
        _, _, brings, default, reported, _ = rows[mixin.__name__]
        methods = {name for name, _ in inspect.getmembers(mixin, inspect.isfunction)}
        said = set(re.findall(r"`(\w+)`", brings)) - {"replication_type"}
        assert said == methods - OPTIONAL_VERBS, mixin
        assert set(re.findall(r"`([a-z_]+)`", default)) == methods & OPTIONAL_VERBS, mixin
        assert reported.strip() == f"`{capability}`"
    brings = set(re.findall(r"`(\w+)`", rows["ShareDriver"][2]))
    assert brings == contract.ShareDriver.__abstractmethods__ | {"api_version"}
