"""``keystone``: tokens are validated by keystonemiddleware, which is WSGI: this hands it the headers and reads on.

Its options are those of ``[keystone_authtoken]`` (``www_authenticate_uri``, ``auth_url``, ``auth_type``, …), in the
settings' ``[api.keystone]``. It is an extra: ``pip install 'revertkit[keystone]'``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers

from revertkit.api.auth import Identity
from revertkit.api.errors import NAMES, Fault
from revertkit.errors import SettingsError
from revertkit.log import get_logger

log = get_logger(__name__)
AWAY = "The identity service cannot be asked now."


class Keystone:
    """Whoever has a token that Keystone knows, for the project that it is scoped to."""

    def __init__(self, options: Mapping[str, str]) -> None:
        """Prepare the middleware; Keystone is not asked yet.

        Raises:
            SettingsError: keystonemiddleware is not installed, or its options are wrong.
        """
        try:
            from keystonemiddleware import auth_token
        except ImportError as missing:
            raise SettingsError(
                f"auth = keystone needs keystonemiddleware ({missing}): pip install 'revertkit[keystone]'"
            ) from None
        if "auth_url" not in options:
            raise SettingsError("[api.keystone] needs auth_url, and auth_type, username, password, … of a service user")
        try:
            self._middleware = auth_token.AuthProtocol(_seen, dict(options))
        except Exception as wrong:
            raise SettingsError(f"[api.keystone] cannot be used: {wrong}") from wrong

    async def identify(self, headers: Headers) -> Identity:
        """Validate the token.

        Raises:
            Fault: 401, there is none or it is not valid; 503, Keystone cannot be asked.
        """
        return await run_in_threadpool(self._identify, headers)

    def _identify(self, headers: Headers) -> Identity:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "0",
            "wsgi.url_scheme": "http",
        }
        if token := headers.get("x-auth-token"):
            environ["HTTP_X_AUTH_TOKEN"] = token
        answered = _Answer()
        try:
            for _ in self._middleware(environ, answered):
                pass
        except Exception as failure:
            log.error("the identity service cannot be asked", exc_info=failure)
            raise Fault(503, AWAY) from None
        if answered.code != 200:
            raise _refused(answered)
        return _identity(environ)


def _seen(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Be the application behind the middleware: whoever comes this far has a valid token."""
    start_response("200 OK", [])
    return []


class _Answer:
    """What WSGI calls ``start_response``: it remembers what it was told."""

    code = 0

    def __call__(self, status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Callable[[bytes], None]:
        self.code = int(status.split(" ", 1)[0])
        self.headers = dict(headers)
        return lambda part: None


def _refused(answered: _Answer) -> Fault:
    if answered.code == 401:
        challenge = answered.headers.get("WWW-Authenticate", "Keystone")
        return Fault(401, "The request you have made requires authentication.", {"WWW-Authenticate": challenge})
    code = answered.code if answered.code in NAMES else 503
    return Fault(code, AWAY)


def _identity(environ: Mapping[str, Any]) -> Identity:
    project = environ.get("HTTP_X_PROJECT_ID")
    if environ.get("HTTP_X_IDENTITY_STATUS") != "Confirmed":
        raise Fault(401, "The request you have made requires authentication.", {"WWW-Authenticate": "Keystone"})
    if not project:
        raise Fault(403, "The token is not scoped to a project.")
    roles = tuple(role.strip().lower() for role in environ.get("HTTP_X_ROLES", "").split(",") if role.strip())
    return Identity(environ.get("HTTP_X_USER_ID"), {project: roles})
