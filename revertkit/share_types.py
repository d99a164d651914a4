"""The rules of extra specs: which are required, which are booleans, what a share copies of its type.

As in Manila: ``driver_handles_share_servers`` is required, and only false here; the ``…_support`` specs are public,
optional and false when they are absent, and copied to a share when it is made. A share made without
``revert_to_snapshot_support`` cannot be reverted, whatever its backend can do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from revertkit.errors import InvalidInput

REQUIRED = "driver_handles_share_servers"
COPIED = (
    "snapshot_support",
    "create_share_from_snapshot_support",
    "revert_to_snapshot_support",
    "mount_snapshot_support",
)
REPLICATION_TYPES = ("readable", "dr")
_TRUE = frozenset({"true", "t", "yes", "y", "on", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "off", "0"})


def boolean(key: str, value: str) -> bool:
    """Read a boolean spec: ``True``, ``yes``, ``on``, ``1``, … or ``<is> True``.

    Raises:
        InvalidInput: it is none.
    """
    if (read := truth(value.removeprefix("<is> "))) is None:
        raise InvalidInput(f"extra spec {key} is true or false, not {value!r}")
    return read


def truth(word: str) -> bool | None:
    """Read ``True``, ``yes``, ``on``, ``1``, … and their opposites, as OpenStack does; anything else is None."""
    word = word.strip().lower()
    return True if word in _TRUE else False if word in _FALSE else None


def checked(specs: Mapping[str, str]) -> dict[str, str]:
    """Return extra specs that a type can have.

    Raises:
        InvalidInput: the first that it cannot, or a required one that is not there.
    """
    if REQUIRED not in specs:
        raise InvalidInput(f"a share type needs the extra spec {REQUIRED}=false")
    for key, value in specs.items():
        _check_one(key, value)
    if specs[REQUIRED].startswith("<is>") or boolean(REQUIRED, specs[REQUIRED]):
        raise InvalidInput(f"{REQUIRED} is {specs[REQUIRED]!r}; revertkit's drivers do not, so it has to be false")
    return dict(specs)


def _check_one(key: str, value: str) -> None:
    if not re.fullmatch(r"[\w.:-]{1,255}", key, re.ASCII) or key.startswith("-"):
        raise InvalidInput(f"an extra spec's key is made of letters, digits, '_', '.', ':' and '-', not {key!r}")
    if not 1 <= len(value) <= 255 or not value.isprintable():
        raise InvalidInput(f"the value of extra spec {key} has 1 to 255 printable characters")
    if key in COPIED:
        boolean(key, value)
    if key == "replication_type" and value not in REPLICATION_TYPES:
        raise InvalidInput(
            f"replication_type is {' or '.join(REPLICATION_TYPES)}, not {value!r}: a share has one replica that is "
            "written to, which alone can be reverted"
        )


def copied(specs: Mapping[str, str]) -> dict[str, bool]:
    """Answer what a new share copies of its type; what is absent is False."""
    return {key: key in specs and boolean(key, specs[key]) for key in COPIED}
