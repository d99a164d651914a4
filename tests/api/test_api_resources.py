"""Every resource: what is made, shown, listed, changed, and what is refused with which code."""

from __future__ import annotations

from typing import Any

import pytest
import support
from asking import Client

from revertkit.drivers.memory import MemoryDriver
from revertkit.manager import ShareManager
from revertkit.models import new_id

# --- shares


def test_lists_page_filter_and_sort(api: Client) -> None:
    """Limit, marker and next links walk the whole list once; filters and order are the database's."""
    made = [api.share(name=f"s{n}", size=n, metadata={"n": str(n)}) for n in (3, 1, 2)]
    assert [s["name"] for s in api.get("/shares")["shares"]] == ["s2", "s1", "s3"]
    assert [s["name"] for s in api.get("/shares?sort_key=size&sort_dir=asc")["shares"]] == ["s1", "s2", "s3"]
    first = api.get("/shares/detail?limit=2&sort_key=name&sort_dir=asc&with_count=true")
    assert (first["count"], [s["size"] for s in first["shares"]]) == (3, [1, 2])
    [link] = first["shares_links"]
    rest = api.get(link["href"].partition("/v2")[2])
    assert [s["id"] for s in rest["shares"]] == [made[0]["id"]]
    assert "shares_links" not in rest
    for query, names in {
        "name=s1": ["s1"],
        "name~=s": ["s2", "s1", "s3"],
        "name~=%25": [],
        "status=error": [],
        "metadata={'n': '2'}": ["s2"],
        "metadata={'no': '2'}": [],
        "extra_specs={'snapshot_support': 'True'}": ["s2", "s1", "s3"],
        "extra_specs={'snapshot_support': 'False'}": [],
        "host=node-1@fast%23memory": ["s2", "s1", "s3"],
        "host=elsewhere": [],
        "is_soft_deleted=True": [],
        "share_network_id=x": [],
        f"share_type_id={made[0]['share_type']}&limit=1&offset=1": ["s1"],
        "all_tenants=1&is_public=True": ["s2", "s1", "s3"],
        "nonsense=1": ["s2", "s1", "s3"],
    }.items():
        assert [s["name"] for s in api.get(f"/shares?{query}")["shares"]] == names, query


@pytest.mark.parametrize(
    "query",
    [
        "limit=-1",
        "limit=x",
        "offset=x",
        "sort_key=nonsense",
        "sort_dir=up",
        "with_count=maybe",
        "metadata=[",
        "metadata=[1]",
        "metadata={[]:1}",
        "metadata={'a':0x" + "f" * 4000 + "}",
        "marker=none",
        "metadata={'a\"b': 'c'}",
    ],
)
def test_a_query_that_is_wrong(api: Client, query: str) -> None:
    """400, with what was found."""
    api.refused("GET", f"/shares?{query}", None, 400)


def test_a_share_and_what_it_refuses(api: Client, served: ShareManager) -> None:
    """Created, shown, renamed, deleted; each wrong wish has its code."""
    share = api.share(name="work", description="words", metadata={"a": "b"})
    assert (share["status"], share["host"], share["user_id"]) == ("available", "node-1@fast#memory", "root")
    changed = api.put(f"/shares/{share['id']}", {"share": {"display_name": "play", "name": "ignored"}})["share"]
    assert (changed["name"], changed["description"]) == ("play", "words")
    served.set_quota("project", "gigabytes", 10)
    wrong: dict[int, list[dict[str, Any]]] = {
        400: [
            {"size": 0},
            {"size": "x"},
            {"size": 2**30},
            {"share_proto": "CIFS"},
            {"volume_type": "revertible"},
            {"is_public": "junk"},
            {"is_public": True},
            {"metadata": {"": "x"}},
            {"metadata": {"k": ""}},
            {"metadata": {"k": "x" * 1024}},
            {"name": "x" * 256},
            {"name": "../x"},
            {"snapshot_id": "none"},
        ],
        404: [
            {"share_type": "none"},
            {"availability_zone": "mars"},
            {"snapshot_id": new_id()},
            {"share_network_id": new_id()},
        ],
        413: [{"size": 100}],
    }
    for code, wishes in wrong.items():
        for wish in wishes:
            body = {"share": {"share_proto": "NFS", "size": 1, "share_type": "revertible", **wish}}
            api.refused("POST", "/shares", body, code)
    api.refused("POST", "/shares", {"share": {"share_proto": "NFS"}}, 400)
    snapshot = api.snapshot(share)
    assert "1 snapshot" in api.refused("DELETE", f"/shares/{share['id']}", None, 403)
    api.refused("POST", f"/shares/{share['id']}/action", {"force_delete": None}, 400)
    api.delete(f"/snapshots/{snapshot['id']}")
    api.delete(f"/shares/{share['id']}")
    for method in ("GET", "DELETE"):
        api.refused(method, f"/shares/{share['id']}", None, 404)


