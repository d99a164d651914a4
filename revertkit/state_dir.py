"""The state directory: made private, never on NFS, and where this host's name is kept."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from pathlib import Path

from revertkit.errors import SettingsError
from revertkit.settings import Settings
from revertkit.system.mounts import mounts

REMOTE = ("nfs", "cifs", "smb", "9p", "ceph", "fuse.sshfs", "fuse.glusterfs", "afs")


def prepare_for(settings: Settings) -> None:
    """Prepare all that the settings put there: the state, and the embedded backend's shares where there is no other.

    Raises:
        SettingsError: as :func:`prepare`.
    """
    prepare(settings.state_dir)
    if not settings.backends:
        prepare(settings.embedded_root)


def prepare(path: Path) -> None:
    """Make the directory if need be, and see that it can be used.

    Raises:
        SettingsError: it cannot be made or written, or is on a network file system, whose locks and writes do not
            hold what SQLite and a crash need.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as failure:
        raise SettingsError(f"state_dir {path} cannot be made: {failure.strerror}; name another one") from None
    if not os.access(path, os.W_OK | os.X_OK) or os.statvfs(path).f_flag & os.ST_RDONLY:
        raise SettingsError(f"state_dir {path} is not writable for this user; name another one")
    fstype = _fstype(path.resolve())
    if fstype.startswith(REMOTE):
        raise SettingsError(f"state_dir {path} is on {fstype}: SQLite and file locks need a local disk")


def host_name(path: Path, configured: str | None) -> str:
    """Answer this host's name in records: the configured one, or the one stored at first use.

    A changed hostname must not orphan operations and shares.
    """
    if configured:
        return configured
    stored = path / "host"
    try:
        if not stored.exists():
            _store(stored, re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname()))
        return stored.read_text().strip()
    except OSError as failure:
        raise SettingsError(f"{stored}: {failure.strerror}") from None


def _store(stored: Path, name: str) -> None:
    """Write the name whole or not at all; the first of several processes wins."""
    fresh = stored.with_name(f"host.{os.getpid()}")
    fresh.write_text(name + "\n")
    try:
        with contextlib.suppress(FileExistsError):
            stored.hardlink_to(fresh)
    finally:
        fresh.unlink()


def _fstype(path: Path) -> str:
    under = [mount for mount in mounts() if path.is_relative_to(mount.target)]
    return max(under, key=lambda mount: len(mount.target.parts)).fstype if under else "unknown"
