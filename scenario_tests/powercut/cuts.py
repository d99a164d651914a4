"""Cut the power of a guest at random moments of a loop of reverts, and see after each that nothing is lost.

Run by ``vm/powercut`` on the VM's host. Every cut is one thaw of the guest (machine.py): its disks are plugged in as
the cut before left them, it activates, imports, recovers and is looked at, then goes on reverting thick, thin and ZFS
shares at once until its power goes again, in the recovery too. Interrupted, it goes on where it was.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from machine import DISKS, SECONDS, SSH_PORT, Home, machine

AT_MOST = 75.0
"""Seconds from the thaw within which the power goes; a recovery and two reverts of each kind fit into it."""
AIMED = 0.6
"""How often the power goes in the midst of writes, soon after the moment drawn: most of the time no disk is written to,
and then nothing can be lost."""
GOES_ON = 0.85
"""How often a loop is told to go on; else it waits, and what it has said has to be true after the cut, to the byte."""


class Lost(Exception):
    """Something is not as it has to be after a cut."""


class Run:
    """The cuts so far, on disk too after each."""

    def __init__(self, home: Home, report: Path, seed: int) -> None:
        self.home, self.report = home, report
        self.data: dict[str, Any] = {"seed": seed, "cuts": [], "kept": {}, "known": {}}
        if report.exists() and home.frozen.exists():
            self.data = json.loads(report.read_text())

    def save(self) -> None:
        """Write down what is known; whole or not at all."""
        fresh = self.report.with_suffix(".new")
        fresh.write_text(json.dumps(self.data, indent=1))
        fresh.replace(self.report)

    def prepare(self, push: Path) -> None:
        """Boot, put the project in, make the shares, and freeze the guest without its disks."""
        self.home.make()
        with machine(self.home, thawed=False) as booted:
            _install(push)
            booted.plug()
            line = Line(booted.agent())
            self.data["kept"] = line.ask("prepare")
            line.ask("rest")
            line.close()
            booted.unplug()
            booted.freeze()
        self.home.commit()
        self.data["known"] = {backend: ["reverted", kept["newest"]] for backend, kept in self.data["kept"].items()}
        self.save()

    def cut(self) -> None:
        """One thaw and one cut.

        Raises:
            Lost: with what was found.
        """
        number = len(self.data["cuts"]) + 1
        chance = random.Random(f"{self.data['seed']} {number}")
        seconds = round(chance.uniform(2.0, AT_MOST), 1)
        told: dict[str, Any] = {}
        with machine(self.home, thawed=True) as thawed:
            thawed.go_on()
            thawed.plug()
            line = Line(thawed.agent())
            line.order("begin")
            end = time.monotonic() + seconds
            for answer in line.until(end):
                self._heard(line, answer, told, goes_on=chance.random() < GOES_ON)
            if line.broken:
                raise Lost(f"cut {number}: the guest has gone by itself: see {self.home.path / 'console'}")
            disk = chance.choice([*DISKS]) if chance.random() < AIMED else ""
            if disk:
                thawed.wait_for_writes(disk, chance.randint(1, 6))
            thawed.process.kill()
            line.see_no_failure()
        with undisturbed():
            self._keep(number, seconds, disk, told)

    def _keep(self, number: int, seconds: float, disk: str, told: dict[str, Any]) -> None:
        """Write down what the cut left: on the disks, and of what is known. Until then the cut before is the last."""
        losses = self.home.cut(f"{self.data['seed']} {number}")
        where = {backend: known[0] for backend, known in self.data["known"].items()} if told else "recovery"
        self.data["cuts"].append(
            {
                "number": number,
                "seconds": seconds,
                "aimed": disk,
                "in": where,
                "disks": {name: dataclasses.asdict(loss) for name, loss in losses.items()},
                "refused_pool": told.get("refused_pool", ""),
                "recovered": told.get("recovered", []),
            }
        )
        self.save()
        lost = ", ".join(f"{name} {loss.lost} of {loss.unflushed} ({loss.fate})" for name, loss in losses.items())
        aimed = f", and writes to {disk}," if disk else ""
        print(f"cut {number} after {seconds} s{aimed} in {where}; lost writes: {lost}", flush=True)

    def _heard(self, line: Line, answer: dict[str, Any], told: dict[str, Any], *, goes_on: bool) -> None:
        if answer["said"] == "failed":
            raise Lost(f"cut {len(self.data['cuts'])}: {answer}")
        if answer["said"] == "begin":
            told.update(answer["answer"])
            self._judge(told)
            line.say(do="loop", kept={backend: kept["newest"] for backend, kept in self.data["kept"].items()})
            return
        backend, said, content = answer["backend"], answer["said"], answer["content"]
        if said == "reverted" and content != self.data["kept"][backend]["newest"]:
            raise Lost(f"{backend}: a revert that was repeated after a cut gave back something else")
        self.data["known"][backend] = [said, content]
        if goes_on:
            self.data["known"][backend][0] = {"wrecked": "reverting", "reverted": "writing"}[said]
            line.say(do="go", backend=backend)

    def _judge(self, told: dict[str, Any]) -> None:
        if not told["at_rest"]:
            raise Lost(f"not at rest: {told}")
        for backend, kept in self.data["kept"].items():
            found, (phase, content) = told[backend], self.data["known"][backend]
            allowed = {"wrecked": {content}, "reverted": {content}, "reverting": {content, kept["newest"]}}.get(phase)
            wrong = [
                *(["statuses"] if found["statuses"] != ["available"] else []),
                *(["snapshots"] if found["snapshots"] != [f"{backend}-newest", f"{backend}-older"] else []),
                *(["refused"] if found["refused"] else []),
                *(["content"] if allowed is not None and found["content"] not in allowed else []),
                *(["older"] if found["older"] != kept["older"] else []),
            ]
            if wrong:
                raise Lost(f"{backend} after {phase}: {', '.join(wrong)} wrong: {found}")
            begins = "writing" if found["content"] == kept["newest"] else "wrecked"
            self.data["known"][backend] = [begins, found["content"]]


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put off whatever would end this program."""
    signals = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)


