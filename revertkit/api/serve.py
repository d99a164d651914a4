"""The server's life: recover, then serve, then wait for what runs."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from revertkit.api import limits
from revertkit.api.app import build
from revertkit.api.door import Door
from revertkit.dispatch.looks import Looks
from revertkit.dispatch.threads import Threads
from revertkit.errors import SettingsError
from revertkit.log import get_logger
from revertkit.manager import ShareManager
from revertkit.metrics import Metrics
from revertkit.settings import ApiSettings, Settings

log = get_logger(__name__)
KEEP_ALIVE_SECONDS = 30


class Recovery:
    """What is done before anything is accepted: interrupted operations are finished or put back, shares brought online.

    It may take as long as a merge does; the health checks answer meanwhile, everything else is told to come again.
    """

    def __init__(self, manager: ShareManager, looks: Looks) -> None:
        self._manager, self._looks = manager, looks
        self._why = "interrupted operations are being recovered; try again in a moment"

    def not_ready(self) -> str:
        """Say why nothing is accepted yet; empty once it is."""
        return self._why

    def run(self) -> None:
        """Recover; what is left to mend is in the log, and does not keep the other shares from being served."""
        try:
            for each in self._manager.recover():
                log.info("recovered", share=each.share_id, what=each.what, found=each.found, at_rest=each.at_rest)
        except Exception as failure:
            self._why = f"recovery failed: {failure}; mend that and start again"
            log.error("recovery failed", exc_info=failure)
            return
        self._why = ""
        self._looks.start(self._manager)


def run(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until a signal says to stop.

    Raises:
        SettingsError, StoreError, LockError: with the mend; nothing was begun.
    """
    api = settings.api
    served = server(settings)
    with _listening(api) as listener:
        address, port = listener.getsockname()[:2]
        scheme = "https" if api.ssl_certfile else "http"
        host = f"[{address}]" if ":" in address else address
        announce(f"serving {scheme}://{host}:{port}/v2 (auth: {api.auth})")
        served.run(sockets=[listener])


def server(settings: Settings) -> uvicorn.Server:
    """Make the server that the settings describe; it listens nowhere yet.

    Raises:
        SettingsError, StoreError, LockError: with the mend; nothing was begun.
    """
    api = settings.api
    looks = Looks(api.look_seconds)
    threads = Threads(api.workers, looks.ended)
    manager = ShareManager.open(settings, dispatch=threads, progress=threads.progress)
    recovery, metrics = Recovery(manager, looks), Metrics(manager)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with metrics.counting():
            threading.Thread(target=recovery.run, name="recovery", daemon=True).start()
            yield
            looks.stop()
            await run_in_threadpool(threads.stop, api.stop_seconds)

    door = build(
        manager,
        api,
        settings.project,
        lifespan=lifespan,
        percent=threads.percent,
        metrics=metrics,
        not_ready=recovery.not_ready,
    )
    return uvicorn.Server(_config(door, api))


def _config(door: Door, api: ApiSettings) -> uvicorn.Config:
    config = uvicorn.Config(
        door,
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=limits.HEAD_BYTES,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(api.stop_seconds) or 1,
        ssl_certfile=api.ssl_certfile,
        ssl_keyfile=api.ssl_keyfile,
    )
    try:
        config.load()
    except OSError as failure:  # ssl.SSLError is one
        raise SettingsError(f"certificate {api.ssl_certfile} or its key cannot be used: {failure}") from None
    return config


def _listening(api: ApiSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in api.address else socket.AF_INET
    try:
        return socket.create_server((api.address, api.port), family=family)
    except OSError as failure:
        raise SettingsError(f"cannot listen at {api.address}, port {api.port}: {failure.strerror}") from None
