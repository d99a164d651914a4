"""The directory driver: the common cases, with real kills, and what only a real file system can show."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from copy import copy
from pathlib import Path

import pytest
from driver_world import A, B, C, Content, World, count_points, living
from pydantic import ValidationError

from revertkit.drivers.directory import DirectoryDriver, pool, tree
from revertkit.drivers.directory.home import Home, Wrapper
from revertkit.errors import BackendError, Blocked, CommandFailed
from revertkit.models import GIB, Replica, RevertState, new_id
from revertkit.system import kernel, mounts
from revertkit.system import run as run_module
from revertkit.system.mounts import Mount, mounts_within
from revertkit.system.run import Completed, Moment, StepEvent, watching

MEMORY = Path("/dev/shm")
"""Syncing a disk that others write to would take as long as they like."""


class DirectoryWorld(World):
    """A share below a directory of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        super().__init__()

    def restarted(self) -> DirectoryDriver:
        return DirectoryDriver("files", DirectoryDriver.Options(mount_root=self.root))

    def cloned(self) -> DirectoryWorld:
        clone = copy(self)
        clone.taken = dict(self.taken)
        clone.root = Path(tempfile.mkdtemp(dir=self.root.parent))
        shutil.copytree(self.root, clone.root, symlinks=True, dirs_exist_ok=True)
        clone.driver = clone.restarted()
        return clone

    def home(self, share: Replica | None = None) -> Home:
        return Home(self.root, (share or self.share).id)

    @property
    def data(self) -> Path:
        return self.home().online.data

    def held(self, name: str) -> Wrapper:
        return self.home().snapshot(self.snapshot(name).snapshot_id)

    def put(self, content: Content) -> None:
        for path in self.data.iterdir():
            path.unlink()
        for name, written in content.items():
            (self.data / name).write_bytes(written)

    def content(self, share: Replica | None = None) -> Content:
        live = self.home(share).live()
        return _files(live.data) if live else {}

    def kept(self, name: str) -> Content:
        return _files(self.held(name).data)

    def leftovers(self) -> list[str]:
        known = {f"snap-{snapshot.snapshot_id}" for snapshot in self.taken.values()}
        homes = list(self.root.glob(".revertkit/*"))
        orphans = [home for home in homes if not (self.root / home.name).exists()]
        inside = [path for home in homes for path in home.iterdir() if path.name not in known]
        return [str(path) for path in orphans + inside]

    def online(self) -> bool:
        return self.home().online.exists()

    def forge(self, name: str | None = None) -> None:
        (self.held(name) if name else self.home().online).path.joinpath("identity").write_text(new_id())

    def lose(self, name: str) -> None:
        shutil.rmtree(self.held(name).path)


def _files(tree: Path) -> Content:
    return {path.name: path.read_bytes() for path in tree.iterdir()}


@pytest.fixture
def roots() -> Iterator[Callable[[], Path]]:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as base:
        yield lambda: Path(tempfile.mkdtemp(dir=base))


@pytest.fixture(scope="module")
def template() -> Iterator[DirectoryWorld]:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as base:
        living(world := DirectoryWorld(Path(tempfile.mkdtemp(dir=base))))
        yield world


@pytest.fixture
def world(template: DirectoryWorld) -> DirectoryWorld:
    return template.cloned()


def test_nothing_is_deleted_off_the_record_while_its_file_system_is_not_mounted(world: DirectoryWorld) -> None:
    """An empty mount point looks like a share that is gone, and is none; no mend is named but mounting."""
    old, new = world.snapshot("old"), world.snapshot("new")
    mounted = world.root.rename(world.root.with_suffix(".elsewhere"))
    world.root.mkdir()
    driver = world.restarted()
    driver.pools()
    calls: list[Callable[[], object]] = [
        lambda: driver.check_revert(new),
        lambda: driver.delete_snapshot(new),
        lambda: driver.delete_share(world.share),
        lambda: driver.delete_replica(world.share, [old, new]),
    ]
    for call in calls:
        with pytest.raises(Blocked) as refusal:
            call()
        found = [(blocker.kind, blocker.mend) for blocker in refusal.value.blockers]
        assert found == [("share_missing", "mount the file system that holds it")]
    world.root.rmdir()
    mounted.rename(world.root)
    assert (world.content(), world.kept("old"), world.kept("new")) == (C, A, B)


