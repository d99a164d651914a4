"""Processes beside the suite's own: those that keep a directory in use, and one that is killed on the way.

A killed one comes from multiprocessing's fork server, which has imported everything once: a new interpreter would cost
an emulated machine seconds, and a fork of pytest's own process would have its threads.
"""

from __future__ import annotations

import multiprocessing
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

SECONDS = 1800.0
"""The limit of every wait: a merge on an emulated machine takes minutes, a hanging one for ever."""


@contextmanager
def held_open(path: Path) -> Iterator[int]:
    """Keep the directory `path` in use, as the working directory of a process of its own; answer its id."""
    with subprocess.Popen(["/bin/sleep", str(SECONDS)], cwd=path, stdin=subprocess.DEVNULL) as holder:
        try:
            yield holder.pid
        finally:
            holder.kill()


@contextmanager
def shown_elsewhere(path: Path) -> Iterator[Path]:
    """Mount the directory `path` at a second place in a mount namespace of its own, as a container does.

    Answer how it is reached from here. What is unmounted here is unmounted there too (``slave``), but for that place:
    otherwise everything else that is mounted on this host would be held meanwhile.

    Raises:
        OSError: that cannot be done here; with the reason.
    """
    argv = ["unshare", "--mount", "--propagation", "slave", "--", "cat"]
    pipe = subprocess.PIPE
    with TemporaryDirectory() as place, subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe) as other:
        assert other.stdin is not None and other.stdout is not None and other.stderr is not None  # noqa: PT018
        other.stdin.write(b"\n")
        other.stdin.flush()
        if not other.stdout.readline():  # cat repeats it, and by then it has its namespace
            raise OSError(other.stderr.read().decode().strip())
        mount = ["nsenter", "--target", str(other.pid), "--mount", "--", "mount", "--bind", "--", str(path), place]
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(done.stderr.strip())
        yield Path(f"/proc/{other.pid}/root{place}")


_processes = multiprocessing.get_context("forkserver")


def preload(*modules: str) -> None:
    """Have the fork server import these once, before it is first used, so that no child has to."""
    _processes.set_forkserver_preload(["__main__", *modules, "sh", "tooz.coordination", "tooz.drivers.file"])


def killed(call: Callable[..., None], *arguments: Any) -> bool:
    """Run `call`, a function of a module, in a process that it may kill; answer whether it did.

    Raises:
        AssertionError: it failed in another way, or has not ended; its traceback is on stderr.
    """
    child = _processes.Process(target=call, args=arguments, daemon=True)
    child.start()
    try:
        child.join(SECONDS)
    finally:  # an interrupted run would wait for what it holds
        ended = child.exitcode
        child.kill()
        child.join()
    assert ended is not None, f"the child process has not ended after {SECONDS:g} s"
    assert ended in (0, -signal.SIGKILL), f"the child process ended with {ended}; see its stderr"
    return bool(ended)
