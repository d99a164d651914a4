"""Two projects, every route: what is the other's cannot be told from what is not there, and stays as it is.

Whoever belongs to one project sends each request of the table twice, once with the names of what the other project has,
once with names of nothing. The two answers have to be the same. A route, or an action, without a row fails.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest
import replicated
from asking import CALLERS, MEMBER, NEWEST, As, Client, app, client_of

from revertkit.api.auth import Identity
from revertkit.api.wire import bodies
from revertkit.manager import ShareManager
from revertkit.models import new_id

Names = dict[str, str]
PROJECTS = {"mia": "a0a0a0a0", "ola": "b1b1b1b1"}
PEOPLE = {who: Identity(who, {project: MEMBER}) for who, project in PROJECTS.items()} | {"admin": CALLERS["admin"]}
ACTIONS = {
    "share_action": bodies.SHARE_ACTIONS,
    "snapshot_action": bodies.SNAPSHOT_ACTIONS,
    "instance_action": bodies.INSTANCE_ACTIONS,
    "replica_action": bodies.REPLICA_ACTIONS,
    "type_action": bodies.TYPE_ACTIONS,
}


class Own(dict[str, Any]):
    """A body that is sent to what is the caller's own, and names what is the other's."""


NOTE, NAMED = {"metadata": {"b": "c"}}, {"display_name": "theirs"}
ANY_OF = ["", "?all_tenants=1&with_count=1", "?project_id={project}&all_tenants=1"]
SHARES = [*ANY_OF, "?marker={share}&limit=1", "?name={word}", "?name~={word}", "?share_type_id={type}"]
SHARES += ["?all_tenants=1&export_location_id={location}", "?metadata={'a':'{word}'}&with_count=1"]
SNAPSHOTS = [*ANY_OF, "?share_id={share}", "?marker={snapshot}&limit=1", "?name={word}", "?all_tenants=1&name~={word}"]
REPLICAS = ["", "?all_tenants=1", "?share_id={share}", "?marker={replica}&limit=1&all_tenants=1"]
MESSAGES = ["", "?resource_id={share}", "?marker={message}&limit=1"]
RULE = {"access_type": "ip", "access_to": "192.0.2.9"}
NEW_SHARE = {"share_proto": "NFS", "size": 1}

# The table, in an order in which whoever may do all of it can: what is deleted comes last. A text is a query, an object
# a body; the path is the route's, its parameters the other's.
ROWS: dict[str, list[Any]] = {
    "discover": [""],
    "discover_v2": [""],
    "discover_v2_slash": [""],
    "healthz": [""],
    "readyz": [""],
    "metrics": [""],
    "list_extensions": [""],
    "list_zones": [""],
    "list_zones_as_before": [""],
    "list_pools": ["", "?share_type={type}"],
    "list_pools_in_detail": ["", "?share_type={type}"],
    "list_services": [""],
    "list_services_as_before": [""],
    "disable_service": [{"host": "node-1@far", "binary": "manila-share"}],
    "enable_service": [{"host": "node-1@far", "binary": "manila-share"}],
    "show_limits": [""],
    "find_projects": ["", "?name={project}"],
    "show_project": [""],
    "show_quotas": ["", "?share_type={type}"],
    "show_quotas_as_before": [""],
    "show_quotas_in_detail": [""],
    "show_default_quotas": [""],
    "update_quotas": [{"quota_set": {"shares": 20}}],
    "delete_quotas": [""],
    "list_messages": MESSAGES,
    "show_message": [""],
    "list_shares": SHARES,
    "list_shares_in_detail": SHARES,
    "show_share": [""],
    "create_share": [
        {"share": NEW_SHARE | {"snapshot_id": "{snapshot}"}},
        {"share": NEW_SHARE | {"share_type": "{type}"}},
    ],
    "manage_share": [
        {
            "share": {
                "service_host": "node-1@fast#memory",
                "export_path": "{path}",
                "protocol": "NFS",
                "share_type": "{type}",
            }
        }
    ],
    "update_share": [{"share": NAMED}],
    "list_export_locations": [""],
    "show_export_location": [""],
    "list_instances_of_share": [""],
    "list_share_metadata": [""],
    "show_share_metadata_item": [""],
    "add_share_metadata": [NOTE],
    "replace_share_metadata": [{"metadata": {"a": "c"}}],
    "set_share_metadata_item": [{"meta": {"a": "d"}}],
    "list_snapshots": SNAPSHOTS,
    "list_snapshots_in_detail": SNAPSHOTS,
    "show_snapshot": [""],
    "update_snapshot": [{"snapshot": NAMED}],
    "list_snapshot_metadata": [""],
    "show_snapshot_metadata_item": [""],
    "add_snapshot_metadata": [NOTE],
    "replace_snapshot_metadata": [{"metadata": {"a": "c"}}],
    "set_snapshot_metadata_item": [{"meta": {"a": "d"}}],
    "list_snapshot_rules": [""],
    "list_snapshot_locations": [""],
    "show_snapshot_location": [""],
    "snapshot_action:allow_access": [{"allow_access": RULE}],
    "snapshot_action:deny_access": [
        Own(deny_access={"access_id": "{snapshot_rule}"}),
        {"deny_access": {"access_id": "{snapshot_rule}"}},
    ],
    "list_access_rules": ["?share_id={share}"],
    "show_access_rule": [""],
    "update_access_rule_metadata": [{"metadata": {"a": "b"}}],
    "delete_access_rule_metadata": [""],
    "share_action:revert": [
        Own(revert={"snapshot_id": "{snapshot}"}),
        {"revert": {"snapshot_id": "{snapshot}"}},
    ],
    "share_action:allow_access": [{"allow_access": RULE}],
    "share_action:access_list": [{"access_list": None}],
    "share_action:deny_access": [
        Own(deny_access={"access_id": "{rule}"}),
        {"deny_access": {"access_id": "{rule}"}},
    ],
    "share_action:reset_status": [{"reset_status": {"status": "available"}}],
    "share_action:reset_task_state": [{"reset_task_state": {"task_state": None}}],
    "share_action:extend": [{"extend": {"new_size": 3}}],
    "share_action:shrink": [{"shrink": {"new_size": 1}}],
    "create_snapshot": [{"snapshot": {"share_id": "{share}"}}],
    "manage_snapshot": [{"snapshot": {"share_id": "{share}", "provider_location": "snap-{snapshot}"}}],
    "list_replicas": REPLICAS,
    "list_replicas_in_detail": REPLICAS,
    "show_replica": [""],
    "create_replica": [{"share_replica": {"share_id": "{share}"}}],
    "list_replica_locations": [""],
    "show_replica_location": [""],
    "replica_action:resync": [{"resync": None}],
    "replica_action:reset_status": [{"reset_status": {"status": "available"}}],
    "replica_action:reset_replica_state": [{"reset_replica_state": {"replica_state": "in_sync"}}],
    "replica_action:promote": [{"promote": None}],
    "list_instances": [""],
    "list_instances_in_detail": ["", "?export_location_path={path}"],
    "show_instance": [""],
    "instance_action:reset_status": [{"reset_status": {"status": "available"}}],
    "list_instance_locations": [""],
    "show_instance_location": [""],
    "list_types": ["", "?is_public=all", "?is_public=none"],
    "create_type": [{"share_type": {"name": "{word}", "extra_specs": replicated.SPECS}}],
    "show_default_type": [""],
    "show_type": [""],
    "update_type": [{"share_type": {"description": "theirs"}}],
    "list_type_access": [""],
    "list_type_access_as_before": [""],
    "type_action:addProjectAccess": [{"addProjectAccess": {"project": "theirs"}}],
    "type_action:removeProjectAccess": [{"removeProjectAccess": {"project": "theirs"}}],
    "list_extra_specs": [""],
    "show_extra_spec": [""],
    "add_extra_specs": [{"extra_specs": {"b": "c"}}],
    "set_extra_spec": [{"note:a": "c"}],
    "delete_extra_spec": [""],
    "delete_share_metadata_item": [""],
    "delete_snapshot_metadata_item": [""],
    "delete_message": [""],
    "share_action:force_delete": [{"force_delete": None}],
    "share_action:unmanage": [{"unmanage": None}],
    "instance_action:force_delete": [{"force_delete": None}],
    "delete_share": [""],
    "delete_type": [""],
    "snapshot_action:reset_status": [{"reset_status": {"status": "error"}}],
    "snapshot_action:unmanage": [{"unmanage": None}],
    "delete_snapshot": [""],
    "snapshot_action:force_delete": [{"force_delete": None}],
    "replica_action:force_delete": [{"force_delete": None}],
    "delete_replica": [""],
}
SAME_FOR_ALL = {"delete_quotas", "update_quotas", "show_default_quotas", "delete_message"}
"""Whoever may do it gets the same answer, whether what it names is there or not."""
GONE_BY_THEN = {"snapshot_action:force_delete"}
"""Rows whose thing the row before has deleted for its owner."""
OLD = {
    **dict.fromkeys((name for name in ROWS if name.endswith("_as_before")), "2.6"),
    "share_action:access_list": "2.44",
}
"""The microversion of what the newest does not have."""


@cache
def operations() -> dict[str, tuple[str, str]]:
    """Name every route, and every action, with its method and path."""
    found = {}
    for path, methods in app().openapi()["paths"].items():
        for method, told in methods.items():
            name = told["operationId"]
            actions = [f"{name}:{action.name}" for action in ACTIONS.get(name, ())]
            found |= dict.fromkeys(actions or [name], (method.upper(), path))
    return found


def test_every_route_has_a_row() -> None:
    """A new one has to say how it keeps two projects apart."""
    assert set(ROWS) == set(operations())


def things_of(api: Client, project: str) -> Names:
    """Make, in the caller's project, one of everything that a project can have; answer what each is called."""
    root = api.as_("admin")
    specs = {**replicated.SPECS, "replication_type": "readable", "mount_snapshot_support": "true", "note:a": "b"}
    wish = {"name": f"secret-{project}", "extra_specs": specs, "share_type_access:is_public": False}
    kind = root.post("/types", {"share_type": wish}, 200)["share_type"]["id"]
    root.post(f"/types/{kind}/action", {"addProjectAccess": {"project": project}})
    share = api.share(name=f"word-{project}", size=2, share_type=kind, metadata={"a": f"word-{project}"})
    snapshot = api.snapshot(share, name=f"word-{project}", metadata={"a": "b"})
    rule = api.act(share, 200, allow_access={"access_type": "ip", "access_to": "192.0.2.1"})["access"]["id"]
    api.put(f"/share-access-rules/{rule}/metadata", {"metadata": {"a": "b"}})
    shown = {"access_type": "ip", "access_to": "192.0.2.1"}
    snapshot_rule = api.act(snapshot, kind="snapshots", allow_access=shown)["snapshot_access"]["id"]
    api.revert(share, snapshot)
    [active] = api.get(f"/share-replicas?share_id={share['id']}")["share_replicas"]
    replica = api.post("/share-replicas", {"share_replica": {"share_id": share["id"]}})["share_replica"]
    [place, *_] = api.get(f"/shares/{share['id']}/export_locations")["export_locations"]
    [seen, *_] = api.get(f"/snapshots/{snapshot['id']}/export-locations")["share_snapshot_export_locations"]
    message = api.get("/messages")["messages"][0]
    return {
        "share": share["id"],
        "snapshot": snapshot["id"],
        "rule": rule,
        "snapshot_rule": snapshot_rule,
        "replica": replica["id"],
        "instance": active["id"],
        "message": message["id"],
        "type": kind,
        "project": project,
        "location": place["id"],
        "snapshot_location": seen["id"],
        "path": place["path"],
        "word": f"word-{project}",
    }


