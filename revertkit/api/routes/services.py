"""Services: one ``manila-share`` per backend, which an administrator may take out of the placement of new shares."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from revertkit.api.answers import JSON, answers
from revertkit.api.call import Asked, Call
from revertkit.api.errors import Fault
from revertkit.api.wire import bodies
from revertkit.api.wire.views import BOOLEAN, INTEGER, STRING, TIME, Key, View, array, optional, time, wrapped
from revertkit.settings import DEFAULT_ZONE

router = APIRouter(prefix="/v2", tags=["services"])
BINARY = "manila-share"
SERVICE: View[dict[str, Any]] = View(
    Key("id", INTEGER, lambda s: s["id"]),
    Key("binary", STRING, lambda s: BINARY),
    Key("host", STRING, lambda s: s["host"]),
    Key("zone", STRING, lambda s: s["zone"]),
    Key("status", {"enum": ["enabled", "disabled"]}, lambda s: s["status"]),
    Key("state", {"enum": ["up", "down"]}, lambda s: s["state"]),
    Key("updated_at", optional(TIME), lambda s: s["updated_at"]),
    Key("disabled_reason", optional(STRING), lambda s: s["disabled_reason"], since=83),
    Key("ensuring", BOOLEAN, lambda s: False, since=86),
)
MANY = wrapped(services=array(SERVICE.schema()))
CHANGED = {
    "type": "object",
    "properties": {
        "host": STRING,
        "binary": STRING,
        "status": STRING,
        "disabled": BOOLEAN,
        "disabled_reason": optional(STRING),
    },
    "required": ["binary", "host"],
}


@router.get("/services", **answers("list_services", 200, MANY))
def list_services(call: Asked, request: Request) -> Response:
    """List the services; one is up whose backend answers."""
    call.within(since=7)
    return _listed(call, request)


@router.get("/os-services", **answers("list_services_as_before", 200, MANY))
def list_before(call: Asked, request: Request) -> Response:
    """List the services, up to 2.6."""
    call.within(until=6)
    return _listed(call, request)


def _listed(call: Call, request: Request) -> Response:
    call.demand("service:index")
    shown = [SERVICE.show(each, call.version) for each in _services(call)]
    wanted = {
        key: request.query_params[key]
        for key in ("host", "binary", "zone", "state", "status")
        if key in request.query_params
    }
    chosen = [each for each in shown if all(each[key] == value for key, value in wanted.items())]
    return JSON({"services": chosen})


def _services(call: Call) -> list[dict[str, Any]]:
    _, silent = call.manager.pools()
    disabled = call.manager.disabled_backends()
    return [
        {
            "id": number,
            "host": f"{call.manager.site.host}@{backend}",
            "zone": told.availability_zone or DEFAULT_ZONE,
            "status": "disabled" if backend in disabled else "enabled",
            "state": "down" if backend in silent else "up",
            "updated_at": time(call.manager.site.now()),
            "disabled_reason": disabled.get(backend) or None,
        }
        for number, (backend, told) in enumerate(call.manager.site.backends.items(), 1)
    ]


@router.put("/services/enable", **answers("enable_service", 200, CHANGED))
def enable(call: Asked, body: bodies.ServiceBody) -> Response:
    """Let new shares be placed on a backend."""
    return _changed(call, body, enabled=True)


@router.put("/services/disable", **answers("disable_service", 200, CHANGED))
def disable(call: Asked, body: bodies.ServiceBody) -> Response:
    """Place no new share on a backend; what is there stays."""
    return _changed(call, body, enabled=False)


def _changed(call: Call, body: bodies.ServiceBody, *, enabled: bool) -> Response:
    call.within(since=7)
    call.demand("service:update")
    host, _, backend = body.host.partition("@")
    if body.binary != BINARY or host != call.manager.site.host:
        raise Fault(404, f"There is no service {body.binary[:40]!r} on host {body.host[:80]!r}.")
    reason = body.disabled_reason if call.version.minor >= 83 else None
    call.manager.set_backend_enabled(backend, enabled=enabled, reason=reason)
    told: dict[str, Any] = {"host": body.host, "binary": BINARY, "disabled": not enabled}
    if call.version.minor >= 83:
        told |= {"status": "enabled" if enabled else "disabled", "disabled_reason": None if enabled else reason}
    return JSON(told)
