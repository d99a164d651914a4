"""ZFS: a dataset per share, reverted by ``lzc_rollback_to``."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from revertkit.drivers.zfs.driver import ZfsDriver

__all__ = ["ZfsDriver"]


def __getattr__(name: str) -> Any:
    # Late: `send_server` starts for every command of a replication over SSH, and needs none of the driver.
    if name == "ZfsDriver":
        from revertkit.drivers.zfs.driver import ZfsDriver

        return ZfsDriver
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
