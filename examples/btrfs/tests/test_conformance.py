"""revertkit's conformance suite on this driver: the harness is named in pyproject.toml."""

from revertkit.conformance.cases import *  # noqa: F403
