"""ZFS: a dataset per share, reverted by ``lzc_rollback_to``."""

from revertkit.drivers.zfs.driver import ZfsDriver

__all__ = ["ZfsDriver"]
