"""The command line in one process: happy paths, JSON with stable keys, refusals with their exit codes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import support
from typer.testing import CliRunner

from revertkit import errors
from revertkit.cli import doctor, output
from revertkit.cli.app import EPILOG, app
from revertkit.cli.options import SettableStatus
from revertkit.drivers.memory import MemoryDriver
from revertkit.models import Context
from revertkit.operations.set_status import SETTABLE
from revertkit.status import Status

POOL = "node-1@fast#memory"


class Cli:
    """One user with a settings file; the memory backend lives in this process."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.file = state / "revertkit.toml"
        self.configure("memory")

    def configure(self, driver: str) -> None:
        """Write the settings file."""
        self.file.write_text(
            f'host = "node-1"\nstate_dir = "{self.state}"\nproject = "project"\n[backends.fast]\ndriver = "{driver}"\n'
        )

    def run(self, *words: str, code: int = 0) -> Any:
        """Run a command that has to end with `code`."""
        result = CliRunner().invoke(app, ["--config", str(self.file), *words])
        assert result.exit_code == code, f"{words}: {result.exit_code}\n{result.output}"
        return result

    def json(self, *words: str) -> Any:
        """Run a command and read its JSON; nothing else may be on stdout."""
        return json.loads(self.run(*words, "--format", "json").stdout)

    def refused(self, code: int, *words: str) -> str:
        """Run a command that has to be refused; answer its one message."""
        result = self.run(*words, code=code)
        assert result.stdout == ""
        assert result.stderr.startswith("error: ")
        assert "Traceback" not in result.stderr
        return str(result.stderr).removeprefix("error: ").strip()

    def everything(self) -> list[Any]:
        """Answer all that is on record."""
        return [
            self.json(*words.split())
            for words in ("share list", "snapshot list", "type list", "quota show", "message list")
        ]


@pytest.fixture
def cli(state: Path) -> Iterator[Cli]:
    """A user on a state directory with one share type, ``revertible``."""
    MemoryDriver.reset()
    yield Cli(state)
    MemoryDriver.reset()


@pytest.fixture
def work(cli: Cli) -> Cli:
    """A user with a share ``work`` of 2 GiB and a snapshot ``monday``."""
    cli.run("share", "create", "2", "--name", "work", "--type", "revertible")
    cli.run("snapshot", "create", "work", "--name", "monday")
    return cli


# --- the happy path


def test_shares_from_first_to_last(cli: Cli) -> None:
    """Create, list, show, extend, shrink, set-status, delete."""
    made = cli.json("share", "create", "2", "-n", "work", "--share-type", "revertible", "--metadata", "owner=me")
    assert made["metadata"] == {"owner": "me"}
    assert made["pool"] == POOL
    assert made["export_locations"] == [f"memory:/fast/{cli_replica(cli, made['id'])}"]
    assert cli.json("share", "list") == [cli.json("share", "show", "work")]
    assert "work" in cli.run("share", "list").stdout
    assert cli.json("share", "extend", "work", "3")["size"] == 3
    assert cli.json("share", "shrink", "work", "1")["size"] == 1
    assert cli.json("share", "set-status", "work", "error")["status"] == "error"
    cli.run("share", "delete", "work")
    assert cli.json("share", "list") == []
    assert "create" in cli.run("share", "list").stderr


def cli_replica(cli: Cli, share_id: str) -> str:
    """Look a share's replica up, which the command line does not show."""
    manager = support.open_manager(cli.state, "memory")
    return manager.share(Context(project_id="project"), share_id).replica.id


def test_snapshots_from_first_to_last(work: Cli) -> None:
    """Create, list, show, set-status, delete; a share from one; the latest is marked."""
    work.run("snapshot", "create", "work", "--name", "tuesday", "--description", "the day after")
    assert [(s["name"], s["latest"]) for s in work.json("snapshot", "list")] == [("monday", False), ("tuesday", True)]
    assert work.json("snapshot", "list", "--share", "work") == work.json("snapshot", "list")
    assert "tuesday" in work.run("snapshot", "list").stdout
    assert work.json("snapshot", "show", "tuesday")["latest"] is True
    copy = work.json("share", "create", "2", "--snapshot", "tuesday", "--name", "copy")
    assert copy["snapshot_id"] == work.json("snapshot", "show", "tuesday")["id"]
    assert work.json("snapshot", "set-status", "tuesday", "error")["status"] == "error"
    work.run("snapshot", "delete", "tuesday")
    assert work.json("snapshot", "show", "monday")["latest"] is True


