"""How long a share cannot be read: run on a file of it, until standard input ends; answers JSON.

It asks for the file's size every 20 ms, and, once that fails, opens and reads it until that works. It does not read
before: a file that a client has open when its share goes offline keeps the share from being reverted, as it should.
"""

from __future__ import annotations

import json
import select
import sys
import time
from pathlib import Path

EVERY = 0.02


def look(path: Path, lost: bool) -> bool:
    """Say whether the share can be read."""
    try:
        return len(path.read_bytes()) > 0 if lost else path.stat().st_size > 0
    except OSError:
        return False


def main() -> None:
    """Look until told to end."""
    path, gap, slowest, looks, lost = Path(sys.argv[1]), 0.0, 0.0, 0, False
    print("ready", flush=True)
    seen = time.monotonic()
    while not select.select([sys.stdin], [], [], EVERY)[0]:
        began = time.monotonic()
        good, now = look(path, lost), time.monotonic()
        looks, slowest = looks + 1, max(slowest, now - began)
        if good:
            gap, seen = max(gap, now - seen), now
        lost = not good
    print(json.dumps({"gap": gap, "looks": looks, "slowest": slowest}))


if __name__ == "__main__":
    main()
