"""Errors on the wire: Manila's envelope, and one table that says which error is which HTTP code on which route.

The usual codes are :data:`USUAL`. :data:`CODES` has what Manila answers differently on a route; an action is
a route of its own, ``share_action:extend``. The OpenAPI document is made from the same tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from revertkit.errors import (
    BackendError,
    Conflict,
    DriverRefused,
    HasReplicas,
    InvalidInput,
    LockError,
    NotFound,
    NotSupported,
    OperationFailed,
    QuotaExceeded,
    RevertkitError,
    SettingsError,
    StoreError,
)

Codes = Mapping[type[RevertkitError], int]

NAMES = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    501: "notImplemented",
    503: "serviceUnavailable",
}
"""What Manila calls an error of this code; any other is a ``computeFault``."""
FAULT = "computeFault"
NO_SUCH_RESOURCE = "The resource could not be found."
DENIED = "Access was denied to this resource."

USUAL: Codes = {
    InvalidInput: 400,
    NotFound: 404,
    Conflict: 409,
    QuotaExceeded: 413,
    NotSupported: 400,
    BackendError: 503,
    StoreError: 503,
    LockError: 503,
    SettingsError: 503,
    DriverRefused: 503,
}
CODES: dict[str, Codes] = {
    "create_share": {Conflict: 400},
    "delete_share": {Conflict: 403, HasReplicas: 409},
    "manage_share": {QuotaExceeded: 403, OperationFailed: 409},
    "manage_snapshot": {OperationFailed: 409},
    "delete_replica": {Conflict: 400},
    "replica_action:promote": {Conflict: 400},
    "replica_action:force_delete": {Conflict: 400},
    "create_replica": {Conflict: 400},
    "share_action:revert": {NotFound: 400, QuotaExceeded: 403},
    "share_action:extend": {Conflict: 400, QuotaExceeded: 403},
    "share_action:shrink": {Conflict: 400},
    "share_action:allow_access": {Conflict: 400},
    "share_action:deny_access": {Conflict: 400},
    "share_action:force_delete": {Conflict: 400},
    "share_action:unmanage": {Conflict: 403, HasReplicas: 409},
    "create_snapshot": {Conflict: 400, NotSupported: 422},
    "delete_snapshot": {Conflict: 400},
    "snapshot_action:allow_access": {Conflict: 400},
    "snapshot_action:deny_access": {Conflict: 400},
    "snapshot_action:unmanage": {Conflict: 403},
    "delete_type": {Conflict: 400},
}


class Fault(Exception):
    """An answer that is an error."""

    def __init__(self, code: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.headers = code, message, dict(headers or {})

    def body(self) -> dict[str, Any]:
        """Answer the envelope."""
        told: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.code == 413:
            told["retryAfter"] = self.headers.setdefault("Retry-After", "0")
        return {NAMES.get(self.code, FAULT): told}


def no_such_resource() -> Fault:
    """Say what Manila says of anything that is not offered, or not at this microversion."""
    return Fault(404, NO_SUCH_RESOURCE)


def fault_of(error: RevertkitError, route: str) -> Fault:
    """Say what an error is on a route."""
    codes = {**USUAL, **CODES.get(route, {})}
    code = next((codes[kind] for kind in type(error).__mro__ if kind in codes), 500)
    return Fault(code, str(error))


def codes_of(*routes: str) -> set[int]:
    """Name every code that these routes may answer with for an error of the manager's."""
    found = set(USUAL.values())
    for route in routes:
        found |= set(CODES.get(route, {}).values())
    return found
