"""The in-memory driver."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy, deepcopy

import pytest
from driver_world import A, B, C, Content, World, by_exception, count_points, living

from revertkit.capabilities import Capability, discover
from revertkit.drivers.memory import MemoryDriver
from revertkit.drivers.memory.storage import STORAGE, Volume
from revertkit.errors import BackendError, Blocked
from revertkit.models import AccessRule, Replica, RevertState, new_id
from revertkit.system.run import Moment, StepEvent, watching


class MemoryWorld(World):
    """Looks into the driver's storage where a test has to see more than a caller may."""

    backend = "ram"

    def restarted(self) -> MemoryDriver:
        return MemoryDriver(self.backend, MemoryDriver.Options())

    def cloned(self) -> MemoryWorld:
        """The same share under another backend's name."""
        clone = copy(self)
        clone.taken, clone.backend = dict(self.taken), new_id()
        STORAGE[clone.backend] = deepcopy(STORAGE.get(self.backend, {}))
        clone.driver = clone.restarted()
        return clone

    def _held(self, share: Replica | None = None) -> Volume:
        return STORAGE[self.backend][(share or self.share).id]

    def put(self, content: Content) -> None:
        files = self.driver.files(self.share)
        files.clear()
        files.update(content)

    def content(self, share: Replica | None = None) -> Content:
        return dict(self._held(share).files)

    def kept(self, name: str) -> Content:
        return dict(self.restarted().snapshot_files(self.snapshot(name)))

    def leftovers(self) -> list[str]:
        known = {snapshot.snapshot_id for snapshot in self.taken.values()}
        held = STORAGE[self.backend].get(self.share.id)
        return [*(set(held.snapshots) - known), *(["aside"] if held.aside is not None else [])] if held else []

    def online(self) -> bool:
        return self.share.id in STORAGE[self.backend] and self._held().online

    def forge(self, name: str | None = None) -> None:
        held = self._held().snapshots[self.snapshot(name).snapshot_id] if name else self._held()
        held.identity = new_id()

    def lose(self, name: str) -> None:
        del self._held().snapshots[self.snapshot(name).snapshot_id]


