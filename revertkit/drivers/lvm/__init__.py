"""Shares on LVM: a volume each, thick copy-on-write snapshots, reverts by ``lvconvert --merge``."""

from revertkit.drivers.lvm.driver import LvmDriver

__all__ = ["LvmDriver"]