def test_a_revert_is_asked_for_told_and_done(work: Cli) -> None:
    """Dry run, then the revert; the user message says so."""
    dry = work.run("revert-to-snapshot", "monday", "--dry-run").stdout
    assert "about" in dry or "0 bytes" in dry
    verdict = work.json("revert-to-snapshot", "monday", "--dry-run")
    assert set(verdict) == {"share_id", "snapshot_id", "size", "verdict", "reason", "discards_bytes"}
    assert verdict["verdict"] == "allowed"
    assert work.json("message", "list") == []
    assert "is as it was" in work.run("revert-to-snapshot", "monday", "--yes").stdout
    assert work.json("revert-to-snapshot", "monday", "--yes")["status"] == "available"
    messages = work.json("message", "list")
    assert [message["level"] for message in messages] == ["INFO", "INFO"]
    work.run("message", "delete", messages[0]["id"])
    assert work.json("message", "list") == messages[1:]
    assert "revert to snapshot" in work.run("message", "list").stdout


def test_types_from_first_to_last(cli: Cli) -> None:
    """Create with flags and specs, set, unset, delete; the required spec is filled in."""
    made = cli.json("type", "create", "gold", "--snapshot-support", "--revert-to-snapshot-support", "--private")
    assert made["extra_specs"] == {
        "driver_handles_share_servers": "false",
        "snapshot_support": "true",
        "revert_to_snapshot_support": "true",
    }
    assert made["is_public"] is False
    clones = cli.json("type", "create", "c", "--create-share-from-snapshot-support", "--extra-spec", "tier=1")
    assert clones["extra_specs"]["create_share_from_snapshot_support"] == "true"
    assert clones["extra_specs"]["tier"] == "1"
    assert cli.json("type", "set", "gold", "tier=2", "x=y")["extra_specs"]["tier"] == "2"
    assert "tier" not in cli.json("type", "unset", "gold", "tier")["extra_specs"]
    cli.run("type", "delete", "c")
    assert {t["name"] for t in cli.json("type", "list")} == {"gold", "revertible"}
    assert "gold" in cli.run("type", "show", "gold").stdout


def test_quotas_are_shown_set_and_reset(work: Cli) -> None:
    """Limits of a project, defaults of all, unlimited."""
    shown = {row["resource"]: row for row in work.json("quota", "show")}
    assert shown["gigabytes"] == {"resource": "gigabytes", "limit": 1000, "in_use": 2, "reserved": 0}
    work.run("quota", "set", "shares", "7")
    work.run("quota", "set", "shares", "9", "--default")
    work.run("quota", "set", "gigabytes", "-1", "--project", "blue")
    assert limit(work, "shares") == 7
    assert limit(work, "shares", "--project", "blue") == 9
    assert limit(work, "gigabytes", "--project", "blue") == -1
    assert "unlimited" in work.run("quota", "show", "--project", "blue").stdout
    work.run("quota", "reset")
    assert limit(work, "shares") == 9


def limit(cli: Cli, resource: str, *more: str) -> int:
    """Read one limit."""
    return int(next(row["limit"] for row in cli.json("quota", "show", *more) if row["resource"] == resource))


def test_access_rules(work: Cli) -> None:
    """Allow, list, deny."""
    rule = work.json("share", "access", "allow", "work", "10.0.0.0/24", "--level", "ro")
    assert (rule["access_to"], rule["access_level"], rule["state"]) == ("10.0.0.0/24", "ro", "active")
    assert work.json("share", "access", "list", "work") == [rule]
    work.run("share", "access", "deny", "work", "10.0.0.0/24")
    assert work.json("share", "access", "list", "work") == []


