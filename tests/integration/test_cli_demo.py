"""``revertkit demo``: nothing differs, and where something does, it says so and fails."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from revertkit.cli import demo_tree
from revertkit.cli.app import app


@pytest.fixture(autouse=True)
def place(fast_root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the demo makes its directory; it has to be empty afterwards."""
    path = Path(tempfile.mkdtemp(dir=fast_root))
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    yield path
    monkeypatch.undo()
    assert list(path.iterdir()) == [], "the demo cleans up after itself"
    path.rmdir()


def demo(*options: str) -> Any:
    """Run it in this process."""
    return CliRunner().invoke(app, ["demo", "--files", "60", *options])


def test_nothing_differs() -> None:
    """It tells each step with its time, ends in the table, and exits with 0."""
    told = demo()
    assert told.exit_code == 0, told.output
    for word in ("snapshot", "wrecked it", "rm -rf", "reverted it", "extended attributes", "Nothing differs"):
        assert word in told.output
    assert told.output.count(" s  ") == 7
    assert told.stderr == ""


def test_json_is_one_object() -> None:
    """For machines: what was recorded, what was wrecked, what came back."""
    told = json.loads(demo("--json").stdout)
    assert told["same"] is True
    assert told["differences"] == []
    assert told["directory"] is None
    assert told["entries"] > 60
    assert told["differed_after_wreck"] > told["entries"] // 2
    rows = {row["what"]: row for row in told["comparison"]}
    for what in ("contents", "modes", "times", "hard links", "symbolic links"):
        assert rows[what]["recorded"] > rows[what]["after_wreck"], f"the wreck spares the {what}"
        assert rows[what]["recorded"] == rows[what]["after_revert"] > 0
    assert rows["entries added since"]["after_wreck"] > 0
    assert all(row["same"] for row in rows.values())


def test_keep_leaves_it_there(place: Path) -> None:
    """To look around in; whoever keeps it removes it."""
    from revertkit.cli.demo import _remove

    kept = Path(json.loads(demo("--json", "--keep").stdout)["directory"])
    assert kept.parent == place
    assert next(kept.glob("shares/share-*/data/links/original")).exists()
    _remove(kept)


def test_the_environment_does_not_reach_it(monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    """A user's settings, database and state are left alone."""
    for name in ("STATE_DIR", "CONFIG"):
        monkeypatch.setenv(f"REVERTKIT_{name}", "/nowhere")
    monkeypatch.setenv("REVERTKIT_DATABASE", f"sqlite:///{state}/other.db")
    assert demo().exit_code == 0
    assert not (state / "other.db").exists()


def in_place(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Change a file's bytes and nothing else that can be seen."""

    def tamper(path: Path) -> None:
        seen = path.stat()
        path.write_bytes(change(path.read_bytes()))
        os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))

    return tamper


def relink(path: Path) -> None:
    """Let a file of several names be one of its own, with the same bytes."""
    seen, content = path.stat(), path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    path.chmod(seen.st_mode & 0o7777)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def a_nanosecond(path: Path) -> None:
    """Move a file's time by the least there is."""
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1))


def retarget(path: Path) -> None:
    """Point a symbolic link elsewhere."""
    link = path.with_name("dangling")
    link.unlink()
    link.symlink_to("elsewhere")


@pytest.mark.parametrize(
    ("tamper", "what"),
    [
        (in_place(lambda content: b"O" + content[1:]), "content"),
        (lambda path: path.chmod(0o606), "mode"),
        (a_nanosecond, "time"),
        (relink, "hard link"),
        (retarget, "symbolic link"),
        (lambda path: path.unlink(), "missing"),
        (lambda path: path.with_name("stranger").touch(), "added"),
    ],
)
def test_it_fails_where_one_thing_differs(
    place: Path, monkeypatch: pytest.MonkeyPatch, tamper: Callable[[Path], None], what: str
) -> None:
    """One byte, bit, nanosecond or link that is not as recorded: exit code 1, and it is named."""

    def wreck(root: Path) -> Iterator[str]:
        tamper(next(place.glob("*/shares/.revertkit/share-*/snap-*/data/links/original")))
        yield from original(root)

    original = demo_tree.wreck
    monkeypatch.setattr(demo_tree, "wreck", wreck)
    told = demo("--json")
    assert told.exit_code == 1, told.output
    found = json.loads(told.stdout)
    assert found["same"] is False
    assert what in {difference["what"] for difference in found["differences"]}


def test_a_failure_is_told_for_people_too(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table says no, and what differs is listed."""

    def wreck(root: Path) -> Iterator[str]:
        in_place(lambda content: content + b"!")(next(place.glob("*/shares/.revertkit/share-*/snap-*/data/sparse")))
        yield from original(root)

    original = demo_tree.wreck
    monkeypatch.setattr(demo_tree, "wreck", wreck)
    told = demo()
    assert told.exit_code == 1
    assert "sparse: content" in told.stdout
    assert "things differ" in told.stdout
    assert "Nothing differs" not in told.stdout


def test_an_unknown_backend_is_named_with_those_there_are() -> None:
    """In our words: typer's own checks come from pydantic, which says what kind of Python error it was."""
    refused = demo("--backend", "nope")
    assert refused.exit_code == 2
    assert "Invalid value for '--backend': 'nope' is not one of 'directory', 'lvm', 'zfs'" in refused.output
