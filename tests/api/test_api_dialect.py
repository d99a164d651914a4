"""Versions, envelopes, bodies: what every answer has in common."""

from __future__ import annotations

from typing import Any

import pytest
from asking import Client

HEADER = "X-OpenStack-Manila-API-Version"


def test_discovery(api: Client) -> None:
    """``/`` answers 300 to anybody, whatever the header; ``/v2`` and ``/v2/`` 200; one entry, as clients need."""
    root = api.http.get("/", headers={HEADER: "9.9"})
    assert root.status_code == 300
    [version] = root.json()["versions"]
    assert (version["status"], version["min_version"], version["version"]) == ("CURRENT", "2.0", "2.99")
    assert {"rel": "self", "href": "http://127.0.0.1:8786/v2/"} in version["links"]
    for path in ("", "/"):
        assert api.get(path) == root.json()


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        ("latest", 400, "API Version String latest is of invalid format. Must be of format MajorNum.MinorNum."),
        ("2.07", 400, "invalid format"),
        ("2", 400, "invalid format"),
        ("2.100", 406, "Version 2.100 is not supported by the API. Minimum is 2.0 and maximum is 2.99."),
        ("1.0", 406, "Version 1.0 is not supported"),
        ("3.0", 406, "Version 3.0 is not supported"),
    ],
)
def test_a_version_that_is_not_offered(api: Client, asked: str, code: int, said: str) -> None:
    """400 for what is no version, 406 for one that is not offered."""
    answer = api.at(asked).ask("GET", "/shares")
    assert answer.status_code == code
    assert said in next(iter(answer.json().values()))["message"]
    assert next(iter(answer.json())) == ("badRequest" if code == 400 else "computeFault")


def test_headers_of_every_answer(api: Client) -> None:
    """Request ids, the microversion and Vary, on errors too; without a version it is 2.0."""
    for answer in (api.ask("GET", "/shares"), api.ask("GET", "/nosuch"), api.ask("POST", "/shares", {})):
        assert answer.headers[HEADER] == "2.99"
        assert answer.headers["Vary"] == HEADER
        assert answer.headers["x-compute-request-id"].startswith("req-")
        assert answer.headers["x-openstack-request-id"] == answer.headers["x-compute-request-id"]
    assert api.at(None).ask("GET", "/shares").headers[HEADER] == "2.0"
    echoed = api.ask("GET", "/shares", headers={"X-OpenStack-Manila-API-Experimental": "true"})
    assert echoed.headers["X-OpenStack-Manila-API-Experimental"] == "true"


def test_what_is_not_offered(api: Client) -> None:
    """No such path, or no such method of it: Manila's plain 404; no such thing at this microversion: its envelope."""
    for method, path in (("GET", "/nosuch"), ("DELETE", "/shares"), ("PATCH", "/types"), ("GET", "/share-groups")):
        answer = api.ask(method, path)
        assert answer.status_code == 404
        assert answer.json()["code"] == "404 Not Found"
    assert api.http.get("/v1/shares").status_code == 404
    too_old = [("2.36", "GET", "/messages"), ("2.6", "GET", "/services"), ("2.44", "GET", "/share-access-rules")]
    too_new = [("2.99", "GET", "/os-services"), ("2.7", "GET", "/os-availability-zone")]
    for version, method, path in too_old + too_new:
        said = api.at(version).refused(method, path, None, 404)
        assert said == "The resource could not be found."


def test_the_project_in_the_url(api: Client) -> None:
    """With or without it; links have it where the URL had; another's is malformed."""
    share = api.share(name="s")
    [plain] = api.get("/shares")["shares"]
    [named] = api.get("/project/shares")["shares"]
    assert plain["links"][0]["href"] == f"http://127.0.0.1:8786/v2/shares/{share['id']}"
    assert named["links"][0]["href"] == f"http://127.0.0.1:8786/v2/project/shares/{share['id']}"
    assert api.get(f"/project/shares/{share['id']}")["share"]["id"] == share["id"]
    assert api.refused("GET", "/0123456789abcdef/shares", None, 400) == "Malformed request url"


