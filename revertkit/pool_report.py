"""What a pool tells schedulers, field by field: Manila's names, so that the same dictionary goes through its scheduler.

Drivers add keys of their own; they are kept, and share types can ask for them. ``revertkit pool schema`` prints the
JSON Schema of this, which is in docs/pool_report.schema.json too.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

SCHEMA = "https://json-schema.org/draft/2020-12/schema"
OVER_SUBSCRIPTION = 20.0
"""How many times its size a thin pool may promise where its driver has no word on it; Manila's default."""


class PoolReport(BaseModel):
    """One pool's report. Capacities are GiB, rounded down where they are free, percentages are of the total."""

    model_config = ConfigDict(extra="allow", frozen=True, title="A pool's report to schedulers")

    pool_name: str = Field(description="the pool's name inside its backend")
    share_backend_name: str = Field(description="the backend's name in the settings")
    driver_name: str = Field(description="the driver's registered name")
    vendor_name: str = "revertkit"
    storage_protocol: str | list[str] = Field("NFS", description="what its shares are reached by")
    availability_zone: str = Field(description="the zone that it is in")
    reported_at: AwareDatetime = Field(description="when the backend was asked; an old report places nothing")
    driver_handles_share_servers: Literal[False] = False

    total_capacity_gb: float = Field(ge=0)
    free_capacity_gb: float = Field(ge=0, description="not written yet; a thin pool may promise more")
    allocated_capacity_gb: float = Field(ge=0, description="the sizes of all shares on record in this pool")
    provisioned_capacity_gb: float = Field(
        ge=0, description="what the pool has promised: the backend's word, else what is allocated"
    )
    thin_provisioning: bool | list[bool] = Field(False, description="whether it may promise more than it has")
    max_over_subscription_ratio: float = Field(
        OVER_SUBSCRIPTION, ge=1, description="thin: how many times its size the pool may promise"
    )
    reserved_percentage: float = Field(ge=0, le=100, description="kept free of new shares")
    reserved_snapshot_percentage: float = Field(ge=0, le=100, description="kept free of shares made from snapshots")
    reserved_share_extend_percentage: float = Field(ge=0, le=100, description="kept free of growth")

    snapshot_support: bool = Field(description="shares can have snapshots")
    create_share_from_snapshot_support: bool = Field(description="shares can be made from them")
    revert_to_snapshot_support: bool = Field(
        description="shares can be turned back to their latest one; where the pool replicates, replicated shares too"
    )
    mount_snapshot_support: bool = Field(description="snapshots can be mounted, read-only")
    replication_support: bool = False
    replicated_revert_support: bool = False
    extend_support: bool = False
    shrink_support: bool = False
    access_rules_support: bool = False
    manage_support: bool = False
    manage_snapshot_support: bool = False
    replication_type: Literal["readable", "dr"] | None = Field(None, description="the kind of replicas it can hold")
    replication_domain: str | None = Field(None, description="pools of one domain can hold each other's replicas")

    qos: bool = False
    dedupe: bool | list[bool] = False
    compression: bool | list[bool] = False
    faults: list[str] = Field(
        default_factory=list, description="why nothing can be placed here now; nothing is reported free then"
    )
    driver_errors: list[str] = Field(
        default_factory=list, description="what the driver claims and has not: a fault of the driver"
    )


def schema() -> dict[str, Any]:
    """Make the JSON Schema of a report as it is printed and served."""
    return {"$schema": SCHEMA, **PoolReport.model_json_schema(mode="serialization")}
