"""``revertkit driver new``: what it writes passes as it is; what it cannot name, or would overwrite, is refused."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from author import ROOT, Author

from revertkit import scaffold
from revertkit.driver import API_VERSION
from revertkit.errors import Conflict, InvalidInput

pytestmark = pytest.mark.timeout(1200)
"""Each is a stranger's commands from the shell up: seconds, but many on a machine that is busy."""
NAME = "acme-san"


@pytest.fixture(scope="session")
def project(author: Author) -> Path:
    """A new project, by the command."""
    done = author.types(author.python, "-m", "revertkit", "driver", "new", NAME)
    assert done.returncode == 0, done.stderr
    assert "cd revertkit-acme-san\n" in done.stdout
    assert "python -m pytest --pyargs revertkit.conformance --driver acme-san\n" in done.stdout
    return author.directory / "revertkit-acme-san"


@pytest.fixture(scope="session")
def installed(author: Author, project: Path) -> Path:
    """It, installed as its author does."""
    author.installs(project)
    return project


@pytest.mark.timeout(3600)
def test_it_conforms_as_it_is_written(author: Author, installed: Path) -> None:
    """By its own test module, with everything proven that it claims, and nothing skipped but what it does not claim."""
    report = author.tests(cwd=installed)
    assert {skipped.kind for skipped in report.skipped} <= {"not claimed", "not possible here"}
    assert set(report.proven) == {"snapshots", "create_from_snapshot", "revert"}


def test_the_command_that_it_names_finds_it(author: Author, installed: Path) -> None:
    """The outsider's command, as its README and its CI file have it; one case is enough to see that they do."""
    ci = (installed / ".github" / "workflows" / "conformance.yml").read_text()
    command = re.search(r">\n\s+python -m pytest (.*?)\n\s+- uses", ci, re.DOTALL)
    assert command is not None
    words = command.group(1).split()
    assert words[-2:] == ["--report", "conformance.json"]
    report = author.tests(*words[:-2], "-k", "test_everything_is_as_it_was")
    assert (report.driver, report.passed) == (NAME, ["test_everything_is_as_it_was"])


def test_it_is_as_clean_as_we_are(author: Author, project: Path) -> None:
    """Typed, and nothing in it that our own linter would refuse."""
    config = ROOT / "pyproject.toml"
    for words in (["check"], ["format", "--check"]):
        done = author.types(sys.executable, "-m", "ruff", *words, "--no-cache", "--config", config, project)
        assert done.returncode == 0, done.stdout + done.stderr
    types = ["mypy", "--strict", "--cache-dir", author.directory / "mypy", "--python-executable", author.python]
    done = author.types(sys.executable, "-m", *types, "-p", "revertkit_acme_san", cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_it_says_of_itself(project: Path) -> None:
    """A literal version of the contract, and no word left that was to be replaced."""
    driver = (project / "revertkit_acme_san" / "driver.py").read_text()
    assert f"api_version: ClassVar[int] = {API_VERSION}\n" in driver
    assert "class AcmeSanDriver(" in driver
    for path in project.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".yml":
            assert not re.search(r"\$[a-z{]", path.read_text().replace("$ ", "")), path


@pytest.mark.parametrize(
    "name", ["", "Acme", "acme_san", "-acme", "acme-", "a--b", "1acme", "acme/../x", "a" * 41, "ä"]
)
def test_names_that_cannot_be(name: str) -> None:
    """They would become names of packages and classes."""
    with pytest.raises(InvalidInput, match="lower-case letters, digits and single hyphens"):
        scaffold.named(name)


def test_a_name_that_is_taken() -> None:
    """Two drivers of one name cannot both be found."""
    with pytest.raises(Conflict, match="'lvm' is installed here"):
        scaffold.named("lvm")


@pytest.mark.parametrize("kind", ["directory", "file", "link"])
def test_what_is_there_is_left_alone(tmp_path: Path, kind: str) -> None:
    """Even an empty directory: it is somebody's."""
    there = tmp_path / "there"
    {"directory": there.mkdir, "file": there.touch, "link": lambda: there.symlink_to("nowhere")}[kind]()
    with pytest.raises(Conflict, match="there exists"):
        scaffold.write(scaffold.named("acme"), there)
    assert sorted(tmp_path.rglob("*")) == [there]


def test_where_nothing_can_be_made(tmp_path: Path) -> None:
    """Said as it is."""
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match="cannot be written"):
        scaffold.write(scaffold.named("acme"), tmp_path / "file" / "below")


def test_as_a_program_reads_it(author: Author) -> None:
    """``--format json``, into a directory that is named, below one that is not there yet."""
    words = ("driver", "new", "other", "--directory", "deep/er", "--format", "json")
    said = json.loads(author.types(author.python, "-m", "revertkit", *words).stdout)
    found = sorted(path for path in (author.directory / "deep" / "er").rglob("*") if path.is_file())
    assert said["files"] == [str(path.relative_to(author.directory / "deep" / "er")) for path in found]
    assert said["next"][0] == "cd deep/er"
    again = author.types(author.python, "-m", "revertkit", *words)
    assert again.returncode == Conflict.exit_code
    assert "deep/er exists" in again.stderr
