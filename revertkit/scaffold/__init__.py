"""``revertkit driver new``: a project for a new driver, whose conformance suite passes as it is written.

Its files are in ``project/``: text with ``$name`` and its like in it (``string.Template``). A path's ``package`` is the
driver's package, a leading ``dot-`` a dot, and each ends in ``.in``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePath
from string import Template

from revertkit.driver import API_VERSION
from revertkit.errors import Conflict, InvalidInput
from revertkit.registry import registered

LONGEST = 40
"""Characters of a driver's name: it becomes part of a package's and a class's."""


def named(name: str) -> dict[str, str]:
    """Answer what a driver of this name calls its project, its package and its classes.

    Raises:
        InvalidInput: it cannot be a name. Conflict: a driver of this name is installed.
    """
    if len(name) > LONGEST or not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise InvalidInput(
            f"{name!r} cannot be a driver's name: that is lower-case letters, digits and single hyphens, a letter "
            f"first, at most {LONGEST} characters, such as acme-san"
        )
    if name in (installed := registered()):
        raise Conflict(f"a driver {name!r} is installed here; choose another name than {', '.join(installed)}")
    words = "".join(word.capitalize() for word in name.split("-"))
    return {
        "name": name,
        "project": f"revertkit-{name}",
        "package": f"revertkit_{name.replace('-', '_')}",
        "class_name": f"{words}Driver",
        "harness_name": f"{words}Harness",
        "api_version": str(API_VERSION),
        "needs": f">={version('revertkit')}",
    }


def write(names: dict[str, str], directory: Path) -> list[Path]:
    """Write the project into `directory`, which is made; answer its files, as paths in it.

    Raises:
        Conflict: there is something already; it is left alone. InvalidInput: it cannot be made.
    """
    try:
        directory.mkdir(parents=True)
        return [_written(source, path, names, directory) for path, source in _project(names)]
    except FileExistsError:
        raise Conflict(f"{directory} exists; name a directory that does not with --directory") from None
    except OSError as error:
        raise InvalidInput(f"{directory} cannot be written: {error}") from error


def _project(names: dict[str, str]) -> Iterator[tuple[PurePath, Traversable]]:
    """Walk over the files, each with its path in the project."""
    waiting: list[tuple[PurePath, Traversable]] = [(PurePath(), files(__name__) / "project")]
    while waiting:
        path, source = waiting.pop()
        if source.is_dir():
            waiting += [(path / _called(each.name, names), each) for each in source.iterdir()]
        else:
            yield path, source


def _called(name: str, names: dict[str, str]) -> str:
    name = names["package"] if name == "package" else name.removesuffix(".in")
    return f".{name.removeprefix('dot-')}" if name.startswith("dot-") else name


def _written(source: Traversable, path: PurePath, names: dict[str, str], directory: Path) -> Path:
    target = directory / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(Template(source.read_text(encoding="utf-8")).substitute(names), encoding="utf-8")
    return Path(path)