def test_pools_and_drivers_say_what_they_can_and_why_not(cli: Cli) -> None:
    """Discovery as people read it: every capability, each with its reason."""
    pools = cli.json("pool", "list")
    assert [pool["pool"] for pool in pools] == [POOL]
    shown = cli.json("pool", "show", POOL)
    assert shown["revert_to_snapshot_support"] is True
    assert shown["why_not"] == {}
    assert "yes" in cli.run("pool", "show", POOL).stdout
    drivers = {row["name"]: row for row in cli.json("driver", "list")}
    assert drivers["memory"]["usable"] is True
    memory = cli.json("driver", "show", "memory")
    refused = cli.json("driver", "show", "nowhere:Driver")
    assert ("cannot be imported" in refused["reason"], "author" in refused["mend"]) == (True, True)
    assert memory["options"][0]["name"] == "capacity_gb"
    assert memory["options"][0]["default"] == 1000
    assert memory["capabilities"]["revert_to_snapshot_support"] == ""
    assert "size in GiB" in cli.run("driver", "show", "memory").stdout


def test_doctor_and_recover_of_a_healthy_host(work: Cli) -> None:
    """Doctor finds all that is configured able to run; recover finds nothing to do."""
    checks = {row["check"]: row for row in work.json("doctor")}
    for check in ("settings", "state directory", "database", "locks", "backend fast", "driver memory"):
        assert checks[check]["state"] == "ok", checks[check]
    assert "python3-pyzfs" in checks["libzfs_core"]["mend"] or checks["libzfs_core"]["state"] == "ok"
    assert work.json("recover") == []
    assert work.json("recover", "work") == []


def test_the_database_has_a_version(cli: Cli) -> None:
    """The embedded one is there at first use; db upgrade does nothing more."""
    shown = cli.json("db", "version")
    assert shown["version"] == shown["needed"]
    assert "up to date" in cli.run("db", "upgrade").stdout


def plant(**snapshots: str) -> None:
    """Put a volume on the backend that is not ours."""
    kept = {word: {"letter": content.encode()} for word, content in snapshots.items()}
    MemoryDriver("fast", MemoryDriver.Options()).plant("vg0/old", 3, {"letter": b"theirs"}, **kept)


def test_manage_from_first_to_last(cli: Cli) -> None:
    """Adopt a share and its snapshot, let go of both; each says what it left and where."""
    plant(monday="before")
    made = cli.json(
        *("share", "manage", "fast", "vg0/old", "--name", "old", "--description", "of old"),
        *("--type", "revertible", "--metadata", "owner=me"),
    )
    assert (made["status"], made["size"], made["metadata"]) == ("available", 3, {"owner": "me"})
    assert cli.json("share", "show", "old") == made
    kept = cli.json("snapshot", "manage", "old", "vg0/old@monday", "-n", "monday", "--description", "d")
    assert (kept["latest"], kept["size"]) == (True, 3)
    assert cli.json("snapshot", "show", "monday") == kept
    assert "unmanage those first" in cli.refused(4, "share", "unmanage", "old")
    cli.run("revert-to-snapshot", "monday", "--yes")
    assert cli.run("snapshot", "unmanage", "monday").stdout.rstrip().endswith("backend fast as vg0/old@monday")
    left = cli.run("share", "unmanage", "old").stdout
    assert left.rstrip() == f"share {made['id']} is left on backend fast as {replica_of(left)}, with its data"
    assert cli.json("share", "manage", POOL, replica_of(left), "--share-type", "revertible")["size"] == 3


def replica_of(said: str) -> str:
    """Read under which name a share was left."""
    return said.partition(" fast as ")[2].partition(",")[0]