def nothing(like: Names) -> Names:
    """Make up names of the same form that nothing has."""
    return {each: new_id() for each in like} | {"path": "/shares/none", "word": "word-none", "project": "none"}


def filled(wish: Any, names: Names) -> Any:
    """Put names where a wish has places for them."""
    if isinstance(wish, dict):
        return {filled(key, names): filled(each, names) for key, each in wish.items()}
    return re.sub(r"{(\w+)}", lambda at: names[at[1]], wish) if isinstance(wish, str) else wish


def path_of(path: str, names: Names) -> str:
    """Put names where a route's path has parameters."""
    snapshots = path.startswith("/v2/snapshots")
    known = {
        "thing_id": names["snapshot" if snapshots else "share"],
        "location_id": names["snapshot_location" if snapshots else "location"],
        "key": "note:a" if path.startswith("/v2/types") else "a",
        **{f"{each}_id": name for each, name in names.items() if each != "location"},
    }
    if "location" in path:  # of the replica that is active
        known["replica_id"] = names["instance"]
    return filled(path, known)


def answer(api: Client, operation: str, wish: Any, names: Names, own: Names) -> tuple[int, str]:
    """Send one request; answer its code and text, what it names left out."""
    method, path = operations()[operation]
    path = path_of(path, own if isinstance(wish, Own) else names)
    query, body = (filled(wish, names), None) if isinstance(wish, str) else ("", filled(wish, names))
    headers = {"x-who": api.who, "X-OpenStack-Manila-API-Version": OLD.get(operation, NEWEST)}
    got = api.http.request(method, path + query, headers=headers, **({} if body is None else {"json": body}))
    text = got.text
    for name in sorted(names.values(), key=len, reverse=True):
        text = text.replace(name, "…")
    return got.status_code, text


