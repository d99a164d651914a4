"""A mount that no process of this mount namespace can see."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HELD = 'mount -t tmpfs none /mnt && mkdir /mnt/held && mount --bind "$0" /mnt/held && echo held && exec sleep 602'


@contextmanager
def mounted_elsewhere(top: Path) -> Iterator[None]:
    """Keep what is mounted at `top` mounted in a namespace of its own.

    Only that: a private copy of all mounts would keep the shares of whatever test runs at the same time.
    """
    argv = ["unshare", "-m", "--propagation", "slave", "sh", "-c", HELD, top]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as hidden:
        try:
            assert hidden.stdout is not None
            assert hidden.stdout.readline() == "held\n"
            yield
        finally:
            hidden.kill()
