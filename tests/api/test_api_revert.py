"""POST …/action {"revert": …}: every check in the wire contract's order, with its code and what was found."""

from __future__ import annotations

from typing import Any

import pytest
import support
from asking import CALLERS, As, Client, client_of

from revertkit.drivers.memory import MemoryDriver
from revertkit.errors import Blocked
from revertkit.manager import ShareManager
from revertkit.models import Blocker, new_id


def driver(manager: ShareManager) -> MemoryDriver:
    """The backend itself."""
    found = manager.site.driver("fast")
    assert isinstance(found, MemoryDriver)
    return found


def test_it_turns_the_share_back(api: Client, served: ShareManager) -> None:
    """202 with an empty body; the old bytes, size and quota are back, and a message says so with its own detail."""
    share = api.share()
    replica = served.share_by_id(support.CONTEXT, share["id"]).replica
    driver(served).files(replica)["letter"] = b"old"
    snapshot = api.snapshot(share, name="before")
    driver(served).files(replica)["letter"] = b"new"
    api.act(share, extend={"new_size": 3})
    assert api.get("/quota-sets/project/detail")["quota_set"]["gigabytes"]["in_use"] == 3
    answer = api.ask("POST", f"/shares/{share['id']}/action", {"revert": {"snapshot_id": snapshot["id"]}})
    assert (answer.status_code, answer.content) == (202, b"")
    after = api.get(f"/shares/{share['id']}")["share"]
    assert (after["status"], after["size"]) == ("available", 1)
    assert driver(served).files(replica)["letter"] == b"old"
    assert api.get(f"/snapshots/{snapshot['id']}")["snapshot"]["status"] == "available"
    assert api.get("/quota-sets/project/detail")["quota_set"]["gigabytes"] == {
        "limit": 1000,
        "in_use": 1,
        "reserved": 0,
    }
    [told] = api.get("/messages?action_id=006")["messages"]
    assert (told["detail_id"], told["message_level"], told["resource_id"]) == ("901", "INFO", share["id"])
    assert snapshot["id"] in told["user_message"]
    assert told["request_id"] == answer.headers["x-compute-request-id"]


def test_the_loop_of_the_specification(api: Client) -> None:
    """Revert to the newest, delete it, revert to the one before; the older of two is a conflict, the newer named."""
    share = api.share()
    first, second = api.snapshot(share, name="first"), api.snapshot(share, name="second")
    said = api.refused("POST", f"/shares/{share['id']}/action", {"revert": {"snapshot_id": first["id"]}}, 409)
    assert second["id"] in said
    assert "second" in said
    api.revert(share, second)
    api.delete(f"/snapshots/{second['id']}")
    api.revert(share, first)
    assert api.status(share) == "available"


def refusal(api: Client, share: str, snapshot: Any, code: int, **more: Any) -> str:
    """Ask for a revert that is refused."""
    return api.refused("POST", f"/shares/{share}/action", {"revert": {"snapshot_id": snapshot, **more}}, code)


def test_the_checks_come_in_their_order(api: Client, served: ShareManager) -> None:
    """Each request is wrong in all that follows, too: the code says which check comes first."""
    share, other = api.share(), api.share()
    snapshot = api.snapshot(share)
    served.create_type("plain", {"driver_handles_share_servers": "false"})
    plain = api.share(share_type="plain")
    missing = new_id()
    assert refusal(api.at("2.26"), missing, "x", 404) == "The resource could not be found."
    assert refusal(api, missing, "notauuid", 400) == (
        "Invalid input for field/attribute snapshot_id. Value: notauuid. 'notauuid' is not a 'uuid'"
    )
    assert missing in refusal(api, missing, snapshot["id"], 404)
    assert refusal(api.as_("reader"), share["id"], missing, 403) == "Access was denied to this resource."
    assert missing in refusal(api, share["id"], missing, 400)
    assert "revert_to_snapshot_support" in refusal(api, plain["id"], snapshot["id"], 400)
    api.act(other, reset_status={"status": "error"})
    assert "is not one of share" in refusal(api, other["id"], snapshot["id"], 400)
    api.act(share, reset_status={"status": "error"})
    api.act(snapshot, kind="snapshots", reset_status={"status": "error"})
    assert f"share {share['id']} is error" in refusal(api, share["id"], snapshot["id"], 409)
    api.act(share, reset_status={"status": "available"})
    newer = api.snapshot(share)
    assert f"snapshot {snapshot['id']} is error" in refusal(api, share["id"], snapshot["id"], 409)
    api.act(snapshot, kind="snapshots", reset_status={"status": "available"})
    assert newer["id"] in refusal(api, share["id"], snapshot["id"], 409, extra="is allowed")


