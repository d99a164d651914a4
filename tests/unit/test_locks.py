"""Locks that die with their process: rule 7's ground, and issue "An unreachable lock is an error"."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from support import child, ended, thread, wait_until

from revertkit.errors import Conflict, LockError
from revertkit.locks import Busy, Locks


def hold_for_ever(directory: Path) -> None:
    """Take a lock, say so, and stay."""
    held = Locks(directory).hold("one", "two")
    (directory / "held").touch()
    time.sleep(600)
    held.release()


def test_a_lock_is_one_processs_until_it_dies(tmp_path: Path) -> None:
    """SIGKILL frees it at once, SIGSTOP never: a paused process is alive. Trying never waits."""
    with child(hold_for_ever, tmp_path) as owner:
        wait_until((tmp_path / "held").exists, "the lock to be held")
        locks = Locks(tmp_path)
        os.kill(owner.pid, signal.SIGSTOP)
        for wanted in (("one",), ("two", "three")):
            with pytest.raises(Busy, match="living process"):
                locks.hold(*wanted)
        locks.hold("three").release()
        os.kill(owner.pid, signal.SIGKILL)
        assert ended(owner) == -signal.SIGKILL
        with locks.hold("one", "two"):
            pass


def test_a_second_thread_is_refused_and_any_thread_lets_go(tmp_path: Path) -> None:
    """An accepted operation runs in another thread than the one that took its lock."""
    locks = Locks(tmp_path)
    held = locks.hold("one")
    refused: list[Any] = []

    def try_it() -> None:
        with pytest.raises(Busy) as busy:
            locks.hold("one")
        refused.append(busy)

    with thread(try_it):
        pass
    assert refused
    with pytest.raises(Busy):
        locks.hold("one")
    with thread(held.release):
        pass
    locks.hold("one").release()


def test_two_managers_of_one_process_are_two(tmp_path: Path) -> None:
    """Also where one of them knows the directory by another name: POSIX locks do not see a process's own."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    first, second = Locks(tmp_path / "real"), Locks(tmp_path / "link")
    with first.hold("one"), pytest.raises(Busy):
        second.hold("one")
    second.hold("one").release()


def test_all_or_none(tmp_path: Path) -> None:
    """What was taken before the one that is busy is free again; the same one twice is one."""
    locks = Locks(tmp_path)
    with locks.hold("b"):
        with pytest.raises(Busy):
            locks.hold("a", "b", "c")
        locks.hold("a", "c", "a").release()


def test_letting_go_twice_does_not_let_go_of_anothers(tmp_path: Path) -> None:
    """A second release does nothing, whoever holds the lock by then."""
    locks = Locks(tmp_path)
    first = locks.hold("one")
    first.release()
    with locks.hold("one"):
        first.release()
        with pytest.raises(Busy):
            locks.hold("one")


def test_a_holder_who_is_about_to_let_go_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who owns it is not waited for at all, and nobody for longer than that."""
    locks = Locks(tmp_path)
    held = locks.hold("one")
    asked: list[bool] = []
    with pytest.raises(Busy):
        locks.hold_when_let_go("one", owned=lambda: asked.append(True) or True)
    assert asked == [True]
    with pytest.raises(Busy):
        locks.hold_when_let_go("one", owned=lambda: len(asked) > 2 or bool(asked.append(True)))
    assert len(asked) == 3
    letting_go = threading.Timer(0.1, held.release)
    letting_go.start()
    with locks.hold_when_let_go("one"):
        monkeypatch.setattr("revertkit.locks.LETTING_GO_SECONDS", 0.05)
        with pytest.raises(Busy):
            locks.hold_when_let_go("one")
    letting_go.join()


def test_busy_is_a_conflict() -> None:
    """The answer of a verb that meets a living operation is the conflict, with its exit code."""
    assert issubclass(Busy, Conflict)


def test_an_unreachable_lock_is_an_error(tmp_path: Path) -> None:
    """Never a silent pass: at the start, and when the directory is gone later."""
    (tmp_path / "file").write_text("")
    with pytest.raises(LockError, match="cannot be used"):
        Locks(tmp_path / "file" / "locks")
    locks = Locks(tmp_path / "locks")
    for path in sorted((tmp_path / "locks").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (tmp_path / "locks").rmdir()
    (tmp_path / "locks").write_text("")
    with pytest.raises(LockError, match="cannot be used"):
        locks.hold("one")
