"""The OpenAPI document: of the routes as they are, served at ``/openapi.json`` and checked in as ``docs/openapi.json``.

``python -m revertkit.api.document`` prints it.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from revertkit.api.app import routes


def document() -> dict[str, Any]:
    """Make the document."""
    return routes().openapi()


def text() -> str:
    """Write it as it is checked in."""
    return json.dumps(document(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
