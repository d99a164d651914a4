"""A driver author's desk: an environment in which this revertkit is installed, and what they install beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from revertkit.conformance.report import Report, read

ROOT = Path(__file__).parents[2]
"""Where the project is."""


class Author:
    """Somebody who types commands in `directory`; `python` is the one of their environment."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.python = directory / "venv" / "bin" / "python"
        venv.create(directory / "venv", with_pip=False)
        packages = next((directory / "venv" / "lib").glob("python*/site-packages"))
        theirs = sysconfig.get_path("purelib")
        (packages / "revertkit.pth").write_text(f"import site; site.addsitedir({theirs!r})\n")

    def types(self, *words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run one command to its end; a test looks at its status, and shows what it said where that is a surprise."""
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("REVERTKIT_", "PYTEST"))
        }
        environment |= {"TMPDIR": str(self.directory), "COLUMNS": "120"}
        return subprocess.run(
            [str(word) for word in words],
            cwd=cwd or self.directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=3000,
            check=False,
        )

    def installs(self, project: Path) -> None:
        """Install a project as its author does: editable. What it needs is there."""
        done = self.types(sys.executable, "-m", "pip", "--python", self.python, "install", "--editable", project)
        assert done.returncode == 0, done.stdout + done.stderr

    def tests(self, *words: str | Path, cwd: Path | None = None) -> Report:
        """Run pytest with a conformance report, see it pass, and answer that."""
        report = self.directory / "report.json"
        done = self.types(self.python, "-m", "pytest", "-p", "no:cacheprovider", *words, "--report", report, cwd=cwd)
        assert done.returncode == 0, done.stdout + done.stderr
        return read(report)