def test_sizes(api: Client, served: ShareManager) -> None:
    """Extend and shrink; the wrong direction, status and quota."""
    share = api.share(size=2)
    path = f"/shares/{share['id']}/action"
    api.act(share, extend={"new_size": "4"})
    assert api.get(f"/shares/{share['id']}")["share"]["size"] == 4
    api.act(share, shrink={"new_size": 3})
    wrong: list[Any] = [{"extend": {"new_size": 3}}, {"shrink": {"new_size": 3}}, {"shrink": {"new_size": 0}}]
    for action in [*wrong, {"extend": {}}]:
        api.refused("POST", path, action, 400)
    api.as_("member").refused("POST", path, {"extend": {"new_size": 9, "force": True}}, 403)
    served.set_quota("project", "gigabytes", 4)
    assert "limit 4" in api.refused("POST", path, {"extend": {"new_size": 9}}, 403)
    api.act(share, reset_status={"status": "error"})
    for action in ({"extend": {"new_size": 4}}, {"shrink": {"new_size": 1}}):
        api.refused("POST", path, action, 400)


def test_statuses_by_hand(api: Client) -> None:
    """reset_status as far as the manager lets it; the client sends reset_task_state with it."""
    share = api.share()
    path = f"/shares/{share['id']}/action"
    api.act(share, reset_status={"status": "error"})
    api.act(share, reset_task_state={"task_state": None})
    assert api.status(share) == "error"
    for status in ("reverting", "migrating", "nonsense"):
        api.refused("POST", path, {"reset_status": {"status": status}}, 400)
    api.refused("POST", path, {"reset_status": {}}, 400)
    api.refused("POST", path, {"reset_task_state": {"task_state": "migration_error"}}, 400)


def test_access(api: Client) -> None:
    """Allow, list, note, deny; by an action up to 2.44, as a resource from 2.45 on."""
    share = api.share()
    path = f"/shares/{share['id']}/action"
    allow = {"access_type": "ip", "access_to": "10.0.0.0/24", "metadata": {"for": "me"}}
    rule = api.act(share, 200, allow_access=allow)["access"]
    assert (rule["share_id"], rule["access_level"], rule["metadata"]) == (share["id"], "rw", {"for": "me"})
    listed = api.get(f"/share-access-rules?share_id={share['id']}")["access_list"]
    assert [(each["id"], each["state"]) for each in listed] == [(rule["id"], "active")]
    assert api.at("2.44").post(path, {"access_list": None}, 200)["access_list"][0]["id"] == rule["id"]
    api.refused("POST", path, {"access_list": None}, 404)
    assert api.get(f"/share-access-rules/{rule['id']}")["access"]["access_to"] == "10.0.0.0/24"
    noted = api.put(f"/share-access-rules/{rule['id']}/metadata", {"metadata": {"b": "c"}})
    assert noted == {"metadata": {"for": "me", "b": "c"}}
    api.delete(f"/share-access-rules/{rule['id']}/metadata/b", 200)
    api.delete(f"/share-access-rules/{rule['id']}/metadata/b", 404)
    for wrong in (
        {**allow},
        {**allow, "access_to": "10.0.0.1/8"},
        {**allow, "access_type": "user"},
        {"access_type": "ip"},
    ):
        api.refused("POST", path, {"allow_access": wrong}, 400)
    api.refused("POST", path, {"allow_access": {**allow, "access_level": "wx"}}, 400)
    api.refused("GET", "/share-access-rules", None, 400)
    api.refused("GET", f"/share-access-rules?share_id={new_id()}", None, 400)
    api.refused("POST", path, {"deny_access": {"access_id": new_id()}}, 404)
    api.act(share, deny_access={"access_id": rule["id"]})
    assert api.get(f"/share-access-rules?share_id={share['id']}") == {"access_list": []}
    api.refused("GET", f"/share-access-rules/{rule['id']}", None, 404)


