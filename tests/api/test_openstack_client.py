"""The real ``openstack share`` client, as its users type it, against a server in a process of its own."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import support

Share = Callable[..., Any]


@contextlib.contextmanager
def serving(
    state: Path, *options: str, context: Any = None, driver: str = "directory", **environment: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run ``revertkit serve`` on a free port, and answer its URL once it is ready."""
    command = [sys.executable, "-m", "revertkit", "serve", "--port", "0", *options]
    settings = {
        "REVERTKIT_STATE_DIR": str(state),
        "REVERTKIT_HOST": "node-1",
        "REVERTKIT_PROJECT": "project",
        "REVERTKIT_DEFAULT_SHARE_TYPE": "revertible",
        "REVERTKIT_BACKENDS__FAST__DRIVER": driver,
        **({"REVERTKIT_BACKENDS__FAST__MOUNT_ROOT": str(state / "pool")} if driver == "directory" else {}),
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        **environment,
    }
    log = state / "serve.log"  # a pipe that nobody reads would stop a server that has much to say
    with log.open("w") as written:
        server = subprocess.Popen(command, env=settings, stderr=written)
    try:
        support.wait_until(lambda: "\n" in log.read_text() or server.poll() is not None, "the server to say something")
        found = re.search(r"https?://\S+/v2", log.read_text())
        assert found, log.read_text()
        url = found.group()
        support.wait_until(lambda: _ready(url, context), "the server to be ready")
        yield url, server
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(support.SECONDS)


def _ready(url: str, context: Any) -> bool:
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(url.replace("/v2", "/readyz"), context=context) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError:
        return False


def run(*argv: str) -> tuple[int, str, str]:
    """Run the client as its command does, in this process: importing it once is what takes long."""
    from openstackclient import shell

    out, err = io.StringIO(), io.StringIO()
    typed = mock.patch.object(sys, "argv", ["openstack"])
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), typed:
        code = shell.main(list(argv))
    return int(code or 0), out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def share(fast_root: Path, template: Path) -> Iterator[Share]:
    """Run one ``openstack share`` command; answer its JSON, or with `code` its error text."""
    state = fast_root / "client"
    shutil.copytree(template, state)
    with serving(state) as (url, _):
        yield client(url)
    shutil.rmtree(state)


def client(url: str, run: Callable[..., tuple[int, str, str]] = run) -> Share:
    """Make what runs one ``openstack share`` command against a server."""

    def command(*words: str, code: int = 0, output: bool = True) -> Any:
        how = ["-f", "json"] if output else []
        found, out, err = run("--os-auth-type", "none", "--os-endpoint", url, "share", *words, *how)
        assert found == code, (words, out, err)
        return err if code else json.loads(out) if out.strip() else None

    return command


def test_the_first_core(share: Share) -> None:
    """A type with the extra spec, a share, a snapshot; reverted, then to the older of two."""
    made = share("type", "create", "std", "false", "--snapshot-support", "true", "--revert-to-snapshot-support", "true")
    assert made["optional_extra_specs"]["revert_to_snapshot_support"] == "True"
    work = share("create", "NFS", "1", "--name", "work", "--share-type", "std", "--wait")
    assert (work["status"], work["size"], work["revert_to_snapshot_support"]) == ("available", 1, True)
    first = share("snapshot", "create", "work", "--name", "first", "--wait")
    assert (first["status"], first["share_id"]) == ("available", work["id"])
    share("resize", "work", "3", "--wait", output=False)
    assert share("show", "work")["size"] == 3
    reached = re.search(r"path = (\S+)", str(share("show", "work")["export_locations"]))
    assert reached
    tree = Path(reached.group(1))
    (tree / "letter").write_text("written since")
    share("revert", "first", "--wait", output=False)
    assert (share("show", "work")["size"], share("show", "work")["status"]) == (1, "available")
    assert not (tree / "letter").exists()
    use = {each["Name"]: each["Value"] for each in share("limits", "show", "--absolute")}
    assert use["totalShareGigabytesUsed"] == 1
    second = share("snapshot", "create", "work", "--name", "second", "--wait")
    said = share("revert", "first", code=1, output=False)
    assert second["id"] in said
    assert "(HTTP 409)" in said
    assert "Request-ID: req-" in said
    assert {each["Name"] for each in share("snapshot", "list")} == {"first", "second"}
    assert [each["Name"] for each in share("list")] == ["work"]
    told = share("message", "list")
    assert [(each["Action ID"], each["Detail ID"]) for each in told] == [("006", "901")]
    assert "snapshot" in share("delete", "work", code=1, output=False)
    share("snapshot", "delete", "second", "--wait", output=False)
    share("revert", "first", "--wait", output=False)
    share("snapshot", "delete", "first", "--wait", output=False)
    share("delete", "work", "--wait", output=False)
    assert share("list") == []
    share("type", "delete", "std", output=False)