def test_a_share_with_snapshots_is_not_deleted(world: DirectoryWorld) -> None:
    with pytest.raises(Blocked) as refusal:
        world.driver.delete_share(world.share)
    assert len(refusal.value.blockers) == 2
    assert world.kept("old") == A


# --- who is in the way


def test_a_process_that_has_the_share_open_is_named(world: DirectoryWorld) -> None:
    with subprocess.Popen(["/bin/sleep", "60"], cwd=world.data) as sleeper:
        for call in (world.driver.check_revert, world.driver.revert_to_snapshot):
            with pytest.raises(Blocked) as refusal:
                call(world.snapshot("new"))
            (blocker,) = refusal.value.blockers
            assert (blocker.kind, blocker.what) == (
                "open",
                f"in use by process {sleeper.pid} (sleep), working directory",
            )
        assert (world.content(), world.online(), world.leftovers()) == (C, True, [])
        sleeper.terminate()
    world.revert("new")


def test_a_process_that_opens_it_at_the_last_moment_gets_the_share_back(world: DirectoryWorld) -> None:
    sleepers: list[subprocess.Popen[bytes]] = []

    def watch(event: StepEvent) -> None:
        if event == StepEvent("take the share offline", Moment.BEFORE):
            sleepers.append(subprocess.Popen(["/bin/sleep", "60"], cwd=world.data))

    with watching(watch), pytest.raises(Blocked, match="sleep"):
        world.driver.revert_to_snapshot(world.snapshot("new"))
    assert world.state("new") is RevertState.UNCHANGED
    assert (world.content(), world.online(), world.leftovers()) == (C, True, [])
    with sleepers[0] as sleeper:
        sleeper.terminate()


def test_a_snapshot_that_is_lost_at_the_last_moment(world: DirectoryWorld) -> None:
    def watch(event: StepEvent) -> None:
        if event == StepEvent("take the share offline", Moment.AFTER):
            world.lose("new")

    with watching(watch), pytest.raises(Blocked, match="is not there"):
        world.driver.revert_to_snapshot(world.snapshot("new"))
    assert (world.content(), world.online(), world.leftovers()) == (C, True, [])


def test_a_share_that_is_swapped_at_the_last_moment(world: DirectoryWorld) -> None:
    def watch(event: StepEvent) -> None:
        if event == StepEvent("name incoming", Moment.AFTER):
            world.forge()

    with watching(watch), pytest.raises(Blocked, match="on record is"):
        world.driver.revert_to_snapshot(world.snapshot("new"))
    assert (world.content(), world.online(), world.leftovers()) == (C, True, [])


def test_a_share_that_was_reverted_and_never_recorded_can_be_deleted(world: DirectoryWorld) -> None:
    world.drop("old")
    world.driver.revert_to_snapshot(world.snapshot("new"))
    world.drop("new")
    world.driver.delete_share(world.share)
    assert not world.leftovers()


def test_an_open_older_sibling_is_in_nobodys_way(world: DirectoryWorld) -> None:
    with subprocess.Popen(["/bin/sleep", "60"], cwd=world.held("old").data) as sleeper:
        world.revert("new")
        sleeper.terminate()


def test_a_stranger_at_the_shares_place_is_never_clobbered(world: DirectoryWorld) -> None:
    reverted = world.driver.revert_to_snapshot(world.snapshot("new"))
    world.home().online.path.mkdir()
    world.record(reverted.share)
    with pytest.raises(BackendError, match=r"in the way.*move it away") as refusal:
        world.ensure()
    assert str(world.home().online.path) in str(refusal.value)
    assert list(world.home().online.path.iterdir()) == []
    world.home().online.path.rmdir()
    world.ensure()
    assert world.content() == B