def test_where_it_is_reached(api: Client) -> None:
    """Export locations of a share and of its instance have ids that stay; the administrator sees whose they are."""
    share = api.share()
    [place] = api.get(f"/shares/{share['id']}/export_locations")["export_locations"]
    shown = api.get(f"/shares/{share['id']}/export_locations/{place['id']}")["export_location"]
    assert shown["path"] == place["path"]
    [seen] = api.as_("member").get(f"/shares/{share['id']}/export_locations")["export_locations"]
    assert set(place) - set(seen) == {"share_instance_id", "is_admin_only"}
    [instance] = api.get(f"/shares/{share['id']}/instances")["share_instances"]
    assert instance["id"] == place["share_instance_id"]
    assert api.get(f"/share_instances/{instance['id']}")["share_instance"]["share_id"] == share["id"]
    assert [each["id"] for each in api.get("/share_instances")["share_instances"]] == [instance["id"]]
    assert api.get(f"/share_instances/{instance['id']}/export_locations")["export_locations"] == [place]
    api.get(f"/share_instances/{instance['id']}/export_locations/{place['id']}")
    api.refused("GET", f"/shares/{share['id']}/export_locations/{new_id()}", None, 404)
    api.refused("GET", f"/share_instances/{new_id()}", None, 404)
    api.act(instance, kind="share_instances", reset_status={"status": "error"})
    api.act(instance, kind="share_instances", force_delete=None)
    api.refused("GET", f"/shares/{share['id']}", None, 404)


@pytest.mark.parametrize("kind", ["shares", "snapshots"])
def test_metadata(api: Client, kind: str) -> None:
    """All of it and by key; added to, replaced, removed."""
    share = api.share()
    thing = share if kind == "shares" else api.snapshot(share)
    path = f"/{kind}/{thing['id']}/metadata"
    assert api.post(path, {"metadata": {"a": "1", "b": "2"}}, 200) == {"metadata": {"a": "1", "b": "2"}}
    assert api.put(f"{path}/a", {"meta": {"a": "3"}}) == {"meta": {"a": "3"}}
    assert api.get(f"{path}/a") == {"meta": {"a": "3"}}
    api.refused("PUT", f"{path}/a", {"meta": {"b": "3"}}, 400)
    api.delete(f"{path}/a", 200)
    api.refused("DELETE", f"{path}/a", None, 404)
    assert api.get(path) == {"metadata": {"b": "2"}}
    assert api.put(path, {"metadata": {}}) == {"metadata": {}}
    for wrong in ({"k" * 256: "x"}, {"k": "x" * 1024}, {"": "x"}, {"k": 1}, {"k": None}):
        api.refused("POST", path, {"metadata": wrong}, 400)
    api.refused("POST", path, {}, 422 if kind == "nothing" else 400)


# --- snapshots