def test_access(share: Share) -> None:
    """The directory backend exports nothing: the refusal says so, and the share is as it was."""
    share("create", "NFS", "1", "--name", "shut", "--wait")
    said = share("access", "create", "shut", "ip", "10.0.0.0/24", code=1)
    assert "(HTTP 400)" in said
    assert share("access", "list", "shut") == []
    share("delete", "shut", "--wait", output=False)


def test_what_operators_ask(share: Share) -> None:
    """Pools, services, zones, quotas, statuses by hand, properties."""
    [pool] = share("pool", "list", "--detail")
    assert pool["Name"] == "node-1@fast#pool" or pool["Name"].startswith("node-1@fast#")
    [service] = share("service", "list")
    assert (service["Host"], service["State"]) == ("node-1@fast", "up")
    assert [zone["Name"] for zone in share("availability", "zone", "list")] == ["nova"]
    share("quota", "set", "project", "--gigabytes", "2000", output=False)
    assert share("quota", "show", "project")["gigabytes"] == 2000
    share("create", "NFS", "1", "--name", "byhand", "--wait")
    share("set", "byhand", "--status", "error", "--property", "a=b", output=False)
    shown = share("show", "byhand")
    assert (shown["status"], shown["properties"]) == ("error", {"a": "b"})
    share("set", "byhand", "--status", "available", output=False)
    share("delete", "byhand", "--wait", output=False)


def test_what_is_refused(share: Share) -> None:
    """A type without the extra spec, more than the quota: each with its code, and the share is as it was."""
    share("type", "create", "plain", "false", "--snapshot-support", "true")
    share("create", "NFS", "1", "--name", "fixed", "--share-type", "plain", "--wait")
    share("snapshot", "create", "fixed", "--name", "kept", "--wait")
    said = share("revert", "kept", code=1, output=False)
    assert "revert_to_snapshot_support" in said
    assert "(HTTP 400)" in said
    share("quota", "set", "project", "--gigabytes", "5", output=False)
    assert "(HTTP 403)" in share("resize", "fixed", "6", code=1, output=False)
    assert "(HTTP 413)" in share("create", "NFS", "6", code=1)
    assert share("quota", "show", "project", "--detail")["gigabytes"] == "in_use = 1\nlimit = 5\nreserved = 0"
    assert (share("show", "fixed")["size"], share("show", "fixed")["status"]) == (1, "available")


def test_access_rules_and_replicas(fast_root: Path, template: Path) -> None:
    """Rules outlive a revert; the other replica is in sync again after it, and can be promoted."""
    state = fast_root / "client-memory"
    shutil.copytree(template, state)
    far = {"REVERTKIT_BACKENDS__FAR__DRIVER": "memory", "REVERTKIT_API__LOOK_SECONDS": "1"}
    with serving(state, driver="memory", **far) as (url, _):
        access_and_replicas(client(url, apart))
    shutil.rmtree(state)


def apart(*argv: str) -> tuple[int, str, str]:
    """Run the client in a process of its own: in one process it keeps to the first server that it has spoken to."""
    command = [str(Path(sys.executable).with_name("openstack")), *argv]
    done = subprocess.run(command, capture_output=True, text=True, timeout=support.SECONDS, check=False)
    return done.returncode, done.stdout, done.stderr


def access_and_replicas(share: Share) -> None:
    """Type the lines."""
    specs = ("--revert-to-snapshot-support", "true", "--extra-specs", "replication_type=readable")
    share("type", "create", "replicated", "false", "--snapshot-support", "true", *specs)
    share("create", "NFS", "1", "--name", "work", "--share-type", "replicated", "--wait")
    rule = share("access", "create", "work", "ip", "10.0.0.0/24", "--wait")
    share("snapshot", "create", "work", "--name", "base", "--wait")
    share("replica", "create", "work", "--wait")
    share("revert", "base", "--wait", output=False)
    [kept] = share("access", "list", "work")
    assert (kept["ID"], kept["Access To"], kept["State"]) == (rule["id"], "10.0.0.0/24", "active")
    share("access", "delete", "work", rule["id"], "--wait", output=False)
    assert not share("access", "list", "work")

    def states() -> dict[str, str]:
        return {each["Replica State"]: each["ID"] for each in share("replica", "list", "--share", "work")}

    support.wait_until(lambda: set(states()) == {"active", "in_sync"}, "the replica to be in sync again")
    before = states()
    share("replica", "promote", before["in_sync"], "--wait", output=False)
    assert share("replica", "show", before["in_sync"])["replica_state"] == "active"
    share("replica", "delete", before["active"], "--wait", output=False)
    assert len(share("pool", "list")) == 2
