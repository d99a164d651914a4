"""The whole API: every route, every error, and the way in."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, cast

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import Lifespan

from revertkit import __version__
from revertkit.api import auth
from revertkit.api.answers import JSON, is_error
from revertkit.api.call import CALL, Call
from revertkit.api.door import Door
from revertkit.api.errors import NO_SUCH_RESOURCE, Fault, fault_of
from revertkit.api.policy import Policy
from revertkit.api.routes import (
    access_rules,
    export_locations,
    front,
    instances,
    messages,
    metadata,
    pools,
    projects,
    quotas,
    replicas,
    services,
    share_actions,
    shares,
    snapshot_actions,
    snapshots,
    types,
    zones,
)
from revertkit.api.wire.reading import fault_of_body
from revertkit.errors import RevertkitError
from revertkit.manager import ShareManager
from revertkit.metrics import Metrics
from revertkit.settings import ApiSettings

DESCRIPTION = """The REST API of revertkit, in the dialect of OpenStack Manila's v2.

Each path is also there with the project's id after `/v2`. The header `X-OpenStack-Manila-API-Version` says which
microversion is meant; without it, it is 2.0, and what is not there at it answers 404.
"""
ROUTERS = (
    front.router,
    shares.router,
    share_actions.router,
    export_locations.router,
    metadata.of_shares,
    access_rules.router,
    snapshots.router,
    snapshot_actions.router,
    metadata.of_snapshots,
    types.router,
    quotas.router,
    messages.router,
    pools.router,
    services.router,
    zones.router,
    instances.router,
    replicas.router,
    projects.router,
)


RESOURCES = frozenset(
    route.path.split("/")[2]
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, Route) and route.path.startswith("/v2/")
)


def routes(lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    """Put the routes together, and every error's answer; what the OpenAPI document is made of."""
    app = FastAPI(
        title="revertkit",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    for router in ROUTERS:
        app.include_router(router)
    app.openapi = cache(lambda: _document(app))  # type: ignore[method-assign]
    app.add_exception_handler(Fault, _fault)
    app.add_exception_handler(RevertkitError, _error)
    app.add_exception_handler(RequestValidationError, _wrong_request)
    app.add_exception_handler(HTTPException, _unrouted)
    return app


def _document(app: FastAPI) -> dict[str, Any]:
    """Make the OpenAPI document: FastAPI's, less what it takes for granted and this API answers in another way."""
    made = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
    for name in ("HTTPValidationError", "ValidationError"):
        made["components"]["schemas"].pop(name, None)
    made["components"]["responses"] = errors = {}
    for operation in (each for operations in made["paths"].values() for each in operations.values()):
        for code, response in operation["responses"].items():
            if is_error(response):
                errors[code] = response
                operation["responses"][code] = {"$ref": f"#/components/responses/{code}"}
    return made


def build(
    manager: ShareManager,
    settings: ApiSettings,
    project: str,
    *,
    lifespan: Lifespan[FastAPI] | None = None,
    percent: Callable[[str], float | None] = lambda share_id: None,
    metrics: Metrics | None = None,
    not_ready: Callable[[], str] = lambda: "",
) -> Door:
    """Make the API of a manager.

    Raises:
        SettingsError: how to know who asks, or the policy, cannot be had as it is set.
    """
    return Door(
        app=routes(lifespan),
        resources=RESOURCES,
        manager=manager,
        policy=Policy(settings.policy),
        auth=auth.chosen(settings, project),
        max_body=settings.max_body,
        max_limit=settings.max_limit,
        percent=percent,
        metrics=metrics,
        open_metrics=settings.open_metrics,
        not_ready=not_ready,
    )


def _answer(fault: Fault) -> Response:
    body = fault.body()
    return JSON(body, fault.code, headers=fault.headers)


async def _fault(request: Request, raised: Exception) -> Response:
    return _answer(cast(Fault, raised))


async def _error(request: Request, raised: Exception) -> Response:
    return _answer(fault_of(cast(RevertkitError, raised), _route_of(request)))


def _route_of(request: Request) -> str:
    """Name the route for the table of errors; an action is one of its own."""
    call: Call | None = request.scope.get(CALL)
    name = getattr(request.scope.get("route"), "name", "")
    return f"{name}:{call.action}" if call and call.action else name


async def _wrong_request(request: Request, raised: Exception) -> Response:
    return _answer(fault_of_body(cast(RequestValidationError, raised).errors()))


async def _unrouted(request: Request, raised: Exception) -> Response:
    """Answer as Manila does where there is no such path, or no such method of it."""
    code = cast(HTTPException, raised).status_code
    if code not in (404, 405):
        return _answer(Fault(code, str(cast(HTTPException, raised).detail)))
    return JSON({"message": NO_SUCH_RESOURCE, "code": "404 Not Found", "title": "Not Found"}, 404)
