"""A virtual environment with the real `manila` package, made once and kept in the user's cache.

It has its own because Manila's requirements and ours need not agree. Its name is the pinned version and Python's, so
that a new pin makes a new one; whoever comes while it is being made waits.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

MANILA = "23.0.1"
SERVER = "waitress>=3"
"""What benchmarks/manila_server.py serves it with: Manila brings no server of its own that is not deprecated."""


def place() -> Path:
    """Say where it is kept."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return cache / "revertkit" / f"manila-{MANILA}-py{sys.version_info.major}.{sys.version_info.minor}"


def python() -> Path:
    """Answer its Python, and make it if it is not there: a minute or two, and the package index is needed."""
    home = place()
    home.parent.mkdir(parents=True, exist_ok=True)
    with (home.parent / f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "made").exists():
            _make(home)
    return home / "bin/python"


def _make(home: Path) -> None:
    if home.exists():
        shutil.rmtree(home)
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    pip = [home / "bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    subprocess.run([*pip, f"manila=={MANILA}", SERVER], check=True, timeout=1500)
    (home / "made").touch()
