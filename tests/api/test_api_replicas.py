"""Replicas: made, looked at, promoted, deleted; a revert leaves the others out of sync until the next look."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from asking import CALLERS, As, Client, client_of

from revertkit.manager import ShareManager
from revertkit.models import new_id


@pytest.fixture
def served(replicating: ShareManager) -> ShareManager:
    """The manager of two backends."""
    return replicating


@pytest.fixture
def api(served: ShareManager) -> Iterator[Client]:
    """The administrator."""
    with client_of(served, As(CALLERS)) as http:
        yield Client(http)


def states(api: Client, share_id: str) -> dict[str, str]:
    """Say how each replica of a share stands."""
    return {
        each["host"]: each["replica_state"]
        for each in api.get(f"/share-replicas/detail?share_id={share_id}")["share_replicas"]
    }


def test_a_replica_through_its_life(api: Client, served: ShareManager) -> None:
    """Created in the other pool, in sync after a look, out of sync after a revert, promoted, deleted."""
    share = api.share(share_type="replicated")
    [active] = api.get(f"/share-replicas?share_id={share['id']}")["share_replicas"]
    assert (active["replica_state"], share["has_replicas"], share["replication_type"]) == ("active", False, "readable")
    snapshot = api.snapshot(share)
    made = api.post("/share-replicas", {"share_replica": {"share_id": share["id"]}})["share_replica"]
    shown = api.get(f"/share-replicas/{made['id']}")["share_replica"]
    assert (shown["status"], shown["replica_state"], shown["share_id"]) == ("available", "out_of_sync", share["id"])
    assert api.get(f"/shares/{share['id']}")["share"]["has_replicas"] is True
    served.look_at_replicas()
    assert api.get(f"/share-replicas/{made['id']}")["share_replica"]["replica_state"] == "in_sync"
    api.revert(share, snapshot)
    assert sorted(states(api, share["id"]).values()) == ["active", "out_of_sync"]
    api.act(made, kind="share-replicas", resync=None)
    assert sorted(states(api, share["id"]).values()) == ["active", "in_sync"]
    [place] = api.get(f"/share-replicas/{active['id']}/export-locations")["export_locations"]
    api.get(f"/share-replicas/{active['id']}/export-locations/{place['id']}")
    promoted = api.act(made, kind="share-replicas", promote=None)["share_replica"]
    assert promoted["id"] == made["id"]
    assert api.get(f"/share-replicas/{made['id']}")["share_replica"]["replica_state"] == "active"
    assert api.act(made, 200, kind="share-replicas", promote={"quiesce_wait_time": 1}) is None
    assert api.act(made, 200, kind="share-replicas", resync=None) is None
    api.refused("DELETE", f"/share-replicas/{made['id']}", None, 400)
    api.delete(f"/share-replicas/{active['id']}")
    assert list(states(api, share["id"]).values()) == ["active"]


def test_what_is_refused(api: Client, served: ShareManager) -> None:
    """Each wrong wish has its code; by hand no state is set."""
    served.create_type("plain", {"driver_handles_share_servers": "false"})
    plain, share = api.share(share_type="plain"), api.share(share_type="replicated")
    [active] = api.get(f"/share-replicas?share_id={share['id']}")["share_replicas"]
    assert api.get(f"/share-replicas?share_id={plain['id']}")["share_replicas"] == []
    assert api.get(f"/share-replicas/detail?share_id={new_id()}")["share_replicas"] == []
    for code, wish in {
        422: {},
        400: {"share_replica": {}},
        404: {"share_replica": {"share_id": new_id()}},
    }.items():
        api.refused("POST", "/share-replicas", wish, code)
    api.refused("POST", "/share-replicas", {"share_replica": {"share_id": plain["id"]}}, 400)
    nowhere = {"share_id": share["id"], "availability_zone": "mars"}
    api.refused("POST", "/share-replicas", {"share_replica": nowhere}, 400)
    path = f"/share-replicas/{active['id']}/action"
    api.refused("POST", path, {"reset_replica_state": {"replica_state": "in_sync"}}, 400)
    api.act(active, kind="share-replicas", reset_status={"status": "error"})
    assert api.status(share) == "error"
    for method, where in (("GET", ""), ("DELETE", ""), ("GET", "/export-locations")):
        api.refused(method, f"/share-replicas/{new_id()}{where}", None, 404)
    api.as_("member").refused("POST", path, {"resync": None}, 403)
    api.as_("other").refused("GET", f"/share-replicas/{active['id']}", None, 404)
    assert api.as_("other").get("/share-replicas?all_tenants=1")["share_replicas"] == []


def test_only_an_administrator_promotes_what_is_behind(api: Client, served: ShareManager) -> None:
    """A member is refused: what was written since would be lost."""
    share = api.share(share_type="replicated")
    made = api.post("/share-replicas", {"share_replica": {"share_id": share["id"]}})["share_replica"]
    path = f"/share-replicas/{made['id']}/action"
    api.as_("member").refused("POST", path, {"promote": None}, 403)
    assert "never in sync" in api.refused("POST", path, {"promote": None}, 400)


def test_microversions(api: Client) -> None:
    """From 2.56 on, from 2.11 on as an experiment, and not at all before."""
    api.at("2.55").refused("GET", "/share-replicas", None, 404)
    asked = {"X-OpenStack-Manila-API-Experimental": "true"}
    assert api.at("2.55").get("/share-replicas", headers=asked) == {"share_replicas": []}
    assert api.at("2.10").ask("GET", "/share-replicas", headers=asked).status_code == 404