def test_a_lost_database_is_rebuilt(work: Cli) -> None:
    """share manage --all BACKEND: what was adopted, and with exit code 7 what was not."""
    share, snapshot = work.json("share", "show", "work"), work.json("snapshot", "show", "monday")
    assert "on record already" in work.run("share", "manage", "--all", "fast", "--type", "revertible").stderr
    for file in work.state.glob("revertkit.db*"):
        file.unlink()
    work.run("type", "create", "revertible", "--snapshot-support", "--revert-to-snapshot-support")
    work.run("quota", "set", "snapshots", "0")
    told = json.loads(
        work.run("share", "manage", "--all", "fast", "--type", "revertible", "--format", "json", code=7).stdout
    )
    assert [(each["what"], each["id"], each["adopted"]) for each in told] == [
        ("share", share["id"], True),
        ("snapshot", snapshot["id"], False),
    ]
    assert {frozenset(each) for each in told} == {frozenset(["what", "id", "share_id", "existing", "adopted", "found"])}
    assert "over quota" in told[1]["found"]
    work.run("quota", "set", "snapshots", "9")
    said = work.run("share", "manage", "--all", "fast", "--type", "revertible").stdout
    assert snapshot["id"] in said
    assert work.json("snapshot", "show", snapshot["id"])["created_at"] == snapshot["created_at"]
    work.run("revert-to-snapshot", snapshot["id"], "--yes")


def test_manage_is_refused(work: Cli) -> None:
    """Wrong words: exit code 2, 3, 4 or 6, one message; nothing changed."""
    plant()
    before = work.everything()
    manage = ("share", "manage")
    typed = ("--type", "revertible")
    for code, words in (
        (2, (*manage, "fast")),
        (2, (*manage, *typed)),
        (2, (*manage, "--all", "fast", "vg0/old", *typed)),
        (2, (*manage, "--all", "fast", "--name", "x", *typed)),
        (2, (*manage, "fast", "vg0/old")),
        (2, (*manage, *typed, "fast", "--", "-rf")),
        (2, (*manage, *typed, "fast", "a\nb")),
        (2, (*manage, *typed, "slow", "vg0/old")),
        (2, (*manage, *typed, "--metadata", "x", "fast", "vg0/old")),
        (3, (*manage, *typed, "--all", "slow")),
        (3, (*manage, "--type", "none", "fast", "vg0/old")),
        (3, ("share", "unmanage", "none")),
        (3, ("snapshot", "unmanage", "none")),
        (3, ("snapshot", "manage", "none", "x")),
        (2, ("snapshot", "manage", "work", "--", "-x")),
        (6, ("snapshot", "access", "allow", "monday", "10.0.0.1")),
    ):
        work.refused(code, *words)
    assert work.everything() == before
    assert "there is no volume" in work.refused(4, *manage, *typed, "fast", "nothing")


def test_snapshot_access_from_first_to_last(cli: Cli) -> None:
    """A type whose snapshots are mounted: where they are, and who may mount them."""
    spec = cli.json("type", "create", "open", "--snapshot-support", "--mount-snapshot-support")["extra_specs"]
    assert spec["mount_snapshot_support"] == "true"
    cli.run("share", "create", "1", "--name", "work", "--type", "open")
    snapshot = cli.json("snapshot", "create", "work", "--name", "monday")
    assert snapshot["export_locations"] == cli.json("snapshot", "show", "monday")["export_locations"] != []
    assert snapshot["export_locations"][0] in cli.run("snapshot", "show", "monday").stdout
    access = ("snapshot", "access")
    assert "not exported" in cli.run(*access, "list", "monday").stderr
    rule = cli.json(*access, "allow", "monday", "10.0.0.1")
    assert (rule["access_to"], rule["access_level"], rule["state"]) == ("10.0.0.1", "ro", "active")
    assert cli.json(*access, "list", "monday") == [rule]
    assert "10.0.0.1" in cli.run(*access, "list", "monday").stdout
    assert cli.json("share", "access", "list", "work") == []
    assert "already" in cli.refused(4, *access, "allow", "monday", "10.0.0.1")
    assert "no access rule" in cli.refused(3, *access, "deny", "monday", "10.0.0.2")
    cli.refused(2, *access, "allow", "monday", "everybody")
    cli.run(*access, "deny", "monday", "10.0.0.1")
    assert cli.json(*access, "list", "monday") == []