def test_an_unsettled_rule_is_a_conflict(api: Client, served: ShareManager, state: Any) -> None:
    """While a rule is being applied; the refusal says what is under way, and since when."""
    share = api.share()
    snapshot = api.snapshot(share)
    parked = support.Parked()
    slow = support.open_manager(state, "memory", dispatch=parked)
    slow.allow_access(support.CONTEXT, share["id"], "10.0.0.1")
    support.stop(parked.accepted[0])
    assert api.get(f"/shares/{share['id']}")["share"]["access_rules_status"] == "syncing"
    assert api.at("2.27").get(f"/shares/{share['id']}")["share"]["access_rules_status"] == "out_of_sync"
    said = refusal(api, share["id"], snapshot["id"], 409)
    assert "allow access has been under way since" in said


def test_over_quota_is_forbidden_with_the_numbers(api: Client) -> None:
    """403, as only a revert and an extend have it; nothing has changed."""
    share = api.share(size=5)
    snapshot = api.snapshot(share)
    api.act(share, shrink={"new_size": 1})
    api.put("/quota-sets/project", {"quota_set": {"gigabytes": 3}})
    assert "4 wanted > limit 3" in refusal(api, share["id"], snapshot["id"], 403)
    assert api.status(share) == "available"


def test_a_blocker_of_the_backend_is_named(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """409, with what stands in the way; nothing has changed."""
    share = api.share()
    snapshot = api.snapshot(share)

    def held(*_: Any) -> None:
        raise Blocked(Blocker(kind="open", what="vi (4711) has a file open", mend="end it"))

    with monkeypatch.context() as patched:
        patched.setattr(MemoryDriver, "check_revert", held)
        assert refusal(api, share["id"], snapshot["id"], 409) == "vi (4711) has a file open (end it)"
    assert api.status(share) == "available"


def test_of_many_at_once_one_is_accepted(state: Any) -> None:
    """The others get the conflict."""
    parked = support.Parked()
    MemoryDriver.reset()
    manager = support.open_manager(state, "memory")
    share = manager.create_share(support.CONTEXT, 1)
    snapshot = manager.create_snapshot(support.CONTEXT, share.id)
    slow = support.open_manager(state, "memory", dispatch=parked)
    api = Client(client_of(slow, As(CALLERS)))
    body = {"revert": {"snapshot_id": snapshot.id}}
    codes = [api.ask("POST", f"/shares/{share.id}/action", body).status_code for _ in range(8)]
    assert codes == [202] + [409] * 7
    assert api.get(f"/shares/{share.id}")["share"]["status"] == "reverting"
    assert api.get(f"/snapshots/{snapshot.id}")["snapshot"]["status"] == "restoring"
    parked.accepted[0].run()
    assert api.get(f"/shares/{share.id}")["share"]["status"] == "available"


def test_a_revert_that_fails_later_is_told(api: Client, served: ShareManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was accepted; the share is reverting_error, the snapshot available, a message has what was found."""
    share = api.share()
    snapshot = api.snapshot(share)

    def broken(*_: Any) -> None:
        raise RuntimeError("the disk is gone")

    with monkeypatch.context() as patched:
        patched.setattr(MemoryDriver, "revert_to_snapshot", broken)
        api.revert(share, snapshot)
    assert api.status(share) == "reverting_error"
    assert api.get(f"/snapshots/{snapshot['id']}")["snapshot"]["status"] == "available"
    [told] = api.get("/messages?message_level=ERROR")["messages"]
    assert (told["action_id"], told["detail_id"]) == ("006", "001")
    assert "the disk is gone" in told["user_message"]
    assert "recover" in refusal(api, share["id"], snapshot["id"], 409)
    api.delete(f"/shares/{share['id']}", 403)
