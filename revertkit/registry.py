"""Drivers by name: entry points of the group ``revertkit.drivers``, the version gate, and why one was refused.

A driver that is still being written has no entry point yet: wherever a name is asked for, ``package.module:Class`` is
taken too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from inspect import isabstract
from typing import Any

from pydantic import ValidationError

from revertkit.capabilities import completed, host_lacks
from revertkit.driver import API_OLDEST, API_VERSION, ShareDriver
from revertkit.errors import DriverRefused, SettingsError
from revertkit.models import Lack

GROUP = "revertkit.drivers"


@dataclass(frozen=True)
class Listing:
    """One registered driver: its class or why it was refused, and what this host lacks for it."""

    name: str
    target: str
    cls: type[ShareDriver] | None
    refused: str = ""
    lacks: tuple[Lack, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether a backend of it can run here."""
        return self.cls is not None and all(lack.capability for lack in self.lacks)


def gate(cls: type) -> str:
    """Say why a class is not a driver for this version; empty if it is."""
    if not (isinstance(cls, type) and issubclass(cls, ShareDriver)):
        return f"{cls!r} does not inherit revertkit.driver.ShareDriver"
    if isabstract(cls):
        return f"{cls.__name__} does not implement {', '.join(sorted(cls.__abstractmethods__))}"
    owner = next((c for c in cls.__mro__ if "api_version" in vars(c)), None)
    version = vars(owner).get("api_version") if owner else None
    if owner is None or not isinstance(version, int):
        return f"{cls.__name__} does not say the api_version it was tested against (revertkit speaks {API_VERSION})"
    if owner is not cls and owner.__module__.split(".")[0] == "revertkit" != cls.__module__.split(".")[0]:
        return f"{cls.__name__} inherits api_version from {owner.__name__}; say the one it was tested against"
    if version > API_VERSION:
        return (
            f"{cls.__name__} speaks version {version} of the contract, revertkit only {API_VERSION}: update revertkit"
        )
    if version < API_OLDEST:
        return f"{cls.__name__} speaks version {version} of the contract, this revertkit needs {API_OLDEST} or newer"
    return ""


def listing() -> list[Listing]:
    """Load every registered driver and say of each whether it can be used here."""
    return [_listed(point) for point in _installed()]


def registered() -> list[str]:
    """Name every registered driver, without loading any."""
    return sorted({point.name for point in _installed()})


def find(name: str) -> Listing:
    """Find one driver by its registered name, or by ``package.module:Class``, which need not be registered.

    Raises:
        DriverRefused: there is none; says which there are.
    """
    if ":" in name:
        return _listed(EntryPoint(name, name, GROUP))
    for point in _installed():
        if point.name == name:
            return _listed(point)
    raise DriverRefused(f"there is no driver {name!r}; registered are {', '.join(registered())}")


def open_backend(backend: str, driver: str, options: dict[str, Any]) -> ShareDriver:
    """Make the driver object of one configured backend. No I/O on the backend.

    Raises:
        DriverRefused: no such driver, refused by the gate, or the host lacks what it cannot do without.
        SettingsError: an option is wrong; says which.
    """
    cls = check(driver)
    return cls(backend, _options(cls, backend, options))


def check(driver: str) -> type[ShareDriver]:
    """Answer a driver's class, if a backend of it can run on this host.

    Raises:
        DriverRefused: no such driver, refused by the gate, or the host lacks what it cannot do without; the mend too.
    """
    found = find(driver)
    if found.cls is None:
        raise DriverRefused(f"driver {driver!r} is refused: {found.refused}")
    if missing := [lack for lack in found.lacks if not lack.capability]:
        raise DriverRefused("; ".join(f"driver {driver!r} cannot run here: {m.why} ({m.mend})" for m in missing))
    return found.cls


@cache
def _installed() -> tuple[EntryPoint, ...]:
    """Find the registered drivers, by name. Once: Python reads every installed distribution for it."""
    return tuple(sorted(entry_points(group=GROUP), key=lambda point: point.name))


def _options(cls: type[ShareDriver], backend: str, options: dict[str, Any]) -> Any:
    try:
        return cls.Options(**options)
    except ValidationError as wrong:
        first = wrong.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        known = ", ".join(cls.Options.model_fields) or "none"
        raise SettingsError(f"backends.{backend}.{key}: {first['msg']} (options of this driver: {known})") from None


def _listed(point: EntryPoint) -> Listing:
    try:
        cls = point.load()
    except Exception as failure:  # noqa: BLE001 - a stranger's module may raise anything; the listing says what
        return Listing(point.name, point.value, None, f"cannot be imported: {type(failure).__name__}: {failure}")
    if refused := gate(cls):
        return Listing(point.name, point.value, None, refused)
    try:
        found = host_lacks(cls)
    except Exception as failure:  # noqa: BLE001 - likewise its probe
        return Listing(point.name, point.value, None, f"its probe failed: {type(failure).__name__}: {failure}")
    return Listing(point.name, point.value, completed(cls), "", found)
