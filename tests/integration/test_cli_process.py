"""The command line as its users meet it: a process with exit codes, pipes, terminals, signals; and an ordinary user."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import support

from revertkit.drivers.directory import DirectoryDriver
from revertkit.status import Status

RUN = (sys.executable, "-m", "revertkit")


@pytest.fixture
def home(state: Path) -> Path:
    """A state directory with a settings file, a share ``work`` with a file in it and a snapshot ``monday`` of it."""
    (state / "revertkit.toml").write_text(
        f'host = "node-1"\nstate_dir = "{state}"\nproject = "{support.CONTEXT.project_id}"\n'
        f'[backends.fast]\ndriver = "directory"\nmount_root = "{state}/pool"\n'
    )
    manager = support.open_manager(state)
    share = manager.create_share(support.CONTEXT, 1, name="work")
    (support.share_tree(manager, share) / "letter").write_text("dear owl")
    manager.create_snapshot(support.CONTEXT, share.id, name="monday")
    manager.site.store.engine.dispose()
    return state


def environment(home: Path, **more: str) -> dict[str, str]:
    """What a process of the user's is given."""
    return {**os.environ, "REVERTKIT_CONFIG": str(home / "revertkit.toml"), "COLUMNS": "100", **more}


def run(home: Path, *words: str | bytes, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command in pipes; it has to end with `code`."""
    done = subprocess.run(
        [*RUN, *words],
        env=environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=support.SECONDS,
        check=False,
    )
    assert done.returncode == code, done
    return done


def at_terminal(home: Path, *words: str, typed: bytes = b"", wait_for: bytes = b"[y/N] ") -> tuple[int, str]:
    """Run a command at a terminal of its own, type something once it has said `wait_for`; answer its end and words."""
    child, terminal = pty.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # as at a terminal, also where these tests run in the background
        os.execve(sys.executable, [*RUN, *words], environment(home, TERM="xterm"))
    said, deadline = b"", time.monotonic() + support.SECONDS
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            said += os.read(terminal, 65536)
        except OSError:  # Linux says that the other end is closed by EIO
            break
        if typed and wait_for in said:
            os.write(terminal, typed)
            typed = b""
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said.decode()


def letter(home: Path) -> Path:
    """Find the file in the share."""
    return next(home.glob("pool/share-*/data/letter"))


def test_exit_codes_and_streams_of_a_process(home: Path) -> None:
    """Answers on stdout, everything else on stderr, no colours and no progress in a pipe."""
    assert json.loads(run(home, "share", "list", "--format", "json").stdout)[0]["name"] == "work"
    listing = run(home, "share", "list")
    assert "\x1b" not in listing.stdout + listing.stderr
    assert run(home, "share", "show", "nix", code=3).stderr == "error: there is no share 'nix' here\n"
    assert run(home, "share", "show", b"\xff", code=2).stdout == ""
    assert run(home, "share", "nix", code=2).stdout == ""
    assert run(home, "--version").stdout.startswith("revertkit ")
    assert "Exit codes" in run(home, "--help").stdout


def test_a_revert_in_a_pipe(home: Path) -> None:
    """Without --yes it refuses by exit code 11 and nothing changes; with it, the bytes come back and it is quiet."""
    letter(home).write_text("ransom")
    refused = run(home, "revert-to-snapshot", "monday", code=11)
    assert "--yes" in refused.stderr
    assert letter(home).read_text() == "ransom"
    done = run(home, "revert-to-snapshot", "monday", "--yes")
    assert letter(home).read_text() == "dear owl"
    assert done.stderr == ""


@pytest.mark.parametrize(("typed", "code"), [(b"n\n", 11), (b"\n", 11), (b"\x04", 11), (b"\x03", 130)])
def test_a_revert_that_is_not_confirmed(home: Path, typed: bytes, code: int) -> None:
    """No, nothing, end of input, an interrupt at the question: nothing changes."""
    letter(home).write_text("ransom")
    ended, said = at_terminal(home, "revert-to-snapshot", "monday", typed=typed)
    assert ended == code, said
    assert "thrown away" in said
    assert letter(home).read_text() == "ransom"


def test_a_revert_that_is_confirmed(home: Path) -> None:
    """The question says share, snapshot, age and size; a bar shows how far it is."""
    letter(home).write_text("ransom")
    ended, said = at_terminal(home, "revert-to-snapshot", "monday", typed=b"y\n")
    assert ended == 0, said
    for told in ("'work'", "'monday'", " ago (", "1 GiB", "%", "is as it was"):
        assert told in said
    assert letter(home).read_text() == "dear owl"


def test_a_narrow_terminal_loses_columns_not_letters(home: Path) -> None:
    """An id is never broken; what there is no room for is named."""
    at = environment(home, COLUMNS="50")
    child, terminal = pty.fork()
    if child == 0:
        os.execve(sys.executable, [*RUN, "snapshot", "list"], at)
    said = b""
    try:
        while part := os.read(terminal, 65536):
            said += part
    except OSError:
        pass
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    snapshot = json.loads(run(home, "snapshot", "list", "--format", "json").stdout)[0]
    assert snapshot["id"] in said.decode()
    assert "no room for" in said.decode()


def test_a_killed_revert_is_hinted_at_and_recovered(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in the middle: the next listing says so on stderr, and recover brings it to rest."""
    letter(home).write_text("ransom")
    with support.child(revert_until_killed, home) as child:
        wait_for(lambda: child.exitcode is not None)
    assert "1 operation was interrupted" in run(home, "share", "list").stderr
    assert "1 operation was interrupted" in run(home, "snapshot", "list").stderr
    found = json.loads(run(home, "recover", "--format", "json").stdout)
    assert [row["at_rest"] for row in found] == [True]
    assert letter(home).read_text() in ("dear owl", "ransom")
    assert run(home, "share", "list").stderr == ""
    assert json.loads(run(home, "share", "show", "work", "--format", "json").stdout)["status"] == Status.AVAILABLE


def revert_until_killed(home: Path) -> None:
    """Begin a revert, and die by SIGKILL where the driver would begin."""
    DirectoryDriver.revert_to_snapshot = _die  # type: ignore[method-assign]
    manager = support.open_manager(home)
    manager.revert_to_snapshot(support.CONTEXT, "monday")


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for(true: Callable[[], object]) -> None:
    """Wait for something, with a limit."""
    support.wait_until(true, "the child's end")


def test_a_closed_pipe_is_no_fault(home: Path) -> None:
    """``revertkit … | head`` ends without a traceback."""
    process = subprocess.Popen(
        [*RUN, "driver", "show", "memory"], env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    said = process.stderr.read().decode()
    process.stderr.close()
    process.wait(support.SECONDS)
    assert "Traceback" not in said


def test_shell_completion(home: Path) -> None:
    """Typer's: the shell asks, the commands answer."""
    asked = {"_REVERTKIT_COMPLETE": "complete_bash", "COMP_WORDS": "revertkit re", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", "from revertkit.cli import main; main()"],
        env=environment(home, **asked),
        capture_output=True,
        text=True,
        timeout=support.SECONDS,
        check=False,
    )
    assert set(done.stdout.split()) == {"revert-to-snapshot", "recover", "replica"}


def test_help_imports_nothing_heavy(home: Path) -> None:
    """What keeps ``--help`` quick: neither the store nor the manager nor pydantic is imported for it."""
    look = (
        "import sys\nfrom typer.testing import CliRunner\nfrom revertkit.cli.app import app\n"
        "CliRunner().invoke(app, ['--help'])\n"
        "print([m for m in ('sqlalchemy', 'pydantic', 'tooz', 'structlog', 'revertkit.manager') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", look], env=environment(home), capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_state_directory_that_is_not_ours(home: Path) -> None:
    """Read-only for this user: exit code 9, and which directory."""
    (home / "locked").mkdir(mode=0o500)
    (home / "revertkit.toml").write_text(f'state_dir = "{home}/locked"\n')
    assert "locked" in run(home, "share", "list", code=9).stderr


def test_doctor_may_be_the_very_first_command(tmp_path: Path) -> None:
    """The README begins with it: a host on which nothing was ever run is healthy."""
    done = subprocess.run(
        [sys.executable, "-m", "revertkit", "doctor"],
        env={**os.environ, "REVERTKIT_STATE_DIR": str(tmp_path / "state"), "XDG_CONFIG_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
