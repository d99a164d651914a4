"""The ground of a scenario: a real backend, a manager of its own, and a clean machine afterwards.

Run inside the VM, as root (docs/scenarios.md). Every test gets a state directory and a mount root of its own below
``/srv/revertkit-scenarios``; what it makes on the backends is known from its own records and removed through the same
drivers, so a sweep can never remove what is not ours.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from revertkit.errors import RevertkitError
from revertkit.manager import ShareManager
from revertkit.models import Context, Share, Snapshot
from revertkit.settings import Settings
from revertkit.store import shares, snapshots

ROOT = Path("/srv/revertkit-scenarios")
ADDRESS = "127.0.0.1"
CONTEXT = Context(project_id="scenarios", is_admin=True)
BACKENDS: dict[str, dict[str, Any]] = {
    "thick-ext4": {"driver": "lvm", "volume_group": "vg0", "export_address": ADDRESS, "snapshot_percent": 25},
    "zfs": {"driver": "zfs", "pool": "tank0", "export_address": ADDRESS},
    "directory": {"driver": "directory"},
}
SERVED = ("thick-ext4", "zfs")
"""The backends that export over NFS."""


@dataclass
class Ground:
    """One backend under a manager of its own."""

    backend: str
    home: Path
    context: Context = CONTEXT

    def __post_init__(self) -> None:
        (self.home / "mounts").mkdir(parents=True)
        options = BACKENDS[self.backend] | {"mount_root": str(self.home / "mounts")}
        self.settings = Settings(state_dir=self.home / "state", backends={self.backend: options})
        self.manager = self.opened()
        if not self.manager.types():
            wanted = ("snapshot_support", "revert_to_snapshot_support", "create_share_from_snapshot_support")
            specs = {"driver_handles_share_servers": "false", **dict.fromkeys(wanted, "true")}
            self.manager.create_type("scenario", specs)

    def opened(self) -> ShareManager:
        """Open a new manager on the same records, as the next start of the program would."""
        return ShareManager.open(self.settings)

    def share(self, size: int = 1) -> Share:
        """Make a share."""
        return self.manager.create_share(self.context, size, share_type="scenario")

    def snapshot(self, share: Share, name: str | None = None) -> Snapshot:
        """Take a snapshot."""
        return self.manager.create_snapshot(self.context, share.id, name=name)

    def now(self, share: Share) -> Share:
        """Read the share's record anew."""
        return self.manager.share(self.context, share.id)

    def path(self, share: Share) -> Path:
        """Where the share is mounted on this host."""
        return Path(self.now(share).export_locations[0].path.split(":", 1)[-1])

    def reap(self) -> list[str]:
        """Remove everything this ground made; answer what could not be removed."""
        manager = self.opened()
        manager.recover()
        with manager.site.store.read() as tx:
            ours = shares.listed(tx, None)
            taken = {share.id: snapshots.listed(tx, None, share.id) for share in ours}
        left: list[str] = []
        for share in ours:
            for snapshot in reversed(taken[share.id]):
                left += _tried(manager.delete_snapshot, self.context, snapshot.id)
            left += _tried(manager.delete_share, self.context, share.id)
        if not left:
            shutil.rmtree(self.home)
        return left


def _tried(delete: Any, context: Context, name: str) -> list[str]:
    try:
        delete(context, name, force=True)
    except RevertkitError as failure:
        return [f"{name}: {failure}"]
    return []
