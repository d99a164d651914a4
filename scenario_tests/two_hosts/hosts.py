"""Two hosts, and what a manager would keep on record of a share on the one and its replica on the other."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from revertkit.models import AccessRule, Promoted, Replica, ReplicaReport, Reverted, SnapshotInstance, Stored, new_id
from revertkit.status import ReplicaState

VM = Path(__file__).parent.parent.parent / "vm"
GUEST = ["/opt/revertkit/bin/python", "/opt/scenarios/scenario_tests/two_hosts/guest.py"]
SECONDS = 900
"""For one verb on an emulated machine; a guest that hangs is given up."""


class Refused(Exception):
    """What a verb was refused for."""


@dataclass
class Host:
    """One of the two."""

    name: str
    pool: str

    def __post_init__(self) -> None:
        self._environment = os.environ | {"REVERTKIT_VM": self.name}

    def vm(self, script: str, *arguments: str) -> str:
        """Run a script of vm/ for this host."""
        argv = [VM / script, *arguments]
        done = subprocess.run(
            argv, env=self._environment, capture_output=True, text=True, timeout=SECONDS * 2, check=False
        )
        assert done.returncode == 0, f"{script} {arguments}: {done.stderr[-3000:]}"
        return done.stdout

    @property
    def address(self) -> str:
        """Where the other one reaches it."""
        config = (VM.parent / ".vagrant" / f"{self.name}.ssh").read_text()
        return next(line.split()[1] for line in config.splitlines() if line.strip().startswith("HostName"))

    def begin(self, verb: str, **arguments: Any) -> subprocess.Popen[str]:
        """Begin a verb; its steps are to be read from standard output."""
        process = subprocess.Popen(
            [VM / "ssh", *GUEST, verb], env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        json.dump(to_jsonable_python(arguments), process.stdin)
        process.stdin.close()
        return process

    def call(self, verb: str, **arguments: Any) -> Any:
        """Run a verb to its end.

        Raises:
            Refused: by revertkit.
        """
        return ended(self.begin(verb, **arguments))


def told(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """Read what a verb tells, its answer last."""
    assert process.stdout is not None
    yield from map(json.loads, process.stdout)


def ended(process: subprocess.Popen[str]) -> Any:
    """Wait for a verb's answer.

    Raises:
        Refused: by revertkit.
    """
    last = [{}, *told(process)][-1]
    process.wait(60)
    if "refused" in last:
        raise Refused(last["refused"])
    assert "answer" in last, f"{process.args} has ended without an answer; the last that it told is {last}"
    return last["answer"]


@dataclass
class Pair:
    """A share on one host, its replica on the other, and their records."""

    near: Host
    far: Host
    active: Replica = field(init=False)
    replica: Replica = field(init=False)
    snapshots: list[SnapshotInstance] = field(default_factory=list)

    def __post_init__(self) -> None:
        rule = AccessRule(id=new_id(), access_to="127.0.0.1")
        common = {"share_id": new_id(), "size": 1, "rules": (rule,)}
        first, second = new_id(), new_id()
        made = Replica(id=first, host=self.near.name, pool=self.near.pool, **common)
        stored = Stored.model_validate(self.near.call("create_share", share=made))
        self.active = made.model_copy(update={"backend_id": stored.backend_id, "peers": (second,)})
        self.near.call("ensure_share", share=self.active)
        state = ReplicaState.OUT_OF_SYNC
        made = Replica(id=second, host=self.far.name, pool=self.far.pool, state=state, peers=(first,), **common)
        stored = Stored.model_validate(
            self.far.call("create_replica", replica=made, active=self.active, snapshots=self.snapshots)
        )
        self.replica = made.model_copy(update={"backend_id": stored.backend_id})

    def of(self, replica: Replica) -> Host:
        """Name the host that has it."""
        return self.near if replica.host == self.near.name else self.far

    def at(self, replica: Replica) -> list[SnapshotInstance]:
        """List a replica's instances of all snapshots."""
        return [one.model_copy(update={"replica": replica, "backend_id": None}) for one in self.snapshots]

    def on_active(self, verb: str, **arguments: Any) -> Any:
        """Have a verb of the guest work on the active one's files."""
        return self.of(self.active).call(verb, share=self.active.id, **arguments)

    def on_active_begin(self, verb: str) -> subprocess.Popen[str]:
        """Begin such a verb."""
        return self.of(self.active).begin(verb, share=self.active.id)

    def fence(self) -> None:
        """Keep writers out of the active one, from the replica's host."""
        assert self.of(self.replica).call("fence", replica=self.replica, active=self.active) is True

    def unfence(self) -> None:
        """Let them in again, from there."""
        self.of(self.replica).call("unfence", replica=self.replica, active=self.active)

    def take(self) -> SnapshotInstance:
        """Take a snapshot."""
        now = datetime.now(UTC)
        made = SnapshotInstance(id=new_id(), snapshot_id=new_id(), replica=self.active, size=1, created_at=now)
        stored = Stored.model_validate(self.of(self.active).call("create_snapshot", snapshot=made))
        self.snapshots.append(made.model_copy(update={"backend_id": stored.backend_id}))
        return self.snapshots[-1]

    def accept_revert(self) -> dict[str, Any]:
        """Put a revert to the newest snapshot on record; answer what the driver is told of it."""
        target = self.snapshots[-1].model_copy(update={"replica": self.active})
        since = (*self.replica.reverted_to, target.snapshot_id)
        self.replica = self.replica.model_copy(update={"state": ReplicaState.OUT_OF_SYNC, "reverted_to": since})
        return {"snapshot": target, "others": self.at(self.replica)[-1:]}

    def revert(self) -> None:
        """Revert to the newest snapshot, and bring the share online."""
        found = self.of(self.active).call("revert_to_replicated_snapshot", **self.accept_revert())
        self.active = self.active.model_copy(update={"size": Reverted.model_validate(found).share.size})
        self.online()

    def online(self) -> None:
        """Bring the active one online, as every start does."""
        self.of(self.active).call("ensure_share", share=self.active)

    def looked_at(self) -> dict[str, Any]:
        """Answer what a driver is told for a look at the replica, or to promote it."""
        return {"replica": self.replica, "active": self.active, "snapshots": self.at(self.replica)}

    def look(self) -> ReplicaReport:
        """Look at the replica; it can be read once it is in sync."""
        host = self.of(self.replica)
        report = ReplicaReport.model_validate(host.call("update_replica_state", **self.looked_at()))
        if report.state is ReplicaState.IN_SYNC:
            self.replica = self.replica.model_copy(update={"state": report.state, "reverted_to": ()})
            host.call("ensure_share", share=self.replica)
        return report

    def in_sync(self) -> str:
        """See that the replica holds what the active one does, byte for byte; answer that."""
        report = self.look()
        assert (report.state, report.found) == (ReplicaState.IN_SYNC, "")
        shown = self.of(self.replica).call("record", share=self.replica.id)
        assert shown == self.on_active("record")
        assert len(report.snapshots) == len(self.snapshots)
        return str(shown)

    def promote(self) -> None:
        """Make the replica the active one by force, as it is; the one that was follows it from now on."""
        promoted = Promoted.model_validate(self.of(self.replica).call("promote_replica", **self.looked_at()))
        assert len(promoted.snapshots) == len(self.snapshots)
        old, new = self.active, self.replica
        changes = {"state": ReplicaState.ACTIVE, "backend_id": promoted.replica.backend_id, "reverted_to": ()}
        self.active = new.model_copy(update=changes)
        self.replica = old.model_copy(update={"state": ReplicaState.OUT_OF_SYNC})
        self.snapshots = [one.model_copy(update={"replica": self.active}) for one in self.snapshots]
        self.online()

    def remove(self) -> None:
        """Remove both."""
        self.of(self.replica).call("delete_replica", replica=self.replica, snapshots=self.at(self.replica))
        self.active = self.active.model_copy(update={"peers": ()})
        for one in reversed(self.snapshots):
            gone = one.model_copy(update={"replica": self.active})
            self.of(self.active).call("delete_snapshot", snapshot=gone)
        self.of(self.active).call("delete_share", share=self.active)
