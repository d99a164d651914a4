"""Shares as btrfs subvolumes: the example driver of revertkit's documents, complete and installable."""

from revertkit_btrfs.driver import BtrfsDriver

__all__ = ["BtrfsDriver"]
