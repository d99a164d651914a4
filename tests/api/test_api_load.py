"""64 clients at once against a real server: only right conflicts, nothing left behind; the same when it is killed.

``REVERTKIT_TEST_SECONDS=60`` loads it for as long; the seed of what the clients choose is printed.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import support
from support import CONTEXT
from test_openstack_client import serving
from test_serve import ask

from revertkit.manager import ShareManager
from revertkit.models import Share

CLIENTS, SHARES, KILLS = 64, 8, 2
SECONDS = min(60.0, float(os.environ.get("REVERTKIT_TEST_SECONDS") or 20))
SEED = int(os.environ.get("REVERTKIT_TEST_SEED") or random.randrange(2**32))
HEADERS = {"X-OpenStack-Manila-API-Version": "2.99", "Content-Type": "application/json"}
Pair = tuple[str, str, str]
"""A share, the older of its snapshots, and the newer."""


class Crowd:
    """Clients that read and revert, until they are told to stop or the server is gone."""

    def __init__(self, url: str, pairs: list[Pair], seed: int) -> None:
        self.address = re.sub(r"http://|/v2", "", url)
        self.pairs, self.seed = pairs, seed
        self.told: Counter[str] = Counter()
        self.wrong: list[Any] = []
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._client, args=(number,)) for number in range(CLIENTS)]

    def start(self) -> None:
        """Begin."""
        for each in self._threads:
            each.start()

    def stop(self) -> None:
        """Tell them to stop, and wait for the last."""
        self._stop.set()
        for each in self._threads:
            each.join(support.SECONDS)
            assert not each.is_alive()

    def _client(self, number: int) -> None:
        choose = random.Random(self.seed + number)
        server = http.client.HTTPConnection(self.address, timeout=support.SECONDS)
        acts = (self._read, self._read, self._revert, self._revert_to_the_older)
        while not self._stop.is_set():
            try:
                choose.choice(acts)(server, choose)
            except (OSError, http.client.HTTPException) as failure:
                self._note("gone", failure)
                break

    def _read(self, server: http.client.HTTPConnection, choose: random.Random) -> None:
        share, _, newer = choose.choice(self.pairs)
        paths = ("/shares/detail", "/snapshots/detail", f"/shares/{share}", f"/snapshots/{newer}", "/limits")
        code, text = send(server, "GET", choose.choice(paths))
        self._note(f"read {code}", text if code != 200 else None)

    def _revert(self, server: http.client.HTTPConnection, choose: random.Random) -> None:
        share, _, newer = choose.choice(self.pairs)
        code, text = send(server, "POST", f"/shares/{share}/action", {"revert": {"snapshot_id": newer}})
        right = code == 202 or (code == 409 and re.search(r"reverting|restoring|busy|worked on", text))
        self._note(f"revert {code}", None if right else text)

    def _revert_to_the_older(self, server: http.client.HTTPConnection, choose: random.Random) -> None:
        share, older, newer = choose.choice(self.pairs)
        code, text = send(server, "POST", f"/shares/{share}/action", {"revert": {"snapshot_id": older}})
        right = code == 409 and (newer in text or re.search(r"reverting|restoring|busy|worked on", text))
        self._note(f"older {code}", None if right else text)

    def _note(self, what: str, wrong: Any) -> None:
        with self._lock:
            self.told[what] += 1
            if wrong is not None:
                self.wrong.append((what, wrong))


def send(server: http.client.HTTPConnection, method: str, path: str, body: Any = None) -> tuple[int, str]:
    """Ask on a connection that stays."""
    server.request(method, f"/v2{path}", None if body is None else json.dumps(body), HEADERS)
    answer = server.getresponse()
    return answer.status, answer.read().decode()


def test_nothing_but_right_conflicts(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On the memory backend: what was accepted was done, and everything is at rest afterwards."""
    with serving(state, driver="memory") as (url, _):
        pairs = [pair(url) for _ in range(SHARES)]
        crowd = Crowd(url, pairs, SEED)
        crowd.start()
        time.sleep(SECONDS)
        crowd.stop()
        accepted = crowd.told["revert 202"]
        support.wait_until(lambda: done(url) == accepted, "the accepted reverts to be done")
        assert {each["status"] for each in ask(f"{url}/shares/detail")[1]["shares"]} == {"available"}
        assert {each["status"] for each in ask(f"{url}/snapshots/detail")[1]["snapshots"]} == {"available"}
    assert crowd.wrong == []
    assert accepted > SHARES
    assert crowd.told["revert 409"]
    assert crowd.told["older 409"]
    manager = support.open_manager(state, "memory")
    support.assert_at_rest(manager)
    support.assert_quota_is_the_sum(manager)
    manager.site.store.engine.dispose()
    with capsys.disabled():
        print(f"\nload: seed {SEED}, {crowd.told.total() / SECONDS:.0f} requests/s, {dict(sorted(crowd.told.items()))}")


