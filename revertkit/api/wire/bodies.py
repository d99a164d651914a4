"""What clients send: the bodies of creates, updates and actions, checked. Keys that nobody knows are ignored."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from revertkit.api.versions import Version, v
from revertkit.models import MAX_SIZE

Text = Annotated[str, StringConstraints(max_length=255)]
Long = Annotated[str, StringConstraints(max_length=1023)]
Notes = dict[str, str]
_TRUE = ("true", "t", "yes", "y", "on", "1")
_FALSE = ("false", "f", "no", "n", "off", "0")


def boolean(value: Any) -> Any:
    """Read a boolean as Manila does: JSON's own, or one of the usual words.

    Raises:
        ValueError: it is none.
    """
    word = str(value).strip().lower()
    if word not in _TRUE + _FALSE:
        raise ValueError(f"{value!r} is not a boolean")
    return word in _TRUE


def _uuid(text: str) -> str:
    import uuid

    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise ValueError(f"{text!r} is not a 'uuid'") from None


Boolean = Annotated[bool, BeforeValidator(boolean)]
UuidText = Annotated[str, AfterValidator(_uuid), Field(json_schema_extra={"format": "uuid"})]
GiB = Annotated[int, BeforeValidator(lambda n: int(n) if isinstance(n, str) and n.isdigit() else n), Field(strict=True)]
"""A size; digits in a string are one too, as Manila takes them."""


class Body(BaseModel):
    """An object of which only the named keys are read."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class NewShareBody(Body):
    """A share to create."""

    share_proto: Text
    size: Annotated[GiB, Field(ge=1, le=MAX_SIZE)]
    name: Text | None = Field(None, validation_alias=AliasChoices("name", "display_name"))
    description: Long | None = Field(None, validation_alias=AliasChoices("description", "display_description"))
    snapshot_id: UuidText | None = None
    share_type: Text | None = None
    volume_type: Text | None = None
    share_network_id: Text | None = None
    availability_zone: Text | None = None
    metadata: Notes | None = None
    is_public: Boolean = False
    share_group_id: Text | None = None
    scheduler_hints: dict[str, Any] | None = None
    mount_point_name: Text | None = None
    encryption_key_ref: Text | None = None


class ManagedShareBody(Body):
    """A share to adopt."""

    service_host: Text
    export_path: Long
    protocol: Text
    name: Text | None = Field(None, validation_alias=AliasChoices("name", "display_name"))
    description: Long | None = Field(None, validation_alias=AliasChoices("description", "display_description"))
    share_type: Text | None = None
    driver_options: dict[str, Any] | None = None
    is_public: Boolean = False
    share_server_id: Text | None = None


class Described(Body):
    """What may be said anew of a share or snapshot."""

    display_name: Text | None = None
    display_description: Long | None = None

    def said(self) -> dict[str, str | None]:
        """Say what was given, in our words."""
        ours = {"display_name": "name", "display_description": "description"}
        return {ours[key]: getattr(self, key) for key in ours if key in self.model_fields_set}


class DescribedShare(Described):
    """What may be said anew of a share."""

    is_public: Boolean = False


class NewSnapshotBody(Body):
    """A snapshot to take."""

    share_id: UuidText
    name: Text | None = Field(None, validation_alias=AliasChoices("name", "display_name"))
    description: Long | None = Field(None, validation_alias=AliasChoices("description", "display_description"))
    force: Any = None
    metadata: Notes | None = None


class ManagedSnapshotBody(Body):
    """A snapshot to adopt."""

    share_id: UuidText
    provider_location: Long
    name: Text | None = Field(None, validation_alias=AliasChoices("name", "display_name"))
    description: Long | None = Field(None, validation_alias=AliasChoices("description", "display_description"))
    driver_options: dict[str, Any] | None = None


class NewTypeBody(Body):
    """A share type to create."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    description: Long | None = None
    extra_specs: dict[str, Any] = Field(default_factory=dict)
    is_public: Boolean = Field(
        True,
        validation_alias=AliasChoices("share_type_access:is_public", "os-share-type-access:is_public"),
    )


class ChangedTypeBody(Body):
    """What may be changed of a share type."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = None
    description: Long | None = None
    is_public: Boolean | None = Field(None, validation_alias="share_type_access:is_public")


class ServiceBody(Body):
    """A service to enable or disable."""

    host: Text
    binary: Text
    disabled_reason: Text | None = None


class NewReplicaBody(Body):
    """A replica to make."""

    share_id: UuidText
    availability_zone: Text | None = None
    share_network_id: Text | None = None
    scheduler_hints: dict[str, Any] | None = None
    metadata: Notes | None = None


# --- bodies with their wrapper


class CreateReplica(Body):
    """``{"share_replica": {…}}``."""

    share_replica: NewReplicaBody