KEYS = {
    "share list": "id project_id user_id name description size protocol share_type_id snapshot_id snapshot_support "
    "create_share_from_snapshot_support revert_to_snapshot_support mount_snapshot_support replication_type metadata "
    "created_at updated_at status pool availability_zone access_rules_status export_locations",
    "snapshot list": "id share_id project_id user_id name description size created_at metadata status latest "
    "export_locations",
    "type list": "id name description is_public extra_specs created_at",
    "quota show": "resource limit in_use reserved",
    "driver list": "name target usable reason mend",
    "doctor": "check state found mend",
}


@pytest.mark.parametrize("words", KEYS)
def test_json_keys_are_stable(work: Cli, words: str) -> None:
    """Programs read them: a change here is a change that users see."""
    rows = work.json(*words.split())
    assert rows
    assert {frozenset(row) for row in rows} == {frozenset(KEYS[words].split())}


# --- refusals: the message, the exit code, and nothing changed

UNKNOWN = "7e57ab1e-0000-4000-8000-000000000000"
LONG = "x" * 10_000
NO_NAMES = ["two\nlines", "-dash", "a/b", "nul\0", LONG, "", " space", "\x1b[31mred", "\u202eevil"]


@pytest.mark.parametrize("words", ["share create 1 --type revertible", "snapshot create work", "type create"])
def test_a_name_that_could_do_harm_is_refused(work: Cli, words: str) -> None:
    """Newlines, dashes, slashes, NUL, 10 kB: wrong input, whatever it is a name of."""
    before = work.everything()
    for name in NO_NAMES[:-1]:  # the last one is a name, if an evil one: it is written out wherever it is shown
        named = ["--", name] if words == "type create" else ["--name", name]
        assert work.refused(2, *words.split(), *named).isprintable()
    assert work.everything() == before


LOOK_UPS = (
    "share show _",
    "share delete _",
    "share extend _ 9",
    "share set-status _ error",
    "share access list _",
    "snapshot create _",
    "snapshot show _",
    "snapshot delete _",
    "revert-to-snapshot --yes _",
    "revert-to-snapshot --dry-run _",
    "type show _",
    "type delete _",
    "message delete _",
    "pool show _",
    "recover _",
)


def test_what_is_not_there_is_not_found(work: Cli) -> None:
    """Unknown ids, and names that nothing can have, are looked up and not found."""
    before = work.everything()
    for words in LOOK_UPS:
        assert UNKNOWN in refused_look_up(work, words, UNKNOWN)
    for name in NO_NAMES:
        assert refused_look_up(work, "share show _", name).isprintable()
        assert refused_look_up(work, "revert-to-snapshot --yes _", name).isprintable()
    assert work.everything() == before


def refused_look_up(cli: Cli, words: str, name: str) -> str:
    """Look `name` up, behind a "--" that lets it begin as it likes."""
    front, _, back = words.partition("_")
    return cli.refused(3, *front.split(), "--", name, *back.split())


def test_a_size_that_is_none_is_refused(work: Cli) -> None:
    """Negative, zero, huge, no number."""
    before = work.everything()
    for words in ("share create _ --type revertible", "share extend work _", "share shrink work _"):
        for size in ("-5", "0", "1048577", "9" * 30, "1.5", "one", ""):
            work.refused(2, *(size if word == "_" else word for word in words.split()))
    assert work.everything() == before


