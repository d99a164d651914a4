"""What there is to test: what the driver claims, the hooks of its harness, and what this host has."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property

from revertkit.capabilities import Capability
from revertkit.conformance.harness import Harness
from revertkit.conformance.requirements import CLAIMS, HOST, Kind, Unmet


class Claims:
    """The part of a stage that says whether a requirement is met."""

    def __init__(self, harness: Harness, lacks: Mapping[Capability, str]) -> None:
        """Keep, by capability, why the backend does not have it; empty where it has."""
        self.harness, self.lacks = harness, lacks

    @property
    def claimed(self) -> list[str]:
        """The capabilities that driver, host and pool have, by the names of requirements."""
        return [name for name, capability in CLAIMS.items() if not self.lacks[capability]]

    def claims(self, name: str) -> bool:
        """Whether a capability is claimed."""
        return not self.lacks[CLAIMS[name]]

    def hooked(self, name: str) -> bool:
        """Whether the harness brings a hook."""
        return getattr(type(self.harness), name) is not getattr(Harness, name)

    def unmet(self, name: str) -> Unmet | None:
        """Say why a requirement is not met; None if it is, or if only the case can find out."""
        if name in CLAIMS:
            why = self.lacks[CLAIMS[name]]
            return Unmet(name, Kind.CLAIM, why) if why else None
        if name in HOST:
            why = self._host.get(name, "")
            return Unmet(name, Kind.HOST, why) if why else None
        if name in self.harness.inapplicable:
            return Unmet(name, Kind.HOST, self.harness.inapplicable[name])
        why = f"{type(self.harness).__name__} has no {name}"
        return None if self.hooked(name) else Unmet(name, Kind.HOOK, why)

    @cached_property
    def _host(self) -> dict[str, str]:
        """Say of what can be seen at once why it is not there; the rest a case finds out."""
        found = {} if os.geteuid() == 0 else {"root": "this is not root"}
        if not self.keeps_in_sight:
            found["kept"] = "the harness reads no snapshot, and no share can be made from one"
        return found

    @property
    def keeps_in_sight(self) -> bool:
        """Whether :meth:`kept` can be answered."""
        return self.sees_snapshots or self.claims("create_from_snapshot")

    @property
    def sees_snapshots(self) -> bool:
        """Whether a snapshot can be read where it is."""
        return self.harness.reads_snapshots or self.claims("mountable_snapshots")
