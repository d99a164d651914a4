"""Commands, pairs of commands and named steps, and the children of an operation."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from revertkit.errors import BackendError, CommandFailed
from revertkit.system import processes
from revertkit.system.pipe import pipe
from revertkit.system.processes import OPERATION_VARIABLE
from revertkit.system.run import (
    TOOL_PATH,
    Completed,
    Moment,
    StepEvent,
    is_ours,
    operation,
    pretending,
    run,
    step,
    tool,
    watching,
)

SHELL = "sh"


def shell(script: str, **how: object) -> str:
    """Run a script and answer what it said."""
    return run([SHELL, "-c", script], **how).stdout  # type: ignore[arg-type]


def test_arguments_arrive_as_they_are() -> None:
    """argv, never a shell: spaces, quotes, stars, newlines, leading dashes, nothing at all."""
    words = ["a b", "*", "'\"", "$(echo x)", "-n", "two\nlines", "", "größe"]
    said = run(["printf", "%s|", *words]).stdout
    assert said == "".join(f"{word}|" for word in words)


def test_the_environment_is_ours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The C locale, UTC and the system's own PATH, whatever the caller's are; nothing else is handed on."""
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("SECRET", "x")
    seen = dict(line.split("=", 1) for line in run(["env"]).stdout.splitlines())
    assert seen == {"LC_ALL": "C", "TZ": "UTC", "PATH": TOOL_PATH}


def test_a_tool_is_never_found_in_the_callers_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that somebody put first in PATH is not what runs."""
    (tmp_path / "cp").write_text("#!/bin/sh\necho trap\n")
    (tmp_path / "cp").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tool("cp") not in (None, str(tmp_path / "cp"))
    assert "trap" not in run(["cp", "--version"]).stdout


def test_a_tool_that_is_not_there_is_an_error_by_name() -> None:
    """And no step is announced as done."""
    with pytest.raises(BackendError, match="no-such-tool is not installed"):
        run(["no-such-tool", "-x"])


def test_a_failure_keeps_argv_status_and_all_of_stderr() -> None:
    """Typed, and untruncated: the reason is often the last line."""
    script = "seq 5000 >&2; echo the end >&2; exit 5"
    with pytest.raises(CommandFailed) as failed:
        shell(script)
    assert failed.value.argv == [SHELL, "-c", script]
    assert failed.value.status == 5
    assert failed.value.stderr.startswith("1\n2\n")
    assert failed.value.stderr.endswith("5000\nthe end\n")


def test_statuses_that_are_no_failure() -> None:
    """``ok`` names them, and the answer says which it was."""
    assert run([SHELL, "-c", "exit 3"], ok=(0, 3)).status == 3


def test_input_reaches_the_tool_and_there_is_no_terminal() -> None:
    """stdin is what it is given; stdout is no terminal, so no tool colours or pages."""
    assert run(["cat"], stdin="a\nb").stdout == "a\nb"
    assert shell("test -t 1 && echo tty || echo none") == "none\n"


def test_a_tool_never_waits_for_us_to_read_and_outlives_us() -> None:
    """Whatever it says goes into memory: no pipe fills up, and none breaks under an LVM command when we are killed."""
    assert shell("readlink /proc/self/fd/1").startswith("/memfd:revertkit")
    assert len(run(["head", "-c", "3000000", "/dev/zero"]).stdout) == 3_000_000


def test_what_is_no_text_comes_back_as_it_was() -> None:
    """A file name may be any bytes; said by one tool it can be handed to the next."""
    odd = shell("printf '\\377\\n'")
    assert odd == "\udcff\n"
    assert run(["printf", "%s", odd]).stdout == run(["cat"], stdin=odd).stdout == odd


def test_what_cannot_be_an_argument_is_an_error() -> None:
    """By the tool's name, as anything else that keeps it from being started."""
    with pytest.raises(BackendError, match=r"true cannot be started: .*null byte"):
        run(["true", "a\0b"])


def test_whoever_hears_of_a_new_process_knows_ours() -> None:
    """Ours is one that ``run`` starts, and only while it does."""
    heard: list[bool] = []
    sys.addaudithook(lambda event, _: heard.append(is_ours()) if event == "subprocess.Popen" else None)
    run(["true"])
    subprocess.run(["true"], check=True)
    assert heard == [True, False]


def test_over_time_a_command_gets_sigterm_and_may_end_its_work(tmp_path: Path) -> None:
    """SIGTERM, never SIGKILL: a killed LVM command leaves a device suspended."""
    ready, left = tmp_path / "ready", tmp_path / "left"
    script = f"trap 'echo tidied > {left}; exit 0' TERM; touch {ready}; while :; do sleep 0.05; done"
    with pytest.raises(CommandFailed, match="ran out of time") as failed:
        run([SHELL, "-c", script], timeout=1)
    assert failed.value.status is None
    assert ready.exists()
    deadline = time.monotonic() + 10
    while not left.exists():
        assert time.monotonic() < deadline, "it was not ended by SIGTERM"
        time.sleep(0.01)