WRONG = (
    ("share extend work 1", 2, "has to be larger"),
    ("share shrink work 3", 2, "has to be smaller"),
    ("share create 1", 2, "needs a share type"),
    ("share create 1 --type revertible --pool a@b", 2, "host@backend#pool"),
    ("share create 1 --type revertible --pool slow", 2, "no pool or backend"),
    ("share create 1 --type revertible --metadata x", 2, "key=value"),
    ("share create 2000 --type revertible", 6, "GiB free"),
    ("share delete work", 4, "snapshot"),
    ("share set-status work reverting", 2, "'available', 'error', 'error_deleting'"),
    ("type create gold --extra-spec driver_handles_share_servers=true", 2, "has to be false"),
    ("type set revertible revert_to_snapshot_support=maybe", 2, "true or false"),
    ("type set revertible a=1 a=2", 2, "set twice"),
    ("type unset revertible driver_handles_share_servers", 2, "needs the extra spec"),
    ("type delete revertible", 4, "in use"),
    ("type create revertible", 4, "revertible"),
    ("quota set nix 3", 2, "there is no quota"),
    ("quota set shares abc", 2, "not 'abc'"),
    ("quota set shares -7", 2, "not -7"),
    ("quota set shares 3 --default --project x", 2, "exclude"),
    ("share access allow work 10.0.0.300", 2, "10.0.0.300"),
    ("driver show nix", 10, "registered are"),
    ("share list --fromat json", 2, "--format"),
    ("share nix", 2, "No such command"),
    ("--project a/b share list", 2, "'/'"),
    ("--project -x share list", 2, "'-'"),
)


def test_wrong_input_is_named(work: Cli) -> None:
    """One message, one exit code, nothing changed."""
    before = work.everything()
    for words, code, says in WRONG:
        assert says in work.refused(code, *words.split()), words
    assert work.everything() == before


def test_what_is_no_text_is_refused(work: Cli) -> None:
    """Bytes that are not UTF-8 reach Python as lone surrogates; nothing can be stored or called so."""
    assert "not UTF-8" in work.refused(2, "share", "show", "\udcff")


def test_an_ambiguous_name_is_refused_with_the_ids(work: Cli) -> None:
    """The caller names the snapshot: never one of two."""
    first = work.json("snapshot", "list")[0]["id"]
    second = work.json("snapshot", "create", "work", "--name", "monday")["id"]
    for words in (["revert-to-snapshot", "monday", "--yes"], ["snapshot", "delete", "monday"]):
        message = work.refused(3, *words)
        assert first in message
        assert second in message
    work.run("revert-to-snapshot", second, "--yes")


def test_only_the_latest_is_reverted_to_and_it_is_named(work: Cli) -> None:
    """Rule 1: any other is a conflict that names the latest; the dry run gives the same verdict."""
    latest = work.json("snapshot", "create", "work", "--name", "tuesday")["id"]
    assert latest in work.refused(4, "revert-to-snapshot", "monday", "--yes")
    assert latest in work.refused(4, "revert-to-snapshot", "monday", "--dry-run")
    refusal = work.run("revert-to-snapshot", "monday", "--dry-run", "--format", "json", code=4)
    assert json.loads(refusal.stdout)["verdict"] == "refused"
    assert latest in json.loads(refusal.stdout)["reason"]
    assert [snapshot["status"] for snapshot in work.json("snapshot", "list")] == ["available", "available"]


def test_a_type_without_the_support_cannot_be_reverted(cli: Cli) -> None:
    """What a share did not copy of its type at its creation, it never has."""
    cli.run("type", "create", "plain", "--snapshot-support")
    cli.run("share", "create", "1", "--name", "s", "--type", "plain")
    cli.run("snapshot", "create", "s", "--name", "n")
    cli.run("type", "set", "plain", "revert_to_snapshot_support=true")
    assert "without revert_to_snapshot_support" in cli.refused(6, "revert-to-snapshot", "n", "--yes")


def test_over_quota_says_the_numbers(work: Cli) -> None:
    """In use, wanted, limit."""
    work.run("quota", "set", "gigabytes", "3")
    before = work.everything()
    message = work.refused(5, "share", "extend", "work", "4")
    assert "gigabytes: 2 in use + 0 reserved + 2 wanted > limit 3" in message
    assert "limit 3" in work.refused(5, "share", "create", "2", "--type", "revertible")
    assert work.everything() == before


def test_a_revert_without_a_terminal_needs_yes(work: Cli) -> None:
    """The user's own no has an exit code of its own; what would have happened is said."""
    before = work.everything()
    result = work.run("revert-to-snapshot", "monday", code=11)
    assert result.stdout == ""
    assert "--yes" in result.stderr
    assert "thrown away" in result.stderr
    assert work.everything() == before


