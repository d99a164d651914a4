"""What a revert brings back, and what it leaves alone."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from revertkit.conformance.requirements import Missing, behaviour, requires
from revertkit.conformance.stage import CONTEXT, Stage
from revertkit.conformance.trees import REFUSALS, LocalTree
from revertkit.status import Status

__all__ = [
    "test_access_control_lists_come_back",
    "test_deleted_share_leaves_nothing",
    "test_everything_is_as_it_was",
    "test_extended_attributes_come_back",
    "test_older_snapshots_keep_their_content",
    "test_owners_come_back",
    "test_reverting_again_and_again",
    "test_share_from_a_snapshot_can_be_larger",
    "test_share_from_a_snapshot_lives_on_its_own",
    "test_snapshot_is_mounted_read_only",
    "test_target_is_still_there",
    "test_three_deep",
]
ACL = bytes.fromhex("02000000 01000600ffffffff 02000500d2040000 04000400ffffffff 10000600ffffffff 20000400ffffffff")
"""As the kernel keeps it (linux/posix_acl_xattr.h): the owner, and user 1234 by name, over a mask."""


@behaviour(1, 2)
@requires("revert")
def test_everything_is_as_it_was(stage: Stage) -> None:
    """After all that users do to files: equal to the snapshot, nothing more and nothing less."""
    share = stage.share()
    snapshot, before = stage.taken(share, "first")
    stage.tree(share).wreck()
    assert stage.tree(share).record() != before
    reverted = stage.revert(snapshot)
    assert reverted.status is Status.AVAILABLE
    assert stage.tree(share).record() == before
    stage.tree(share).write("since", b"it can be written")
    stage.assert_at_rest()
    stage.assert_nothing_left()


@behaviour(1)
@requires("revert", "root")
def test_owners_come_back(stage: Stage) -> None:
    """Owner and group, of another user too."""
    _comes_back(stage, lambda path: os.chown(path, 1234, 4321), lambda path: os.chown(path, 0, 0), "root")


@behaviour(1)
@requires("revert", "attributes")
def test_extended_attributes_come_back(stage: Stage) -> None:
    """Set before, changed and removed since."""
    name = "user.revertkit"
    _comes_back(
        stage,
        lambda path: os.setxattr(path, name, b"before"),
        lambda path: os.removexattr(path, name),
        "attributes",
    )


@behaviour(1)
@requires("revert", "acls")
def test_access_control_lists_come_back(stage: Stage) -> None:
    """Set before, removed since."""
    name = "system.posix_acl_access"
    _comes_back(stage, lambda path: os.setxattr(path, name, ACL), lambda path: os.removexattr(path, name), "acls")


def _comes_back(stage: Stage, mark: Callable[[Path], None], unmark: Callable[[Path], None], need: str) -> None:
    share = stage.share()
    tree = stage.tree(share)
    if not isinstance(tree, LocalTree):
        raise Missing(need, "the share's content is no directory of this host")
    tree.plant("first")
    marked = [tree.path / "private", tree.path / "only-first"]  # a file, and a directory
    try:
        for path in marked:
            mark(path)
    except OSError as failure:
        if failure.errno not in (errno.ENOTSUP, errno.EPERM):
            raise
        raise Missing(need, f"{tree.path}: {failure.strerror}") from None
    before = tree.record()
    snapshot = stage.snapshot(share)
    for path in marked:
        unmark(path)
    assert tree.record() != before
    stage.revert(snapshot)
    assert stage.tree(share).record() == before


@behaviour(3)
@requires("revert")
def test_target_is_still_there(stage: Stage) -> None:
    """The snapshot that was reverted to is on record under its id, available, with the same content."""
    share = stage.share()
    snapshot, before = stage.taken(share, "first")
    stage.planted(share, "second")
    stage.revert(snapshot)
    (left,) = stage.manager.snapshots(CONTEXT, share.id)
    assert (left.id, left.status, left.created_at) == (snapshot.id, Status.AVAILABLE, snapshot.created_at)
    stage.planted(share, "third")
    if stage.keeps_in_sight:
        assert stage.kept(snapshot) == before
    stage.revert(snapshot)
    assert stage.tree(share).record() == before


@behaviour(3)
@requires("mountable_snapshots")
def test_snapshot_is_mounted_read_only(stage: Stage) -> None:
    """A mountable snapshot shows its moment, takes no writes, and does so again after a revert."""
    share = stage.share()
    snapshot, before = stage.taken(share, "first")
    stage.planted(share, "second")
    for turn in range(2):
        assert stage.mounted(snapshot).record() == before
        with pytest.raises((*REFUSALS, TypeError)):
            stage.mounted(snapshot).write("since", b"it must not be written")
        if turn == 0 and stage.claims("revert"):
            stage.revert(snapshot)


@behaviour(4)
@requires("revert")
def test_reverting_again_and_again(stage: Stage) -> None:
    """Twice in a row to the same snapshot, and again after changes."""
    share = stage.share()
    snapshot, before = stage.taken(share, "first")
    for change in (lambda: stage.planted(share, "second"), lambda: None, lambda: stage.tree(share).wreck()):
        change()
        stage.revert(snapshot)
        assert stage.tree(share).record() == before


@behaviour(5)
@requires("revert")
def test_three_deep(stage: Stage) -> None:
    """Revert to the newest, delete it, revert to the one before, and again: the specification's loop."""
    share = stage.share()
    taken = [stage.taken(share, word) for word in ("one", "two", "three")]
    for snapshot, record in reversed(taken):
        stage.planted(share, "corruption")
        stage.revert(snapshot)
        assert stage.tree(share).record() == record
        stage.drop(snapshot)
    assert stage.manager.snapshots(CONTEXT, share.id) == []
    stage.assert_nothing_left()


