"""What a run was asked for: the command line, pytest's settings, revertkit's own settings file; and the harness."""

from __future__ import annotations

import importlib
import random
import tomllib
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from revertkit import settings
from revertkit.conformance.harness import Harness, LocalHarness
from revertkit.conformance.plugin import HARNESS
from revertkit.conformance.points import Points
from revertkit.conformance.requirements import name_of
from revertkit.registry import find

HARNESSES = "revertkit.harnesses"
"""The group of entry points that names harnesses, by their drivers' registered names."""
BACKEND = "conformance"
"""What the backend is called where no settings file names it."""


@dataclass(frozen=True)
class Options:
    """What the command line and pytest's settings ask for."""

    driver: str | None
    config: Path | None
    backend: str | None
    harness: str | None
    required: frozenset[str]
    known_failures: dict[str, str]
    repeat: int
    points: Points
    report: Path | None

    @classmethod
    def of(cls, config: pytest.Config) -> Options:
        """Read them.

        Raises:
            pytest.UsageError: which is wrong, and how.
        """
        asked = config.option
        try:
            if getattr(asked, "numprocesses", None):
                raise ValueError("one process runs the suite, since it is about one backend: leave out -n")
            if asked.repeat < 1:
                raise ValueError(f"--repeat is a number from 1, not {asked.repeat}")
            return cls(
                driver=asked.driver,
                config=Path(asked.config) if asked.config else None,
                backend=asked.backend,
                harness=asked.harness or (None if asked.driver else config.getini(HARNESS)) or None,
                required=frozenset(name_of(name) for name in asked.require.split(",") if name.strip()),
                known_failures=_known_failures(asked.known_failures),
                repeat=asked.repeat,
                points=Points(
                    asked.points,
                    seed=random.randrange(10**6) if asked.seed is None else asked.seed,  # noqa: S311
                ),
                report=_report(asked.report),
            )
        except (ValueError, OSError) as wrong:
            raise pytest.UsageError(f"revertkit conformance: {wrong}") from None

    @property
    def name(self) -> str:
        """What is tested, for a heading."""
        return self.driver or self.harness or ""

    def make_harness(self) -> Harness:
        """Find the harness, and tell it what the settings file says.

        Raises:
            LookupError, RevertkitError: there is none, or no such backend.
        """
        cls = self._harness_class()
        name = self.driver or cls.driver
        backend, told = (BACKEND, None) if self.config is None else _backend_of(self.config, name, self.backend)
        harness = cls(backend, told)
        harness.driver = name
        return harness

    def _harness_class(self) -> type[Harness]:
        if self.harness:
            return _loaded(self.harness)
        if not self.driver:
            raise LookupError("name a driver (--driver NAME --config FILE) or a harness (--harness MODULE:CLASS)")
        for point in entry_points(group=HARNESSES, name=self.driver):
            return _checked(point.load(), point.value)
        find(self.driver)  # refuses a name that no driver has, and says which there are
        if self.config is None:
            raise LookupError(f"driver {self.driver} comes with no harness: name a backend of it by --config FILE")
        return LocalHarness


def _loaded(named: str) -> type[Harness]:
    module, _, name = named.partition(":")
    try:
        return _checked(getattr(importlib.import_module(module), name or "-"), named)
    except (ImportError, AttributeError) as failure:
        raise LookupError(f"harness {named}: {failure} (it is named as package.module:Class)") from None


def _checked(found: object, named: str) -> type[Harness]:
    if not (isinstance(found, type) and issubclass(found, Harness)):
        raise LookupError(f"{named} is no subclass of revertkit.conformance.harness.Harness")
    if missing := ", ".join(sorted(found.__abstractmethods__)):
        raise LookupError(f"{named} does not say {missing}")
    return found


def _backend_of(file: Path, driver: str, named: str | None) -> tuple[str, dict[str, Any]]:
    """Find the one backend of `driver` in a settings file, or the one that is named."""
    backends = settings.load(file).backends
    of_driver = [name for name, backend in backends.items() if backend.driver == driver]
    if named and named not in of_driver:
        raise LookupError(f"{file} has no backend {named!r} of driver {driver} (of it there are: {of_driver})")
    if not of_driver:
        raise LookupError(f"{file} has no backend of driver {driver} (backends there: {', '.join(backends) or 'none'})")
    if len(of_driver) > 1 and not named:
        raise LookupError(f"{file} has several backends of driver {driver}: choose by --backend {'|'.join(of_driver)}")
    name = named or of_driver[0]
    return name, backends[name].options


def _known_failures(file: str | None) -> dict[str, str]:
    if file is None:
        return {}
    found = tomllib.loads(Path(file).read_text())
    if bad := [name for name, reason in found.items() if not (isinstance(reason, str) and reason.strip())]:
        raise ValueError(f'{file}: {bad[0]} has no reason: write "{bad[0]}" = "why it fails"')
    return found


def _report(file: str | None) -> Path | None:
    if file and not Path(file).absolute().parent.is_dir():
        raise ValueError(f"--report {file}: there is no directory {Path(file).absolute().parent}")
    return Path(file) if file else None
