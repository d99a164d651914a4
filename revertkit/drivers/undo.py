"""What a driver takes back after a refusal: if that fails too, both are told, the refusal first."""

from __future__ import annotations

from collections.abc import Callable

from revertkit.errors import BackendError


def bring_back(online: Callable[[], object], refusal: Exception) -> None:
    """Bring online again what was taken offline for something that has been refused.

    Raises:
        BackendError: it could not be; says that and the refusal. So it is no Blocked: something has changed.
    """
    try:
        online()
    except Exception as second:  # noqa: BLE001 - both are told
        raise BackendError(f"{refusal}; then, bringing it online again: {second}") from refusal