@behaviour(6)
@requires("revert", "kept")
def test_older_snapshots_keep_their_content(stage: Stage) -> None:
    """A revert to the newest loses none of its siblings, nor what they hold."""
    share = stage.share()
    taken = [stage.taken(share, word) for word in ("one", "two", "three")]
    stage.planted(share, "since")
    stage.revert(taken[-1][0])
    assert [found.id for found in stage.manager.snapshots(CONTEXT, share.id)] == [one.id for one, _ in taken]
    for snapshot, record in taken:
        assert stage.kept(snapshot) == record


@behaviour(6)
@requires("create_from_snapshot")
def test_share_from_a_snapshot_lives_on_its_own(stage: Stage) -> None:
    """It has the snapshot's content, pins nothing, and neither's changes reach the other."""
    share = stage.share()
    snapshot, before = stage.taken(share, "first")
    stage.planted(share, "second")
    child = stage.share(snapshot=snapshot.id)
    assert stage.tree(child).record() == before
    own = stage.tree(child).identity()
    assert own is None or own != stage.tree(share).identity(), "two shares are one file system, by its id"
    stage.tree(child).write("own", b"the child's own")
    after = stage.tree(child).record()
    if stage.claims("revert"):
        stage.revert(snapshot)
    stage.drop(snapshot)
    assert stage.tree(child).record() == after
    stage.manager.delete_share(CONTEXT, share.id)
    assert stage.tree(child).record() == after


@behaviour(3, 16)
@requires("create_from_snapshot")
def test_share_from_a_snapshot_can_be_larger(stage: Stage) -> None:
    """It is as large as it was asked for, not as its snapshot."""
    share = stage.share()
    snapshot, before = stage.taken(share, "first")
    child = stage.share(2, snapshot=snapshot.id)
    assert child.size == 2
    assert stage.tree(child).record() == before
    small, large = (stage.tree(each).capacity() for each in (share, child))
    assert not small or not large or large > 1.5 * small, f"it holds {large} bytes, its snapshot's share {small}"


@behaviour(21)
def test_deleted_share_leaves_nothing(stage: Stage) -> None:
    """A share is made, used and deleted; its files are out of reach, and nothing of it is left."""
    share = stage.share()
    tree = stage.tree(share)
    tree.plant("first")
    stage.manager.delete_share(CONTEXT, share.id)
    assert not tree.reachable()
    stage.assert_nothing_left()
    assert not stage.tree(stage.share()).reachable(), "a new share is not empty"