def test_what_has_to_come_to_its_end_has_no_limit() -> None:
    """A resize2fs that is ended in the middle may leave a file system that nobody can mend."""
    assert shell("sleep 0.2; echo whole", timeout=None) == "whole\n"


def test_a_child_carries_its_operation() -> None:
    """REVERTKIT_OPERATION, so that recovery can find a dead owner's children; outside of one there is none."""
    script = f"echo ${OPERATION_VARIABLE}"
    with operation("outer"), operation("inner"):
        assert shell(script) == "inner\n"
    assert shell(script) == "\n"


def test_the_children_of_an_operation_are_found_and_waited_for(tmp_path: Path) -> None:
    """By their environment; the wait has a bound, and says who is left."""
    ready = tmp_path / "ready"
    failures: list[BaseException] = []

    def work() -> None:
        with operation("op-7"), contextlib.suppress(CommandFailed):
            shell(f"echo $$ > {ready}; exec sleep 60")

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    deadline = time.monotonic() + 10
    while not (pids := processes.of_operation("op-7")) or not ready.exists() or not ready.read_text().strip():
        assert time.monotonic() < deadline, failures
        time.sleep(0.01)
    assert pids == [int(ready.read_text())]
    assert processes.of_operation("op-8") == []
    assert processes.wait_for_end(pids, 0.05) == pids
    os.kill(pids[0], signal.SIGTERM)
    assert processes.wait_for_end(pids, 10) == []
    worker.join(10)
    assert not worker.is_alive()
    assert processes.wait_for_end(pids, 0) == [], "one that has ended is not waited for"


# --- steps


def test_a_step_is_seen_before_and_after_and_in_between() -> None:
    """A watcher sees name, moment and percent, in order; so do nested watchers, the outer first."""
    seen: list[tuple[str, StepEvent]] = []
    with watching(lambda event: seen.append(("outer", event))):
        with watching(lambda event: seen.append(("inner", event))), step("exchange") as progress:
            progress(40)
        with step("sync"):
            pass
    moments = [(StepEvent("exchange", Moment.BEFORE)), StepEvent("exchange", Moment.PROGRESS, 40)]
    moments += [StepEvent("exchange", Moment.AFTER)]
    assert seen[:6] == [(who, event) for event in moments for who in ("outer", "inner")]
    assert seen[6:] == [("outer", StepEvent("sync", Moment.BEFORE)), ("outer", StepEvent("sync", Moment.AFTER))]


def test_a_step_that_fails_has_no_after() -> None:
    """Whoever watches knows that it may or may not have happened."""
    seen: list[Moment] = []
    with watching(lambda event: seen.append(event.moment)), pytest.raises(ZeroDivisionError), step("divide"):
        raise ZeroDivisionError
    assert seen == [Moment.BEFORE]


@pytest.mark.parametrize("moment", [Moment.BEFORE, Moment.AFTER])
def test_what_a_watcher_raises_comes_out_of_the_step(moment: Moment) -> None:
    """Fault injection: before, the step does not happen; after, it has."""
    done = []

    def watch(event: StepEvent) -> None:
        if event.moment is moment:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), watching(watch), step("work"):
        done.append(1)
    assert done == ([] if moment is Moment.BEFORE else [1])


def test_a_command_is_a_step_unless_it_only_reads() -> None:
    """Its name is the tool with the first words that are no options or paths, so that logs and sweeps can say it."""
    seen: list[str] = []
    with watching(lambda event: seen.append(f"{event.moment.value} {event.name}")):
        run(["true", "/dev/null", "now"])
        run(["true"], changes=False)
    assert seen == ["before true now", "after true now"]


# --- a pair of commands


def percent(line: str) -> float | None:
    """Read a number; anything else is no progress."""
    return float(line) if line.strip().isdigit() else None


def piped(source: str, sink: str, transfer: str = "sent into", **how: object) -> list[float | None]:
    """Run two scripts, and answer the percents that a watcher saw."""
    seen: list[StepEvent] = []
    shells = [SHELL, "-c", source], [SHELL, "-c", sink]
    with watching(seen.append):
        pipe(*shells, name="move", transfer=transfer, percent=percent, **how)  # type: ignore[arg-type]
    assert [event.moment for event in (seen[0], seen[-1])] == [Moment.BEFORE, Moment.AFTER]
    assert {event.name for event in seen} == {"move"}
    return [event.percent for event in seen if event.moment is Moment.PROGRESS]


def test_a_pair_moves_bytes_and_tells_how_far_it_is(tmp_path: Path) -> None:
    """One step; whatever goes through is as it was; progress only grows."""
    moved = tmp_path / "moved"
    told = piped("for n in 10 40 30 90; do echo $n >&2; done; head -c 3000000 /dev/zero", f"cat >{moved}")
    assert told == [10, 40, 90]
    assert moved.stat().st_size == 3_000_000


