"""Drivers by name: the version gate, and why one was refused."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any, ClassVar

import pytest
from pydantic import Field
from test_capabilities import Bare, Plain

from revertkit import registry
from revertkit.driver import API_OLDEST, API_VERSION, ShareDriver, SupportsRevert
from revertkit.drivers.memory import MemoryDriver
from revertkit.errors import DriverRefused, SettingsError
from revertkit.models import Lack


class Stranger(MemoryDriver):
    """Inherits the SDK's version without having been tested against it."""

    __module__ = "acme.driver"


class OnItsOwn(Stranger):
    """Says its own."""

    api_version: ClassVar[int] = API_VERSION


class Lacking(Bare):
    """Cannot run on this host."""

    @classmethod
    def probe(cls) -> list[Lack]:
        """Two things."""
        return [Lack(why="no module", mend="modprobe it"), Lack(why="x", mend="y", capability="extend_support")]


class Broken(Bare):
    """Cannot even say what it lacks."""

    @classmethod
    def probe(cls) -> list[Lack]:
        """Fail."""
        raise ZeroDivisionError("probing")


class Optional(Plain):
    """Has options."""

    class Options(ShareDriver.Options):
        """One."""

        size: int = Field(1, description="how large", ge=1)


NOT_A_DRIVER = 5


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register this module's classes as installed distributions would."""
    names = {
        "lacking": "Lacking",
        "broken": "Broken",
        "optional": "Optional",
        "stranger": "Stranger",
        "no-class": "NOT_A_DRIVER",
        "no-name": "Nothing",
    }
    points = [EntryPoint(name, f"{__name__}:{what}", registry.GROUP) for name, what in names.items()]
    points.append(EntryPoint("no-module", "acme_that_is_not_installed:Driver", registry.GROUP))
    monkeypatch.setattr(registry, "_installed", lambda: sorted(points, key=lambda point: point.name))


def test_a_driver_of_this_version_passes() -> None:
    """The gate says nothing where nothing is wrong."""
    for cls in (MemoryDriver, OnItsOwn, Bare):
        assert registry.gate(cls) == ""


@pytest.mark.parametrize("version", [API_VERSION + 1, 99, API_OLDEST - 1, -1])
def test_another_version_is_refused_with_both_numbers(version: int) -> None:
    """Too new or too old: the answer has the driver's number and ours."""
    said = registry.gate(type("Other", (Bare,), {"api_version": version}))
    ours = API_VERSION if version > API_VERSION else API_OLDEST
    assert f"version {version} " in said
    assert str(ours) in said.replace(f"version {version} ", "")


def test_inheriting_the_sdks_version_is_refused() -> None:
    """The version is the literal that the author tested against: it cannot come with an upgrade of ours."""
    assert "inherits api_version from MemoryDriver" in registry.gate(Stranger)


@pytest.mark.parametrize("version", [None, "1", 1.0])
def test_a_version_that_is_none_is_refused(version: object) -> None:
    """No number, no gate."""
    assert "does not say the api_version" in registry.gate(type("Other", (Bare,), {"api_version": version}))


def test_a_missing_version_is_refused() -> None:
    """The base class says none, and is not asked."""
    methods = {name: lambda self, *_: None for name in ShareDriver.__abstractmethods__}
    assert "does not say the api_version" in registry.gate(type("Other", (ShareDriver,), methods))


@pytest.mark.parametrize("thing", [object, int, NOT_A_DRIVER, None])
def test_what_is_no_driver_is_refused(thing: Any) -> None:
    """An entry point can name anything."""
    assert "does not inherit revertkit.driver.ShareDriver" in registry.gate(thing)


def test_a_half_written_driver_is_refused_by_what_it_lacks() -> None:
    """An abstract class, and every method it does not have."""
    said = registry.gate(type("Half", (ShareDriver,), {"api_version": 1, "pools": lambda self: []}))
    assert said == "Half does not implement create_share, delete_share, ensure_share"


@pytest.mark.usefixtures("registered")
def test_the_listing_says_of_each_why_not() -> None:
    """A driver that is refused, cannot be imported, or lacks something here is listed with the reason and the mend."""
    found = {listed.name: listed for listed in registry.listing()}
    assert {name for name, listed in found.items() if listed.usable} == {"optional"}
    assert "No module named 'acme_that_is_not_installed'" in found["no-module"].refused
    assert "cannot be imported" in found["no-name"].refused
    assert "does not inherit" in found["no-class"].refused
    assert "inherits api_version" in found["stranger"].refused
    assert found["broken"].refused == "its probe failed: ZeroDivisionError: probing"
    assert found["lacking"].refused == ""
    assert [lack.mend for lack in found["lacking"].lacks] == ["modprobe it", "y"]


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lacking", r"cannot run here: no module \(modprobe it\)$"),
        ("stranger", "is refused: Stranger inherits"),
        ("no-module", "cannot be imported"),
        ("zfs", "there is no driver 'zfs'; registered are broken, lacking, no-class"),
    ],
)
def test_a_backend_of_a_refused_driver_is_not_opened(name: str, said: str) -> None:
    """The error has the reason; what only takes a capability away does not stand in the way."""
    with pytest.raises(DriverRefused, match=said):
        registry.open_backend("fast", name, {})


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(("options", "key"), [({"size": 0}, "size"), ({"siez": 1}, "siez")])
def test_a_wrong_option_is_named(options: dict[str, int], key: str) -> None:
    """Which key of which backend, and which there are."""
    with pytest.raises(SettingsError, match=rf"backends\.fast\.{key}: .*options of this driver: size"):
        registry.open_backend("fast", "optional", options)


@pytest.mark.usefixtures("registered")
def test_an_opened_backend_has_its_options_and_the_mixins() -> None:
    """A plain class is opened with the mix-ins whose methods it has."""
    opened = registry.open_backend("fast", "optional", {"size": 3})
    assert (opened.backend, opened.options.size) == ("fast", 3)
    assert isinstance(opened, SupportsRevert)


def test_our_own_drivers_are_registered() -> None:
    """The directory and the memory driver come with the package, by the same door as a stranger's."""
    assert {"directory", "memory"} <= {listed.name for listed in registry.listing() if listed.usable}


def test_a_driver_that_is_not_registered_is_named_by_its_class() -> None:
    """As ``package.module:Class``; what is wrong with it is said as of a registered one."""
    assert registry.find("revertkit.drivers.memory:MemoryDriver").cls is MemoryDriver
    assert registry.open_backend("fast", "revertkit.drivers.memory:MemoryDriver", {}).backend == "fast"
    assert "cannot be imported: ModuleNotFoundError" in registry.find("nowhere:Driver").refused
    assert "does not inherit" in registry.find("revertkit.models:Share").refused
