"""The ground of a scenario: a real backend, a manager of its own, and a clean machine afterwards.

Run inside the VM, as root (docs/scenarios.md). Every test gets a state directory and a mount root of its own below
``/srv/revertkit-scenarios``; what it makes on the backends is known from its own records and removed through the same
drivers, so a sweep can never remove what is not ours.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from revertkit.errors import RevertkitError
from revertkit.manager import ShareManager
from revertkit.models import Context, Share, Snapshot
from revertkit.settings import Settings
from revertkit.store import shares, snapshots

ROOT = Path("/srv/revertkit-scenarios")
ADDRESS = "127.0.0.1"
WANTED = {
    "driver_handles_share_servers": "false",
    "snapshot_support": "true",
    "revert_to_snapshot_support": "true",
    "create_share_from_snapshot_support": "true",
}
"""The extra specs of every type here."""
CONTEXT = Context(project_id="scenarios", is_admin=True)
_LVM = {"driver": "lvm", "volume_group": "vg0", "export_address": ADDRESS}
_THICK = _LVM | {"snapshot_percent": 25}
_THIN = _LVM | {"thin_pool": "pool0"}
BACKENDS: dict[str, dict[str, Any]] = {
    "thick-ext4": _THICK,
    "thick-xfs": _THICK | {"filesystem": "xfs"},
    "thin-ext4": _THIN,
    "thin-xfs": _THIN | {"filesystem": "xfs"},
    "zfs": {"driver": "zfs", "pool": "tank0", "export_address": ADDRESS},
    "directory": {"driver": "directory"},
}
SERVED = tuple(name for name, options in BACKENDS.items() if "export_address" in options)
"""The backends that export over NFS."""
LVM = tuple(name for name, options in BACKENDS.items() if options["driver"] == "lvm")
NOT_IN_CORE = ("thick-xfs", "thin-ext4")
"""What differs from the others only in a file system that the other kind of volume is tried with."""


@dataclass
class Ground:
    """One backend under a manager of its own."""

    backend: str
    home: Path
    more: dict[str, Any] = field(default_factory=dict)
    """Options of the backend over those of :data:`BACKENDS`."""
    context: Context = CONTEXT

    def __post_init__(self) -> None:
        (self.home / "mounts").mkdir(parents=True, exist_ok=True)
        self.options = BACKENDS[self.backend] | {"mount_root": str(self.home / "mounts")} | self.more
        self.settings = Settings(state_dir=self.home / "state", backends={self.backend: self.options})
        self.manager = self.opened()
        if not self.manager.types():
            for name, more in (("scenario", ()), ("mountable", ("mount_snapshot_support",))):
                self.manager.create_type(name, WANTED | dict.fromkeys(more, "true"))

    def opened(self) -> ShareManager:
        """Open a new manager on the same records, as the next start of the program would."""
        return ShareManager.open(self.settings)

    def share(self, size: int = 1, share_type: str = "scenario") -> Share:
        """Make a share; one of the type ``mountable`` has its snapshots mounted and exported too."""
        return self.manager.create_share(self.context, size, share_type=share_type)

    def snapshot(self, share: Share, name: str | None = None) -> Snapshot:
        """Take a snapshot."""
        return self.manager.create_snapshot(self.context, share.id, name=name)

    def now(self, share: Share) -> Share:
        """Read the share's record anew."""
        return self.manager.share(self.context, share.id)

    def path(self, share: Share) -> Path:
        """Where the share is mounted on this host."""
        return next(Path(found.path) for found in self.now(share).export_locations if found.path.startswith("/"))

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


@contextmanager
def standing(backend: str, name: str, more: dict[str, Any] | None = None) -> Iterator[Ground]:
    """A ground that is cleaned afterwards; what cannot be removed fails the test, by name."""
    ground = Ground(backend, ROOT / name, more or {})
    yield ground
    left = ground.reap()
    assert not left, f"not removed: {left}"


def _tried(delete: Any, context: Context, name: str) -> list[str]:
    try:
        delete(context, name, force=True)
    except RevertkitError as failure:
        return [f"{name}: {failure}"]
    return []