class TestMemoryDriver:
    @pytest.fixture
    def worlds(self) -> Iterator[Callable[[], World]]:
        yield MemoryWorld
        MemoryDriver.reset()

    @pytest.fixture
    def world(self, worlds: Callable[[], World]) -> World:
        return living(worlds())

    def test_a_share_with_snapshots_is_not_deleted(self, world: World) -> None:
        with pytest.raises(Blocked) as refusal:
            world.driver.delete_share(world.share)
        assert len(refusal.value.blockers) == 2
        assert world.kept("old") == A

    def test_a_revert_has_a_half_way_and_only_calling_again_ends_it(self, worlds: Callable[[], World]) -> None:
        states = []
        model = living(worlds())
        clone = model.cloned()
        for point in range(count_points(lambda: clone.driver.revert_to_snapshot(clone.snapshot("new")))):
            world = model.cloned()
            by_exception(lambda world=world: world.driver.revert_to_snapshot(world.snapshot("new")), point)  # type: ignore[misc]
            states.append(world.state("new"))
        assert len(states) >= 10
        unchanged, halfway, reverted = (states.count(state) for state in list(RevertState)[:3])
        assert min(unchanged, halfway, reverted) > 0
        order = [RevertState.UNCHANGED] * unchanged + [RevertState.HALFWAY] * halfway
        assert states == order + [RevertState.REVERTED] * reverted

    def test_progress_grows_to_a_hundred(self, world: World) -> None:
        percents: list[float | None] = []

        def watch(event: StepEvent) -> None:
            if event.moment is Moment.PROGRESS:
                percents.append(event.percent)

        with watching(watch):
            world.revert("new")
        assert percents == sorted(set(percents), key=lambda percent: percent or 0)
        assert percents[-1] == 100

    def test_both_identities_are_new_after_a_revert(self, world: World) -> None:
        before = world.share.backend_id, world.snapshot("new").backend_id
        reverted = world.driver.revert_to_snapshot(world.snapshot("new"))
        assert not {reverted.share.backend_id, reverted.snapshot.backend_id} & set(before)

    def test_content_cannot_be_reached_offline(self, world: World) -> None:
        files = world.driver.files(world.share)
        world.driver.revert_to_snapshot(world.snapshot("new"))
        with pytest.raises(BackendError, match="offline"):
            files["late"] = b"write"
        assert world.content() == B

    def test_a_dry_run_says_how_much_would_be_discarded(self, world: World) -> None:
        assert world.driver.check_revert(world.snapshot("new")).discards_bytes == sum(map(len, C.values()))

    def test_rules_decide_the_exports(self, world: World) -> None:
        good, bad, user = (
            AccessRule(id=new_id(), access_to=to, access_type=kind)
            for to, kind in (("10.0.0.0/24", "ip"), ("10.0.0.300", "ip"), ("kim", "user"))
        )
        share = world.share.model_copy(update={"rules": (good, bad, user)})
        assert set(world.driver.update_access(share)) == {bad.id, user.id}
        assert world.driver.exported_to(share) == (good,)
        assert count_points(lambda: world.driver.update_access(share)) == 0

    def test_a_snapshot_can_be_mounted(self, world: World) -> None:
        (location,) = world.driver.ensure_snapshot(world.snapshot("new"))
        assert world.snapshot("new").snapshot_id in location.path

    def test_no_more_than_there_is(self, world: World) -> None:
        with pytest.raises(Blocked, match="GiB are needed"):
            world.driver.create_share(world.unborn().model_copy(update={"size": 1000}))
        with pytest.raises(Blocked, match="GiB are needed"):
            world.driver.extend_share(world.share, 1001)
        assert world.driver.pools()[0].free_bytes == 999 * 1024**3

    def test_reset_forgets(self, world: World) -> None:
        MemoryDriver.reset()
        with pytest.raises(Blocked, match="no share"):
            world.driver.files(world.share)

    def test_it_can_all_that_one_machine_can(self) -> None:
        assert discover(MemoryDriver) == set(Capability)

    def test_a_snapshot_is_exported_by_its_own_rules_until_it_goes(self, world: World) -> None:
        rule, bad = (AccessRule(id=new_id(), access_to=to) for to in ("10.0.0.1", "everybody"))
        seen = world.snapshot("new").model_copy(update={"rules": (rule, bad)})
        world.driver.ensure_snapshot(seen)
        assert world.driver.snapshot_exported_to(seen) == (rule,)
        assert count_points(lambda: world.driver.ensure_snapshot(seen)) == 0
        world.driver.revert_to_snapshot(world.snapshot("new"))
        assert world.driver.snapshot_exported_to(seen) is None

    def test_what_is_let_go_of_can_be_adopted_again(self, world: World) -> None:
        name = world.share.id
        held = STORAGE["ram"][name]
        (found,) = world.driver.inventory()
        assert [one.snapshot_id for one in found.snapshots] == [world.snapshot(n).snapshot_id for n in ("old", "new")]
        assert (found.existing, found.replica_id, found.share_id) == (name, world.share.id, world.share.share_id)
        for verb, what in (("unmanage_snapshot", world.snapshot("new")), ("unmanage_share", world.share)):
            for _ in range(2):
                getattr(world.driver, verb)(what)
        assert (held.mark, held.online) == ("", False)
        assert world.driver.inventory() == []
        with pytest.raises(Blocked, match="no share"):
            world.driver.files(world.share)
        other = world.unborn()
        for _ in range(2):
            assert world.driver.manage_share(other, name).size == world.share.size
        with pytest.raises(Blocked, match="belongs to share"):
            world.driver.manage_share(world.unborn(), other.id)
        assert STORAGE["ram"][other.id] is held

    def test_a_snapshot_of_ours_is_adopted_wherever_it_is_in_the_order(self, world: World) -> None:
        for name in ("old", "new"):
            stored = world.driver.manage_snapshot(world.snapshot(name), world.snapshot(name).snapshot_id)
            assert stored.backend_id == world.snapshot(name).backend_id
        world.driver.unmanage_snapshot(world.snapshot("old"))
        with pytest.raises(Blocked, match="is older than"):
            world.driver.manage_snapshot(world.snapshot("old"), world.snapshot("old").snapshot_id)
