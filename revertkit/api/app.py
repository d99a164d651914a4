"""The whole API: every route, every error, and the way in."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Lifespan

from revertkit import __version__
from revertkit.api import auth
from revertkit.api.answers import JSON
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
from revertkit.settings import ApiSettings

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
    projects.router,
)


def routes(lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    """Put the routes together, and every error's answer; what the OpenAPI document is made of."""
    app = FastAPI(
        title="revertkit",
        version=__version__,
        description=__doc__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    for router in ROUTERS:
        app.include_router(router)
    app.add_exception_handler(Fault, _fault)
    app.add_exception_handler(RevertkitError, _error)
    app.add_exception_handler(RequestValidationError, _wrong_request)
    app.add_exception_handler(HTTPException, _unrouted)
    return app


def build(
    manager: ShareManager,
    settings: ApiSettings,
    project: str,
    *,
    lifespan: Lifespan[FastAPI] | None = None,
    percent: Callable[[str], float | None] = lambda share_id: None,
    not_ready: Callable[[], str] = lambda: "",
) -> Door:
    """Make the API of a manager.

    Raises:
        SettingsError: how to know who asks, or the policy, cannot be had as it is set.
    """
    app = routes(lifespan)
    app.state.check_ready = lambda: _check_ready(manager, not_ready())
    return Door(
        app=app,
        manager=manager,
        policy=Policy(settings.policy),
        auth=auth.chosen(settings, project),
        resources={path.split("/")[2] for path in app.openapi()["paths"] if path.startswith("/v2/")},
        max_body=settings.max_body,
        max_limit=settings.max_limit,
        percent=percent,
        not_ready=not_ready,
    )


def _check_ready(manager: ShareManager, why: str) -> None:
    if why:
        raise Fault(503, why)
    manager.type_names()


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
