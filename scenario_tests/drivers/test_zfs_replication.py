"""Replicas on real ZFS, from one zpool to another of the same machine, driven directly, as root, without a manager.

Whatever happens, in the end the replica is, byte for byte, what the active one is, and so is each of its snapshots.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import replication_account
from replica_bench import Pair, pair_of_its_own, short_names, write
from zfs_bench import child, each_kill, fill, killed_at, manifest, prop, spoil, zfs

from revertkit.capabilities import Capability, discover
from revertkit.drivers.zfs import ZfsDriver, openzfs
from revertkit.drivers.zfs.listing import EMPTY
from revertkit.errors import BackendError, Blocked, CommandFailed
from revertkit.models import GIB, Replica, ReplicaReport, RevertState, SnapshotInstance
from revertkit.status import ReplicaState
from revertkit.system import mounts, nfs, processes
from revertkit.system.mounts import Busy
from revertkit.system.run import Moment, StepEvent, watching

# --- following


@pytest.mark.core
def test_a_replica_follows_and_is_read_only(pair: Pair) -> None:
    """A full copy, then what has changed; one marker to the pair; and nobody can write to it."""
    assert {Capability.REPLICATION, Capability.REPLICATED_REVERT} <= discover(ZfsDriver)
    fill(pair.path)
    pair.take()
    spoil(pair.path)
    replica = pair.add()
    guid = prop(pair.far.dataset(replica), "guid")
    pair.in_sync(replica)
    assert prop(pair.far.dataset(replica), "guid") == guid == replica.backend_id
    assert prop(pair.far.dataset(replica), EMPTY) == "-"
    write(pair.path / "more", 5)
    pair.take()
    pair.in_sync(replica)
    pair.in_sync(replica)
    assert short_names(pair.far.dataset(replica)) == short_names(pair.dataset)
    assert len(pair.markers(pair.dataset)) == 1
    with pytest.raises(OSError, match="Read-only"):
        (pair.far.path(replica) / "more").write_text("x")
    assert [entry.partition("(")[2][:2] for entry in nfs.serving(replica.id)] == ["ro"]
    assert nfs.serving(pair.active.share_id)


def test_one_that_is_not_mounted_is_not_followed(pair: Pair) -> None:
    """What was synced to it before a power cut may be in its log alone: no replica is in sync without that."""
    replica = pair.add()
    pair.in_sync(replica)
    nfs.unexport(pair.active.share_id)
    mounts.unmount(pair.path)
    report = pair.look(replica)
    assert report.state is ReplicaState.OUT_OF_SYNC
    assert "not mounted: run `revertkit recover` on node-1" in report.found
    pair.near.driver.ensure_share(pair.of(pair.active))
    pair.in_sync(replica)


def test_what_moves_is_what_has_changed(pair: Pair) -> None:
    """Not the size of the share."""
    write(pair.path / "large", 60)
    replica = pair.add()
    pair.in_sync(replica)
    write(pair.path / "small", 3)
    before = int(prop(pair.far.dataset(replica), "used"))
    pair.in_sync(replica)
    assert int(prop(pair.far.dataset(replica), "used")) - before < 5 << 20


def test_a_strangers_snapshots_are_not_carried_over(pair: Pair) -> None:
    """Nor bookmarks; they stay where they are."""
    replica = pair.add()
    pair.in_sync(replica)
    zfs("snapshot", f"{pair.dataset}@by-hand")
    zfs("bookmark", f"{pair.dataset}@by-hand", f"{pair.dataset}#by-hand")
    (pair.path / "later").write_text("later")
    pair.take()
    pair.in_sync(replica)
    assert "by-hand" not in short_names(pair.far.dataset(replica))
    assert "by-hand" in short_names(pair.dataset)


def test_a_reader_keeps_what_it_reads(pair: Pair) -> None:
    """A receive waits for no reader; what is shown follows when the last one has gone."""
    (pair.path / "file").write_text("one")
    replica = pair.add()
    pair.in_sync(replica)
    shown = pair.far.path(replica)
    hold = "import sys; f = open(sys.argv[1]); print(flush=True); sys.stdin.read()"
    (pair.path / "file").write_text("two")
    with child(hold, shown / "file"):
        report = pair.look(replica)
        assert report.state is ReplicaState.IN_SYNC
        assert (shown / "file").read_text() == "one"
        assert nfs.serving(replica.id), "it is served on"
    pair.in_sync(replica)
    assert (shown / "file").read_text() == "two"
    assert len(pair.markers(pair.far.dataset(replica))) == 1


# --- reverts


@pytest.mark.parametrize("synced", [True, False], ids=["in_sync", "out_of_sync"])
def test_a_replica_follows_a_revert(pair: Pair, synced: bool) -> None:
    """Its marker is newer than the target, and in nobody's way; no full copy is needed."""
    fill(pair.path)
    target = pair.take()
    before = manifest(pair.path)
    replica = pair.add()
    pair.in_sync(replica)
    spoil(pair.path)
    write(pair.path / "discarded", 5)
    if synced:
        pair.in_sync(replica)
    os.sync()
    discards = pair.near.driver.check_revert(pair.now(target)).discards_bytes
    assert discards is not None
    assert discards >= 5 << 20, "since the target, not since the marker"
    pair.revert()
    assert manifest(pair.path) == before
    assert pair.markers(pair.dataset) == []
    assert (pair.far.path(replica) / "discarded").exists() is synced
    pair.in_sync(replica)
    assert manifest(pair.far.path(replica)) == before
    (pair.path / "later").write_text("later")
    pair.in_sync(replica)


