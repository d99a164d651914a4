"""``revertkit pool``: where shares can be, and what can be done with them there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from revertkit.cli.output import Format, FormatOption, note, show_record, show_rows
from revertkit.cli.session import session_of

if TYPE_CHECKING:
    from revertkit.manager import ShareManager
    from revertkit.models import PoolId

app = typer.Typer(no_args_is_help=True, help="List the pools of this host's backends, and what each of them can do.")
COLUMNS = {
    "pool": "Pool",
    "driver_name": "Driver",
    "free_capacity_gb": "Free GiB",
    "total_capacity_gb": "Total GiB",
    "snapshot_support": "Snapshots",
    "revert_to_snapshot_support": "Revert",
}


@app.command("list")
def list_(ctx: typer.Context, output: FormatOption = Format.TABLE) -> None:
    """List the pools; a backend that cannot be asked is named on stderr, with the reason."""
    with session_of(ctx).manager() as manager:
        reports, silent = manager.pools()
    for backend, why in silent.items():
        note(f"backend {backend} cannot be asked: {why}")
    rows = [{"pool": str(pool), **report} for pool, report in reports]
    show_rows(rows, COLUMNS, output, "there is no pool")


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
