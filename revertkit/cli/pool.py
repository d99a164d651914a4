"""``revertkit pool``: where shares can be, and what can be done with them there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from revertkit.cli.output import Format, FormatOption, note, say, show_record, show_rows
from revertkit.cli.session import session_of

if TYPE_CHECKING:
    from revertkit.manager import ShareManager
    from revertkit.models import PoolId


class ReportFormat(StrEnum):
    """How a report is printed."""

    TABLE = "table"
    JSON = "json"
    PROMETHEUS = "prometheus"


ReportOption = Annotated[
    ReportFormat,
    typer.Option("--format", "-f", help="A table for people, JSON for programs, or Prometheus's text."),
]

app = typer.Typer(no_args_is_help=True, help="List the pools of this host's backends, and what each of them can do.")
COLUMNS = {
    "pool": "Pool",
    "driver_name": "Driver",
    "free_capacity_gb": "Free GiB",
    "total_capacity_gb": "Total GiB",
    "snapshot_support": "Snapshots",
    "revert_to_snapshot_support": "Revert",
}

REPORT_COLUMNS = {
    "pool": "Pool",
    "availability_zone": "Zone",
    "total_capacity_gb": "Total GiB",
    "free_capacity_gb": "Free GiB",
    "allocated_capacity_gb": "Shares GiB",
    "provisioned_capacity_gb": "Promised GiB",
    "promises": "May promise",
    "reserved_percentage": "Reserved %",
    "reported_at": "Reported",
}


@app.command("list")
def list_(ctx: typer.Context, output: FormatOption = Format.TABLE) -> None:
    """List the pools; a backend that cannot be asked is named on stderr, with the reason."""
    with session_of(ctx).manager() as manager:
        reports, silent = manager.pools()
    _note_silent(silent)
    show_rows(_rows(reports), COLUMNS, output, "there is no pool")


@app.command("show")
def show(
    ctx: typer.Context,
    pool: Annotated[str, typer.Argument(metavar="POOL", help="host@backend#pool, as `revertkit pool list` says.")],
    output: FormatOption = Format.TABLE,
) -> None:
    """Show a pool's report to schedulers, with the reason for each capability that it does not have."""
    with session_of(ctx).manager() as manager:
        found, report = _find(manager, pool)
        why_not = _why_not(manager, found)
    if output is Format.JSON:
        show_record({"pool": str(found), **report, "why_not": why_not}, output)
        return
    said = {key: f"no: {why_not[key]}" if why_not.get(key) else value for key, value in report.items()}
    show_record({"pool": str(found), **said}, output)


@app.command("report")
def report(ctx: typer.Context, output: ReportOption = ReportFormat.TABLE) -> None:
    """Print what the pools tell schedulers now: capacities, promises, capabilities, and when that was.

    As JSON: `pools`, each as `revertkit pool schema` describes it, in OpenStack Manila's words, and `silent`, the
    backends that could not be asked, with the reason. As Prometheus's text: for node_exporter's textfile collector.
    """
    with session_of(ctx).manager() as manager:
        reports, silent = manager.pools()
    if output is ReportFormat.JSON:
        show_record({"pools": _rows(reports), "silent": silent}, Format.JSON)
        return
    _note_silent(silent)
    if output is ReportFormat.PROMETHEUS:
        from revertkit.metrics import pools_text

        for line in pools_text(reports, silent).splitlines():
            say(line)
        return
    ratios = [f"{r['max_over_subscription_ratio']:g} x" if r["thin_provisioning"] else None for _, r in reports]
    rows = [{**row, "promises": ratio} for row, ratio in zip(_rows(reports), ratios, strict=True)]
    show_rows(rows, REPORT_COLUMNS, Format.TABLE, "there is no pool")


@app.command("schema")
def schema() -> None:
    """Print the JSON Schema of one pool's report."""
    from revertkit.pool_report import schema

    show_record(schema(), Format.JSON)


def _rows(reports: Sequence[tuple[PoolId, dict[str, Any]]]) -> list[dict[str, Any]]:
    return [{"pool": str(pool), **report} for pool, report in reports]


def _note_silent(silent: Mapping[str, str]) -> None:
    for backend, why in silent.items():
        note(f"backend {backend} cannot be asked: {why}")


def _find(manager: ShareManager, named: str) -> tuple[PoolId, dict[str, Any]]:
    """Find a pool by its full name.

    Raises:
        NotFound: there is none on this host; says which are, and which backends could not be asked.
    """
    from revertkit.errors import NotFound

    reports, silent = manager.pools()
    for pool, report in reports:
        if str(pool) == named:
            return pool, report
    unasked = "".join(f"; backend {backend} cannot be asked: {why}" for backend, why in silent.items())
    known = ", ".join(str(pool) for pool, _ in reports) or "none"
    raise NotFound(f"there is no pool {named!r} on this host (pools: {known}{unasked})")


def _why_not(manager: ShareManager, pool: PoolId) -> dict[str, str]:
    from revertkit.capabilities import report

    driver = manager.site.driver(pool.backend)
    seen = next(seen for seen in driver.pools() if seen.name == pool.pool)
    return {str(capability): why for capability, why in report(driver, seen).items() if why}