class CreateShare(Body):
    """``{"share": {…}}``."""

    share: NewShareBody


class ManageShare(Body):
    """``{"share": {…}}``."""

    share: ManagedShareBody


class UpdateShare(Body):
    """``{"share": {…}}``."""

    share: DescribedShare


class CreateSnapshot(Body):
    """``{"snapshot": {…}}``."""

    snapshot: NewSnapshotBody


class ManageSnapshot(Body):
    """``{"snapshot": {…}}``."""

    snapshot: ManagedSnapshotBody


class UpdateSnapshot(Body):
    """``{"snapshot": {…}}``."""

    snapshot: Described


class CreateType(Body):
    """``{"share_type": {…}}``, or ``volume_type`` as it was once called."""

    share_type: NewTypeBody = Field(validation_alias=AliasChoices("share_type", "volume_type"))


class UpdateType(Body):
    """``{"share_type": {…}}``."""

    share_type: ChangedTypeBody


class Metadata(Body):
    """``{"metadata": {…}}``."""

    metadata: Notes


class OneNote(Body):
    """``{"meta": {…}}``, with one key."""

    meta: Annotated[Notes, Field(min_length=1, max_length=1)] = Field(validation_alias=AliasChoices("meta", "metadata"))


class ExtraSpecs(Body):
    """``{"extra_specs": {…}}``."""

    extra_specs: dict[str, Any]


class QuotaSet(Body):
    """``{"quota_set": {…}}``."""

    quota_set: dict[str, Any]


# --- actions


class Nothing(Body):
    """An action without arguments."""


class Revert(Body):
    """Turn a share back to its most recent snapshot."""

    snapshot_id: UuidText


class Resize(Body):
    """Grow or shrink a share."""

    new_size: GiB
    force: Boolean = False


class Allow(Body):
    """Let somebody mount it."""

    access_type: Text
    access_to: Text
    access_level: Literal["rw", "ro"] | None = None
    metadata: Notes | None = None
    lock_visibility: Boolean = False
    lock_deletion: Boolean = False
    lock_reason: Long | None = None


class Deny(Body):
    """Take a rule away."""

    access_id: Text
    unrestrict: Boolean = False


class ResetStatus(Body):
    """Set a status by hand."""

    status: Text


class ResetTaskState(Body):
    """Set the state of a migration by hand; there is none."""

    task_state: Text | None


class ResetReplicaState(Body):
    """Set by hand how a replica stands to its active one; it is what the last look found."""

    replica_state: Text


class Project(Body):
    """A project that a share type is opened or closed to."""

    project: Text


class Action:
    """One action of a resource: its names by microversion, and its arguments."""

    def __init__(self, name: str, arguments: type[Body], since: int = 0, until: int = 99, old: bool = True) -> None:
        """Say from which microversion on it is there; `old`: up to 2.6 it had an ``os-`` before its name."""
        self.name, self.arguments, self.since, self.until, self.old = name, arguments, since, until, old

    def called(self, name: str, version: Version) -> bool:
        """Say whether this is what `name` means at `version`."""
        wanted = f"os-{self.name}" if self.old and version < v(7) else self.name
        return name == wanted and v(self.since) <= version <= v(self.until)

    def names(self) -> list[str]:
        """Answer every name that it ever had."""
        return [self.name, *([f"os-{self.name}"] if self.old else [])]


SHARE_ACTIONS = (
    Action("revert", Revert, since=27, old=False),
    Action("extend", Resize),
    Action("shrink", Resize),
    Action("allow_access", Allow),
    Action("deny_access", Deny),
    Action("access_list", Nothing, until=44),
    Action("reset_status", ResetStatus),
    Action("reset_task_state", ResetTaskState, since=22, old=False),
    Action("force_delete", Nothing),
    Action("unmanage", Nothing, since=7, old=False),
)
SNAPSHOT_ACTIONS = (
    Action("reset_status", ResetStatus),
    Action("force_delete", Nothing),
    Action("allow_access", Allow, since=32, old=False),
    Action("deny_access", Deny, since=32, old=False),
    Action("unmanage", Nothing, since=12, old=False),
)
INSTANCE_ACTIONS = (Action("reset_status", ResetStatus, since=3), Action("force_delete", Nothing, since=3))
REPLICA_ACTIONS = (
    Action("promote", Nothing, since=11, old=False),
    Action("resync", Nothing, since=11, old=False),
    Action("force_delete", Nothing, since=11, old=False),
    Action("reset_status", ResetStatus, since=11, old=False),
    Action("reset_replica_state", ResetReplicaState, since=11, old=False),
)
TYPE_ACTIONS = (
    Action("addProjectAccess", Project, old=False),
    Action("removeProjectAccess", Project, old=False),
)