def test_snapshots(api: Client, served: ShareManager) -> None:
    """Taken, shown, listed, renamed, deleted; each wrong wish has its code."""
    served.create_type("plain", {"driver_handles_share_servers": "false"})
    share, plain = api.share(name="work"), api.share(share_type="plain")
    snapshot = api.snapshot(share, name="monday", description="words", metadata={"a": "b"})
    assert (snapshot["status"], snapshot["size"], snapshot["user_id"]) == ("available", 1, "root")
    second = api.snapshot(share, name="tuesday")
    assert [s["name"] for s in api.get("/snapshots")["snapshots"]] == ["tuesday", "monday"]
    page = api.get(f"/snapshots/detail?limit=1&with_count=1&share_id={share['id']}")
    assert (page["count"], page["snapshots"][0]["id"]) == (2, second["id"])
    rest = api.get(page["share_snapshots_links"][0]["href"].partition("/v2")[2])
    assert [s["id"] for s in rest["snapshots"]] == [snapshot["id"]]
    for query, names in {
        "name=monday": ["monday"],
        "name~=day": ["tuesday", "monday"],
        "description~=wor": ["monday"],
        "status=error": [],
        "size=1": ["tuesday", "monday"],
        "metadata={'a': 'b'}": ["monday"],
        f"share_id={plain['id']}": [],
    }.items():
        assert [s["name"] for s in api.get(f"/snapshots?{query}")["snapshots"]] == names, query
    changed = api.put(f"/snapshots/{snapshot['id']}", {"snapshot": {"display_description": "other"}})["snapshot"]
    assert (changed["name"], changed["description"]) == ("monday", "other")
    api.refused("POST", "/snapshots", {"snapshot": {}}, 400)
    api.refused("POST", "/snapshots", {"snapshot": {"share_id": new_id()}}, 404)
    api.refused("POST", "/snapshots", {"snapshot": {"share_id": plain["id"]}}, 422)
    api.refused("GET", "/snapshots?name=", None, 400)
    served.set_quota("project", "snapshots", 2)
    api.refused("POST", "/snapshots", {"snapshot": {"share_id": share["id"]}}, 413)
    api.act(share, reset_status={"status": "error"})
    api.refused("POST", "/snapshots", {"snapshot": {"share_id": share["id"]}}, 413)
    served.set_quota("project", "snapshots", 50)
    api.refused("POST", "/snapshots", {"snapshot": {"share_id": share["id"]}}, 400)
    api.act(second, kind="snapshots", force_delete=None)
    api.delete(f"/snapshots/{snapshot['id']}")
    assert api.get("/snapshots")["snapshots"] == []


def test_snapshots_that_are_mounted(api: Client, served: ShareManager) -> None:
    """Access and export locations; of a share whose type does not say so, 400."""
    support.mountable(served)
    share = api.share(share_type="mountable")
    snapshot, plain = api.snapshot(share), api.snapshot(api.share())
    rule = api.act(snapshot, kind="snapshots", allow_access={"access_type": "ip", "access_to": "10.0.0.1"})
    listed = api.get(f"/snapshots/{snapshot['id']}/access-list")["snapshot_access_list"]
    assert [each["id"] for each in listed] == [rule["snapshot_access"]["id"]]
    [place] = api.get(f"/snapshots/{snapshot['id']}/export-locations")["share_snapshot_export_locations"]
    shown = api.get(f"/snapshots/{snapshot['id']}/export-locations/{place['id']}")
    assert shown["share_snapshot_export_location"]["path"] == place["path"]
    api.act(snapshot, kind="snapshots", deny_access={"access_id": listed[0]["id"]})
    assert api.get(f"/snapshots/{snapshot['id']}/access-list")["snapshot_access_list"] == []
    body = {"allow_access": {"access_type": "ip", "access_to": "10.0.0.1"}}
    api.refused("POST", f"/snapshots/{plain['id']}/action", body, 400)
    assert api.get(f"/snapshots/{plain['id']}/export-locations")["share_snapshot_export_locations"] == []