def test_the_loop_three_deep_with_a_replica_that_looks_now_and_then(pair: Pair) -> None:
    """Delete the newest, revert to the one before; a replica that has not looked in between catches up all the same."""
    history, replica = [], None
    for word in ("one", "two", "three"):
        (pair.path / word).write_text(word * 1000)
        history.append((pair.take(), manifest(pair.path)))
        if word == "two":
            replica = pair.add()
            pair.in_sync(replica)
    assert replica is not None
    for looks in (True, False, True):
        (pair.path / "lost").write_text("lost")
        snapshot, then = history.pop()
        pair.revert(snapshot)
        assert manifest(pair.path) == then
        if looks:
            pair.in_sync(replica)
        pair.delete_newest()
        assert [name for name in short_names(pair.dataset) if name.startswith("snap-")] == [
            f"snap-{one.snapshot_id}" for one, _ in history
        ]
    pair.in_sync(replica)


def test_the_only_snapshot_reverted_to_and_deleted_before_the_replica_looks(pair: Pair) -> None:
    """What the two had in common is kept as a marker until the replica has followed, and then goes."""
    (pair.path / "file").write_text("kept")
    pair.take()
    replica = pair.add()
    pair.in_sync(replica)
    (pair.path / "file").write_text("lost")
    pair.in_sync(replica)
    pair.revert()
    pair.delete_newest()
    assert len(pair.markers(pair.dataset)) == 1
    (pair.path / "later").write_text("later")
    pair.in_sync(replica)
    assert len(pair.markers(pair.dataset)) == 1
    assert (pair.far.path(replica) / "file").read_text() == "kept"


def test_a_revert_to_a_snapshot_older_than_the_replica(pair: Pair) -> None:
    """The replica was added later, and has it all the same."""
    (pair.path / "file").write_text("old")
    target = pair.take()
    (pair.path / "file").write_text("new")
    replica = pair.add()
    pair.in_sync(replica)
    pair.revert(target)
    pair.in_sync(replica)
    assert (pair.far.path(replica) / "file").read_text() == "old"


def test_a_size_that_a_revert_brings_back(pair: Pair) -> None:
    """Extend, snapshot, revert; the replica has no quota of its own, and its promotion the right one."""
    (pair.path / "file").write_text("one")
    pair.take()
    replica = pair.add()
    pair.in_sync(replica)
    grown = pair.near.driver.extend_share(pair.of(pair.active), 2).size
    pair.active = pair.active.model_copy(update={"size": grown})
    write(pair.path / "much", 50)
    pair.in_sync(replica)
    pair.revert()
    assert prop(pair.dataset, "refquota") == str(GIB)
    pair.in_sync(replica)
    pair.promote(pair.replicas[replica.id])
    assert prop(pair.dataset, "refquota") == str(GIB)


