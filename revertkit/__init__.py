"""Turn a share back, in place, to its most recent snapshot, and never lose a snapshot doing it.

Driver authors start at :mod:`revertkit.driver`; programs that manage shares start at
:class:`revertkit.manager.ShareManager`; people start at ``revertkit --help``.
"""

__version__ = "0.1.0"
