"""What an administrator arranges: share types, quotas, user messages. No operation, no backend: records only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from revertkit import quota, share_types
from revertkit.errors import Conflict, InvalidInput, NotFound
from revertkit.models import Context, Message, QuotaUse, ShareType, checked_name, new_id
from revertkit.operations.site import Site
from revertkit.store import messages, quotas
from revertkit.store import share_types as stored_types

MAX_NOTES = 128
"""The most keys that metadata has."""


class Administration:
    """The part of :class:`~revertkit.manager.ShareManager` that only keeps records."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def create_type(
        self, name: str, extra_specs: Mapping[str, str], *, description: str | None = None, is_public: bool = True
    ) -> ShareType:
        """Make a share type. ``driver_handles_share_servers`` has to be there, and false."""
        made = ShareType(
            id=new_id(),
            name=optional_name(name) or "",
            description=description,
            is_public=is_public,
            extra_specs=share_types.checked(extra_specs),
            created_at=self.site.now(),
        )
        with self.site.store.write() as tx:
            stored_types.add(tx, made)
        return made

    def types(self) -> list[ShareType]:
        """List the share types by name."""
        with self.site.store.read() as tx:
            return stored_types.listed(tx)

    def type(self, share_type: str) -> ShareType:
        """Find a share type by id or name."""
        with self.site.store.read() as tx:
            return stored_types.find(tx, share_type)

    def set_type_specs(self, share_type: str, specs: Mapping[str, str]) -> ShareType:
        """Set extra specs of a type; shares that exist keep what they copied."""
        with self.site.store.write() as tx:
            found = stored_types.find(tx, share_type)
            share_types.checked({**found.extra_specs, **specs})
            stored_types.set_specs(tx, found.id, dict(specs))
        return self.type(found.id)

    def unset_type_specs(self, share_type: str, keys: list[str]) -> ShareType:
        """Remove extra specs of a type; a required one cannot be."""
        with self.site.store.write() as tx:
            found = stored_types.find(tx, share_type)
            share_types.checked({key: value for key, value in found.extra_specs.items() if key not in keys})
            stored_types.unset_specs(tx, found.id, keys)
        return self.type(found.id)

    def delete_type(self, share_type: str) -> None:
        """Delete a share type that no share has."""
        with self.site.store.write() as tx:
            stored_types.remove(tx, stored_types.find(tx, share_type).id)

    def type_names(self) -> dict[str, str]:
        """Answer the name of every share type, by id."""
        with self.site.store.read() as tx:
            return stored_types.names(tx)

    def visible_types(self, context: Context) -> list[ShareType]:
        """List the types that somebody may use: public ones and those open to their project; an administrator, all."""
        with self.site.store.read() as tx:
            listed = stored_types.listed(tx)
            granted = stored_types.granted(tx, context.project_id)
        return [each for each in listed if context.is_admin or each.is_public or each.id in granted]

    def visible_type(self, context: Context, share_type: str) -> ShareType:
        """Find a type by id or name, if it is one of :meth:`visible_types`.

        Raises:
            NotFound: it is none of them.
        """
        with self.site.store.read() as tx:
            found = stored_types.find(tx, share_type)
            if context.is_admin or found.is_public or found.id in stored_types.granted(tx, context.project_id):
                return found
        raise NotFound(f"there is no share type {share_type!r} here")

    def describe_type(self, share_type: str, **said: Any) -> ShareType:
        """Set a type's name, description, or whether it is public (``is_public``).

        Raises:
            InvalidInput, NotFound, Conflict: nothing has changed.
        """
        said = {**said, "name": optional_name(said["name"])} if "name" in said else said
        with self.site.store.write() as tx:
            found = stored_types.find(tx, share_type)
            stored_types.describe(tx, found.id, **said) if said else None
        return self.type(found.id)

    def type_projects(self, share_type: str) -> list[str]:
        """List the projects that a type which is not public is open to."""
        with self.site.store.read() as tx:
            return stored_types.projects(tx, stored_types.find(tx, share_type).id)

    def open_type(self, share_type: str, project_id: str) -> None:
        """Open a type that is not public to a project.

        Raises:
            NotFound, Conflict, InvalidInput: it is public, or open to it already; nothing has changed.
        """
        project_id = optional_name(project_id) or ""
        with self.site.store.write() as tx:
            stored_types.grant(tx, _private(tx, share_type).id, project_id)

    def close_type(self, share_type: str, project_id: str) -> None:
        """Close a type that is not public to a project; as :meth:`open_type`. Shares that exist stay."""
        with self.site.store.write() as tx:
            stored_types.revoke(tx, _private(tx, share_type).id, project_id)

    def quotas(self, project_id: str) -> dict[str, QuotaUse]:
        """Answer limit, use and reservations of a project."""
        with self.site.store.read() as tx:
            return quota.usage(tx, project_id)

    def set_quota(self, project_id: str | None, resource: str, limit: int) -> None:
        """Set a project's limit of one resource (None: the default of all projects); -1 is no limit."""
        quota.checked_resource(resource)
        if not -1 <= limit < 2**31:
            raise InvalidInput(f"a limit is a number from 0, or -1 for none, not {limit}")
        with self.site.store.write() as tx:
            quotas.set_limit(tx, optional_name(project_id) or quotas.DEFAULTS, resource, limit)

    def reset_quotas(self, project_id: str) -> None:
        """Put all of a project's limits back to the defaults."""
        with self.site.store.write() as tx:
            quotas.unset_limits(tx, project_id)

    def messages(self, context: Context) -> list[Message]:
        """List the project's user messages, newest first."""
        with self.site.store.read() as tx:
            return messages.listed(tx, context.project_id, self.site.now())

    def message(self, context: Context, message_id: str) -> Message:
        """Read one of the project's messages.

        Raises:
            NotFound: there is none, or it has expired.
        """
        with self.site.store.read() as tx:
            return messages.get(tx, message_id, context.project_id, self.site.now())

    def delete_message(self, context: Context, message_id: str) -> None:
        """Delete one of the project's messages."""
        with self.site.store.write() as tx:
            messages.remove(tx, message_id, context.project_id)


def _private(tx: Connection, share_type: str) -> ShareType:
    found = stored_types.find(tx, share_type)
    if found.is_public:
        raise Conflict(f"share type {found.name!r} is public: every project may use it")
    return found


def optional_name(name: str | None) -> str | None:
    """Return a name that is one, or none.

    Raises:
        InvalidInput: it would be an option, a path, or unreadable.
    """
    try:
        return None if name is None else checked_name(name)
    except ValueError as wrong:
        raise InvalidInput(str(wrong)) from None


def checked_notes(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return metadata that can be kept.

    Raises:
        InvalidInput: a key or value that is empty or too long, or too many of them.
    """
    if len(metadata) > MAX_NOTES:
        raise InvalidInput(f"metadata has at most {MAX_NOTES} keys, not {len(metadata)}")
    for key, value in metadata.items():
        if not key.strip() or len(key) > 255:
            raise InvalidInput(f"a metadata key has 1 to 255 characters, not {len(key)}")
        if not value.strip() or len(value) > 1023:
            raise InvalidInput(f"the value of metadata key {key!r} has 1 to 1023 characters")
    return dict(metadata)