class Looking(threading.Thread):
    """A look at a replica, beside everything else, and what came of it."""

    def __init__(self, pair: Pair, replica: Replica) -> None:
        super().__init__(daemon=True)
        self._pair, self._replica = pair, replica
        self.report: ReplicaReport | None = None
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            self.report = self._pair.look(self._replica)
        except BaseException as failure:  # noqa: BLE001 - it is looked at by the test
            self.failure = failure

    def until_it_moves(self, mebibytes: int = 8) -> None:
        until_moving(self._pair.far.dataset(self._replica), mebibytes)
        assert self.is_alive(), (self.report, self.failure)


def until_moving(far: str, mebibytes: int) -> None:
    """Wait until so much of a transfer has arrived."""
    deadline, receiving = time.monotonic() + 300, list[int]()
    while max(map(read_by, receiving), default=0) < mebibytes << 20:
        assert time.monotonic() < deadline, f"less than {mebibytes} MiB has arrived: {[*map(read_by, receiving)]}"
        # Who looks through all of /proc, again and again, is what an emulated machine is busy with.
        receiving = [*filter(read_by, receiving)] or [*filter(receives, processes.of_transfer(into=far))]
        time.sleep(0.01)


def receives(pid: int) -> bool:
    """Whether a process of a transfer is the end that receives."""
    with suppress(OSError):  # it has ended
        return b"receive" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return False


def read_by(pid: int) -> int:
    """How many bytes a process has read."""
    try:
        said = Path(f"/proc/{pid}/io").read_text()
    except OSError:  # it has ended
        return 0
    return int(said.partition("rchar: ")[2].partition("\n")[0])


def revert_while_it_is_sent(pair: Pair, replica: Replica) -> Looking:
    """Begin a look just before the revert comes to its markers; answer what has become of that."""
    look = Looking(pair, replica)

    def begin(event: StepEvent) -> None:
        if event.name.startswith("umount") and event.moment is Moment.AFTER and not look.ident:
            look.start()
            look.until_it_moves(1)

    with watching(begin):
        pair.revert()
    look.join(120)
    assert not look.is_alive()
    return look


def test_a_revert_while_a_transfer_runs(pair: Pair) -> None:
    """The send of what is discarded is ended, not waited for; the next look brings the rest."""
    (pair.path / "file").write_text("kept")
    pair.take()
    replica = pair.add()
    pair.in_sync(replica)
    write(pair.path / "discarded", 150)
    look = revert_while_it_is_sent(pair, replica)
    assert isinstance(look.failure, CommandFailed), look.report
    assert not (pair.path / "discarded").exists()
    pair.in_sync(replica)
    assert not (pair.far.path(replica) / "discarded").exists()


def test_a_marker_that_is_taken_at_the_last_moment(pair: Pair) -> None:
    """By a look that has begun before the revert: the rollback finds it newer, and it goes too."""
    (pair.path / "file").write_text("kept")
    pair.take()
    replica = pair.add()
    pair.in_sync(replica)
    (pair.path / "file").write_text("lost")
    taken = []

    def late(event: StepEvent) -> None:
        if event == StepEvent("lzc_rollback_to", Moment.BEFORE) and not taken:
            taken.append(f"{pair.dataset}@marker-{replica.id}-0123456789ab")
            zfs("snapshot", "-o", f"revertkit:marker={replica.id}", taken[0])

    with watching(late):
        pair.revert()
    assert taken
    assert pair.markers(pair.dataset) == []
    assert (pair.path / "file").read_text() == "kept"
    pair.in_sync(replica)


# --- a stranger


def test_a_strangers_snapshot_on_the_active_one_blocks_a_revert_and_a_marker_does_not(pair: Pair) -> None:
    """Named, as in the plain revert, and nothing has changed: the marker is there too."""
    pair.take()
    replica = pair.add()
    pair.in_sync(replica)
    zfs("snapshot", f"{pair.dataset}@by-hand")
    zfs("bookmark", f"{pair.dataset}@by-hand", f"{pair.dataset}#by-hand")
    before = short_names(pair.dataset)
    with pytest.raises(Blocked) as refused:
        pair.revert()
    assert [b.kind for b in refused.value.blockers] == ["snapshot", "bookmark"]
    assert "marker" not in str(refused.value)
    assert short_names(pair.dataset) == before
    assert pair.path.is_mount()
    zfs("destroy", f"{pair.dataset}@by-hand")
    zfs("destroy", f"{pair.dataset}#by-hand")
    pair.revert()
    pair.in_sync(replica)


