"""What a case needs, declared in one place: what the driver claims, a hook of its harness, or something of this host.

A case names what it needs (``@requires("revert", "hold")``) and the behaviour of the contract that it holds
(``@behaviour(10)``: the numbers of docs/conformance.md). One whose need is not met is skipped, counted and listed at
the end under its kind; ``--require`` makes such a skip a failure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import pytest

from revertkit.capabilities import Capability
from revertkit.conformance.harness import HOOKS

behaviour = pytest.mark.behaviour
requires = pytest.mark.requires


class Kind(StrEnum):
    """Why a need is not met; the heading in the listing at the end."""

    CLAIM = "not claimed"
    HOOK = "no hook"
    HOST = "not possible here"


CLAIMS: dict[str, Capability] = {capability.name.lower(): capability for capability in Capability}
"""Capabilities by the names that cases and ``--require`` use."""
HOST: dict[str, str] = {
    "root": "owners can be changed by root alone",
    "attributes": "the share's file system keeps extended attributes",
    "acls": "the share's file system keeps access control lists",
    "shrink_with_snapshots": "a share that has snapshots can be shrunk",
    "kept": "what a snapshot holds can be read: mounted, by `snapshot_tree`, or as a new share",
    "exports": "the backend exports to an address that it is told",
    "nfs_client": "this host can mount over NFS what the backend exports",
    "second_place": "a directory can be mounted in another mount namespace, as in a container",
    "commands": "the driver runs commands, which could lie",
    "second_look": "a revert opens a step before the one that turns the share back",
    "new_identities": "a revert gives the share or the snapshot another identity",
}
"""What depends on host, storage and settings."""
NAMES = (*CLAIMS, *HOOKS, *HOST)


@dataclass(frozen=True)
class Unmet:
    """One need that is not met, and why."""

    name: str
    kind: Kind
    why: str


class Missing(Exception):
    """Raised by a case that finds on its way that a need is not met."""

    def __init__(self, name: str, why: str) -> None:
        assert name in HOST, name
        self.unmet = Unmet(name, Kind.HOST, why)
        super().__init__(why)


def name_of(text: str) -> str:
    """Answer the requirement that `text` names, also by a capability's reported name.

    Raises:
        ValueError: there is none; says which there are.
    """
    reported = {str(capability): name for name, capability in CLAIMS.items()}
    name = reported.get(text.strip(), text.strip().replace("-", "_"))
    if name not in NAMES:
        raise ValueError(f"there is no requirement {text!r}; there are {', '.join(NAMES)}")
    return name
