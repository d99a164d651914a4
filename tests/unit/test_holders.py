"""Who has a tree open."""

from __future__ import annotations

import mmap
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from revertkit.system import holders as module
from revertkit.system.holders import Holder, holders

HOLD = {
    "open file": "held = open('file')",
    "working directory": "os.chdir('.')",
    "mapped file": "f = open('file'); held = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ); f.close(); os.chdir('/')",
}


@contextmanager
def child(tree: Path, statement: str, executable: str = sys.executable) -> Iterator[int]:
    """A process that has done `statement` in `tree`, until the block ends."""
    program = f"import mmap, os, sys; {statement}; print(flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([executable, "-c", program], cwd=tree, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.readline()
        yield process.pid
        process.stdin.close()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "a tree\nof two lines"
    tree.mkdir()
    (tree / "file").write_bytes(b"x" * mmap.PAGESIZE)
    return tree


@pytest.mark.parametrize("what", HOLD)
def test_each_kind_of_hold(tree: Path, what: str) -> None:
    with child(tree, HOLD[what]) as pid:
        found = holders(tree)
        assert what in {holder.what for holder in found}
        assert {holder.pid for holder in found} == {pid}
        assert all(holder.name.startswith("python") for holder in found)
        assert f"process {pid} (python" in str(found[0])
    assert holders(tree) == []


def test_a_file_that_was_removed_meanwhile(tree: Path) -> None:
    with child(tree, "held = open('file'); os.chdir('/')") as pid:
        (tree / "file").unlink()
        assert [(holder.pid, holder.what) for holder in holders(tree / "file")] == [(pid, "open file")]


def test_a_running_program(tree: Path) -> None:
    program = tree / "sleep"
    program.write_bytes(Path("/bin/sleep").read_bytes())
    program.chmod(0o755)
    with subprocess.Popen([program, "60"], cwd="/") as process:
        assert Holder(process.pid, "sleep", "executable") in holders(tree)
        process.terminate()


def test_only_what_is_below_and_only_others(tree: Path) -> None:
    beside = tree.with_name(tree.name + "2")
    beside.mkdir()
    with child(beside, "0"), (tree / "file").open():
        assert holders(tree) == []
        assert len(holders(tree, beside)) == 1


def test_a_path_through_a_symbolic_link(tree: Path) -> None:
    link = tree.with_name("link")
    link.symlink_to(tree)
    with child(tree, "0") as pid:
        assert [holder.pid for holder in holders(link)] == [pid]


def test_a_process_that_ends_while_we_look(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proc = tmp_path / "proc"
    for pid in ("7", "8", "self"):
        (proc / pid / "fd").mkdir(parents=True)
        (proc / pid / "fd" / "3").symlink_to(tree / "file")
    (proc / "8" / "comm").write_text("writer\n")
    monkeypatch.setattr(module, "PROC", proc)
    assert holders(tree) == [Holder(8, "writer", "open file")]


def test_it_is_fast(tree: Path) -> None:
    began = time.monotonic()
    holders(tree)
    processes = sum(path.name.isdigit() for path in Path("/proc").iterdir())
    assert time.monotonic() - began < 1 + processes * 0.01