def test_projects_do_not_see_each_other(work: Cli) -> None:
    """Another project's share is not there; --all-projects lists it."""
    assert "no share" in work.refused(3, "--project", "blue", "share", "show", "work")
    assert work.json("--project", "blue", "share", "list") == []
    assert len(work.json("--project", "blue", "share", "list", "--all-projects")) == 1


# --- settings and state


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("host = \n", "line 1"),
        ('host = "a"\nstate_dir = 7\n', ":2: state_dir"),
        ('host = "a"\nprojet = "x"\n', ":2: projet"),
        ('[backends.fast]\nmount_root = "/x"\n', ":1: backends.fast.driver"),
        ('project = "a/b"\n', ":1: project"),
    ],
)
def test_a_corrupt_settings_file_is_told_by_line_and_key(cli: Cli, text: str, says: str) -> None:
    """Exit code 9, the file, the line, the key; also by doctor."""
    cli.file.write_text(text)
    message = cli.refused(9, "share", "list")
    assert str(cli.file) in message
    assert says in message
    assert says in cli.run("doctor", "--format", "json", code=9).stdout


def test_a_settings_file_that_is_not_there_is_told(cli: Cli) -> None:
    """One that is named has to be there."""
    cli.file.unlink()
    assert str(cli.file) in cli.refused(9, "share", "list")


def test_an_option_that_a_driver_does_not_know_is_told(cli: Cli) -> None:
    """The options that it knows are named; listing pools says it and goes on."""
    cli.file.write_text(cli.file.read_text() + "speed = 9\n")
    assert "capacity_gb" in cli.run("pool", "list").stderr
    result = cli.run("doctor", "--format", "json", code=9)
    assert "capacity_gb" in result.stdout


def test_a_driver_that_is_not_there_is_told_by_doctor(cli: Cli) -> None:
    """Exit code 10: what is configured cannot run."""
    cli.configure("nix")
    checks = {row["check"]: row for row in json.loads(cli.run("doctor", "--format", "json", code=10).stdout)}
    assert checks["backend fast"]["state"] == "problem"


@pytest.mark.parametrize("where", ["/proc/nowhere/revertkit", "/dev/null/x"])
def test_a_state_directory_that_cannot_be_used(cli: Cli, where: str) -> None:
    """Missing, and not to be made."""
    cli.file.write_text(f'state_dir = "{where}"\n')
    assert where in cli.refused(9, "share", "list")


