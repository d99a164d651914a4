"""Rule 7, behaviour 18: SIGKILL before and after every commit of every operation, then a new start.

On the directory backend. At the steps between them the conformance suite kills.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import (
    CONTEXT,
    assert_at_rest,
    assert_quota_is_the_sum,
    child,
    ended,
    manifest,
    open_manager,
    points_in_store,
    share_tree,
    snapshot_tree,
    write_tree,
)

from revertkit.drivers.directory import blockers
from revertkit.errors import InvalidInput, NotFound
from revertkit.manager import ShareManager
from revertkit.models import Share, Snapshot
from revertkit.status import Status

VERBS: dict[str, Callable[[ShareManager], Any]] = {
    "create share": lambda m: m.create_share(CONTEXT, 1, name="fresh"),
    "create share from snapshot": lambda m: m.create_share(CONTEXT, 1, name="fresh", snapshot="newer"),
    "create snapshot": lambda m: m.create_snapshot(CONTEXT, "share", name="fresh"),
    "revert": lambda m: m.revert_to_snapshot(CONTEXT, "newer"),
    "delete snapshot": lambda m: m.delete_snapshot(CONTEXT, "newer"),
    "delete share": lambda m: m.delete_share(CONTEXT, "plain"),
    "extend": lambda m: m.extend_share(CONTEXT, "share", 2),
}


def nobody(*paths: Path) -> list[Any]:
    """Hold nothing open: to look through every process of the machine, twice a revert, is tested elsewhere."""
    return []


def until(state: Path, verb: str, last: int | None, count: Path) -> None:
    """Run one operation and be killed at its point number `last`; without one, count the points."""
    blockers.holders = nobody  # type: ignore[assignment]
    manager = open_manager(state)
    reached = []

    def point(name: str) -> None:
        reached.append(name)
        if len(reached) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    with points_in_store(point):
        VERBS[verb](manager)
    count.write_text("\n".join(reached))


class World:
    """A state directory that can be put back to where it was before the operation."""

    def __init__(self, state: Path) -> None:
        self.state, self.image = state, state.with_name(f"{state.name}-image")
        manager = open_manager(state)
        share = manager.create_share(CONTEXT, 1, name="share")
        plain = manager.create_share(CONTEXT, 1, name="plain")
        write_tree(share_tree(manager, plain), "p")
        for name in ("older", "newer"):
            write_tree(share_tree(manager, share), name)
            manager.create_snapshot(CONTEXT, share.id, name=name)
        write_tree(share_tree(manager, share), "now")
        self.old = manifest(share_tree(manager, share))
        self.kept = {s.name: manifest(snapshot_tree(state, share, s)) for s in manager.snapshots(CONTEXT, share.id)}
        self.plain = manifest(share_tree(manager, plain))
        self.exports = {s.name: s.export_locations for s in manager.shares(CONTEXT)}
        manager.site.store.engine.dispose()
        shutil.copytree(state, self.image, symlinks=True, copy_function=_same_links())

    def put_back(self) -> None:
        """Be before the operation again."""
        shutil.rmtree(self.state)
        shutil.copytree(self.image, self.state, symlinks=True, copy_function=_same_links())


def _same_links() -> Callable[[str, str], Any]:
    """Copy files so that hard links stay hard links."""
    seen: dict[int, str] = {}

    def copy(source: str, target: str) -> None:
        inode = Path(source).stat().st_ino
        if inode in seen:
            os.link(seen[inode], target)
        else:
            shutil.copy2(source, target)
            seen[inode] = target

    return copy


@pytest.fixture(scope="module")
def world(fast_root: Path, template: Path) -> Iterator[World]:
    """One for the whole sweep."""
    state = fast_root / "kill"
    shutil.copytree(template, state)
    world = World(state)
    yield world
    shutil.rmtree(state)
    shutil.rmtree(world.image)


@pytest.mark.parametrize("verb", VERBS)
def test_a_kill_at_every_commit(world: World, verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 7: every row at rest, the data the old or the snapshot's, every snapshot there, a retry succeeds."""
    monkeypatch.setattr(blockers, "holders", nobody)
    world.put_back()
    count = tmp_path / "count"
    with child(until, world.state, verb, None, count) as whole:
        assert ended(whole) == 0
    names = count.read_text().splitlines()
    assert len(names) >= 6, "an accept, a record and an end, each before and after"
    for number in range(1, len(names) + 1):
        world.put_back()
        with child(until, world.state, verb, number, count) as killed:
            assert ended(killed) == -signal.SIGKILL
        try:
            _check(world, verb)
        except BaseException as failure:
            failure.add_note(f"{verb}: killed at point {number} of {len(names)}: {names[number - 1]}")
            raise