@pytest.mark.parametrize(
    ("path", "content", "kind", "code"),
    [
        ("/shares", b"{", "application/json", 400),
        ("/shares", b"[]", "application/json", 400),
        ("/shares", b"{}", "application/json", 422),
        ("/shares", b'{"share": null}', "application/json", 422),
        ("/shares", b'{"share": []}', "application/json", 422),
        ("/shares", b'{"share": {}}', "application/json", 400),
        ("/shares", b'{"share": {}}', "text/plain", 400),
        ("/snapshots", b'{"share": {}}', "application/json", 422),
        ("/shares/{id}/action", b"", "application/json", 400),
        ("/shares/{id}/action", b"{}", "application/json", 400),
        ("/shares/{id}/action", b"[]", "application/json", 400),
        ("/shares/{id}/action", b'{"a": 1, "b": 2}', "application/json", 400),
        ("/shares/{id}/action", b'{"dance": {}}', "application/json", 400),
        ("/shares/{id}/action", b'{"revert": null}', "application/json", 400),
        ("/shares/{id}/action", b'{"revert": {}}', "text/plain", 400),
        ("/shares/{id}/action", b'{"revert": {"snapshot_id": "\xff"}}', "application/json", 400),
        ("/shares", b'{"share": {"size": 1, "share_proto": "NFS", "name": "\\ud800"}}', "application/json", 400),
    ],
)
def test_bodies_that_are_wrong(api: Client, path: str, content: bytes, kind: str, code: int) -> None:
    """Malformed 400, a missing wrapper 422, never 500."""
    share = api.share()
    answer = api.ask("POST", path.format(id=share["id"]), content=content, headers={"content-type": kind})
    assert answer.status_code == code, answer.text


def test_an_unknown_action_is_named(api: Client) -> None:
    """400; one of another microversion is 404, with and without its old prefix."""
    share = api.share()
    assert api.refused("POST", f"/shares/{share['id']}/action", {"dance": {}}, 400) == "There is no such action: dance"
    path = f"/shares/{share['id']}/action"
    api.at("2.6").refused("POST", path, {"extend": {"new_size": 2}}, 404)
    api.at("2.7").refused("POST", path, {"os-extend": {"new_size": 2}}, 404)
    api.at("2.6").post(path, {"os-extend": {"new_size": 2}})
    api.at("2.7").post(path, {"extend": {"new_size": 3}})
    assert api.get(f"/shares/{share['id']}")["share"]["size"] == 3


def test_limits_of_size(api: Client) -> None:
    """A body over the limit 413, headers over it 431."""
    large: Any = {"share": {"name": "x" * 200_000}}
    assert "too large" in api.refused("POST", "/shares", large, 413)
    answer = api.ask("GET", "/shares", headers={"x-long": "x" * 20_000})
    assert (answer.status_code, next(iter(answer.json()))) == (431, "computeFault")


def test_ids_that_are_none(api: Client) -> None:
    """Whatever stands where an id belongs: 404, and nothing is found by its name."""
    api.share(name="s1")
    for bad in ("s1", "0", "%00", "..%2f..%2fetc", "x" * 300, "'; DROP TABLE shares; --"):
        for path in (f"/shares/{bad}", f"/snapshots/{bad}", f"/types/{bad}", f"/messages/{bad}"):
            assert api.ask("GET", path).status_code == 404, path


def test_the_oldest_microversion_works(api: Client) -> None:
    """A client that says nothing gets 2.0's keys."""
    share = api.share()
    shown = api.at(None).get(f"/shares/{share['id']}")["share"]
    assert shown["share_type"] == shown["volume_type"] == "revertible"
    assert shown["export_locations"] == [shown["export_location"]]
    assert "revert_to_snapshot_support" not in shown
    newest = api.get(f"/shares/{share['id']}")["share"]
    assert newest["share_type_name"] == "revertible"
    assert newest["share_type"] != "revertible"
    assert "export_locations" not in newest