def test_a_database_of_a_newer_version(cli: Cli) -> None:
    """Nothing is touched; db version still says what it found."""
    import sqlite3

    with sqlite3.connect(cli.state / "revertkit.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    assert "newer" in cli.refused(8, "share", "list")
    assert "newer" in cli.refused(8, "db", "upgrade")
    assert cli.json("db", "version")["version"] == "9999"


# --- what went wrong inside


def test_a_fault_of_our_own_is_one_line_and_verbose_shows_it(work: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1, no traceback but with --verbose."""
    monkeypatch.setattr("revertkit.manager.ShareManager.shares", lambda *_, **__: 1 / 0)
    assert "--verbose" in work.refused(1, "share", "list")
    result = CliRunner().invoke(app, ["--config", str(work.file), "--verbose", "share", "list"])
    assert result.exit_code == 1
    assert "Traceback" in result.stderr


def test_an_interrupt_in_the_middle_advises_recover(work: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 130; every listing hints at what is left, and recover finishes it."""
    with monkeypatch.context() as patched:
        patched.setattr(MemoryDriver, "revert_to_snapshot", _interrupt)
        result = work.run("revert-to-snapshot", "monday", "--yes", code=130)
    assert "revertkit recover" in result.stderr
    assert "Traceback" not in result.stderr
    for words in ("share list", "snapshot list", "share show work"):
        assert "1 operation was interrupted; run `revertkit recover`" in work.run(*words.split()).stderr
    found = work.json("recover")
    assert [(row["what"], row["at_rest"]) for row in found] == [("revert to snapshot", True)]
    assert work.run("share", "list").stderr == ""


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_recover_says_when_something_is_left(work: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 7, and the table says what; the operation that failed had its own message and code."""

    def broken(*_: object) -> None:
        raise errors.BackendError("the disk is gone")

    monkeypatch.setattr(MemoryDriver, "ensure_share", broken)
    assert "the disk is gone" in work.refused(7, "revert-to-snapshot", "monday", "--yes")
    assert work.json("share", "show", "work")["status"] == Status.REVERTING_ERROR
    assert "the disk is gone" in work.run("recover", code=7).stdout
    monkeypatch.undo()
    work.run("recover")
    assert work.json("share", "show", "work")["status"] == Status.AVAILABLE


def test_nothing_from_the_database_is_markup_or_moves_the_terminal(work: Cli) -> None:
    """A name that got into the database by another door is written out."""
    import sqlite3

    with sqlite3.connect(work.state / "revertkit.db") as connection:
        connection.execute("UPDATE shares SET name = ?", ("[red]a[/red]\x1b[2J\n:owl:\u202e",))
    for words in ("share list", "share show {id}", "revert-to-snapshot monday --dry-run"):
        said = work.run(*words.format(id=work.json("share", "list")[0]["id"]).split()).stdout
        assert "[red]a[/red]\\x1b[2J\\n:owl:\\u202e" in re.sub(r"\\\\", r"\\", said)
        assert "\x1b" not in said


# --- the help, and what it promises


def commands(group: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Walk all commands and groups."""
    yield path, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, *path, name)


def test_every_command_and_option_has_a_sentence() -> None:
    """The help is the manual."""
    import typer.main

    for path, command in commands(typer.main.get_command(app)):
        assert (command.help or "").strip().endswith((".", ".\n")), path
        for parameter in command.params:
            if parameter.name not in ("help", "install_completion", "show_completion"):
                assert (parameter.help or "").strip().endswith("."), (path, parameter.name)


def test_every_exit_code_is_in_the_help() -> None:
    """The epilog and the error tree say the same."""
    told = {int(code) for code in re.findall(r"^ +(\d+)  ", EPILOG, re.MULTILINE)}
    tree = {cls.exit_code for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, Exception)}
    assert told == tree | {0, 11, 130}


def test_the_statuses_that_can_be_set_are_those_of_the_rule() -> None:
    """The command offers what the manager takes."""
    assert set(SettableStatus) == {status.value for status in SETTABLE}


def test_what_a_terminal_would_obey_is_written_out() -> None:
    """Controls, direction marks, line separators, lone surrogates; letters of every script stay."""
    assert output.visible("größe 日本\x07\x9b\u2028\u202e\udcff") == "größe 日本\\x07\\x9b\\u2028\\u202e\\udcff"


def test_no_width_breaks_an_id_or_overflows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be folded is whole or left out; every line fits the terminal, and nothing of a shown cell is lost."""
    from rich.console import Console

    row = {
        "created_at": "2026-01-02 03:04:05",
        "level": "INFO",
        "text": "a word or two of what was found",
        "id": UNKNOWN,
    }
    columns = {key: key.title() for key in row}
    for width in range(36, 140):
        monkeypatch.setattr(output, "console", lambda width=width: Console(width=width, markup=False))
        output.show_rows([row], columns, output.Format.TABLE, "")
        said = capsys.readouterr()
        lines = said.out.splitlines()
        assert max(map(len, lines)) <= width
        assert UNKNOWN in said.out or "Id" in said.err
        assert all(word in said.out for word in ("2026-01-02", "03:04:05"))
        assert all(word in said.out for word in row["text"].split()) or "Text" in said.err


def test_doctor_tells_a_lack_from_a_problem() -> None:
    """A driver that nobody configured and that lacks something is no problem of this host."""
    from revertkit.models import Lack
    from revertkit.registry import Listing

    check = doctor._driver(Listing("x", "a:b", MemoryDriver, "", (Lack(why="no lvs", mend="install lvm2"),)))
    assert (check.state, check.found, check.mend, check.exit_code) == ("lack", "no lvs", "install lvm2", 0)
