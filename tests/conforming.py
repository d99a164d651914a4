"""Running the conformance suite inside a test, in this process: a new one costs more than a case does."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

import pytest

from revertkit.conformance import report


@dataclass(frozen=True)
class Ran:
    """How a run ended, what it printed, and its report if it came so far."""

    status: int
    said: str
    report: report.Report | None

    @property
    def found(self) -> report.Report:
        """The report, of a run that has one."""
        assert self.report is not None, self.said
        return self.report


def run_suite(home: Path, *argv: str) -> Ran:
    """Run pytest with `argv`, the project's own settings left out."""
    out, said = home / "report.json", io.StringIO()
    out.unlink(missing_ok=True)
    alone = ["-c", "/dev/null", "--rootdir", str(home), "-p", "no:cacheprovider", "-s", "--color=no"]
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = pytest.main([*alone, "--report", str(out), *argv])
    print(said.getvalue())
    return Ran(int(status), said.getvalue(), report.read(out) if out.exists() else None)
