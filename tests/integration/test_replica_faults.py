"""Rule 7 with replicas: an error or a death, before and after every step and commit, of every verb that touches one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from replicated import World, assert_whole, open_manager
from support import CONTEXT, Killed, points

from revertkit.drivers.memory import MemoryDriver
from revertkit.errors import BackendError, Conflict, RevertkitError
from revertkit.manager import ShareManager
from revertkit.status import Status

Verb = Callable[[ShareManager, World], Any]
VERBS: dict[str, Verb] = {
    "create replica": lambda m, w: m.create_replica(CONTEXT, "share", pool="third"),
    "delete replica": lambda m, w: m.delete_replica(CONTEXT, w.third),
    "promote": lambda m, w: m.promote_replica(CONTEXT, w.far),
    "promote by force": lambda m, w: m.promote_replica(CONTEXT, w.far, force=True),
    "promote back": lambda m, w: m.promote_replica(CONTEXT, w.fast),
    "resync": lambda m, w: m.resync_replica(CONTEXT, w.far),
    "copy anew": lambda m, w: m.resync_replica(CONTEXT, w.far, full_copy=True),
    "revert": lambda m, w: m.revert_to_snapshot(CONTEXT, "newer"),
    "create snapshot": lambda m, w: m.create_snapshot(CONTEXT, "share", name="fresh"),
    "delete snapshot": lambda m, w: m.delete_snapshot(CONTEXT, "newer"),
    "extend": lambda m, w: m.extend_share(CONTEXT, "share", 20),
    "allow access": lambda m, w: m.allow_access(CONTEXT, "share", "10.0.0.9"),
}
KNOWN = ("promote back", "revert", "create snapshot", "delete snapshot", "extend", "allow access")
"""Verbs that test_faults.py has, or that are here twice: they fail at each third point, and die at each."""
COPES = ("delete replica", "resync", "copy anew", "promote", "allow", "revert", "create snapshot")
"""A look that fails is told; a promotion whose last look fails is refused; a revert asks and goes on; when a replica is
gone, the active one comes online anew another time."""


@pytest.fixture
def manager(state: Path) -> Iterator[ShareManager]:
    """A manager of three backends."""
    manager = open_manager(state)
    yield manager
    manager.site.store.engine.dispose()
    MemoryDriver.reset()


def prepared(manager: ShareManager, verb: str) -> World:
    """Make a world in which the verb has something to do."""
    world = World(manager)
    if verb == "create replica":
        manager.delete_replica(CONTEXT, world.third)
    if verb == "promote back":
        manager.promote_replica(CONTEXT, world.far)
        world.look()
    if verb == "resync":
        manager.revert_to_snapshot(CONTEXT, "newer")
        manager.delete_snapshot(CONTEXT, "newer")
        world.write(World.LATER)
        manager.create_snapshot(CONTEXT, "share", name="last")
    world.files()["since"] = b"not yet anywhere else"
    return world


def until(world: World, verb: str, last: int, death: BaseException | None) -> list[str]:
    """Run a verb, and raise at point number `last`; answer the points that were reached."""
    reached: list[str] = []

    def point(name: str) -> None:
        reached.append(name)
        if death and len(reached) == last:
            raise death

    with points(point):
        VERBS[verb](world.manager, world)
    return reached


@pytest.mark.parametrize("death", [BackendError("injected"), Killed()], ids=["error", "death"])
@pytest.mark.parametrize("verb", VERBS)
def test_at_every_point(manager: ShareManager, verb: str, death: BaseException) -> None:
    """At rest after the next start and a look, old or new but whole on every replica, nothing lost, a retry works."""
    world = prepared(manager, verb)
    again = world.kept()
    before = dict(world.files())
    total = len(until(world, verb, 0, None))
    assert total >= 5, "two commits and a step have at least these"
    every = 3 if verb in KNOWN and isinstance(death, BackendError) else 1
    for last in range(1, total + 1, every):
        again()
        with suppress(RevertkitError, Killed):
            reached = until(world, verb, last, death)
            assert len(reached) >= last, "nothing was injected"
            assert verb.startswith(COPES), "only these cope by themselves"
        try:
            _check(world, verb, before, forced_away=verb == "promote by force")
        except BaseException as failure:
            failure.add_note(f"{verb}: {type(death).__name__} at point {last} of {total}")
            raise


def _check(world: World, verb: str, before: dict[str, bytes], *, forced_away: bool) -> None:
    manager = world.manager
    manager.recover()
    assert manager.interrupted() == []
    world.look()
    if _tidied(world):
        world.look()
    assert_whole(world)
    allowed = [before, *([World.KEPT] if verb == "revert" else []), *([World.LATER] if forced_away else [])]
    content = dict(world.files())
    assert content in allowed
    assert {"older"} <= {one.name for one in manager.snapshots(CONTEXT, "share")}
    world.files()["after"] = b"written"
    manager.recover()
    world.look()
    assert dict(world.files()) == {**content, "after": b"written"}, "a second recovery, or a look, has undone it"
    if not _done_already(world, verb):
        VERBS[verb](manager, world)
        world.look()
        assert_whole(world)


def _tidied(world: World) -> bool:
    """Do what the statuses ask of a person; say whether there was anything."""
    manager, wrong = world.manager, (Status.ERROR, Status.ERROR_DELETING)
    broken = [one for one in world.replicas() if one.status in wrong]
    for one in broken:
        manager.delete_replica(CONTEXT, one.id)
    lost = [one for one in manager.snapshots(CONTEXT, "share") if one.status in wrong]
    for snapshot in lost:
        manager.delete_snapshot(CONTEXT, snapshot.id)
    share = world.found()
    if share.status is Status.EXTENDING_ERROR:
        manager.set_share_status(CONTEXT, "share", Status.AVAILABLE)
        manager.recover()
    refused = [rule for rule in manager.access_rules(CONTEXT, "share") if rule.state.value == "error"]
    for rule in refused:
        manager.deny_access(CONTEXT, "share", rule.id)
    return bool(broken or lost or refused) or share.status is not Status.AVAILABLE


def _done_already(world: World, verb: str) -> bool:
    backends = {one.pool.backend for one in world.replicas()}
    names = {one.name for one in world.manager.snapshots(CONTEXT, "share")}
    return {
        "create replica": "third" in backends,
        "delete replica": "third" not in backends,
        "promote": world.active().id == world.far,
        "promote by force": world.active().id == world.far,
        "promote back": world.active().id == world.fast,
        "create snapshot": "fresh" in names,
        "delete snapshot": "newer" not in names,
        "extend": world.found().size == 20,
        "allow access": any(rule.access_to == "10.0.0.9" for rule in world.found().replica.rules),
    }.get(verb, False)


def test_a_promotion_that_is_done_but_offline_says_so(manager: ShareManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """The places have been changed on record; that it cannot be brought online does not change them back."""
    world = World(manager)
    ensure = MemoryDriver.ensure_share

    def refuse(driver: MemoryDriver, share: Any) -> Any:
        if driver.backend == "far" and share.state.value == "active":
            raise BackendError("no way in")
        return ensure(driver, share)

    with monkeypatch.context() as patch:
        patch.setattr(MemoryDriver, "ensure_share", refuse)
        with pytest.raises(BackendError, match="no way in"):
            manager.promote_replica(CONTEXT, world.far)
    assert "is the active one, but cannot be brought online: no way in" in manager.messages(CONTEXT)[0].text
    assert world.active().id == world.far
    assert world.active().status is Status.AVAILABLE
    with pytest.raises(Conflict, match="already"):
        manager.promote_replica(CONTEXT, world.far)
    manager.recover()
    world.look()
    assert_whole(world)