def pair(url: str) -> Pair:
    """Make a share with two snapshots."""
    body: dict[str, Any] = {"share": {"share_proto": "NFS", "size": 1, "share_type": "revertible"}}
    share = ask(f"{url}/shares", body)[1]["share"]["id"]
    settle(url, "shares", share)
    snapshots = []
    for _ in range(2):
        snapshots.append(ask(f"{url}/snapshots", {"snapshot": {"share_id": share}})[1]["snapshot"]["id"])
        settle(url, "snapshots", snapshots[-1])
        settle(url, "shares", share)
    return share, snapshots[0], snapshots[1]


def settle(url: str, kind: str, thing: str) -> None:
    """Wait until something is available."""

    def status() -> str:
        return str(ask(f"{url}/{kind}/{thing}")[1][kind[:-1]]["status"])

    support.wait_until(lambda: status() == "available", f"{kind} {thing} to be available")


def done(url: str) -> int:
    """Read how many reverts the server counts as done."""
    text = ask(url.replace("/v2", "/metrics"))[1].decode()
    found = re.search(r'revertkit_operations_total\{kind="revert_to_snapshot",outcome="done"\} (\S+)', text)
    return int(float(found[1])) if found else 0


def test_killed_under_load(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On real trees: after each kill and start every share is at rest, its data the old or the snapshot's."""
    manager = support.open_manager(state)
    shares = [manager.create_share(CONTEXT, 1) for _ in range(SHARES)]
    pairs = [snapshotted(manager, share) for share in shares]
    choose = random.Random(SEED)
    told: Counter[str] = Counter()
    interrupted = 0
    for turn in range(KILLS):
        for share in shares:
            written(manager, share, f"turn{turn}")
        before = {share.id: content(manager, share) for share in shares}
        with serving(state) as (url, server):
            crowd = Crowd(url, pairs, SEED + turn)
            crowd.start()
            support.wait_until(lambda crowd=crowd: crowd.told["revert 202"] > 0, "a revert to be accepted")
            time.sleep(choose.uniform(0, 1))
            server.kill()
            server.wait(support.SECONDS)
            crowd.stop()
        assert [each for each in crowd.wrong if each[0] != "gone"] == []
        told += crowd.told
        interrupted += len([each for each in manager.shares(CONTEXT) if each.status == "reverting"])
        with serving(state):
            support.assert_at_rest(manager)
            for share in shares:
                found = content(manager, share)
                assert found in (before[share.id], SNAPSHOT), (share.id, turn)
    support.assert_quota_is_the_sum(manager)
    assert {each.status for each in manager.shares(CONTEXT)} == {"available"}
    manager.site.store.engine.dispose()
    assert interrupted, "no kill came in the middle of a revert"
    with capsys.disabled():
        print(f"\nkilled {KILLS} times: seed {SEED}, {interrupted} reverts interrupted, {dict(sorted(told.items()))}")


FILES = 100
Content = dict[str, str]


def written(manager: ShareManager, share: Share, word: str) -> None:
    """Make every file of a share say `word`."""
    tree = support.share_tree(manager, share)
    for number in range(FILES):
        (tree / f"file{number}").write_text(word)
    (tree / f"only-{word}").write_text(word)


def content(manager: ShareManager, share: Share) -> Content:
    """Read every file of a share."""
    return {path.name: path.read_text() for path in support.share_tree(manager, share).iterdir()}


SNAPSHOT = {**{f"file{number}": "newer" for number in range(FILES)}, "only-older": "older", "only-newer": "newer"}


def snapshotted(manager: ShareManager, share: Share) -> Pair:
    """Write and take two snapshots."""
    taken = []
    for word in ("older", "newer"):
        written(manager, share, word)
        taken.append(manager.create_snapshot(CONTEXT, share.id).id)
    return share.id, taken[0], taken[1]
