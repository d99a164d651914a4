"""What a promoted replica is turned back to, for every way in which what it would be can be gone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from revertkit.drivers.discarded import turned_back_to
from revertkit.errors import Blocked
from revertkit.models import Replica, SnapshotInstance

AT = datetime(2026, 1, 1, tzinfo=UTC)


def on_record(received: str, not_received: str = "") -> list[SnapshotInstance]:
    """Snapshots named by single letters, taken in the order of the alphabet."""
    share = Replica(id="r", share_id="s", host="h", pool="p", size=1)
    return [
        SnapshotInstance(
            id=f"i-{one}",
            snapshot_id=one,
            replica=share,
            size=1,
            created_at=AT + timedelta(days=ord(one)),
            backend_id="guid" if one in received else None,
        )
        for one in sorted(received + not_received)
    ]


@pytest.mark.parametrize(
    ("reverted_to", "received", "not_received", "holds", "expected"),
    [
        ("", "abc", "", "abc", None),
        ("c", "abc", "", "abc", "c"),
        ("c", "ab", "c", "ab", None),  # it never came that far
        ("c", "ab", "", "ab", None),  # nor is it on record, so it never had it
        ("db", "abc", "d", "abc", "b"),  # d was taken after the revert
        ("c", "abc", "", "ab", "b"),
        ("c", "abc", "", "a", "a"),
        ("ac", "abc", "", "bc", "blocked"),  # c has what the second revert, to a, has discarded
        ("bc", "abc", "", "ac", "a"),
        ("db", "abd", "", "ab", "b"),  # what is older than what is lost is right
        ("c", "c", "", "", "blocked"),
        ("c", "ac", "b", "", "blocked"),
    ],
)
def test_it_is_the_newest_that_holds_nothing_discarded(
    reverted_to: str, received: str, not_received: str, holds: str, expected: str | None
) -> None:
    """The first of `reverted_to`, or something older than what was destroyed behind our back."""
    replica = Replica(id="r", share_id="s", host="h", pool="p", size=1, reverted_to=tuple(reverted_to))
    snapshots = on_record(received, not_received)
    if expected != "blocked":
        assert turned_back_to(replica, snapshots, holds.__contains__) == expected
        return
    with pytest.raises(Blocked, match="resync it, or promote another"):
        turned_back_to(replica, snapshots, holds.__contains__)
