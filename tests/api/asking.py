"""A client of the API in this process: requests at a microversion, answers unwrapped, operations over by then."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Any

import jsonschema
from starlette.testclient import TestClient

from revertkit.api.app import RESOURCES, routes
from revertkit.api.auth import ALL_ROLES, Authentication, Identity
from revertkit.api.door import Door
from revertkit.api.policy import Policy
from revertkit.errors import RevertkitError
from revertkit.manager import ShareManager
from revertkit.operations.accepted import Accepted

NEWEST = "2.99"
MEMBER = ("member", "reader")
CALLERS = {
    "admin": Identity("root", {"project": ALL_ROLES}),
    "member": Identity("mia", {"project": MEMBER}),
    "reader": Identity("ron", {"project": ("reader",)}),
    "nobody": Identity("nik", {"project": ()}),
    "other": Identity("ola", {"other": MEMBER}),
}
"""One of each role in the project, and one who is in another."""


def settled(accepted: Accepted) -> None:
    """A dispatch after which the operation is over, well or badly, as the record says."""
    with suppress(RevertkitError):
        accepted.run()


class As:
    """Who asks, said by a header: for tests of what somebody may do, not of how the server knows."""

    def __init__(self, who: Mapping[str, Identity]) -> None:
        self.who = who

    async def identify(self, headers: Any) -> Identity:
        """Look up the name in the header."""
        return self.who[headers["x-who"]]


class Client:
    """One caller at one microversion."""

    def __init__(self, http: TestClient, who: str = "admin", version: str | None = NEWEST) -> None:
        self.http, self.who, self.version = http, who, version

    def at(self, version: str | None) -> Client:
        """The same caller at another microversion."""
        return Client(self.http, self.who, version)

    def as_(self, who: str) -> Client:
        """Another caller."""
        return Client(self.http, who, self.version)

    def ask(self, method: str, path: str, body: Any = None, **how: Any) -> Any:
        """Send one request and answer the response."""
        headers = {"x-who": self.who, **how.pop("headers", {})}
        if self.version:
            headers["X-OpenStack-Manila-API-Version"] = self.version
        how |= {} if body is None else {"json": body}
        answer = self.http.request(method, f"/v2{path}", headers=headers, **how)
        check_documented(method, f"/v2{path.partition('?')[0]}", answer)
        return answer

    def get(self, path: str, code: int = 200, **how: Any) -> Any:
        """GET, see the code, answer the JSON."""
        return self._json(self.ask("GET", path, **how), code)

    def post(self, path: str, body: Any, code: int = 202) -> Any:
        """POST, see the code, answer the JSON if there is any."""
        return self._json(self.ask("POST", path, body), code)

    def put(self, path: str, body: Any, code: int = 200) -> Any:
        """PUT, see the code, answer the JSON."""
        return self._json(self.ask("PUT", path, body), code)

    def delete(self, path: str, code: int = 202) -> Any:
        """DELETE, see the code."""
        return self._json(self.ask("DELETE", path), code)

    @staticmethod
    def _json(answer: Any, code: int) -> Any:
        assert answer.status_code == code, (answer.status_code, answer.text)
        assert answer.headers["x-compute-request-id"] == answer.headers["x-openstack-request-id"]
        return answer.json() if answer.content else None

    def refused(self, method: str, path: str, body: Any, code: int) -> str:
        """Send what is refused with `code`; answer the message."""
        [(_, told)] = self._json(self.ask(method, path, body), code).items()
        assert told["code"] == code
        return str(told["message"])

    # --- what every test makes

    def share(self, **more: Any) -> dict[str, Any]:
        """Make a share."""
        body = {"share": {"share_proto": "NFS", "size": 1, "share_type": "revertible", **more}}
        return dict(self.get(f"/shares/{self.post('/shares', body, 200)['share']['id']}")["share"])

    def snapshot(self, share: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Take a snapshot."""
        made = self.post("/snapshots", {"snapshot": {"share_id": share["id"], **more}})["snapshot"]
        return dict(self.get(f"/snapshots/{made['id']}")["snapshot"])

    def act(self, thing: dict[str, Any], code: int = 202, kind: str = "shares", **action: Any) -> Any:
        """Do one action."""
        return self.post(f"/{kind}/{thing['id']}/action", action, code)

    def revert(self, share: dict[str, Any], snapshot: dict[str, Any], code: int = 202) -> Any:
        """Revert."""
        return self.act(share, code, revert={"snapshot_id": snapshot["id"]})

    def status(self, share: dict[str, Any]) -> str:
        """Read a share's status."""
        return str(self.get(f"/shares/{share['id']}")["share"]["status"])


UNROUTED = {"message", "code", "title"}


def check_documented(method: str, path: str, answer: Any) -> None:
    """See that the OpenAPI document tells of this answer: its code, and the form of its JSON."""
    document = app().openapi()
    told = _operation(document, method, path)
    if told is None:
        assert answer.status_code in (400, 404, 431), (method, path, answer.status_code)
        return
    assert str(answer.status_code) in told["responses"], (method, path, answer.status_code)
    response = told["responses"][str(answer.status_code)]
    if "$ref" in response:
        response = document["components"]["responses"][str(answer.status_code)]
    content = response.get("content")
    if content and answer.content and set(answer.json()) != UNROUTED:
        schema = content["application/json"]["schema"]
        jsonschema.validate(answer.json(), {**schema, "components": document["components"]})


def _operation(document: dict[str, Any], method: str, path: str) -> dict[str, Any] | None:
    asked = path.removeprefix("/v2/project/")
    for known, operations in sorted(document["paths"].items(), key=lambda item: item[0].count("{")):
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(known))
        if re.fullmatch(pattern, path if asked == path else f"/v2/{asked}") and method.lower() in operations:
            return dict(operations[method.lower()])
    return None


app, policy = cache(routes), cache(Policy)
"""Made once: neither knows a manager."""


def client_of(manager: ShareManager, auth: Authentication, **more: Any) -> TestClient:
    """Make a client of a manager's API."""
    parts = {"app": app(), "policy": policy(), "resources": RESOURCES, **more}
    door = Door(manager=manager, auth=auth, **parts)
    return TestClient(door, base_url="http://127.0.0.1:8786")
