"""The suite inside pytest: its options, its fixtures, what is skipped, and what is told at the end."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, cast

import pytest

from revertkit.conformance.options import Options
from revertkit.conformance.requirements import Missing, Unmet
from revertkit.conformance.run import RUN, Run
from revertkit.conformance.stage import Stage
from revertkit.conformance.telling import told
from revertkit.errors import RevertkitError
from revertkit.manifest import Difference, Entry, Manifest, differences

HOURS = 4
"""For one case, where pytest-timeout is at work: a sweep on an emulated machine is long."""


def add_options(parser: pytest.Parser) -> None:
    """Add the command line's options."""
    group = parser.getgroup("revertkit", "revertkit: the conformance suite of storage drivers (docs/conformance.md)")
    add = group.addoption
    add("--driver", metavar="NAME", help="the driver: its registered name, or package.module:Class")
    add("--config", metavar="FILE", help="revertkit's settings file, with a backend of that driver to test on")
    add("--backend", metavar="NAME", help="which backend of FILE, where several have that driver")
    add("--harness", metavar="MODULE:CLASS", help="the harness, where neither entry point nor settings name it")
    add("--require", metavar="NAMES", default="", help="claims, hooks, … (comma-separated) that must not be missing")
    add("--known-failures", metavar="FILE", help='a TOML file of cases that fail: "test_name" = "the reason"')
    add("--repeat", metavar="N", type=int, default=1, help="call every entry point N times (default 1)")
    add(
        "--points",
        metavar="all|N|NAME",
        default="all",
        help="how many points of each operation are swept (default all), or those that a failure called NAME",
    )
    add("--seed", metavar="N", type=int, help="draws the sample of --points; printed at the end")
    add("--report", metavar="FILE", help="write what was found as JSON, for `revertkit driver matrix`")


def pytest_configure(config: pytest.Config) -> None:
    """Read the options; what is wrong in them ends the run before it begins."""
    config.stash[RUN] = Run(Options.of(config))
    config.pluginmanager.register(_AtOnce(config))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep what there is, before any is left out; mark known failures, and give cases the time that they may take."""
    cases = [item for item in items if _is_case(item)]
    config.stash[RUN].collected = {item.name for item in cases}
    try:
        known = config.stash[RUN].known_failures if cases else {}
    except (RevertkitError, LookupError) as failure:
        raise pytest.UsageError(f"revertkit conformance: {failure}") from None
    for item in cases:
        if item.name in known:
            item.add_marker(pytest.mark.xfail(reason=known[item.name], strict=True))
        if config.pluginmanager.hasplugin("timeout") and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(HOURS * 3600))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Open the backend, once it is clear that there is something to do."""
    if not any(map(_on_stage, session.items)) or session.config.option.collectonly:
        return
    run = session.config.stash[RUN]
    try:
        run.open()
    except (RevertkitError, LookupError, ValueError) as failure:
        run.close()
        raise pytest.UsageError(f"revertkit conformance: {failure}") from None
    except BaseException:  # the driver's or the harness's own fault; what the harness has made goes all the same
        run.close()
        raise


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Take the storage away, and write the report, once pytest has taken down the case that an interrupted run was in.

    Storage that stays is a failure, and the report says so.
    """
    run = session.config.stash[RUN]
    try:
        return (yield)
    except pytest.fail.Exception:  # the stage's own: the end of the run names what is left
        return None
    finally:
        if run.opened:
            _end(session, run)


def _end(session: pytest.Session, run: Run) -> None:
    try:
        run.close()
    except Exception as failure:  # noqa: BLE001 - a harness is anybody's code
        run.left.append(f"the storage could not be taken away: {failure!r}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    finally:
        run.write_report()
    if run.missed:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Tell what was claimed, proven, skipped and swept."""
    run = config.stash[RUN]
    if run.opened:
        terminalreporter.section(f"revertkit conformance: {run.options.name}")
        for line in told(run.report):
            terminalreporter.write_line(line)
        if run.missed:
            terminalreporter.write_line(f"--points: of these cases no point is called {run.options.points.asked!r}")


class _AtOnce:
    """Says what failed when it fails: a run on real storage takes hours, and pytest tells at its end."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        case = report.nodeid.rpartition("::")[2]
        kept = self._config.stash[RUN].outcomes.get(case)
        terminal: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        if report.failed and kept and terminal:
            terminal.ensure_newline()
            terminal.write_line(f"{case}: {kept.why}")


# --- cases


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a case whose needs are not met, an author's own too."""
    if _on_stage(item):
        run = item.config.stash[RUN]
        for marker in reversed(list(item.iter_markers("requires"))):
            for unmet in filter(None, map(run.stage.unmet, marker.args)):
                _skip(item, unmet)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Skip a case that has found on its way that a need is not met."""
    try:
        return (yield)
    except Missing as missing:
        if not _on_stage(item):
            raise
        _skip(item, missing.unmet)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what became of each case; a requirement that is missing is a failure, whatever is known of the case."""
    found = yield
    if _is_case(item):
        run = item.config.stash[RUN]
        if item.name in run.lacking and hasattr(found, "wasxfail"):
            found.outcome, found.longrepr = "failed", run.lacking[item.name]
            del found.wasxfail
        run.keep(item.name, _behaviours(item), _needs(item), found)
    return found


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Say of two trees that should be alike where they differ, and not all that they hold."""
    if op == "==" and all(isinstance(one, dict) and one and isinstance(one.get("."), Entry) for one in (left, right)):
        found, recorded = cast("Manifest", left), cast("Manifest", right)
        return ["the content is not as it was recorded", *map(_difference, differences(recorded, found))]
    return None


def _difference(one: Difference) -> str:
    return f"{one.path}: {one.what}: was {one.recorded}, is {one.found}"


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """One backend under a manager; emptied afterwards, and what cannot be removed fails the case, by name."""
    run = request.config.stash[RUN]
    yield run.stage
    if left := run.cleared():
        pytest.fail(f"not removed: {left}", pytrace=False)


@pytest.fixture
def conformance(request: pytest.FixtureRequest) -> Run:
    """The run, which says what is swept, and keeps the count."""
    return request.config.stash[RUN]


def _skip(item: pytest.Item, unmet: Unmet) -> None:
    run = item.config.stash[RUN]
    if unmet.name in run.options.required:
        run.lacking[item.name] = f"{unmet.name} is required, and {unmet.kind}: {unmet.why}"
        pytest.fail(run.lacking[item.name], pytrace=False)
    if _is_case(item):
        run.skipped(item.name, unmet)
    pytest.skip(f"{unmet.kind}: {unmet.name}")


def _is_case(item: pytest.Item) -> bool:
    """Whether it is one of the suite's, which its report counts."""
    return item.get_closest_marker("behaviour") is not None


def _on_stage(item: pytest.Item) -> bool:
    """Whether it is one of the suite's or of the author's own."""
    return "stage" in getattr(item, "fixturenames", ())


def _behaviours(item: pytest.Item) -> set[int]:
    return {number for marker in item.iter_markers("behaviour") for number in marker.args}


def _needs(item: pytest.Item) -> set[str]:
    return {name for marker in item.iter_markers("requires") for name in marker.args}
