"""``keystone``: real keystonemiddleware, against a stand-in that answers as Keystone's v3 API does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from asking import client_of

from revertkit.api.keystone import Keystone
from revertkit.errors import SettingsError
from revertkit.manager import ShareManager

PROJECT = "0123456789abcdef0123456789abcdef"
TOKENS = {"member-token": ["member", "reader"], "admin-token": ["admin", "member", "reader"], "unscoped": None}


def token_of(roles: list[str] | None, project: str = PROJECT) -> dict[str, Any]:
    """What Keystone says of a token."""
    later = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    domain = {"id": "default", "name": "Default"}
    told: dict[str, Any] = {
        "methods": ["password"],
        "expires_at": later,
        "issued_at": "2026-01-01T00:00:00.000000Z",
        "audit_ids": ["x"],
        "user": {"id": "u" * 32, "name": "mia", "domain": domain},
    }
    if roles is not None:
        told["project"] = {"id": project, "name": "blue", "domain": domain}
        told["roles"] = [{"id": role, "name": role} for role in roles]
    return {"token": told}


class Identity(BaseHTTPRequestHandler):
    """As much of Keystone as a validation asks for."""

    def do_GET(self) -> None:
        """Discovery, and the validation of a token."""
        if self.path.startswith("/v3/auth/tokens"):
            known = self.headers["X-Subject-Token"] in TOKENS and self.headers["X-Auth-Token"] == "service-token"
            self._answer(200 if known else 404, token_of(TOKENS.get(self.headers["X-Subject-Token"])) if known else {})
            return
        here = f"http://{self.headers['Host']}/v3/"
        version = {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": here}]}
        self._answer(300 if self.path == "/" else 200, {"versions": {"values": [version]}, "version": version})

    def do_POST(self) -> None:
        """The service user's own token."""
        self.rfile.read(int(self.headers["Content-Length"]))
        told = token_of(["service"], "f" * 32)
        url = f"http://{self.headers['Host']}/v3"
        kinds = ("public", "internal", "admin")
        places = [{"interface": each, "url": url, "region": "r", "id": each} for each in kinds]
        told["token"]["catalog"] = [{"type": "identity", "name": "keystone", "id": "k", "endpoints": places}]
        self._answer(201, told, {"X-Subject-Token": "service-token"})

    def _answer(self, code: int, body: Any, headers: dict[str, str] | None = None) -> None:
        text = json.dumps(body).encode()
        self.send_response(code)
        for name, value in {"Content-Type": "application/json", "Content-Length": len(text), **(headers or {})}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def options() -> Iterator[dict[str, str]]:
    """The settings of a server whose Keystone is the stand-in."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Identity)
    running = threading.Thread(target=server.serve_forever, daemon=True)
    running.start()
    url = f"http://127.0.0.1:{server.server_port}"
    yield {
        "auth_type": "password",
        "auth_url": url,
        "www_authenticate_uri": url,
        "username": "revertkit",
        "password": "secret",
        "project_name": "service",
        "user_domain_id": "default",
        "project_domain_id": "default",
    }
    server.shutdown()
    server.server_close()


def test_tokens(served: ShareManager, options: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    """A valid one's project and roles count; none, a wrong and an unscoped one are refused; none is logged."""
    client = client_of(served, Keystone(options))

    def get(path: str, token: str | None) -> Any:
        headers = {"X-OpenStack-Manila-API-Version": "2.99"} | ({"X-Auth-Token": token} if token else {})
        return client.get(path, headers=headers)

    assert client.get("/").status_code == 300
    for token in (None, "forged"):
        answer = get("/v2/shares", token)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Keystone uri=")
    assert get("/v2/shares", "unscoped").status_code == 403
    assert get("/v2/shares", "member-token").status_code == 200
    assert get(f"/v2/{PROJECT}/shares", "member-token").status_code == 200
    assert get(f"/v2/{'0' * 32}/shares", "member-token").status_code == 400
    assert get("/v2/services", "member-token").status_code == 403
    assert get("/v2/services", "admin-token").status_code == 200
    assert "member-token" not in caplog.text
    assert "secret" not in caplog.text


def test_a_keystone_that_is_away(served: ShareManager, options: dict[str, str]) -> None:
    """503, as for any other service that cannot be asked; nobody gets in."""
    away = {**options, "auth_url": "http://127.0.0.1:1", "http_request_max_retries": "0"}
    answer = client_of(served, Keystone(away)).get("/v2/shares", headers={"X-Auth-Token": "member-token"})
    assert answer.status_code == 503


def test_settings_that_are_none() -> None:
    """Without Keystone's address nothing can be validated: the server does not start."""
    with pytest.raises(SettingsError, match="auth_url"):
        Keystone({})
