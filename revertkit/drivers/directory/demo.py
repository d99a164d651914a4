"""Where the demo's share lives on the directory backend: a directory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from revertkit.errors import InvalidInput


@contextmanager
def ground(home: Path, disk: Path | None) -> Iterator[dict[str, Any]]:
    """Make a directory in `home`, and answer the backend's options.

    Raises:
        InvalidInput: a disk was named, which this backend has no use for.
    """
    if disk is not None:
        raise InvalidInput("the directory backend has no use for a disk")
    (home / "shares").mkdir()
    yield {"mount_root": str(home / "shares")}
