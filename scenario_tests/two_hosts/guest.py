"""One host's half of the scenarios of two hosts, run there as root: ``guest.py VERB``, its arguments as JSON on stdin.

A verb is a method of the ZFS driver, or one of the functions here. It tells each step as it begins, moves and ends, a
line of JSON each, and last its answer, or why it was refused.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from pydantic import validate_call
from pydantic_core import to_jsonable_python

sys.path.insert(0, str(Path(__file__).parent.parent))
import files
import replication_account
from replication_account import run

from revertkit import manifest
from revertkit.drivers.zfs import ZfsDriver
from revertkit.errors import RevertkitError
from revertkit.system import mounts
from revertkit.system.run import StepEvent, watching

ROOT = Path("/srv/revertkit-two-hosts")
MOUNTS, KEY, KNOWN_HOSTS, OPTIONS = ROOT / "shares", ROOT / "key", ROOT / "known_hosts", ROOT / "options.json"
ACCOUNT = "rk-two-hosts"


def set_up(pool: str) -> dict[str, str]:
    """Make a dataset and a key; answer the public keys."""
    ROOT.mkdir(mode=0o700)
    run("zfs", "create", "-o", "canmount=off", "-o", "mountpoint=none", pool)
    host_key = Path("/etc/ssh/ssh_host_ed25519_key.pub").read_text()
    return {"key": replication_account.make_key(KEY), "host_key": " ".join(host_key.split()[:2])}


def trust(pool: str, host: str, address: str, key: str, host_key: str) -> None:
    """Let the other host replicate from here, and know how it is reached."""
    replication_account.make(ACCOUNT, pool, key)
    KNOWN_HOSTS.write_text(f"{address} {host_key}\n")
    options = {
        "pool": pool,
        "mount_root": str(MOUNTS),
        "export_address": "127.0.0.1",
        "replication_hosts": {host: f"{ACCOUNT}@{address}"},
        "replication_key": str(KEY),
        "replication_known_hosts": str(KNOWN_HOSTS),
    }
    OPTIONS.write_text(json.dumps(options))
    os.sync()


def take_down(pool: str) -> None:
    """Remove what is here, and nothing else: all of it is below this dataset and this directory."""
    for file in Path("/etc/exports.d").glob("revertkit-*.exports"):
        if str(ROOT) in file.read_text():
            file.unlink()
    run("exportfs", "-ra")
    for mount in reversed(mounts.mounts()):
        if mount.target.is_relative_to(ROOT):
            mounts.unmount(mount.target, 60)
    run("zfs", "destroy", "-R", pool)
    replication_account.remove(ACCOUNT)
    run("rm", "-r", str(ROOT))


def write(share: str) -> None:
    """Write one of everything that a revert has to bring back."""
    files.write(_path(share))


def wreck(share: str) -> None:
    """Change all of it."""
    files.wreck(_path(share))


def fill(share: str, mebibytes: int) -> None:
    """Write much, so that sending it takes a while."""
    files.fill(_path(share), mebibytes)


def keep_writing(share: str) -> int:
    """Write into a file that stays open, a byte at a time, until that is denied; answer how many have come there."""
    end = time.monotonic() + 300
    with (_path(share) / "diary").open("wb", buffering=0) as diary:
        while time.monotonic() < end:
            try:
                diary.write(b".")
                os.fsync(diary)
            except OSError as denied:
                if denied.errno != errno.EROFS:
                    raise
                return diary.tell()
            print(json.dumps({"written": diary.tell()}), flush=True)
            time.sleep(0.1)
    raise TimeoutError("nobody has denied it")


def written(share: str) -> int:
    """Answer how long that file is."""
    return (_path(share) / "diary").stat().st_size


def record(share: str) -> str:
    """Answer, as one word, all that a revert has to bring back of what is shown at a share's or a replica's path."""
    return hashlib.sha256(repr(sorted(manifest.record(_path(share)).items())).encode()).hexdigest()


def _path(share: str) -> Path:
    return MOUNTS / f"share-{share}"


def tell(event: StepEvent) -> None:
    """Say a step."""
    print(json.dumps({"moment": event.moment.value, "step": event.name, "percent": event.percent}), flush=True)


def answer(verb: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked for."""
    verbs = (set_up, trust, take_down, write, wreck, fill, keep_writing, written, record)
    own = {each.__name__: each for each in verbs}
    call = own.get(verb) or getattr(ZfsDriver("fast", ZfsDriver.Options(**json.loads(OPTIONS.read_text()))), verb)
    try:
        with watching(tell):
            return {"answer": to_jsonable_python(validate_call(call)(**arguments))}
    except (RevertkitError, OSError) as refusal:
        return {"refused": str(refusal)}


if __name__ == "__main__":
    print(json.dumps(answer(sys.argv[1], json.load(sys.stdin))), flush=True)
