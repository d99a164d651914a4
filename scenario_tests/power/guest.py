"""The guest's half of the power-cut scenarios, run there as root: ``guest.py prepare|revert|verify|reap BACKEND``.

It lives in the places that the boot unit uses (/etc/revertkit, /var/lib/revertkit), because what is tried is that a
boot alone brings everything back. Each call says what it found as one line of JSON, or as one line a step.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
import files

from revertkit import manifest
from revertkit.manager import ShareManager
from revertkit.models import Context, Share
from revertkit.settings import load
from revertkit.store import shares, snapshots
from revertkit.system.run import Moment, StepEvent, watching

CONFIG = Path("/etc/revertkit/revertkit.toml")
SETTINGS = """\
project = "power"
[backends.thick-ext4]
driver = "lvm"
volume_group = "vg0"
mount_root = "/srv/revertkit/thick"
export_address = "127.0.0.1"
snapshot_percent = 50
[backends.zfs]
driver = "zfs"
pool = "tank0"
mount_root = "/srv/revertkit/zfs"
export_address = "127.0.0.1"
"""
CONTEXT = Context(project_id="power", is_admin=True)
SPECS = {
    "driver_handles_share_servers": "false",
    "snapshot_support": "true",
    "revert_to_snapshot_support": "true",
}


def prepare(backend: str) -> dict[str, object]:
    """Make a share with a snapshot, wreck it, and write down what it was and what it is."""
    CONFIG.parent.mkdir(exist_ok=True)
    CONFIG.write_text(SETTINGS)
    manager = ShareManager.open(load())
    if not manager.types():
        manager.create_type("power", SPECS)
    share = manager.create_share(CONTEXT, 1, name=backend, share_type="power", pool=backend)
    manager.allow_access(CONTEXT, share.id, "127.0.0.1")
    path = _path(manager, share)
    files.write(path)
    (path / "much").write_bytes(os.urandom(150_000_000))
    kept = manifest.record(path)
    manager.create_snapshot(CONTEXT, share.id, name=backend)
    files.wreck(path)
    (path / "much").write_bytes(os.urandom(150_000_000))
    _notes(backend).write_text(json.dumps([repr(kept), repr(manifest.record(path))]))
    os.sync()
    return {"share": share.id}


def revert(backend: str) -> None:
    """Revert, and say each step as it begins and ends; the power goes before the end is said."""

    def tell(event: StepEvent) -> None:
        if event.moment is not Moment.PROGRESS:
            print(event.moment.value, event.name, flush=True)

    with watching(tell):
        ShareManager.open(load()).revert_to_snapshot(CONTEXT, backend)
    print("reverted", flush=True)


def verify(backend: str) -> dict[str, object]:
    """Say what the boot has made of it, and whether a revert works now."""
    manager = ShareManager.open(load())
    share = manager.share(CONTEXT, backend)
    path = _path(manager, share)
    kept, wrecked = json.loads(_notes(backend).read_text())
    found = repr(manifest.record(path))
    exports = subprocess.run(["exportfs", "-s"], capture_output=True, text=True, check=True, timeout=60).stdout
    state = {
        "share": share.status,
        "snapshot": manager.snapshot(CONTEXT, backend).status,
        "data": {kept: "kept", wrecked: "wrecked"}.get(found, "neither"),
        "mounted": os.path.ismount(path),
        "exported": str(path) in exports,
    }
    manager.revert_to_snapshot(CONTEXT, backend)
    return state | {"again": repr(manifest.record(path)) == kept}


def reap(backend: str) -> dict[str, object]:
    """Remove what prepare made."""
    manager = ShareManager.open(load())
    with manager.site.store.read() as tx:
        ours = [share for share in shares.listed(tx, None) if share.name == backend]
        taken = [snapshot for share in ours for snapshot in snapshots.listed(tx, None, share.id)]
    for snapshot in reversed(taken):
        manager.delete_snapshot(CONTEXT, snapshot.id, force=True)
    for share in ours:
        manager.delete_share(CONTEXT, share.id, force=True)
    return {"removed": len(ours)}


def _path(manager: ShareManager, share: Share) -> Path:
    return Path(manager.share(CONTEXT, share.id).export_locations[0].path.split(":", 1)[-1])


def _notes(backend: str) -> Path:
    return Path(f"/var/lib/revertkit/{backend}.notes")


if __name__ == "__main__":
    answer = {"prepare": prepare, "revert": revert, "verify": verify, "reap": reap}[sys.argv[1]](sys.argv[2])
    if answer is not None:
        print(json.dumps(answer))
