"""What a run of the suite found, as ``--report FILE`` writes it, and the table that several make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from revertkit.errors import InvalidInput

FORMAT = 1


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Skipped(_Part):
    """One case that was not run."""

    case: str
    kind: str = Field(description="'not claimed', 'no hook', 'not possible here', or 'other'")
    requirement: str
    why: str


class Swept(_Part):
    """What was done to one operation at its steps."""

    operation: str
    steps: int = Field(description="how many the operation took when nothing disturbed it")
    points: int = Field(description="where it could be interrupted: each step in each way")
    swept: int = Field(description="where it was")
    ways: dict[str, int] = Field(default_factory=dict, description="of these, by how it was interrupted")

    def count(self, way: str) -> None:
        """Count one point more that was swept."""
        self.swept += 1
        self.ways[way] = self.ways.get(way, 0) + 1


class Report(_Part):
    """One run on one driver."""

    format: int = FORMAT
    driver: str
    backend: str = Field(description="its name in the settings file, or 'conformance' where there was none")
    target: str = Field(description="where its class is: package.module:Class")
    driver_version: str = Field(description="of the distribution that it comes from; empty if it is in none")
    api_version: int
    revertkit_version: str
    python_version: str
    system: str = Field(description="kernel and machine")
    ended_at: datetime
    options: dict[str, Any] = Field(description="the backend's, as they were")
    claimed: list[str]
    not_claimed: dict[str, str] = Field(description="by capability, why not")
    proven: list[str] = Field(description="what is claimed, and all of whose cases ran, at every point, and held")
    partly: list[str] = Field([], description="what is claimed, and of whose cases some were left out, the others held")
    broken: list[str] = Field([], description="what is claimed, and of whose cases one failed")
    required: list[str]
    passed: list[str]
    failed: dict[str, str] = Field(description="by case, the first line of what was found")
    skipped: list[Skipped]
    known_failures: dict[str, str] = Field(description="by case that failed as was known, the reason")
    behaviours: dict[int, str] = Field(description="by number: held, failed, known failure, or not tried")
    points: list[Swept]
    sample: str = Field(description="'all' points, how many of each operation, or what they are called")
    seed: int
    deaths: str = Field(description="'SIGKILL', or 'played' where the storage does not outlive the process")
    repeat: int
    left: list[str] = Field(description="what could not be removed from the backend")

    @property
    def swept(self) -> int:
        """How many points were swept in all."""
        return sum(one.swept for one in self.points)


def read(path: Path) -> Report:
    """Read a report.

    Raises:
        InvalidInput: it cannot be read, or is none of this version.
    """
    try:
        return Report.model_validate_json(path.read_text())
    except (OSError, UnicodeDecodeError) as failure:
        raise InvalidInput(f"{path} cannot be read: {failure}") from None
    except ValidationError as wrong:
        first = wrong.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise InvalidInput(
            f"{path} is no report of this revertkit's conformance suite: {where}: {first['msg']}"
        ) from None


def rows(reports: Sequence[Report]) -> list[dict[str, Any]]:
    """Make one row per capability and figure, one column per report."""
    names = sorted({*(name for one in reports for name in (*one.claimed, *one.not_claimed))})
    capabilities = [{"what": name} | {_column(one): _verdict(one, name) for one in reports} for name in names]
    figures: dict[str, Callable[[Report], object]] = {
        "version": lambda one: one.driver_version or "-",
        "cases that hold": lambda one: len(one.passed),
        "cases that fail": lambda one: len(one.failed),
        "known failures": lambda one: len(one.known_failures),
        "cases skipped": lambda one: len(one.skipped),
        "points swept": lambda one: one.swept,
        "date": lambda one: f"{one.ended_at:%Y-%m-%d}",
    }
    return capabilities + [{"what": what} | {_column(one): of(one) for one in reports} for what, of in figures.items()]


def markdown(reports: Sequence[Report]) -> list[str]:
    """Make the table of the documents, line by line."""
    found = rows(reports)
    columns = list(found[0])
    return table(["", *columns[1:]], [[str(row[column]) for column in columns] for row in found])


def table(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """Make a table of Markdown, line by line."""
    lines = [head, ["---"] * len(head), *body]
    return [f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines]


def _column(report: Report) -> str:
    return report.driver if report.backend in (report.driver, "conformance") else f"{report.driver}: {report.backend}"


def _verdict(report: Report, name: str) -> str:
    if name in report.proven:
        return "proven"
    if name in report.partly:
        return "held, not all tried"
    if name in report.broken:
        return "FAILED"
    return "claimed, not proven" if name in report.claimed else "no"