def test_managing(api: Client, served: ShareManager) -> None:
    """What is on the backend already is adopted, share and snapshot, and let go of again; a missing one leaves none."""
    driver = served.site.driver("fast")
    assert isinstance(driver, MemoryDriver)
    driver.plant("old", 2, {"a": b"b"}, monday={"a": b"m"})
    body = {"service_host": "node-1@fast#memory", "export_path": "old", "protocol": "NFS", "share_type": "revertible"}
    share = api.post("/shares/manage", {"share": {**body, "name": "old"}}, 200)["share"]
    assert api.get(f"/shares/{share['id']}")["share"]["size"] == 2
    managed = {"share_id": share["id"], "provider_location": "old@monday"}
    snapshot = api.post("/snapshots/manage", {"snapshot": managed})["snapshot"]
    assert api.get(f"/snapshots/{snapshot['id']}")["snapshot"]["status"] == "available"
    api.refused("POST", f"/shares/{share['id']}/action", {"unmanage": None}, 403)
    api.act(snapshot, kind="snapshots", unmanage=None)
    api.act(share, unmanage=None)
    assert api.get("/shares")["shares"] == []
    assert "'none'" in api.refused("POST", "/shares/manage", {"share": {**body, "export_path": "none"}}, 409)
    assert api.get("/shares")["shares"] == []
    assert "none" in api.get("/messages")["messages"][0]["user_message"]
    api.refused("POST", "/shares/manage", {"share": {**body, "service_host": "node-1@other"}}, 400)
    api.as_("member").refused("POST", "/shares/manage", {"share": body}, 403)


# --- types


def test_types(api: Client) -> None:
    """Created with the extra spec, shown by role, changed, deleted; what is required and what is refused."""
    specs = {"driver_handles_share_servers": False, "revert_to_snapshot_support": "<is> True", "vendor:secret": "x"}
    made = api.post("/types", {"share_type": {"name": "gold", "extra_specs": specs, "description": "d"}}, 200)
    gold = made["share_type"]
    assert made["volume_type"] == gold
    assert gold["extra_specs"] == {
        "driver_handles_share_servers": "False",
        "revert_to_snapshot_support": "<is> True",
        "vendor:secret": "x",
    }
    assert (gold["required_extra_specs"], gold["share_type_access:is_public"], gold["is_default"]) == (
        {"driver_handles_share_servers": "False"},
        True,
        False,
    )
    seen = api.as_("member").get(f"/types/{gold['id']}")["share_type"]["extra_specs"]
    assert seen["revert_to_snapshot_support"] == "<is> True"
    assert seen["snapshot_support"] is False
    assert "vendor:secret" not in seen
    assert api.get("/types/default")["share_type"]["name"] == "revertible"
    assert [t["name"] for t in api.get("/types?extra_specs={'vendor:secret': 'x'}")["share_types"]] == ["gold"]
    path = f"/types/{gold['id']}/extra_specs"
    assert api.post(path, {"extra_specs": {"a": "b"}}, 200) == {"extra_specs": {"a": "b"}}
    assert api.put(f"{path}/a", {"a": "c"}) == {"a": "c"}
    assert api.get(f"{path}/a") == {"a": "c"}
    assert set(api.get(path)["extra_specs"]) == {*specs, "a"}
    api.delete(f"{path}/a")
    api.refused("DELETE", f"{path}/a", None, 404)
    api.refused("GET", f"{path}/a", None, 404)
    api.refused("PUT", f"{path}/a", {"b": "c"}, 400)
    api.refused("DELETE", f"{path}/driver_handles_share_servers", None, 403)
    for wrong in (
        {"bad key!": "x"},
        {"k": ""},
        {"k": 1},
        {"snapshot_support": "maybe"},
        {"replication_type": "writable"},
    ):
        api.refused("POST", path, {"extra_specs": wrong}, 400)
    for name, extra in {"a": {}, "b": {"driver_handles_share_servers": "<is> False"}, "c" * 256: specs}.items():
        api.refused("POST", "/types", {"share_type": {"name": name, "extra_specs": extra}}, 400)
    api.refused("POST", "/types", {"share_type": {"name": "gold", "extra_specs": specs}}, 409)
    assert api.put(f"/types/{gold['id']}", {"share_type": {"name": "silver"}})["share_type"]["name"] == "silver"
    api.share(share_type="silver")
    assert "in use" in api.refused("DELETE", f"/types/{gold['id']}", None, 400)
    api.refused("GET", f"/types/{new_id()}", None, 404)


