"""What is there without a name: version discovery, extensions, health."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response

from revertkit.api import versions
from revertkit.api.answers import ERROR, JSON, answers
from revertkit.api.call import Asked
from revertkit.api.door import CHECK_READY, METRICS, base_of
from revertkit.api.wire.views import ANYTHING, STRING, array, wrapped
from revertkit.metrics import CONTENT_TYPE, Metrics

router = APIRouter(tags=["versions"])
VERSIONS = wrapped(versions=array({"type": "object"}))
_OPEN: dict[str, Any] = {"content": {"application/json": {"schema": VERSIONS}}, "description": "Multiple Choices"}
HEALTH = wrapped(status=STRING)


@router.get("/", name="discover", operation_id="discover", status_code=300, responses={300: _OPEN})
def discover(request: Request) -> Response:
    """Say which versions of the API there are; nobody is asked who they are."""
    return JSON(versions.discovery(base_of(request.scope, request.headers)), 300)


@router.get("/v2", **answers("discover_v2", 200, VERSIONS))
@router.get("/v2/", **answers("discover_v2_slash", 200, VERSIONS))
def discover_v2(call: Asked) -> Response:
    """Say which versions of the API there are."""
    return JSON(versions.discovery(call.base))


@router.get("/v2/extensions", **answers("list_extensions", 200, wrapped(extensions=array(ANYTHING))))
def list_extensions(call: Asked) -> Response:
    """List the extensions of the API: none."""
    return JSON({"extensions": []})


def _health(code: int, schema: Any) -> dict[str, Any]:
    return {"description": str(code), "content": {"application/json": {"schema": schema}}}


@router.get("/healthz", name="healthz", operation_id="healthz", responses={200: _health(200, HEALTH)})
def healthz() -> Response:
    """Say that the process lives."""
    return JSON({"status": "ok"})


@router.get(
    "/metrics",
    name="metrics",
    operation_id="metrics",
    responses={
        200: {"description": "OK", "content": {"text/plain": {"schema": STRING}}},
        401: _health(401, ERROR),
        403: _health(403, ERROR),
        404: _health(404, ANYTHING),
        503: _health(503, ERROR),
    },
)
def metrics(request: Request) -> Response:
    """Tell Prometheus how the server fares."""
    figures: Metrics | None = request.scope[METRICS]
    if figures is None:
        raise HTTPException(404)
    return Response(figures.render(), media_type=CONTENT_TYPE)


@router.get(
    "/readyz",
    name="readyz",
    operation_id="readyz",
    responses={200: _health(200, HEALTH), 503: _health(503, ERROR)},
)
def readyz(request: Request) -> Response:
    """Say whether requests are served: recovery has ended, and the database answers.

    Raises:
        Fault, StoreError: 503, they are not.
    """
    request.scope[CHECK_READY]()
    return JSON({"status": "ready"})