def _check(world: World, verb: str) -> None:
    manager = open_manager(world.state)
    manager.recover()
    assert manager.interrupted() == []
    assert_at_rest(manager)
    assert_quota_is_the_sum(manager)
    _check_data(world, manager, verb)
    _write_and_recover_again(world)
    _retry(world, manager, verb)
    assert_at_rest(manager)
    manager.site.store.engine.dispose()


def _check_data(world: World, manager: ShareManager, verb: str) -> None:
    share = manager.share(CONTEXT, "share")
    assert share.status is Status.AVAILABLE
    assert share.export_locations == world.exports["share"]
    found = manifest(share_tree(manager, share))
    assert found == world.old or (verb == "revert" and found == world.kept["newer"]), "neither old nor the snapshot's"
    assert share.size in ((1, 2) if verb == "extend" else (1,))
    _check_snapshots(world, manager, verb, share)
    with_plain = [one for one in manager.shares(CONTEXT) if one.name == "plain"]
    assert with_plain or verb == "delete share"
    if with_plain and with_plain[0].status is Status.AVAILABLE:
        assert manifest(share_tree(manager, with_plain[0])) == world.plain
        assert with_plain[0].export_locations == world.exports["plain"]


def _check_snapshots(world: World, manager: ShareManager, verb: str, share: Share) -> None:
    found = {s.name: s for s in manager.snapshots(CONTEXT, share.id)}
    wanted = {"older"} if verb == "delete snapshot" else {"older", "newer"}
    assert wanted <= found.keys() <= {"older", "newer", "fresh"}
    for name in world.kept.keys() & found.keys():
        assert found[name].status is Status.AVAILABLE
        assert manifest(snapshot_tree(world.state, share, found[name])) == world.kept[name]
    if fresh := found.get("fresh"):
        _check_fresh(world, share, fresh)


def _check_fresh(world: World, share: Share, fresh: Snapshot) -> None:
    """One whose taking was killed is there and whole, or in error with nothing of it left."""
    tree = snapshot_tree(world.state, share, fresh)
    if fresh.status is Status.AVAILABLE:
        assert manifest(tree) == world.old
    else:
        assert fresh.status is Status.ERROR
        assert not tree.parent.exists()


def _write_and_recover_again(world: World) -> None:
    """Nothing that a client writes once the share is available is thrown away by another start."""
    with_trees = open_manager(world.state)
    tree = share_tree(with_trees, with_trees.share(CONTEXT, "share"))
    (tree / "since").write_text("written after the recovery")
    before = manifest(tree)
    assert open_manager(world.state).recover() == []
    assert manifest(tree) == before
    (tree / "since").unlink()


def _retry(world: World, manager: ShareManager, verb: str) -> None:
    """The same again, as the user who saw it fail would."""
    if verb == "create snapshot" and _there(lambda: manager.snapshot(CONTEXT, "fresh")):
        manager.delete_snapshot(CONTEXT, "fresh")
    if verb.startswith("create share") and _there(lambda: manager.share(CONTEXT, "fresh")):
        manager.delete_share(CONTEXT, "fresh")
    try:
        VERBS[verb](manager)
    except NotFound:
        assert verb.startswith("delete ")
    except InvalidInput:
        assert verb == "extend"
        assert manager.share(CONTEXT, "share").size == 2
    share = manager.share(CONTEXT, "share")
    if verb == "revert":
        assert manifest(share_tree(manager, share)) == world.kept["newer"]
    if verb == "create share from snapshot":
        assert manifest(share_tree(manager, manager.share(CONTEXT, "fresh"))) == world.kept["newer"]
    if verb == "create snapshot":
        fresh = manager.snapshot(CONTEXT, "fresh")
        assert manifest(snapshot_tree(world.state, share, fresh)) == manifest(share_tree(manager, share))


def _there(find: Callable[[], object]) -> bool:
    try:
        find()
    except NotFound:
        return False
    return True
