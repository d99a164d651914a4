"""What a run says at its end, line by line."""

from __future__ import annotations

from collections.abc import Iterator

from revertkit.conformance.report import Report
from revertkit.conformance.requirements import Kind


def told(report: Report) -> Iterator[str]:
    """Say what the driver claims, what of it is proven, what was not tried and why, and what was swept."""
    yield (
        f"driver {report.driver} {report.driver_version or '(of no package)'}, {report.target}, "
        f"contract {report.api_version}; "
        f"revertkit {report.revertkit_version}, Python {report.python_version}, {report.system}"
    )
    yield f"claimed: {', '.join(report.claimed) or 'nothing'}"
    yield f"proven:  {', '.join(report.proven) or 'nothing'}"
    if report.partly:
        yield f"held, but not all of it was tried: {', '.join(report.partly)}"
    if report.broken:
        yield f"FAILED:  {', '.join(report.broken)}"
    for kind in (*map(str, Kind), "other"):
        yield from _skipped(report, kind)
    for case, reason in report.known_failures.items():
        yield f"known failure: {case}: {reason}"
    yield from _swept(report)
    if report.repeat > 1:
        yield f"every entry point was called {report.repeat} times"
    for name in report.left:
        yield f"left on the backend: {name}"
    yield f"{len(report.passed)} held, {len(report.failed)} failed, {len(report.skipped)} skipped"


def _skipped(report: Report, kind: str) -> Iterator[str]:
    of_kind = [skipped for skipped in report.skipped if skipped.kind == kind]
    if of_kind:
        yield f"skipped, {kind} ({len(of_kind)}):"
    for name in dict.fromkeys(skipped.requirement for skipped in of_kind):
        cases = [skipped for skipped in of_kind if skipped.requirement == name]
        yield f"  {name or cases[0].case}: {cases[0].why}"
        yield f"    {len(cases)}: {', '.join(skipped.case for skipped in cases)}"


def _swept(report: Report) -> Iterator[str]:
    if not report.points:
        return
    yield (
        f"points swept: {report.swept} of {sum(one.points for one in report.points)} "
        f"(--points {report.sample} --seed {report.seed}; deaths: {report.deaths})"
    )
    for one in report.points:
        none = "none of them was asked for" if one.points else "it changes nothing on the backend"
        ways = ", ".join(f"{count} {way}" for way, count in one.ways.items()) or none
        yield f"  {one.operation}: {one.swept} of {one.points}; steps: {one.steps} ({ways})"
