"""The oracle: Manila itself, as one child process that lives as long as the tests."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import manila_env
import pytest


class Manila:
    """Manila's own code, which answers or crashes."""

    def __init__(self, python: Path, log: Path) -> None:
        argv = [python, Path(__file__).with_name("manila_child.py")]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.log = log
        with log.open("w") as stderr:
            self.process = subprocess.Popen(argv, stderr=stderr, **pipes)

    def ask(self, what: str, **question: Any) -> Any:
        """Answer what Manila answers; None if its code raised, which `crash` then tells."""
        told = self.said(what, **question)
        assert "answer" in told, f"Manila: {told['crash']} (asked {what} {question})"
        return told["answer"]

    def said(self, what: str, **question: Any) -> dict[str, Any]:
        """Ask, and let it crash."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"ask": what, **question}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"Manila's process has ended: {self.log.read_text()[-2000:]}"
        told: dict[str, Any] = json.loads(line)
        return told


@pytest.fixture(scope="session")
def manila(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manila]:
    """Start it; its virtual environment is made at the first time."""
    child = Manila(manila_env.python(), tmp_path_factory.mktemp("manila") / "log")
    yield child
    assert child.process.stdin is not None
    child.process.stdin.close()
    assert child.process.wait(timeout=60) == 0
