"""Device nodes as udev makes them: found, and waited for by its events."""

from __future__ import annotations

import time
from pathlib import Path

from revertkit.errors import BackendError
from revertkit.system.mounts import block_device


def wait_for(path: Path, seconds: float = 20.0) -> Path:
    """Answer `path` once udev has made it a block device's name, such as ``/dev/vg0/share-…``.

    Raises:
        BackendError: there is none after `seconds`.
    """
    if block_device(path):
        return path
    import pyudev  # late: most calls find the device there

    monitor = pyudev.Monitor.from_netlink(pyudev.Context())
    monitor.filter_by("block")
    monitor.start()
    # asked again only now: an event between the first look and the start would be lost
    end = time.monotonic() + seconds
    while block_device(path) is None:
        if (left := end - time.monotonic()) <= 0:
            raise BackendError(f"udev has made no {path} within {seconds:g} s")
        monitor.poll(timeout=left)
    return path
