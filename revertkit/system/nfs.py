"""NFS exports, one file per share under /etc/exports.d.

In files, because what is exported by hand with exportfs(8) vanishes at the next ``exportfs -r``. Each export has
``fsid=`` with the share's id, so that clients keep their file handles whatever becomes of the volume below, and
``mp``, so that the empty directory is never exported in place of a share that is not mounted.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path

from revertkit.errors import BackendError, InvalidInput
from revertkit.models import AccessLevel, AccessRule, ExportLocation
from revertkit.system.run import run

EXPORTS = Path("/etc/exports.d")
ETAB = Path("/var/lib/nfs/etab")
"""What the server exports now, as exportfs(8) keeps it."""


def target(access_to: str) -> str:
    """Answer the IP address or network `access_to` as exports(5) wants it.

    Raises:
        InvalidInput: it is neither; a host name, a netgroup or ``*`` is not taken, nor a zone, which may be any text.
    """
    if "%" in access_to:
        raise InvalidInput(f"{access_to!r} has a zone (%), which exports(5) does not know")
    try:
        network = ip_network(access_to, strict=False)
    except ValueError:
        raise InvalidInput(f"{access_to!r} is neither an IP address nor a network") from None
    return str(network) if "/" in access_to else str(network.network_address)


def line(share_id: str, path: Path, rules: Sequence[AccessRule], read_only: bool = False) -> str:
    """Write the one line of exports(5) for a share."""
    clients = []
    for rule in rules:
        mode = "ro" if read_only or rule.access_level is AccessLevel.RO else "rw"
        clients.append(
            f"{target(rule.access_to)}({mode},sync,no_subtree_check,no_root_squash,mp,fsid={_fsid(share_id)})"
        )
    return f"{_quoted(path)} {' '.join(clients)}\n"


def _fsid(share_id: str) -> str:
    return str(uuid.UUID(share_id))


def _quoted(path: Path) -> str:
    """Quote as nfs-utils reads it: within quotes, with what could end the word or the line as an octal escape."""
    return (
        '"'
        + re.sub(rb'[\x00-\x20"#\\\x7f]', lambda m: b"\\%03o" % m.group()[0], os.fsencode(path)).decode(
            errors="surrogateescape"
        )
        + '"'
    )


def export(share_id: str, path: Path, rules: Sequence[AccessRule], read_only: bool = False) -> None:
    """Export `path` to exactly those that `rules` name; no rule, no export. Nothing happens where it is so already.

    Raises:
        InvalidInput: a rule's target, or `share_id` is no UUID; nothing has changed.
        BackendError: exportfs(8) did not do it, and what it said.
    """
    if not rules:
        return unexport(share_id)
    text = line(share_id, path, rules, read_only)
    if _read(_file(share_id)) == text and _allowed(text) == _allowed(*serving(share_id)):
        return None
    _write(_file(share_id), text)
    said = _reexport()
    if wrong := _allowed(text) ^ _allowed(*serving(share_id)):
        of = ", ".join(f"{one})" for one in sorted(wrong))
        raise BackendError(f"{path} is not exported as it should be after exportfs ({of}): {said or 'it said nothing'}")
    return None


def unexport(share_id: str) -> None:
    """Take the share's export away and let the server forget it; not exported is fine.

    What a client touched last may stay busy for another second or two.

    Raises:
        BackendError: it is still exported, and what exportfs(8) said.
    """
    if not exported(share_id):
        return
    _file(share_id).unlink(missing_ok=True)
    said = _reexport()
    if serving(share_id):
        raise BackendError(f"share {share_id} is still exported after exportfs: {said or 'it said nothing'}")


def is_of(share_id: str, path: Path) -> bool:
    """Whether what is exported under this id, if anything is, is at `path`."""
    text = _read(_file(share_id))
    return text is None or text.startswith(f"{_quoted(path)} ")


def exported(share_id: str) -> bool:
    """Whether the share is exported, or would be at the next ``exportfs -r``."""
    return _file(share_id).exists() or bool(serving(share_id))


def serving(share_id: str) -> list[str]:
    """List the clients that the share is exported to at this moment, each with its options."""
    mark = re.compile(rf"[(,]fsid={_fsid(share_id)}[,)]")
    return [entry for entry in (_read(ETAB) or "").splitlines() if mark.search(entry)]


def _allowed(*entries: str) -> set[str]:
    """Pick each client with its mode out of entries of an exports file or of etab, which agree that far."""
    return {allowed for entry in entries for allowed in re.findall(r"(\S+\(r[ow]),", entry)}


def _reexport() -> str:
    """Let the server read all files anew; a stranger's faulty line (exit status 1) is not ours to fail on."""
    return run(["exportfs", "-ra"], ok=(0, 1)).stderr.strip()


def _file(share_id: str) -> Path:
    return EXPORTS / f"revertkit-{_fsid(share_id)}.exports"


def _read(file: Path) -> str | None:
    try:
        return file.read_text(errors="surrogateescape")
    except FileNotFoundError:
        return None


def _write(file: Path, text: str) -> None:
    """Replace the file at once; exportfs(8) reads only what ends in .exports."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".new")
    fresh.write_text(text, errors="surrogateescape")
    fresh.replace(file)


def why_not(rule: AccessRule, address: str | None) -> str:
    """Say why a backend that exports at `address` cannot apply a rule; empty if it can."""
    if address is None:
        return "this backend exports nothing: its export_address is not set"
    if rule.access_type != "ip":
        return f"only rules for IP addresses and networks are known, not {rule.access_type!r}"
    try:
        target(rule.access_to)
    except InvalidInput as wrong:
        return str(wrong)
    return ""


def refused(rules: Sequence[AccessRule], address: str | None) -> dict[str, str]:
    """Say, by rule id, why a backend that exports at `address` cannot apply some of `rules`."""
    return {rule.id: why for rule in rules if (why := why_not(rule, address))}


def locations(path: Path, address: str | None) -> list[ExportLocation]:
    """Say where what is mounted at `path` is reached: over NFS where it is exported, and on this host."""
    local = ExportLocation(path=str(path), preferred=address is None)
    if address is None:
        return [local]
    host = f"[{address}]" if ":" in address else address
    return [ExportLocation(path=f"{host}:{path}", preferred=True), local]