def test_types_that_are_not_public(api: Client) -> None:
    """Only who was let in sees one, and may use it."""
    specs = {"driver_handles_share_servers": "False"}
    body = {"share_type": {"name": "own", "extra_specs": specs, "share_type_access:is_public": False}}
    own = api.post("/types", body, 200)["share_type"]
    member, other = api.as_("member"), api.as_("other")
    share = {"share": {"share_proto": "NFS", "size": 1, "share_type": "own"}}
    for each in (member, other):
        each.refused("GET", f"/types/{own['id']}", None, 404)
        each.refused("POST", "/shares", share, 404)
    api.act(own, kind="types", addProjectAccess={"project": "other"})
    api.refused("POST", f"/types/{own['id']}/action", {"addProjectAccess": {"project": "other"}}, 409)
    assert api.get(f"/types/{own['id']}/share_type_access") == {
        "share_type_access": [{"share_type_id": own["id"], "project_id": "other"}]
    }
    assert [t["name"] for t in other.get("/types?is_public=all")["share_types"]] == ["own", "revertible"]
    assert [t["name"] for t in member.get("/types")["share_types"]] == ["revertible"]
    assert [t["name"] for t in api.get("/types?is_public=false")["share_types"]] == ["own"]
    other.post("/shares", share, 200)
    api.act(own, kind="types", removeProjectAccess={"project": "other"})
    api.refused("POST", f"/types/{own['id']}/action", {"removeProjectAccess": {"project": "other"}}, 404)
    public = api.get("/types/default")["share_type"]
    api.refused("POST", f"/types/{public['id']}/action", {"addProjectAccess": {"project": "other"}}, 409)
    api.refused("GET", f"/types/{public['id']}/share_type_access", None, 404)


# --- what an administrator arranges


def test_quotas_and_limits(api: Client) -> None:
    """Shown, set, reset; below the use only with force; of users and types there are none of their own."""
    share = api.share(size=5)
    api.snapshot(share)
    limits = api.as_("member").get("/limits")["limits"]["absolute"]
    assert (limits["totalShareGigabytesUsed"], limits["maxTotalShareGigabytes"]) == (5, 1000)
    changed = api.put("/quota-sets/project", {"quota_set": {"gigabytes": 7, "shares": -1}})["quota_set"]
    assert (changed["gigabytes"], changed["shares"]) == (7, -1)
    assert api.get("/quota-sets/project/defaults")["quota_set"]["gigabytes"] == 1000
    assert "encryption_keys" not in api.at("2.89").get("/quota-sets/project")["quota_set"]
    assert "share_networks" not in api.get("/quota-sets/project?share_type=revertible")["quota_set"]
    for wrong in ({}, {"nonsense": 1}, {"gigabytes": "²"}, {"gigabytes": -2}, {"gigabytes": 4}, {"gigabytes": True}):
        api.refused("PUT", "/quota-sets/project", {"quota_set": wrong}, 400)
    assert api.get("/quota-sets/project")["quota_set"]["gigabytes"] == 7
    api.put("/quota-sets/project", {"quota_set": {"gigabytes": 4, "force": True}})
    api.refused("PUT", "/quota-sets/project?user_id=u", {"quota_set": {"gigabytes": 9}}, 400)
    api.refused("GET", "/quota-sets/project?share_type=x&user_id=u", None, 400)
    api.refused("GET", "/quota-sets/project?share_type=none", None, 404)
    api.as_("member").refused("GET", "/quota-sets/other", None, 403)
    api.as_("member").refused("PUT", "/quota-sets/project", {"quota_set": {"gigabytes": 9}}, 403)
    api.delete("/quota-sets/project")
    assert api.at("2.6").get("/os-quota-sets/project")["quota_set"]["gigabytes"] == 1000


