"""One look at a volume group: the fields that are asked for, each volume as a row with types, our tags and names."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from revertkit.errors import InvalidInput

FIELDS = (
    "lv_name,lv_uuid,lv_size,lv_tags,lv_time,lv_attr,lv_layout,origin,pool_lv,lv_active,lv_device_open,lv_merging,"
    "lv_merge_failed,lv_snapshot_invalid,lv_check_needed,lv_health_status,snap_percent,data_percent,metadata_percent,"
    "vg_name,vg_free"
)


@dataclass(frozen=True)
class Volume:
    """One logical volume as one ``lvs`` saw it; sizes in bytes, `taken` in seconds since the epoch.

    `ailment` is what LVM says is wrong with it, in its own words; `pool` the thin pool that it is in.
    """

    group: str
    name: str
    uuid: str
    size: int
    tags: frozenset[str]
    taken: int
    origin: str
    active: bool
    open: bool
    read_only: bool
    merging: bool
    merge_failed: bool
    invalid: bool
    used_percent: float | None
    group_free: int
    layout: str = "linear"
    hidden: bool = False
    pool: str = ""
    data_percent: float | None = None
    metadata_percent: float | None = None
    ailment: str = ""

    @property
    def path(self) -> Path:
        """Its device node, by the name that stays the same."""
        return Path("/dev") / self.group / self.name

    def tag(self, key: str) -> str | None:
        """The value of its tag `revertkit.<key>=`, if it has one."""
        prefix = f"revertkit.{key}="
        return next((t.removeprefix(prefix) for t in sorted(self.tags) if t.startswith(prefix)), None)

    @property
    def marks(self) -> list[str]:
        """All of our tags on it."""
        return sorted(t for t in self.tags if t.startswith("revertkit."))

    @property
    def filesystem(self) -> str:
        """What a share's volume was formatted with, whatever the backend's setting says by now."""
        return self.tag("fs") or "ext4"


def tag(key: str, value: str | int) -> str:
    """Write one of our tags."""
    return f"revertkit.{key}={value}"


def named(kind: str, identity: str) -> str:
    """Build a volume's name from an id.

    Raises:
        InvalidInput: LVM takes no such name.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.+-]{1,64}", identity):
        raise InvalidInput(f"{identity!r} cannot be part of a logical volume's name")
    return f"{kind}-{identity}"


def parse(report: str) -> list[Volume]:
    """Read the JSON report of ``lvs --binary --units b --nosuffix``."""
    return [_volume(row) for part in json.loads(report)["report"] for row in part["lv"]]


def _volume(row: dict[str, str]) -> Volume:
    return Volume(
        group=row["vg_name"],
        name=row["lv_name"].strip("[]"),
        uuid=row["lv_uuid"],
        size=int(row["lv_size"]),
        tags=frozenset(filter(None, row["lv_tags"].split(","))),
        taken=int(row["lv_time"]),
        origin=row["origin"].strip("[]"),
        active=row["lv_active"] not in ("", "0", "-1"),
        open=row["lv_device_open"] == "1",
        read_only=row["lv_attr"][1] in "rR",
        merging=row["lv_merging"] == "1",
        merge_failed=row["lv_merge_failed"] == "1",
        invalid=row["lv_snapshot_invalid"] == "1",
        used_percent=None if row["pool_lv"] else _percent(row["snap_percent"]),  # of a thin one: of what is written
        group_free=int(row["vg_free"]),
        layout=row["lv_layout"],
        hidden=row["lv_name"].startswith("["),
        pool=row["pool_lv"].strip("[]"),
        data_percent=_percent(row["data_percent"]),
        metadata_percent=_percent(row["metadata_percent"]),
        ailment=" ".join(filter(None, [row["lv_health_status"], "check_needed" * (row["lv_check_needed"] == "1")])),
    )


def _percent(field: str) -> float | None:
    """Read a percentage; of what is not active LVM knows none."""
    return float(field) if field else None