def test_a_strangers_snapshot_on_the_replica_is_refused_by_name_there(pair: Pair) -> None:
    """The active one reverts as if nothing were; the replica follows once it is gone."""
    (pair.path / "file").write_text("kept")
    pair.take()
    replica = pair.add()
    pair.in_sync(replica)
    far = pair.far.dataset(replica)
    zfs("snapshot", f"{far}@by-hand")
    (pair.path / "file").write_text("lost")
    pair.revert()
    for _ in range(2):
        report = pair.look(replica)
        assert report.state is ReplicaState.ERROR
        assert f"{far}@by-hand" in report.found
        assert "by-hand" in short_names(far)
    with pytest.raises(Blocked, match="by-hand"):
        pair.far.driver.promote_replica(pair.of(pair.replicas[replica.id]), pair.of(pair.active), [])
    with pytest.raises(Blocked, match="by-hand"):
        pair.far.driver.delete_replica(pair.of(pair.replicas[replica.id]), [])
    zfs("destroy", f"{far}@by-hand")
    pair.in_sync(replica)


def test_no_snapshot_in_common_needs_an_explicit_full_copy(pair: Pair) -> None:
    """Nothing is replaced by itself."""
    (pair.path / "file").write_text("one")
    replica = pair.add()
    pair.in_sync(replica)
    for name in pair.markers(pair.dataset):
        zfs("destroy", f"{pair.dataset}@{name}")
    report = pair.look(replica)
    assert report.state is ReplicaState.ERROR
    assert report.needs_full_copy
    assert (pair.far.path(replica) / "file").read_text() == "one"
    pair.far.driver.delete_replica(pair.of(replica), [])
    stored = pair.far.driver.create_replica(pair.of(replica), pair.of(pair.active), [])
    pair.replicas[replica.id] = replica.model_copy(update={"backend_id": stored.backend_id})
    pair.in_sync(pair.replicas[replica.id])


def test_a_replica_is_not_made_beside_its_active_one(pair: Pair) -> None:
    """Nor below an encrypted dataset; nothing is left of the attempt."""
    beside = pair.near.record().model_copy(update={"share_id": pair.active.share_id})
    with pytest.raises(Blocked, match="would be lost with it"):
        pair.near.driver.create_replica(beside, pair.active, [])
    assert openzfs.look(pair.near.dataset(beside)) is None


# --- promotion


def test_a_promotion_turns_the_direction_round(pair: Pair) -> None:
    """The old active one follows from what they have in common; what it wrote since is gone."""
    fill(pair.path)
    pair.take()
    replica = pair.add()
    pair.in_sync(replica)
    (pair.path / "last").write_text("written before the fence")
    old = pair.active
    pair.promote(replica)
    assert not pair.near.path(old).is_mount()
    assert (pair.path / "last").read_text() == "written before the fence"
    (pair.path / "new").write_text("written to the new one")
    assert nfs.serving(pair.active.share_id)
    pair.in_sync(pair.replicas[old.id])
    assert nfs.serving(pair.active.share_id), "the old one's export is under its own id"
    assert [name.split("-")[0] for name in short_names(pair.dataset)].count("marker") == 1
    assert short_names(pair.dataset) == short_names(pair.near.dataset(old))
    pair.revert()
    pair.in_sync(pair.replicas[old.id])
    pair.promote(pair.replicas[old.id])
    pair.in_sync(pair.replicas[replica.id])


@pytest.mark.parametrize("when", ["before", "until the look"])
def test_a_promotion_by_force_discards_what_the_old_one_wrote_since(pair: Pair, when: str) -> None:
    """It was away, and written to to the last moment; then it is back, still mounted, and follows."""
    (pair.path / "file").write_text("in sync")
    replica = pair.add()
    pair.in_sync(replica)
    old = pair.active
    path = pair.near.path(old)
    if when == "before":
        (path / "file").write_text("lost by force")
    pair.promote(replica, force=True)
    assert (pair.path / "file").read_text() == "in sync"
    (pair.path / "file").write_text("newest")
    assert path.is_mount()
    if when == "until the look":
        (path / "file").write_text("lost by force")
    pair.in_sync(pair.replicas[old.id])
    assert (path / "file").read_text() == "newest"
    assert nfs.serving(pair.active.share_id)


