"""Shares on any Linux file system, without root: whole copies, and a revert that is one atomic exchange."""

from revertkit.drivers.directory.driver import DirectoryDriver

__all__ = ["DirectoryDriver"]
