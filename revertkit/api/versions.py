"""Version discovery, and microversions as Manila's clients negotiate them."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from revertkit.api.errors import Fault

HEADER = "X-OpenStack-Manila-API-Version"
EXPERIMENTAL = "X-OpenStack-Manila-API-Experimental"
_FORM = re.compile(r"([1-9]\d{0,8})\.([1-9]\d{0,8}|0)")


class Version(NamedTuple):
    """A microversion."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


OLDEST = Version(2, 0)
NEWEST = Version(2, 99)
"""Manila's own; below 2.73 its client cannot make snapshots."""


def v(minor: int) -> Version:
    """Write a microversion short: ``v(27)`` is 2.27."""
    return Version(2, minor)


def negotiated(asked: str | None) -> Version:
    """Read the microversion that a client asks for; without one it is the oldest.

    Raises:
        Fault: 400 if it is none, 406 if it is not offered.
    """
    if asked is None:
        return OLDEST
    if not (found := _FORM.fullmatch(asked)):
        raise Fault(400, f"API Version String {asked} is of invalid format. Must be of format MajorNum.MinorNum.")
    version = Version(int(found[1]), int(found[2]))
    if not OLDEST <= version <= NEWEST:
        said = f"Version {version} is not supported by the API. Minimum is {OLDEST} and maximum is {NEWEST}."
        raise Fault(406, said)
    return version


def discovery(base: str) -> dict[str, Any]:
    """Describe the API at `base`, the server's URL."""
    version = {
        "id": "v2.0",
        "status": "CURRENT",
        "version": str(NEWEST),
        "min_version": str(OLDEST),
        "updated": "2015-08-27T11:33:21Z",
        "links": [
            {"rel": "describedby", "type": "text/html", "href": "http://docs.openstack.org/"},
            {"rel": "self", "href": f"{base}/v2/"},
        ],
        "media-types": [
            {"base": "application/json", "type": "application/vnd.openstack.share+json;version=1"},
        ],
    }
    return {"versions": [version]}