def test_messages(api: Client) -> None:
    """Newest first, by filter and page, shown and deleted; another project has none of them."""
    share = api.share()
    snapshot = api.snapshot(share)
    api.revert(share, snapshot)
    api.revert(share, snapshot)
    first, second = api.get("/messages")["messages"]
    assert first["created_at"] > second["created_at"]
    page = api.get("/messages?limit=1")
    assert page["messages"] == [first]
    assert api.get(page["messages_links"][0]["href"].partition("/v2")[2])["messages"] == [second]
    assert api.get(f"/messages/{first['id']}")["message"] == first
    assert api.get("/messages?resource_type=SHARE&message_level=ERROR")["messages"] == []
    assert api.get(f"/messages?created_since={first['created_at']}")["messages"] == [first]
    api.as_("other").refused("GET", f"/messages/{first['id']}", None, 404)
    api.as_("other").refused("DELETE", f"/messages/{first['id']}", None, 404)
    api.delete(f"/messages/{first['id']}", 204)
    api.refused("DELETE", f"/messages/{first['id']}", None, 404)


def test_pools_services_zones(api: Client) -> None:
    """What the scheduler sees; a backend that is disabled takes no new share."""
    [pool] = api.get("/scheduler-stats/pools/detail")["pools"]
    assert (pool["name"], pool["capabilities"]["revert_to_snapshot_support"]) == ("node-1@fast#memory", True)
    for query, number in {
        "host=node": 1,
        "pool=x": 0,
        "nonsense=1": 0,
        "host=(": 0,
        "host=a{4294967296}": 0,
        "host=(.|.|.|.|.|.|.|.|.|.|.|.|.|.|.|.)*!": 0,
        "host=.*1": 1,
        "host=node-.": 1,
        "host=^node%5C-1.*$": 1,
        "host=^node$": 0,
        "share_type=revertible": 1,
    }.items():
        assert len(api.get(f"/scheduler-stats/pools?{query}")["pools"]) == number, query
    api.refused("GET", "/scheduler-stats/pools?share_type=none", None, 400)
    [service] = api.get("/services?binary=manila-share&state=up")["services"]
    assert (service["host"], service["status"], service["zone"]) == ("node-1@fast", "enabled", "nova")
    assert api.get("/services?status=nonsense")["services"] == []
    told = {"host": "node-1@fast", "binary": "manila-share", "disabled_reason": "a new disk"}
    assert api.put("/services/disable", told)["status"] == "disabled"
    [service] = api.get("/services?status=disabled")["services"]
    assert service["disabled_reason"] == "a new disk"
    body = {"share": {"share_proto": "NFS", "size": 1, "share_type": "revertible"}}
    assert "a new disk" in api.refused("POST", "/shares", body, 400)
    api.put("/services/enable", told)
    api.share()
    api.refused("PUT", "/services/enable", {**told, "host": "node-1@none"}, 404)
    api.refused("PUT", "/services/enable", {**told, "binary": "other"}, 404)
    api.refused("PUT", "/services/enable", {}, 400)
    assert [zone["name"] for zone in api.get("/availability-zones")["availability_zones"]] == ["nova"]
    assert api.get("/extensions") == {"extensions": []}


def test_projects(api: Client) -> None:
    """What ``openstack share quota`` asks for where there is no Keystone."""
    assert api.get("/projects/other")["project"]["id"] == "other"
    assert [each["id"] for each in api.get("/projects?name=other")["projects"]] == ["other"]
    member = api.as_("member")
    assert member.get("/projects/project")["project"]["name"] == "project"
    member.refused("GET", "/projects/other", None, 404)
    assert member.get("/projects?name=other")["projects"] == []


