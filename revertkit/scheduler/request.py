"""What is to be placed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from revertkit.models import PoolId
from revertkit.scheduler import extra_specs


@dataclass(frozen=True)
class Active:
    """The share that a replica is wanted of: where it is, what it replicates with, and every pool that has it."""

    pool: PoolId
    domain: str | None
    taken: frozenset[PoolId] = frozenset()


@dataclass(frozen=True)
class Request:
    """A new share, a replica of one that is there, or the growth of one."""

    size: int
    """GiB; of a growth only what is added."""
    specs: Mapping[str, str] = field(default_factory=dict)
    """The share type's extra specs, as they are on record."""
    protocol: str = "NFS"
    zone: str | None = None
    """The availability zone that was asked for."""
    named: str | None = None
    """The pool (``host@backend#pool``) or the backend that was asked for."""
    from_snapshot: bool = False
    grows: bool = False
    replica_of: Active | None = None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @cached_property
    def asked(self) -> dict[str, str]:
        """The extra specs, and that its protocol is spoken, unless they have a word on that."""
        return {"storage_protocol": f"<in> {self.protocol}", **self.specs}

    @cached_property
    def zones(self) -> frozenset[str]:
        """The zones that the share type allows; empty: all."""
        text = self.specs.get("availability_zones", "")
        return frozenset(zone.strip() for zone in text.split(",") if zone.strip())

    @cached_property
    def thin(self) -> bool:
        """Whether a thin pool's promises count, rather than its free room alone: unless the type says no thin pool."""
        specs = self.specs
        wanted = specs.get("thin_provisioning", specs.get("capabilities:thin_provisioning"))
        return wanted is None or extra_specs.matches(True, wanted)
