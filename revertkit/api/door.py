"""What every request passes on its way in and out: request id, access log, limits, microversion, who asks.

An ASGI middleware of its own rather than several: the order matters, and each hop costs time. ``/`` and the health
checks are open to everybody; everything under ``/v2`` wants to know who asks.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from revertkit.api import limits, versions
from revertkit.api.auth import Authentication, Identity
from revertkit.api.call import CALL, Call
from revertkit.api.errors import Fault, fault_of
from revertkit.api.policy import Policy
from revertkit.errors import RevertkitError
from revertkit.log import get_logger
from revertkit.manager import ShareManager
from revertkit.metrics import Metrics

log = get_logger(__name__)
_PROJECT = re.compile(r"[0-9a-f-]+")
CHECK_READY = "revertkit.check_ready"
"""Where the scope has what ``/readyz`` calls."""
METRICS = "revertkit.metrics"
"""Where the scope has what ``/metrics`` shows."""


@dataclass
class Door:
    """The way in."""

    app: ASGIApp
    manager: ShareManager
    policy: Policy
    auth: Authentication
    resources: Collection[str]
    """The names that can follow ``/v2/``; a project that has one of them for its own is not in a URL."""
    max_body: int = 114688
    max_limit: int = 1000
    percent: Callable[[str], float | None] = field(default=lambda share_id: None)
    metrics: Metrics | None = None
    open_metrics: bool = False
    not_ready: Callable[[], str] = field(default=lambda: "")
    """Says why nothing is served yet; empty once it is."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        passage = _Passage(scope, send)
        try:
            await self._let_in(scope, receive, passage)
        except Fault as fault:
            await passage.refuse(fault)
        except RevertkitError as error:
            await passage.refuse(fault_of(error, ""))
        except Exception as failure:
            log.error("request failed", request_id=passage.request_id, exc_info=failure)
            if not passage.status:
                await passage.refuse(Fault(500, "The server has failed; its log says more under this request id."))
        finally:
            passage.log()

    async def _let_in(self, scope: Scope, receive: Receive, passage: _Passage) -> None:
        limits.check_head(scope)
        scope[CHECK_READY], scope[METRICS] = self._check_ready, self.metrics
        if scope["method"] not in ("GET", "HEAD"):
            receive = await limits.read_body(receive, self.max_body)
        if (scope["path"] + "/").startswith("/v2/"):
            headers = Headers(scope=scope)
            passage.begin_api(headers)
            passage.version = versions.negotiated(headers.get(versions.HEADER))
            if why := self.not_ready():
                raise Fault(503, why, {"Retry-After": "1"})
            scope[CALL] = self._call(scope, await self.auth.identify(headers), headers, passage)
        elif scope["path"] == "/metrics" and not self.open_metrics:
            headers = Headers(scope=scope)
            self._call(scope, await self.auth.identify(headers), headers, passage).demand("metrics:get")
        await self.app(scope, receive, passage)

    def _check_ready(self) -> None:
        """See whether requests are served.

        Raises:
            Fault: 503, not yet. StoreError: the database does not answer.
        """
        if why := self.not_ready():
            raise Fault(503, why)
        self.manager.type_names()

    def _call(self, scope: Scope, identity: Identity, headers: Headers, passage: _Passage) -> Call:
        project = self._project(scope, identity)
        default = next(iter(identity.projects))
        passage.who = f"{identity.user_id or '-'} {project or default}"
        return Call(
            manager=self.manager,
            policy=self.policy,
            version=passage.version,
            request_id=passage.request_id,
            user_id=identity.user_id,
            project_id=project or default,
            roles=identity.projects[project or default],
            base=base_of(scope, headers),
            prefix=f"/{project}" if project else "",
            experimental=headers.get(versions.EXPERIMENTAL, "").lower() == "true",
            max_limit=self.max_limit,
            percent=self.percent,
        )

    def _project(self, scope: Scope, identity: Identity) -> str | None:
        """Take the project's id out of the path, if it is there.

        Raises:
            Fault: 400, it is not one of the caller's.
        """
        _, version, first, *rest = (scope["path"] + "/").split("/", 3)
        if first in self.resources or not (_PROJECT.fullmatch(first) or first in identity.projects):
            return None
        if first not in identity.projects:
            raise Fault(400, "Malformed request url")
        path = f"/{version}/{rest[0].rstrip('/')}" if rest else f"/{version}"
        scope["path"], scope["raw_path"] = path, path.encode()
        return str(first)


def base_of(scope: Scope, headers: Headers) -> str:
    """Say the server's URL as the client knows it."""
    server = scope.get("server") or ("localhost", 0)
    return f"{scope['scheme']}://{headers.get('host') or f'{server[0]}:{server[1]}'}"


class _Passage:
    """The way out: a `send` that adds the headers that each answer has, and remembers what was answered."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.request_id = f"req-{uuid.uuid4()}"
        self.version = versions.OLDEST
        self.status = 0
        self.who = "- -"
        self._method, self._path = scope["method"], scope["path"]
        self._send, self._began = send, time.perf_counter()
        self._headers = {"x-compute-request-id": self.request_id, "x-openstack-request-id": self.request_id}

    def begin_api(self, headers: Headers) -> None:
        """Know that this is under ``/v2``."""
        self._headers["Vary"] = versions.HEADER
        if echo := headers.get(versions.EXPERIMENTAL):
            self._headers[versions.EXPERIMENTAL] = echo

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers.update(self._headers)
            if "Vary" in self._headers:
                headers[versions.HEADER] = str(self.version)
        await self._send(message)

    async def refuse(self, fault: Fault) -> None:
        body = json.dumps(fault.body()).encode()
        told = {"content-type": "application/json", "content-length": str(len(body)), **fault.headers}
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in told.items()]
        await self({"type": "http.response.start", "status": fault.code, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    def log(self) -> None:
        """Write the access log: never a query, a header or a body."""
        milliseconds = round((time.perf_counter() - self._began) * 1000, 1)
        log.info(
            "request",
            method=self._method,
            path=self._path,
            status=self.status,
            ms=milliseconds,
            who=self.who,
            request_id=self.request_id,
        )