def test_mounts_inside_block_what_would_copy_or_empty_them(
    world: DirectoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = [Mount("x", target, "ext4", (), "0:1") for target in (Path("/"), world.data / "a")]
    monkeypatch.setattr(mounts, "mounts", lambda: seen)
    for call in (world.driver.check_revert, world.driver.revert_to_snapshot):
        with pytest.raises(Blocked, match="mounted inside the share"):
            call(world.snapshot("new"))
    with pytest.raises(Blocked, match="mounted inside the share"):
        world.driver.create_snapshot(world.snapshot("newest"))
    with pytest.raises(Blocked, match="mounted inside the share"):
        world.driver.delete_share(world.share)
    with pytest.raises(BackendError, match="unmount it"):
        tree.remove(world.data)
    assert world.content() == C


def test_mount_points_are_read_from_the_kernel() -> None:
    assert Path("/proc") in mounts_within(Path("/"))
    assert mounts_within(Path(__file__)) == []


# --- what users do to their own directory


def test_a_share_that_was_removed_altogether_comes_back_empty(world: DirectoryWorld) -> None:
    identity = world.home().online.identity
    shutil.rmtree(world.home().online.path)
    world.ensure()
    assert world.content() == {}
    assert world.home().online.identity == identity


@pytest.mark.parametrize("part", ["", "data"])
def test_a_share_that_was_removed_can_be_reverted(world: DirectoryWorld, part: str) -> None:
    shutil.rmtree(world.home().online.path / part)
    assert world.state("new") is RevertState.UNCHANGED
    world.revert("new")
    assert world.content() == B


def test_a_share_whose_data_was_removed_is_empty(world: DirectoryWorld) -> None:
    shutil.rmtree(world.data)
    world.ensure()
    assert world.content() == {}


def test_a_file_system_that_is_not_mounted_is_not_an_empty_share(world: DirectoryWorld, tmp_path: Path) -> None:
    world.root = tmp_path
    for call in (world.restarted().ensure_share, world.restarted().extend_share):
        with pytest.raises(Blocked, match="mount the file system"):
            call(world.share, *([2] if call.__name__ == "extend_share" else []))
    assert world.state("new") is RevertState.UNKNOWN
    assert list(tmp_path.iterdir()) == []


def test_a_lost_identity_is_refused_with_the_mend(world: DirectoryWorld) -> None:
    world.drop("new")
    world.drop("old")
    (world.home().online.path / "identity").unlink()
    for call in (world.driver.ensure_share, world.driver.delete_share):
        with pytest.raises(Blocked, match=f"{world.share.backend_id}.*mend that file"):
            call(world.share)
    assert world.content() == C


# --- copies


def test_a_snapshot_that_cannot_be_kept_leaves_nothing(world: DirectoryWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        target.mkdir(mode=0o555)
        raise CommandFailed(["cp"], 1, "No space left on device")

    monkeypatch.setattr(tree, "copy", full)
    with pytest.raises(CommandFailed, match="No space left"):
        world.driver.create_snapshot(world.snapshot("newest"))
    del world.taken["newest"]
    with pytest.raises(CommandFailed, match="No space left"):
        world.driver.revert_to_snapshot(world.snapshot("new"))
    assert (world.content(), world.online(), world.leftovers()) == (C, True, [])


def test_a_tool_that_answers_0_and_did_nothing_is_a_failure(
    world: DirectoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def idle(source: Path, target: Path) -> None:
        target.mkdir()

    monkeypatch.setattr(tree, "copy", idle)
    with pytest.raises(BackendError, match="other names"):
        world.driver.revert_to_snapshot(world.snapshot("new"))
    with pytest.raises(BackendError, match="other names"):
        world.driver.create_share_from_snapshot(world.unborn(), world.snapshot("new"))
    assert (world.content(), world.online()) == (C, True)
    monkeypatch.setattr(tree, "copy", lambda source, target: None)
    with pytest.raises((BackendError, FileNotFoundError)):
        world.driver.create_snapshot(world.snapshot("newest"))
    world.drop("newest")
    monkeypatch.setattr(tree, "run", lambda argv, **_: Completed(0, "", ""))
    with pytest.raises(BackendError, match="has not removed"):
        world.driver.delete_snapshot(world.snapshot("new"))


@pytest.mark.parametrize("damage", ["size", "time", "name", "kind"])
def test_a_copy_that_is_not_equal_is_noticed(tmp_path: Path, damage: str) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "file").write_bytes(b"content")
    tree.copy(source, target)
    tree.check_copy(source, target)
    file = target / "deep" / "file"
    if damage in ("size", "time"):
        file.write_bytes(b"content" if damage == "time" else b"more content")
    else:
        file.unlink()
        if damage == "kind":
            file.symlink_to("elsewhere")
    with pytest.raises(BackendError, match="copy of"):
        tree.check_copy(source, target)


# --- pools and sizes


def test_shrinking_below_what_is_used_is_refused(world: DirectoryWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "bytes_used", lambda _: 2 * GIB + 1)
    with pytest.raises(Blocked, match=f"{2 * GIB + 1} bytes are in use"):
        world.driver.shrink_share(world.share, 2)
    assert world.driver.shrink_share(world.share, 3).size == 3


def test_bytes_used_are_those_on_disk(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as sparse:
        sparse.truncate(GIB)
    (tmp_path / "file").write_bytes(b"x" * 2**20)
    (tmp_path / "link").hardlink_to(tmp_path / "file")
    assert 2**20 <= tree.bytes_used(tmp_path) < 2**21


def test_the_pool_says_what_it_does_not_do(world: DirectoryWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    for user, root in ((0, True), (1000, False)):
        monkeypatch.setattr(pool.os, "geteuid", lambda user=user: user)
        (found,) = world.driver.pools()
        assert found.extra == {
            "point_in_time_snapshots": False,
            "size_enforced": False,
            "keeps_foreign_owners": root,
            "sees_all_open_files": root,
        }


def test_a_root_that_is_not_there(tmp_path: Path) -> None:
    world = DirectoryWorld(tmp_path / "missing")
    with pytest.raises(BackendError, match=r"missing cannot be used.*make it"):
        world.driver.pools()
    with pytest.raises(BackendError, match=r"missing cannot be used.*make it"):
        world.create()
    with pytest.raises(ValidationError, match="absolute"):
        DirectoryDriver.Options(mount_root=Path("shares"))


def test_a_file_system_without_exchange_loses_revert_and_nothing_else(
    roots: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path, flags: int) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(kernel, "_renameat2", refuse)
    living(world := DirectoryWorld(roots()))
    (found,) = world.driver.pools()
    assert [lack.capability for lack in found.lacks] == ["revert_to_snapshot_support", "replication_support"]
    with pytest.raises(Blocked, match="cannot exchange"):
        world.driver.revert_to_snapshot(world.snapshot("new"))
    assert (world.content(), world.kept("old")) == (C, A)
    world.home().online.path.rename(world.home().current.path)
    world.home().online.path.write_text("a stranger")
    with pytest.raises(BackendError, match="in the way"):
        world.ensure()


def test_a_host_that_lacks_something_says_what(monkeypatch: pytest.MonkeyPatch) -> None:
    assert DirectoryDriver.probe() == []
    monkeypatch.setattr(kernel, "has_renameat2", lambda: False)
    monkeypatch.setattr(pool, "tool", lambda name: None if name == "find" else name)
    assert [(lack.mend, lack.capability) for lack in DirectoryDriver.probe()] == [
        ("install findutils", None),
        ("use glibc 2.28 or later", "revert_to_snapshot_support"),
        ("use glibc 2.28 or later", "replication_support"),
    ]


# --- order


def test_what_is_staged_is_on_disk_before_the_exchange(world: DirectoryWorld) -> None:
    begun: list[str] = []
    with watching(lambda event: begun.append(event.name) if event.moment is Moment.BEFORE else None):
        world.driver.revert_to_snapshot(world.snapshot("new"))
    order = ["copy the files", "sync", "name incoming", "take the share offline", "exchange"]
    assert [name for name in begun if name in order] == order


def test_a_stale_copy_is_never_reused(world: DirectoryWorld) -> None:
    world.home().make(world.home().incoming, world.held("old").data)
    world.revert("new")
    assert world.content() == B


def test_where_all_is_well_nothing_is_run(world: DirectoryWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "_run", None)
    assert count_points(world.ensure) == 0
