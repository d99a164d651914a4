"""Shares in this process's memory: the reference driver, for tests of everything that calls a driver."""

from revertkit.drivers.memory.driver import MemoryDriver

__all__ = ["MemoryDriver"]
