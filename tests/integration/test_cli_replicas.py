"""``revertkit replica``, and what a revert of a replicated share says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from replicated import ALL, TYPE
from test_cli import Cli

from revertkit.cli import following, replica
from revertkit.drivers.memory import MemoryDriver
from revertkit.drivers.memory.storage import STORAGE, Kept


class Replicas(Cli):
    """A user with three backends, in two zones."""

    def configure(self, driver: str) -> None:
        """Write the settings file."""
        zones = {"fast": "here", "far": "there", "third": "here"}
        tables = "".join(
            f'[backends.{name}]\ndriver = "{driver}"\navailability_zone = "{zones[name]}"\n' for name in ALL
        )
        self.file.write_text(f'host = "node-1"\nstate_dir = "{self.state}"\nproject = "project"\n{tables}')


@pytest.fixture
def cli(state: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Replicas]:
    """A user with a replicated share ``work`` of 2 GiB, and a snapshot ``monday``."""
    monkeypatch.setattr(following, "PAUSE_SECONDS", 0.0)
    MemoryDriver.reset()
    user = Replicas(state)
    flags = ("--snapshot-support", "--revert-to-snapshot-support", "--replication-type", "readable")
    user.run("type", "create", TYPE, *flags)
    user.run("share", "create", "2", "--name", "work", "--type", TYPE, "--pool", "fast")
    user.run("snapshot", "create", "work", "--name", "monday")
    yield user
    MemoryDriver.reset()


KEYS = {
    *("id", "share_id", "project_id", "status", "replica_state", "availability_zone", "created_at", "updated_at"),
    *("looked_at", "in_sync_at", "seconds_behind", "found", "needs_full_copy", "pool", "export_locations"),
}


def made(cli: Replicas, *more: str) -> Any:
    """Make a replica that is in sync."""
    return cli.json("replica", "create", "work", "--wait", *more)


def test_replicas_from_first_to_last(cli: Replicas) -> None:
    """Create, list, show, resync, promote, delete; JSON with stable keys; what to do next is said."""
    first = cli.run("replica", "create", "work", "--az", "there")
    assert "out_of_sync" in first.stdout
    assert "its data comes with its first look: `revertkit replica resync" in first.stderr
    (active, other) = cli.json("replica", "list")
    assert set(active) == KEYS
    assert [(one["replica_state"], one["availability_zone"]) for one in (active, other)] == [
        ("active", "here"),
        ("out_of_sync", "there"),
    ]
    assert cli.json("replica", "resync", other["id"])["replica_state"] == "in_sync"
    shown = cli.json("replica", "show", other["id"])
    assert shown["export_locations"] == [f"memory:/far/{other['id']}"]
    assert cli.json("replica", "list", "--share", "work")[1] == shown
    assert cli.json("replica", "promote", other["id"])["replica_state"] == "active"
    assert cli.json("share", "show", "work")["pool"] == "node-1@far#memory"
    (looked,) = cli.json("replica", "resync", "--all")
    assert (looked["replica_id"], looked["replica_state"]) == (active["id"], "in_sync")
    cli.run("replica", "delete", active["id"])
    assert [one["id"] for one in cli.json("replica", "list")] == [other["id"]]
    table = cli.run("replica", "list").stdout
    assert re.search(rf"{other['id']}\s+active\s+available\s+work", table)


def test_a_revert_shows_each_replicas_way_back(cli: Replicas) -> None:
    """--wait: until every replica is in sync again; without, how to lead them there; JSON has them too."""
    far, third = made(cli), made(cli)
    said = cli.run("revert-to-snapshot", "monday", "--yes")
    assert "2 other replicas will follow: `revertkit replica resync --all`" in said.stderr
    assert {one["replica_state"] for one in cli.json("replica", "list")} == {"active", "out_of_sync"}
    waited = cli.run("revert-to-snapshot", "monday", "--yes", "--wait")
    for one in (far, third):
        assert f"replica {one['id']} in {one['pool']}: in_sync" in waited.stderr
    told = cli.json("revert-to-snapshot", "monday", "--yes", "--wait")
    assert [one["replica_state"] for one in told["replicas"]] == ["active", "in_sync", "in_sync"]
    with MemoryDriver.away("far"):
        short = cli.run("revert-to-snapshot", "monday", "--yes", "--wait", code=7)
    assert "is as it was" in short.stdout
    assert re.search(r"in node-1@far#memory: out_of_sync \(backend far cannot be reached\)", short.stderr)
    assert re.search(r"in node-1@third#memory: in_sync", short.stderr)


def test_a_replica_that_cannot_be_looked_at_makes_no_failure_of_a_revert(cli: Replicas) -> None:
    """Exit code 7, which says that one does not follow; 4 would say that nothing has changed. The others are led on."""
    far, third = made(cli), made(cli)
    held = STORAGE["far"][far["id"]]
    held.snapshots["by-hand"] = Kept(held.size, {})
    cli.run("replica", "delete", far["id"], code=7)
    waited = cli.run("revert-to-snapshot", "monday", "--yes", "--wait", code=7)
    assert "is as it was" in waited.stdout
    assert re.search(rf"replica {far['id']} .*error_deleting", waited.stderr)
    assert f"replica {third['id']} in {third['pool']}: in_sync" in waited.stderr


def test_a_share_that_is_not_replicated_says_nothing_of_it(cli: Replicas) -> None:
    """No word and no key more than before, with --wait neither."""
    cli.run("share", "create", "1", "--name", "plain", "--type", "revertible", "--pool", "fast")
    cli.run("snapshot", "create", "plain", "--name", "tuesday")
    for words in (("--yes",), ("--yes", "--wait")):
        assert cli.run("revert-to-snapshot", "tuesday", *words).stderr == ""
    assert "replicas" not in cli.json("revert-to-snapshot", "tuesday", "--yes")
    assert cli.json("replica", "list", "--share", "plain") == []
    assert "replica create" in cli.run("replica", "list", "--share", "plain").stderr


def test_what_is_refused(cli: Replicas) -> None:
    """Each with its exit code, the reason, and what to do."""
    far = made(cli)
    assert "active replica in pool" in cli.refused(2, "replica", "create", "work", "--pool", "fast")
    assert "no pool can hold" in cli.refused(6, "replica", "create", "work", "--az", "nowhere")
    active = cli.json("replica", "list")[0]["id"]
    assert "promote another first" in cli.refused(4, "replica", "delete", active)
    cli.run("replica", "delete", far["id"])
    assert "the last one: delete share" in cli.refused(4, "replica", "delete", active)
    far = made(cli)
    cli.run("revert-to-snapshot", "monday", "--yes")
    assert "resync it first; or promote it by force" in cli.refused(4, "replica", "promote", far["id"])
    assert "no replica nothing" in cli.refused(3, "replica", "show", "nothing")
    assert "writable" in cli.refused(2, "type", "create", "w", "--replication-type", "writable")
    for words in ((), (far["id"], "--all"), ("--all", "--wait"), ("--all", "--full-copy")):
        assert "name one replica, or say --all" in cli.refused(2, "replica", "resync", *words)
    assert "say --force" in cli.refused(2, "replica", "delete", far["id"], "--force", "--forget")
    assert far["id"] in {one["id"] for one in cli.json("replica", "list")}


def test_a_replica_whose_backend_is_gone_is_forgotten(cli: Replicas) -> None:
    """By --forget, once the backend is out of the settings: nothing can be asked of it then."""
    far = made(cli)
    assert "configured here: delete it" in cli.refused(4, "replica", "delete", far["id"], "--forget")
    kept, _, _ = cli.file.read_text().partition("[backends.far]")
    cli.file.write_text(kept)
    assert "--forget" in cli.refused(6, "replica", "delete", far["id"])
    assert f"replica {far['id']} is forgotten" in cli.run("replica", "delete", far["id"], "--forget").stdout
    assert [one["replica_state"] for one in cli.json("replica", "list")] == ["active"]


def test_a_replica_that_cannot_be_brought_in_sync(cli: Replicas) -> None:
    """Exit code 7, and why; promoted by force it is the share; --wait leads the others back."""
    far = made(cli, "--pool", "far")
    with MemoryDriver.away("fast"):
        shown = cli.run("replica", "resync", far["id"], "--wait", "--format", "json", code=7)
        assert "backend fast cannot be reached" in shown.stdout
        cli.run("replica", "resync", "--all", code=7)
        promoted = cli.run("replica", "promote", far["id"], "--force", "--wait", code=7)
    assert "backend fast cannot be reached" in promoted.stderr
    assert cli.json("replica", "resync", "--all")[0]["replica_state"] == "in_sync"


def test_a_full_copy_is_asked_for(cli: Replicas, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal it is refused with exit code 11; with a yes, or --full-copy, it is done."""
    far = made(cli, "--pool", "far")

    def forget() -> None:
        held = STORAGE["far"][far["id"]]
        held.lineage, held.snapshots, held.marks = ["elsewhere"], {}, {}

    forget()
    refused = cli.run("replica", "resync", far["id"], code=11)
    assert "only a full copy" in refused.stderr
    assert "--full-copy" in refused.stderr
    assert cli.json("replica", "show", far["id"])["needs_full_copy"] is True
    assert cli.json("replica", "resync", far["id"], "--full-copy")["replica_state"] == "in_sync"
    forget()
    monkeypatch.setattr(replica, "ask", lambda question: True)
    assert cli.json("replica", "resync", far["id"])["replica_state"] == "in_sync"
