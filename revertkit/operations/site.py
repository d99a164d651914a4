"""What an operation works with on this host: the store, the locks, the drivers, the clock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from revertkit import registry
from revertkit.driver import ShareDriver
from revertkit.errors import NotFound
from revertkit.locks import Locks
from revertkit.models import PoolId
from revertkit.settings import BackendSettings
from revertkit.store import Store


def utc_now() -> datetime:
    """The time, UTC."""
    return datetime.now(UTC)


class Site:
    """One host's means. Drivers are opened when they are first asked for, once."""

    def __init__(
        self,
        host: str,
        store: Store,
        locks: Locks,
        backends: Mapping[str, BackendSettings],
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.host, self.store, self.locks, self.backends, self.now = host, store, locks, backends, now
        self._drivers: dict[str, ShareDriver] = {}
        self._opening = threading.Lock()

    def zone(self, pool: PoolId) -> str | None:
        """Say in which availability zone a pool of this host is."""
        return self.backends[pool.backend].availability_zone

    def driver(self, backend: str) -> ShareDriver:
        """Answer the driver of a backend.

        Raises:
            NotFound: no such backend is configured here.
            DriverRefused, SettingsError: it cannot be opened; says why.
        """
        with self._opening:
            if backend not in self._drivers:
                if backend not in self.backends:
                    known = ", ".join(self.backends) or "none"
                    raise NotFound(f"backend {backend!r} is not configured on {self.host} (configured: {known})")
                settings = self.backends[backend]
                self._drivers[backend] = registry.open_backend(backend, settings.driver, settings.options)
            return self._drivers[backend]