def test_an_old_active_one_that_somebody_holds_cannot_be_written_to(pair: Pair) -> None:
    """Its host is back, and a file is open there for writing: it stays mounted, and what is written is no loss."""
    (pair.path / "file").write_text("in sync")
    replica = pair.add()
    pair.in_sync(replica)
    old, path = pair.active, pair.near.path(pair.active)
    pair.promote(replica, force=True)
    hold = (
        "import os, sys; f = os.open(sys.argv[1], os.O_RDWR); print(flush=True); sys.stdin.readline()\n"
        "try: os.write(f, b'lost'); print('written', flush=True)\n"
        "except OSError as failure: print(failure.strerror, flush=True)\n"
        "sys.stdin.read()"
    )
    with child(hold, path / "file") as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        with pytest.raises(Busy, match=str(holder.pid)):
            pair.near.driver.ensure_share(pair.of(pair.replicas[old.id]))
        assert path.is_mount()
        with pytest.raises(OSError, match="Read-only"):
            (path / "new").write_text("lost")
        holder.stdin.write("\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "Read-only file system\n"
        with pytest.raises(Busy, match=str(holder.pid)):
            pair.look(pair.replicas[old.id])
    pair.in_sync(pair.replicas[old.id])


def test_a_promotion_after_a_revert_never_brings_back_what_it_discarded(pair: Pair) -> None:
    """Before the replica has looked at all."""
    (pair.path / "file").write_text("kept")
    pair.take()
    replica = pair.add()
    (pair.path / "discarded").write_text("discarded")
    pair.in_sync(replica)
    assert (pair.far.path(replica) / "discarded").exists()
    pair.revert()
    old = pair.active
    pair.promote(pair.replicas[replica.id], force=True)
    assert not (pair.path / "discarded").exists()
    assert (pair.path / "file").read_text() == "kept"
    (pair.path / "later").write_text("later")
    pair.in_sync(pair.replicas[old.id])


def test_a_promotion_after_a_revert_to_what_was_destroyed_on_the_replica(pair: Pair) -> None:
    """It holds what was discarded, and not what it would be turned back to: it goes back to what is older."""
    (pair.path / "file").write_text("older")
    older = pair.take()
    (pair.path / "file").write_text("kept")
    target = pair.take()
    replica = pair.add()
    (pair.path / "discarded").write_text("discarded")
    pair.in_sync(replica)
    zfs("destroy", f"{pair.far.dataset(replica)}@snap-{target.snapshot_id}")
    pair.revert()
    pair.recorded.add(target.snapshot_id)
    pair.promote(pair.replicas[replica.id], force=True)
    assert not (pair.path / "discarded").exists()
    assert (pair.path / "file").read_text() == "older"
    assert [name for name in short_names(pair.dataset) if name.startswith("snap-")] == [f"snap-{older.snapshot_id}"]


def test_with_three_any_can_be_promoted_and_both_others_follow(pair: Pair) -> None:
    """Without one snapshot in common: the markers that are carried over are enough."""
    second, third = pair.add(), pair.add()
    for round_, one in enumerate((second, third, third, second, third)):
        (pair.path / "file").write_text(f"round {round_}")
        pair.in_sync(one)
    old = pair.active
    pair.promote(pair.replicas[second.id])
    (pair.path / "file").write_text("promoted")
    pair.in_sync(pair.replicas[third.id])
    assert any(name.startswith(f"marker-{second.id}") for name in pair.markers(pair.dataset)), "the old one needs it"
    pair.in_sync(pair.replicas[old.id])
    assert not [name for name in pair.markers(pair.dataset) if name.startswith(f"marker-{second.id}")]
    assert len(pair.markers(pair.dataset)) == 2


def test_the_last_copy_of_a_snapshot_stays_whatever_brought_it(pair: Pair) -> None:
    """A look was cut when it had arrived, and the active one loses it: no look destroys it, a promotion finds it."""
    (pair.path / "file").write_text("first")
    pair.take()
    replica = pair.add()
    pair.in_sync(replica)
    (pair.path / "file").write_text("second")
    lost, far = pair.take(), pair.far.dataset(replica)
    name = pair.far.at(lost.model_copy(update={"replica": replica})).partition("@")[2]
    moment = 0
    while name not in short_names(far):
        assert killed_at(moment, lambda: pair.look(replica)), "it never arrives without its marker"
        moment += 1
    zfs("destroy", f"{pair.dataset}@{name}")
    for _ in range(2):
        report = pair.look(replica)
        assert report.state is ReplicaState.ERROR, report.found
        assert name in report.found
        assert f"{lost.id}/{replica.id}" in report.snapshots
        assert name in short_names(far)
    seen = pair.of(pair.replicas[replica.id])
    promoted = pair.far.driver.promote_replica(seen, pair.of(pair.active), pair.at(seen))
    assert f"{lost.id}/{replica.id}" in promoted.snapshots
    assert promoted.replica.size == seen.size


def test_an_unmanaged_snapshot_is_its_owners_on_whatever_replica(pair: Pair) -> None:
    """Its name is ours still. The one that was active follows, and neither it nor its deletion destroys that."""
    (pair.path / "file").write_text("kept by hand")
    kept = pair.take()
    name = pair.near.at(pair.now(kept))
    pair.near.driver.unmanage_snapshot(pair.now(kept))
    pair.snapshots.remove(kept)
    (pair.path / "file").write_text("later")
    replica, old = pair.add(), pair.active
    pair.in_sync(replica)
    pair.promote(pair.replicas[replica.id])
    pair.in_sync(pair.replicas[old.id])
    assert prop(name, "revertkit:snapshot") == "-"
    seen = pair.of(pair.replicas[old.id])
    with pytest.raises(Blocked, match=name):
        pair.near.driver.delete_replica(seen, pair.at(seen))
    zfs("destroy", name)
    pair.in_sync(pair.replicas[old.id])


def test_a_replica_made_during_a_long_look_keeps_its_marker(pair: Pair) -> None:
    """That look's record knows nothing of it, as of one that is no more."""
    pair.take()
    first = pair.add()
    pair.in_sync(first)
    (pair.path / "file").write_text("more")
    begun: list[StepEvent] = []
    made: list[Replica] = []

    def meanwhile(event: StepEvent) -> None:
        if not begun and event.moment is Moment.BEFORE:
            begun.append(event)
            made.append(pair.add())
            pair.in_sync(made[0])

    seen, active = pair.of(pair.replicas[first.id]), pair.of(pair.active)
    with watching(meanwhile):
        report = pair.far.driver.update_replica_state(seen, active, pair.at(seen))
    assert report.state is ReplicaState.IN_SYNC, report.found
    assert any(name.startswith(f"marker-{made[0].id}") for name in pair.markers(pair.dataset))
    pair.in_sync(made[0])


def test_a_replica_that_never_held_anything_is_not_promoted(pair: Pair) -> None:
    """It would be empty."""
    replica = pair.add()
    with pytest.raises(Blocked, match="never held anything"):
        pair.far.driver.promote_replica(pair.of(replica), pair.of(pair.active), [])


def test_deleting_a_replica_leaves_nothing_of_it(pair: Pair) -> None:
    """Nor on the active one, once that is brought online."""
    pair.take()
    replica = pair.add()
    pair.in_sync(replica)
    seen = pair.of(pair.replicas.pop(replica.id))
    for _ in range(2):
        pair.far.driver.delete_replica(seen, [])
    assert openzfs.look(pair.far.dataset(replica)) is None
    assert not pair.far.path(replica).exists()
    assert not nfs.exported(replica.id)
    assert pair.markers(pair.dataset)
    pair.near.driver.ensure_share(pair.of(pair.active))
    assert pair.markers(pair.dataset) == []
    pair.delete_newest()
    pair.near.driver.delete_share(pair.of(pair.active))


# --- cuts


def test_a_transfer_killed_in_the_middle_goes_on_where_it_was(pair: Pair) -> None:
    """``kill -9`` of the look leaves its children running: the next look ends them, and resumes."""
    pair.take()
    replica = pair.add()
    pair.in_sync(replica)
    write(pair.path / "large", 200)
    far = pair.far.dataset(replica)
    if (pid := os.fork()) == 0:
        pair.look(replica)
        os._exit(0)
    until_moving(far, 8)
    left = processes.of_transfer(into=far)
    for one in left:  # or they are done on a busy machine before the look has died
        os.kill(one, signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert left, "nothing was received any more"
    left = processes.of_transfer(into=far)  # the send may have been through
    assert left, "the receive runs on by itself"
    for one in left:
        os.kill(one, signal.SIGCONT)
    steps: list[str] = []
    with watching(lambda event: steps.append(event.name)):
        pair.in_sync(replica)
    assert not processes.of_transfer(into=far)
    assert prop(far, "receive_resume_token") == "-"
    assert len(pair.markers(pair.dataset)) == 1


def test_a_first_copy_cut_in_the_middle_goes_on(pair: Pair) -> None:
    """The replica is empty until then."""
    write(pair.path / "large", 120)
    pair.take()
    replica = pair.add()
    far = pair.far.dataset(replica)
    look = Looking(pair, replica)
    look.start()
    look.until_it_moves()
    processes.end(processes.of_transfer(into=far), 30)
    look.join(60)
    assert isinstance(look.failure, CommandFailed)
    token = prop(far, "receive_resume_token")
    assert token != "-"
    assert openzfs.read_token(token).name == pair.near.at(pair.now(pair.snapshots[0]))
    pair.in_sync(replica)


def test_what_was_cut_is_dropped_where_the_active_one_has_it_no_more(pair: Pair) -> None:
    """A revert in between has taken the marker away."""
    pair.take()
    replica = pair.add()
    pair.in_sync(replica)
    write(pair.path / "large", 120)
    look, far = Looking(pair, replica), pair.far.dataset(replica)
    look.start()
    look.until_it_moves()
    processes.end(processes.of_transfer(into=far), 30)
    look.join(60)
    assert prop(far, "receive_resume_token") != "-"
    pair.revert()
    pair.in_sync(replica)
    assert prop(far, "receive_resume_token") == "-"


def test_deleting_a_snapshot_while_it_is_sent(pair: Pair) -> None:
    """The transfer is ended; the snapshot goes."""
    replica = pair.add()
    pair.in_sync(replica)
    write(pair.path / "large", 120)
    snapshot = pair.take()
    look = Looking(pair, replica)
    look.start()
    look.until_it_moves()
    pair.delete_newest()
    look.join(60)
    assert f"snap-{snapshot.snapshot_id}" not in short_names(pair.dataset)
    pair.in_sync(replica)


@pytest.fixture
def reverted(pair: Pair) -> tuple[Pair, Replica, SnapshotInstance]:
    """A share with a snapshot, and a replica that holds what a revert will discard."""
    (pair.path / "file").write_text("old")
    snapshot = pair.take()
    replica = pair.add()
    (pair.path / "file").write_text("new")
    pair.in_sync(replica)
    return pair, replica, snapshot


def test_a_revert_killed_at_every_step(reverted: tuple[Pair, Replica, SnapshotInstance]) -> None:
    """Old data or the snapshot's, and the replica follows either."""
    pair, replica, snapshot = reverted
    driver, path = pair.near.driver, pair.path
    seen: set[RevertState] = set()
    for where in each_kill(lambda: driver.revert_to_replicated_snapshot(pair.now(snapshot), [])):
        state = driver.revert_state(pair.now(snapshot))
        seen.add(state)
        assert not path.is_mount() or (path / "file").read_text() == "new", where
        if state is RevertState.UNCHANGED:
            driver.ensure_share(pair.of(pair.active))
            assert (path / "file").read_text() == "new", where
        else:
            pair.revert(snapshot)
            assert (path / "file").read_text() == "old", where
        pair.in_sync(replica)
        (path / "file").write_text("new")
        pair.in_sync(replica)
    assert seen == {RevertState.UNCHANGED, RevertState.HALFWAY, RevertState.REVERTED}


def test_a_look_killed_at_every_step(reverted: tuple[Pair, Replica, SnapshotInstance]) -> None:
    """After a revert, with another snapshot to receive: the next look ends as if nothing had been."""
    pair, replica, _ = reverted
    moment = 0
    while True:
        pair.revert(pair.snapshots[0])
        (pair.path / "later").write_text(f"later {moment}")
        pair.take()
        where = killed_at(moment, lambda: pair.look(replica))
        pair.in_sync(replica)
        assert len(pair.markers(pair.dataset)) == 1, where
        assert short_names(pair.far.dataset(replica)) == short_names(pair.dataset), where
        if where is None:
            break
        moment += 1
        pair.delete_newest()
    assert moment > 10


def test_a_promotion_killed_at_every_step(reverted: tuple[Pair, Replica, SnapshotInstance]) -> None:
    """Of a replica that still holds what a revert has discarded: repeated, it never brings that back."""
    pair, replica, _ = reverted
    pair.revert()
    driver = pair.far.driver
    seen = pair.of(pair.replicas[replica.id])
    moment = 0
    while where := killed_at(moment, lambda: driver.promote_replica(seen, pair.of(pair.active), [])):
        moment += 1
        assert zfs("list", "-H", "-o", "name", pair.far.dataset(replica)), where
    pair.promote(pair.replicas[replica.id], force=True)
    assert moment > 3
    assert (pair.path / "file").read_text() == "old"
    (pair.path / "file").write_text("writable")
    pair.in_sync(next(iter(pair.replicas.values())))


# --- over SSH


KEYS = Path.home() / ".ssh/revertkit-test"


@pytest.fixture
def elsewhere() -> Iterator[Pair]:
    """A pair whose active one is on a host that is reached by SSH, with a key that can do nothing but replicate."""
    with (
        pair_of_its_own(
            replication_hosts={"node-2": "rk-test@127.0.0.1"},
            replication_key=KEYS / "key",
            replication_known_hosts=KEYS / "known_hosts",
        ) as made,
        account(made.near.name),
    ):
        made.active = made.active.model_copy(update={"host": "node-2"})
        yield made


@contextmanager
def account(pool: str) -> Iterator[None]:
    """Make the account and its key."""
    KEYS.mkdir(parents=True)
    replication_account.make("rk-test", pool, replication_account.make_key(KEYS / "key"))
    (KEYS / "known_hosts").write_text(replication_account.run("ssh-keyscan", "-t", "ed25519", "127.0.0.1"))
    try:
        yield
    finally:
        replication_account.remove("rk-test")
        shutil.rmtree(KEYS)


def test_over_ssh_with_a_key_that_can_do_nothing_else(elsewhere: Pair) -> None:
    """Followed, reverted, cut and resumed, by an account without root."""
    pair = elsewhere
    (pair.path / "file").write_text("kept")
    pair.take()
    replica = pair.add()
    pair.in_sync(replica)
    write(pair.path / "discarded", 60)
    look, far = Looking(pair, replica), pair.far.dataset(replica)
    look.start()
    look.until_it_moves()
    processes.end(processes.of_transfer(into=far), 30)
    look.join(120)
    assert isinstance(look.failure, CommandFailed)
    pair.in_sync(replica)
    write(pair.path / "more", 150)
    look = revert_while_it_is_sent(pair, replica)
    assert isinstance(look.failure, CommandFailed), "the send of another account is ended too"
    pair.in_sync(replica)
    assert (pair.far.path(replica) / "file").read_text() == "kept"
    ssh = ["ssh", "-i", str(KEYS / "key"), "-o", f"UserKnownHostsFile={KEYS / 'known_hosts'}", "rk-test@127.0.0.1"]
    for asked in (["id"], [], ["zfs", "destroy", pair.dataset], ["zfs", "list"]):
        done = subprocess.run([*ssh, *asked], check=False, capture_output=True, text=True, timeout=60, input="")
        assert done.returncode == 2
        assert "this key may not run" in done.stderr
        assert done.stdout == ""


def test_a_host_whose_key_is_unknown_is_not_talked_to(elsewhere: Pair) -> None:
    """Nor one that no setting names."""
    pair = elsewhere
    replica = pair.add()
    (KEYS / "known_hosts").write_text("")
    with pytest.raises(CommandFailed, match="Host key verification failed"):
        pair.look(replica)
    pair.active = pair.active.model_copy(update={"host": "node-3"})
    with pytest.raises(BackendError, match="does not know how to reach host node-3"):
        pair.look(replica)
