"""The server as a process: ready after recovery, stopped, killed, with TLS, and what it does not start with."""

from __future__ import annotations

import json
import re
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import support
from test_openstack_client import serving

from revertkit.manager import ShareManager
from revertkit.status import Status

HEADERS = {"X-OpenStack-Manila-API-Version": "2.99", "Content-Type": "application/json"}


def ask(url: str, body: Any = None, **how: Any) -> tuple[int, Any]:
    """Ask a server; answer code and JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, HEADERS)
    try:
        with urllib.request.urlopen(request, timeout=support.SECONDS, **how) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text.startswith(b"{") else text
    except urllib.error.HTTPError as refused:
        return refused.code, json.loads(refused.read())


@pytest.fixture
def reverting(state: Path) -> tuple[str, str]:
    """A share and its snapshot whose revert was accepted by a process that is gone."""
    parked = support.Parked()
    manager = support.open_manager(state)
    share = manager.create_share(support.CONTEXT, 1)
    snapshot = manager.create_snapshot(support.CONTEXT, share.id)
    (support.share_tree(manager, share) / "letter").write_text("since")
    slow = ShareManager.open(support.settings(state), dispatch=parked)
    slow.revert_to_snapshot(support.CONTEXT, snapshot.id)
    support.stop(parked.accepted[0])
    assert manager.share(support.CONTEXT, share.id).status is Status.REVERTING
    manager.site.store.engine.dispose()
    slow.site.store.engine.dispose()
    return share.id, snapshot.id


def test_what_was_interrupted_is_recovered_before_anything_is_served(state: Path, reverting: tuple[str, str]) -> None:
    """A start finds the share as a dead server left it, puts it back, and serves it; a revert then works."""
    share_id, snapshot_id = reverting
    with serving(state) as (url, _):
        code, answer = ask(f"{url}/shares/{share_id}")
        assert (code, answer["share"]["status"]) == (200, "available")
        assert ask(f"{url}/shares/{share_id}/action", {"revert": {"snapshot_id": snapshot_id}})[0] == 202

        def status() -> str:
            return str(ask(f"{url}/shares/{share_id}")[1]["share"]["status"])

        support.wait_until(lambda: status() == "available", "the revert to end")
        code, figures = ask(url.replace("/v2", "/metrics"))
        assert code == 200
        assert b'revertkit_operations_total{kind="revert_to_snapshot",outcome="done"} 1.0' in figures


def test_a_stop_waits_for_what_runs_and_a_kill_is_recovered(state: Path) -> None:
    """Share after share is accepted; SIGTERM leaves none under way, and after SIGKILL the next start leaves none."""
    body = {"share": {"share_proto": "NFS", "size": 1, "share_type": "revertible"}}
    for how in (signal.SIGTERM, signal.SIGKILL):
        with serving(state) as (url, server):
            codes = [ask(f"{url}/shares", body)[0] for _ in range(5)]
            server.send_signal(how)
            server.wait(support.SECONDS)
        assert codes == [200] * 5
        if how is signal.SIGTERM:
            manager = support.open_manager(state)
            support.assert_at_rest(manager)
            manager.site.store.engine.dispose()
    with serving(state):
        manager = support.open_manager(state)
        support.assert_at_rest(manager)
        assert len(manager.shares(support.CONTEXT)) == 10
        manager.site.store.engine.dispose()


def test_tls(state: Path, tmp_path: Path) -> None:
    """With a certificate it is HTTPS."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    trusted = ssl.create_default_context(cafile=str(certificate))
    options = ("--ssl-certfile", str(certificate), "--ssl-keyfile", str(key))
    with serving(state, *options, context=trusted) as (url, _):
        assert url.startswith("https://127.0.0.1:")
        assert ask(f"{url}/shares", context=trusted) == (200, {"shares": []})


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--host", "0.0.0.0"), 9, "auth = none serves this machine only"),
        (("--host", "nowhere"), 9, "IP address"),
        (("--port", "70000"), 2, "port"),
        (("--auth", "http_basic", "--htpasswd", "/none"), 9, "cannot be read"),
        (("--auth", "keystone"), 9, "needs auth_url"),
        (("--policy", "/none"), 9, "policy file /none is not there"),
        (("--ssl-certfile", "/none", "--ssl-keyfile", "/none"), 9, "certificate /none or its key cannot be used"),
    ],
)
def test_what_it_does_not_start_with(state: Path, options: tuple[str, ...], code: int, said: str) -> None:
    """One line that says what was wrong, and the exit code of its kind."""
    environment = {"REVERTKIT_STATE_DIR": str(state), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "revertkit", "serve", "--port", "0", *options]
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=support.SECONDS, check=False
    )
    assert ended.returncode == code, ended.stderr
    assert re.search(said, ended.stderr), ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_port_that_is_taken(state: Path) -> None:
    """Is said as such."""
    with serving(state) as (url, _):
        port = url.split(":")[2].split("/")[0]
        environment = {"REVERTKIT_STATE_DIR": str(state / "other"), "PATH": "/usr/bin:/bin"}
        command = [sys.executable, "-m", "revertkit", "serve", "--port", port]
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=support.SECONDS, check=False
        )
        assert (ended.returncode, f"port {port}: Address already in use" in ended.stderr) == (9, True), ended.stderr