ADMINISTRATORS = [
    ("GET", "/scheduler-stats/pools"),
    ("GET", "/scheduler-stats/pools/detail"),
    ("GET", "/services"),
    ("PUT", "/services/enable"),
    ("PUT", "/quota-sets/project"),
    ("DELETE", "/quota-sets/project"),
    ("POST", "/types"),
    ("PUT", "/types/{type}"),
    ("DELETE", "/types/{type}"),
    ("POST", "/types/{type}/action"),
    ("GET", "/types/{type}/extra_specs"),
    ("POST", "/types/{type}/extra_specs"),
    ("GET", "/share_instances"),
    ("GET", "/shares/{share}/instances"),
    ("GET", "/shares?host=x"),
]
BODIES: dict[str, Any] = {
    "/services/enable": {"host": "node-1@fast", "binary": "manila-share"},
    "/quota-sets/project": {"quota_set": {"shares": 1}},
    "/types": {"share_type": {"name": "x", "extra_specs": {}}},
    "/types/{type}": {"share_type": {"name": "x"}},
    "/types/{type}/action": {"addProjectAccess": {"project": "x"}},
    "/types/{type}/extra_specs": {"extra_specs": {"a": "b"}},
}


def test_what_only_an_administrator_may(api: Client) -> None:
    """A member is refused; a reader cannot change anything either; who has no role sees nothing."""
    share = api.share()
    names = {"share": share["id"], "type": share["share_type"]}
    for method, path in ADMINISTRATORS:
        body = None if method in ("GET", "DELETE") else BODIES[path]
        api.as_("member").refused(method, path.format(**names), body, 403)
    for action in ({"reset_status": {"status": "error"}}, {"force_delete": None}, {"unmanage": None}):
        api.as_("member").refused("POST", f"/shares/{share['id']}/action", action, 403)
    reader = api.as_("reader")
    assert reader.get(f"/shares/{share['id']}")["share"]["id"] == share["id"]
    assert "host" not in reader.get(f"/shares/{share['id']}")["share"]
    reader.refused("DELETE", f"/shares/{share['id']}", None, 403)
    reader.refused("POST", "/snapshots", {"snapshot": {"share_id": share["id"]}}, 403)
    for path in ("/shares", "/snapshots", "/types", f"/shares/{share['id']}"):
        api.as_("nobody").refused("GET", path, None, 403)


def test_another_project(api: Client) -> None:
    """What is the other's does not exist; the administrator sees it where they ask for all."""
    share = api.share()
    snapshot = api.snapshot(share)
    other = api.as_("other")
    for path in (f"/shares/{share['id']}", f"/snapshots/{snapshot['id']}", f"/shares/{share['id']}/metadata"):
        other.refused("GET", path, None, 404)
    other.refused("DELETE", f"/shares/{share['id']}", None, 404)
    other.refused("POST", f"/shares/{share['id']}/action", {"revert": {"snapshot_id": snapshot["id"]}}, 404)
    theirs = other.share()
    said = other.refused("POST", f"/shares/{theirs['id']}/action", {"revert": {"snapshot_id": snapshot["id"]}}, 400)
    assert said == f"there is no snapshot {snapshot['id']!r} here"
    assert [s["id"] for s in other.get("/shares?all_tenants=1&with_count=1")["shares"]] == [theirs["id"]]
    assert {s["id"] for s in api.get("/shares?all_tenants=1")["shares"]} == {share["id"], theirs["id"]}
    assert [s["id"] for s in api.get("/shares")["shares"]] == [share["id"]]
    assert [s["id"] for s in api.get("/shares?all_tenants=1&project_id=other")["shares"]] == [theirs["id"]]
    api.delete(f"/shares/{theirs['id']}")
