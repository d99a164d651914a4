"""Who asks. ``none``: nobody is asked, loopback only; ``http_basic``; ``keystone`` (:mod:`~revertkit.api.keystone`).

``http_basic`` is what OpenStack's standalone services have: an htpasswd file with bcrypt hashes (``htpasswd -B``). The
settings say each user's projects and roles. Passwords and tokens are never logged, nor kept: of a password that was
right, a keyed hash is remembered, because bcrypt takes a quarter of a second on purpose.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers

from revertkit.api.errors import Fault
from revertkit.errors import SettingsError
from revertkit.settings import ApiSettings, ApiUser, AuthMode

IMPLIED = {"admin": ("member", "reader"), "member": ("reader",)}
"""What a role brings with it, as Keystone has it."""
ALL_ROLES = ("admin", "member", "reader")
REMEMBERED = 1000
"""How many right passwords are remembered."""


@dataclass(frozen=True)
class Identity:
    """Somebody, with their roles by project; the first project is the one that is meant where none is named."""

    user_id: str | None
    projects: Mapping[str, tuple[str, ...]]


class Authentication(Protocol):
    """One way to know."""

    async def identify(self, headers: Headers) -> Identity:
        """Say who asks.

        Raises:
            Fault: 401, or 503 where it cannot be found out now.
        """


def chosen(settings: ApiSettings, project: str) -> Authentication:
    """Make the mode that the settings name; `project` is everybody's under ``none``.

    Raises:
        SettingsError: it cannot be had like this: ``none`` at an address that others reach, no htpasswd file, …
    """
    if settings.auth is AuthMode.NONE:
        if not _is_loopback(settings.address):
            raise SettingsError(
                f"auth = none serves this machine only, and {settings.address} can be reached by others: "
                "use http_basic or keystone there, or listen at 127.0.0.1"
            )
        return Nobody(project)
    if settings.auth is AuthMode.HTTP_BASIC:
        return HttpBasic(settings.htpasswd, settings.users)
    from revertkit.api.keystone import Keystone  # late: an extra

    return Keystone(settings.keystone)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        raise SettingsError(f"api.address is an IP address, not {address!r}") from None


class Nobody:
    """``none``: whoever is on this machine is the administrator of one project.

    A page in a browser on this machine is not: it can be made to ask, but under a name that is not this machine's.
    """

    def __init__(self, project: str) -> None:
        self._identity = Identity(None, {project: ALL_ROLES})

    async def identify(self, headers: Headers) -> Identity:
        """Answer the one; an X-Auth-Token means nothing.

        Raises:
            Fault: 403, the Host header names another machine, or the browser says that another site's page asks.
        """
        host = headers.get("host", "localhost")
        if not _names_this_machine(host):
            raise Fault(403, f"Without authentication only this machine is served, not the host {host!r}.")
        site = headers.get("origin", f"//{host}").partition("//")[2]
        if site != host or headers.get("sec-fetch-site") == "cross-site":
            raise Fault(403, "Without authentication no other site's page is served.")
        return self._identity


def _names_this_machine(host: str) -> bool:
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    return name == "localhost" or _names_loopback(name.strip("[]"))


def _names_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class HttpBasic:
    """``http_basic``."""

    def __init__(self, file: Path, users: Mapping[str, ApiUser]) -> None:
        """Read the file; it is read again when it has changed.

        Raises:
            SettingsError: it cannot be read, or holds what is no bcrypt hash.
        """
        self._file = file
        self._identities = {
            name: Identity(name, {project: _with_implied(roles) for project, roles in user.projects.items()})
            for name, user in users.items()
        }
        self._key = os.urandom(32)
        self._right: dict[bytes, str] = {}
        self._reading = threading.Lock()
        self._stamp = _stamp(file)
        self._hashes = read_htpasswd(file)

    async def identify(self, headers: Headers) -> Identity:
        """Check name and password.

        Raises:
            Fault: 401.
        """
        name, password = _credentials(headers.get("authorization", ""))
        if not await run_in_threadpool(self._is_right, name, password):
            raise _unauthorized("The name or the password is wrong.")
        if name not in self._identities:
            raise Fault(403, f"User {name} has no project here.")
        return self._identities[name]

    def _is_right(self, name: str, password: bytes) -> bool:
        import bcrypt

        hashes, right_ones = self._read_again()
        known = hmac.new(self._key, name.encode() + b"\0" + password, hashlib.sha256).digest()
        if right_ones.get(known) == name:
            return True
        # Nobody learns by the time that it takes who is in the file.
        kept = hashes.get(name) or next(iter(hashes.values()), b"")
        try:
            right = bool(kept) and bcrypt.checkpw(password[:72], kept) and name in hashes
        except ValueError:
            return False
        if right:
            if len(right_ones) >= REMEMBERED:
                right_ones.clear()
            right_ones[known] = name
        return right

    def _read_again(self) -> tuple[dict[str, bytes], dict[bytes, str]]:
        """Answer the hashes, and who was right by them: what is found right by older ones is not kept for these."""
        with self._reading:
            stamp = _stamp(self._file)
            if stamp != self._stamp:
                self._hashes, self._right, self._stamp = read_htpasswd(self._file), {}, stamp
            return self._hashes, self._right


def read_htpasswd(file: Path) -> dict[str, bytes]:
    """Read an htpasswd file of bcrypt hashes.

    Raises:
        SettingsError: it cannot be read, or a line is no name and bcrypt hash; the hash is not told.
    """
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as failure:
        raise SettingsError(f"the htpasswd file {file} cannot be read: {failure}") from None
    found = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, kept = line.strip().partition(":")
        if not (name and colon and kept.startswith(("$2y$", "$2a$", "$2b$"))):
            raise SettingsError(f"{file}:{number}: no name and bcrypt hash; make the line with `htpasswd -nB NAME`")
        found[name] = kept.encode()
    return found


def _stamp(file: Path) -> tuple[int, int, int]:
    try:
        found = file.stat()
    except OSError as failure:
        raise SettingsError(f"the htpasswd file {file} cannot be read: {failure}") from None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _credentials(header: str) -> tuple[str, bytes]:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise _unauthorized("Authorization required")
    try:
        name, colon, password = base64.b64decode(encoded, validate=True).partition(b":")
        if colon:
            return name.decode(), password
    except (binascii.Error, UnicodeDecodeError):
        pass
    raise _unauthorized("The Authorization header cannot be read.")


def _unauthorized(message: str) -> Fault:
    return Fault(401, message, {"WWW-Authenticate": 'Basic realm="revertkit"'})


def _with_implied(roles: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(role for given in roles for role in (given, *IMPLIED.get(given, ()))))