def everything(api: Client, project: str) -> list[Any]:
    """Answer all that there is of a project, as an administrator sees it."""
    root, whose = api.as_("admin"), f"all_tenants=1&project_id={project}"
    shares = root.get(f"/shares/detail?{whose}")["shares"]
    snapshots = root.get(f"/snapshots/detail?{whose}")["snapshots"]
    return [
        shares,
        snapshots,
        root.get("/share_instances")["share_instances"],
        root.get("/share-replicas/detail?all_tenants=1")["share_replicas"],
        [root.get(f"/share-access-rules?share_id={each['id']}") for each in shares],
        [root.get(f"/snapshots/{each['id']}/access-list") for each in snapshots],
        api.get("/messages"),
        root.get("/types?is_public=all"),
        root.get(f"/quota-sets/{project}/detail"),
        root.get("/services")["services"][1]["status"],
    ]


@pytest.mark.parametrize(("owner", "other"), [("mia", "ola"), ("ola", "mia")])
def test_neither_sees_the_other(replicating: ShareManager, owner: str, other: str) -> None:
    """Nothing of the other's is seen, named, counted or changed; and each row would have shown it."""
    with client_of(replicating, As(PEOPLE)) as http:
        asks, owns = Client(http, other), Client(http, owner)
        own = things_of(asks, PROJECTS[other])
        unnamed = [(name, wish) for name, wishes in ROWS.items() for wish in wishes if not names_any(name, wish)]
        alone = [answer(asks, name, wish, own, own) for name, wish in unnamed if isinstance(wish, str)]
        theirs = things_of(owns, PROJECTS[owner])
        beside = [answer(asks, name, wish, own, own) for name, wish in unnamed if isinstance(wish, str)]
        assert beside == alone
        before = everything(owns, theirs["project"])
        none = nothing(theirs)
        for name, wishes in ROWS.items():
            for wish in wishes:
                found = answer(asks, name, wish, theirs, own)
                assert found == answer(asks, name, wish, none, own), (name, wish)
                assert found[0] < 500, (name, found)
                assert not set(theirs.values()) & set(re.findall(r"[\w-]+", found[1])), (name, found)
        assert everything(owns, theirs["project"]) == before
        blunt = [
            (name, wish)
            for name, wishes in ROWS.items()
            for wish in wishes
            if names_any(name, wish) and not isinstance(wish, Own) and not sharp(owns, name, wish, theirs, none)
        ]
        assert not (told := [row for row in blunt if row[0] not in SAME_FOR_ALL | GONE_BY_THEN]), told


def names_any(operation: str, wish: Any) -> bool:
    """Say whether a request of the table names anything."""
    return "{" in operations()[operation][1] or bool(re.search(r"{\w+}", str(wish)))


def sharp(owner: Client, operation: str, wish: Any, theirs: Names, none: Names) -> bool:
    """See that a request tells things from nothing, for their owner or, failing that, an administrator."""
    for who in (owner, owner.as_("admin")):
        if answer(who, operation, wish, theirs, theirs) != answer(who, operation, wish, none, theirs):
            return True
    return False
