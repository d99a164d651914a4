"""The account that docs/replication-zfs.md tells to make on an active replica's host, and the key that it lets in."""

from __future__ import annotations

import subprocess
from pathlib import Path

MAY = "send,snapshot,destroy,mount,readonly,userprop"


def make(account: str, pool: str, key: str) -> None:
    """Make it, on the shares below `pool`, for whoever has this public key's other half."""
    run("useradd", "--create-home", "--shell", "/bin/sh", "--password", "*", account)
    home = Path("~" + account).expanduser() / ".ssh"
    home.mkdir(mode=0o700)
    command = f'command="/opt/revertkit/bin/revertkit-zfs-send-server {pool}",restrict'
    (home / "authorized_keys").write_text(f"{command} {key}")
    run("chown", "-R", f"{account}:", str(home))
    run("zfs", "allow", "-u", account, MAY, pool)


def make_key(file: Path) -> str:
    """Make a key pair; answer the public half."""
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file))
    return file.with_suffix(".pub").read_text()


def remove(account: str) -> None:
    """Remove it, with its home."""
    run("userdel", "--remove", "--force", account)


def run(*argv: str) -> str:
    """Run a command of the test's own."""
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=120).stdout
