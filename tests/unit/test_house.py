"""The house: imports point down, SQL, processes and status words have their rooms."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import revertkit
from revertkit.status import ReplicaState, RuleState, Status

ROOT = Path(revertkit.__file__).parent
FILES = {path.relative_to(ROOT).as_posix(): path for path in sorted(ROOT.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text()) for name, path in FILES.items()}
LEVELS = (
    ("__main__",),
    ("cli",),
    ("web", "api", "integrations"),
    ("dispatch", "conformance", "metrics", "scaffold"),
    ("manager",),
    ("replication",),
    ("access", "adoption", "placement", "records"),
    ("acceptance",),
    ("administration",),
    ("operations",),
    ("scheduler",),
    ("quota",),
    ("registry",),
    ("capabilities",),
    ("drivers",),
    ("driver",),
    ("store",),
    ("locks", "state_dir", "manifest"),
    ("system",),
    ("settings", "share_types", "pool_report"),
    ("errors", "log", "telemetry"),
    ("models",),
    ("status",),
)
"""The rooms from the roof down. A room imports from below it, and from itself."""
LEVEL = {room: number for number, rooms in enumerate(LEVELS) for room in rooms}
ABOVE_DRIVERS = ("store", "manager", "operations", "api", "cli", "dispatch", "web", "scheduler", "quota", "locks")
EXCEPTIONS = {("drivers/directory/pool.py", "capabilities")}
"""A driver may name a capability that its host or pool lacks."""


def room_of(name: str) -> str:
    """Say which room a file is in."""
    return name.split("/")[0].removesuffix(".py")


def imports(name: str) -> Iterator[tuple[int, str]]:
    """Name every module that a file imports, wherever in it it does; TYPE_CHECKING too."""
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno}: relative imports hide the room"
            module = node.module or ""
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def test_every_room_has_its_floor() -> None:
    """A new room has to be put on a floor here before anything can be imported from it."""
    assert len(FILES) > 40
    assert {room_of(name) for name in FILES} - {"__init__"} <= set(LEVEL)


@pytest.mark.parametrize("name", FILES)
def test_imports_point_down(name: str) -> None:
    """Imports point down the list only."""
    if name == "__init__.py":
        return
    here = room_of(name)
    for line, module in imports(name):
        if module.startswith("revertkit.") and (there := module.split(".")[1]) in LEVEL and there != here:
            up = LEVEL[there] < LEVEL[here] or LEVEL[there] == LEVEL[here]
            assert not up or (name, there) in EXCEPTIONS or _capability(here, module), f"{name}:{line}: {module}"


def _capability(here: str, module: str) -> bool:
    return here == "drivers" and module == "revertkit.capabilities.Capability"


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith(("drivers/", "driver.py", "system/"))])
def test_a_driver_never_imports_its_manager(name: str) -> None:
    """A driver never imports store, manager, operations, api or cli."""
    for line, module in imports(name):
        assert module.split(".")[1:2] not in [[room] for room in ABOVE_DRIVERS] or not module.startswith(
            "revertkit."
        ), f"{name}:{line}: {module}"


@pytest.mark.parametrize("name", [name for name in FILES if not name.startswith("store/")])
def test_sql_lives_in_the_store(name: str) -> None:
    """Outside of store/ a transaction is only handed on: its type is imported, no more."""
    hands_on = name.startswith("operations/") or name in ("acceptance.py", "quota.py", "administration.py")
    for line, module in imports(name):
        if module.split(".")[0] in ("sqlalchemy", "alembic", "sqlite3"):
            assert hands_on, f"{name}:{line}: {module}"
            assert module in ("sqlalchemy.Connection", "sqlalchemy.Table"), f"{name}:{line}: {module}"
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr not in ("execute", "exec_driver_sql"), f"{name}:{node.lineno}: runs SQL"


STARTING = ("system/run.py", "system/pipe.py")


@pytest.mark.parametrize("name", FILES)
def test_processes_are_started_in_one_place(name: str) -> None:
    """``sh`` and subprocess only in system/, nobody spawns past its two files; what the suite kills is its own."""
    for line, module in imports(name):
        started = module.split(".")[0] in ("sh", "subprocess", "pty", "pexpect", "multiprocessing")
        assert not started or name in (*STARTING, "conformance/children.py"), f"{name}:{line}: {module}"
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            forks = node.attr in ("system", "popen", "fork", "forkpty") or node.attr.startswith(
                ("exec", "spawn", "posix_s")
            )
            assert not forks or name == "system/run.py", f"{name}:{node.lineno}: os.{node.attr}"


@pytest.mark.parametrize("name", FILES)
def test_locks_are_taken_in_one_place(name: str) -> None:
    """tooz behind locks.py."""
    assert name == "locks.py" or not [module for _, module in imports(name) if module.split(".")[0] == "tooz"]


WORDS = {str(word) for kind in (Status, RuleState, ReplicaState) for word in kind} - {"error", "active", "available"}
"""Status words that are no ordinary English; the others are found by what they are compared with."""


@pytest.mark.parametrize("name", [name for name in FILES if name != "status.py" and not name.startswith("operations/")])
def test_a_status_is_never_written_as_text(name: str) -> None:
    """A status literal only in status.py and operations/: elsewhere it is a member of its enumeration."""
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert node.value not in WORDS, f"{name}:{node.lineno}: {node.value!r}"
        if isinstance(node, ast.Compare):
            texts = [part.value for part in [node.left, *node.comparators] if isinstance(part, ast.Constant)]
            assert not {"error", "active", "available"} & set(map(str, texts)), f"{name}:{node.lineno}"


@pytest.mark.parametrize("name", [name for name in FILES if name not in ("store/__init__.py", "store/tables.py")])
def test_a_status_changes_by_move_alone(name: str) -> None:
    """``store.move`` is the only way a status changes: no other update names the column."""
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "values":
            inserts = "insert(" in ast.unparse(node.func)
            named = {keyword.arg for keyword in node.keywords}
            assert inserts or not named & {"status", "replica_state"}, f"{name}:{node.lineno}"


@pytest.mark.parametrize("name", [name for name in FILES if "migrations/" not in name])
def test_no_function_is_long(name: str) -> None:
    """Past 50 lines there is a second idea in it."""
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 50, f"{name}:{node.lineno}: {node.name}"


def test_the_rules_can_fail() -> None:
    """Each rule sees what it is for: the files it lets through really import what it looks at."""
    seen = {module.split(".")[0] for name in FILES for _, module in imports(name)}
    assert {"sh", "sqlalchemy", "tooz", "revertkit"} <= seen
    assert "system/run.py" in FILES
    assert any(module == "sqlalchemy.Connection" for _, module in imports("operations/story.py"))
    assert any(module.startswith("revertkit.store") for _, module in imports("operations/story.py"))
