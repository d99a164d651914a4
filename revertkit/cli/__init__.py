"""The command line: parse, call the manager, print. No decisions.

One file per group of commands; :mod:`~revertkit.cli.app` puts them together, and turns every error into one line and
its exit code. Whatever takes time to import (SQLAlchemy, pydantic, the manager) is imported inside the commands, so
that ``--help`` and completion are quick.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper


def main() -> None:
    """Run the command line of this process."""
    from revertkit.cli.app import app

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="revertkit")