class Line:
    """The connection to the program in the guest."""

    def __init__(self, line: socket.socket) -> None:
        self.line, self.rest, self.broken = line, b"", False
        line.settimeout(SECONDS)

    def say(self, **order: Any) -> None:
        """Order something."""
        self.line.sendall(json.dumps(order).encode() + b"\n")

    def order(self, what: str) -> None:
        """Order something of a guest that may have stood still: tell the time, and something to be random by."""
        self.say(do=what, time=time.time(), chance=os.urandom(64).hex())

    def ask(self, what: str) -> Any:
        """Order something and wait for its answer."""
        self.order(what)
        for answer in self.until(time.monotonic() + SECONDS * 4):
            if answer["said"] == what:
                return answer["answer"]
            raise Lost(str(answer))
        raise Lost(f"no answer to {what!r}")

    def until(self, end: float) -> Iterator[dict[str, Any]]:
        """Yield what is said until `end`, or until the guest is gone."""
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.line], [], [], left)[0]:
                return
            got = self.line.recv(1 << 16)
            if not got:
                self.broken = True
                return
            *whole, self.rest = (self.rest + got).split(b"\n")
            yield from map(json.loads, whole)

    def see_no_failure(self) -> None:
        """See that nothing had failed before the power went."""
        with suppress(ConnectionError):
            for answer in self.until(time.monotonic() + 1):
                if answer["said"] == "failed":
                    raise Lost(str(answer))

    def close(self) -> None:
        """End it."""
        self.line.close()


def _install(push: Path) -> None:
    """Put this checkout into the guest as for any other machine, and start the program."""
    environment = os.environ | {"REVERTKIT_VM": "powercut"}
    ssh = push.parent / "ssh"
    end = time.monotonic() + SECONDS
    ready = ["timeout", "60", "systemctl", "is-system-running", "--wait"]
    while subprocess.run([ssh, *ready], env=environment, capture_output=True, timeout=120, check=False).returncode > 1:
        if time.monotonic() > end:
            raise Lost("the guest does not boot")
        time.sleep(1)
    subprocess.run([push], env=environment, check=True, timeout=SECONDS * 2)
    program = "/opt/scenarios/scenario_tests/powercut/guest.py"
    start = ["systemd-run", "--quiet", "--unit=powercut", "/opt/revertkit/bin/python", program]
    subprocess.run([ssh, *start], env=environment, check=True, timeout=SECONDS)


def write_ssh_config(path: Path, key: Path) -> None:
    """Say how ``vm/ssh`` reaches this guest."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f"Host powercut\n  HostName 127.0.0.1\n  Port {SSH_PORT}\n  User root\n  IdentityFile {key}\n"
        "  IdentitiesOnly yes\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n"
    )


def main() -> int:
    """Cut as often as asked for, in all."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--cuts", type=int, default=100, help="how many, those of an earlier run with them")
    words.add_argument("--seed", type=int, default=random.randrange(10**6), help="of a new run; printed")
    words.add_argument("--afresh", action="store_true", help="forget an earlier run, and the guest that it has frozen")
    words.add_argument("--box", type=Path, required=True, help="the directory that vm/build-box prints")
    words.add_argument("--key", type=Path, required=True, help="the private key that lets into the box")
    words.add_argument("--home", type=Path, required=True, help="where the guest's disks are kept; 3 GiB")
    words.add_argument("--report", type=Path, required=True, help="the JSON that is written after each cut")
    asked = words.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that the guest goes too
    if asked.afresh:
        asked.report.unlink(missing_ok=True)
    vm = Path(__file__).resolve().parent.parent.parent / "vm"
    run = Run(Home(asked.home, asked.box), asked.report, asked.seed)
    write_ssh_config(vm.parent / ".vagrant" / "powercut.ssh", asked.key)
    print(f"seed {run.data['seed']}; {len(run.data['cuts'])} cuts so far", flush=True)
    try:
        if not run.data["kept"]:
            run.prepare(vm / "push")
        while len(run.data["cuts"]) < asked.cuts:
            run.cut()
    except Lost as lost:
        print(f"LOST: {lost}", file=sys.stderr)
        return 1
    print(f"{len(run.data['cuts'])} passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