@pytest.mark.parametrize(
    ("source", "sink", "status", "says"),
    [
        ("echo lost >&2; exit 3", "cat >/dev/null", 3, "lost"),
        ("yes", "echo full >&2; exit 4", 4, "full"),
        ("echo cut >&2; exit 2", "cat >/dev/null; echo incomplete >&2; exit 5", 5, "cut\nincomplete"),
        ("exec sleep 60", "echo no >&2; exit 6", 6, "no"),
    ],
    ids=["source", "sink", "both", "sink, under a source that waits"],
)
def test_a_pair_fails_when_either_does(source: str, sink: str, status: int, says: str) -> None:
    """With what both said, the cause first; nobody waits for one that nobody reads."""
    began = time.monotonic()
    with pytest.raises(CommandFailed) as failed:
        piped(source, sink)
    assert failed.value.status == status
    assert says in failed.value.stderr
    assert "|" in failed.value.argv
    assert time.monotonic() - began < 30


def test_a_pair_that_does_not_move_gets_sigterm() -> None:
    """However often it says the same; and one that moves has all the time that it needs."""
    with pytest.raises(CommandFailed, match="nothing has moved for 1 s") as failed:
        piped("while :; do echo 5 >&2; sleep 0.1; done", "exec cat", "sent stalled", stalled=1)
    assert failed.value.status is None
    assert processes.wait_for_end(processes.of_transfer(into="stalled"), 10) == []
    assert piped("for n in 1 2 3 4 5 6; do sleep 0.4; echo $n >&2; done", "cat", stalled=2)[-1] == 6


def test_a_watchers_exception_ends_both() -> None:
    """As a cancelled operation does."""

    def stop(event: StepEvent) -> None:
        if event.moment is Moment.PROGRESS:
            raise KeyError("stop")

    with watching(stop), pytest.raises(KeyError, match="stop"):
        piped("echo 5 >&2; exec sleep 60", "exec cat", "sent watched")
    assert processes.wait_for_end(processes.of_transfer(into="watched"), 10) == []


def test_either_end_of_a_transfer_is_found_by_what_it_moves() -> None:
    """By whoever looks, whoever has begun it; both ends, and no other's."""
    failures: list[CommandFailed] = []

    def work() -> None:
        try:
            piped("exec sleep 60", "exec cat", "one other")
        except CommandFailed as failure:
            failures.append(failure)

    worker = threading.Thread(target=work)
    worker.start()
    deadline = time.monotonic() + 20
    while len(found := processes.of_transfer(into="other")) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert set(found) == set(processes.of_transfer(sent="one"))
    assert processes.of_transfer(sent="other") == processes.of_transfer(into="one") == []
    assert processes.end(found, 10) == []
    worker.join(20)
    assert failures


def test_a_pair_needs_both_tools() -> None:
    """Named; and what was begun is ended."""
    with pytest.raises(BackendError, match="no-such-tool is not installed"):
        pipe(["sleep", "60"], ["no-such-tool"], name="move", transfer="sent gone", percent=percent)
    assert processes.wait_for_end(processes.of_transfer(into="gone"), 10) == []


def test_a_command_that_only_pretends(tmp_path: Path) -> None:
    """Only what would change something is answered for, where the pretender answers; its step is one all the same."""
    told: list[list[str]] = []
    events: list[StepEvent] = []

    def lie(argv: Sequence[str]) -> Completed | None:
        told.append(list(argv))
        return Completed(0, "done", "") if argv[0] == "touch" else None

    with pretending(lie), watching(events.append):
        assert run(["touch", tmp_path / "file"]).stdout == "done"
        run(["mkdir", tmp_path / "directory"])
        run(["touch", tmp_path / "other"], changes=False)
    run(["touch", tmp_path / "afterwards"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["afterwards", "directory", "other"]
    assert [argv[0] for argv in told] == ["touch", "mkdir"]
    assert [event.name for event in events if event.moment is Moment.BEFORE] == ["touch", "mkdir"]


def test_a_pair_only_pretends_too(tmp_path: Path) -> None:
    """As one command, with both in what is pretended."""
    asked: list[Sequence[str]] = []

    def pretend(argv: Sequence[str]) -> Completed:
        asked.append(argv)
        return Completed(0, "", "")

    with pretending(pretend):
        pipe(["touch", "x"], ["touch", tmp_path / "done"], name="move", transfer="a b", percent=percent)
    assert asked == [["touch", "x", "|", "touch", str(tmp_path / "done")]]
    assert not (tmp_path / "done").exists()


def test_what_strangers_say_of_themselves_stops_no_look_at_transfers() -> None:
    """Anybody may have such an environment."""
    with subprocess.Popen(["sleep", "60"], env={b"REVERTKIT_TRANSFER": b"\xff\xfe one"}) as stranger:
        try:
            assert processes.of_transfer(sent="one") == []
            assert processes.of_transfer(into="one") == [stranger.pid]
        finally:
            stranger.kill()
