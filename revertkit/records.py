"""What is on record, as a server reads and edits it: one by its id, many by the page, names and notes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from revertkit.acceptance import Acceptance, scope_of
from revertkit.administration import checked_notes, optional_name
from revertkit.errors import NotFound
from revertkit.models import AccessRule, Context, Share, Snapshot
from revertkit.store import backends, share_pages, shares, snapshot_pages, snapshots
from revertkit.store.access import OF_SHARES
from revertkit.store.pages import Page

T = TypeVar("T", Share, Snapshot)


class Records(Acceptance):
    """The part of :class:`~revertkit.manager.ShareManager` that reads and describes."""

    def share_by_id(self, context: Context, share_id: str) -> Share:
        """Read a share.

        Raises:
            NotFound: there is none of this id that this caller may see.
        """
        with self.site.store.read() as tx:
            share = shares.get(tx, share_id)
        return _seen(context, share, f"there is no share {share_id}")

    def snapshot_by_id(self, context: Context, snapshot_id: str) -> Snapshot:
        """Read a snapshot; as :meth:`share_by_id`."""
        with self.site.store.read() as tx:
            snapshot = snapshots.get(tx, snapshot_id)
        return _seen(context, snapshot, f"there is no snapshot {snapshot_id}")

    def share_page(
        self, context: Context, wanted: Mapping[str, Any], page: Page, *, everyone: bool = False, count: bool = False
    ) -> tuple[list[Share], int | None]:
        """Read one page of the project's shares; `everyone`, an administrator, of all projects'.

        Raises:
            InvalidInput: a filter, sort key or marker that there is not.
        """
        project_id = None if everyone and context.is_admin else context.project_id
        with self.site.store.read() as tx:
            return share_pages.page(tx, project_id, wanted, page, count=count)

    def snapshot_page(
        self, context: Context, wanted: Mapping[str, Any], page: Page, *, everyone: bool = False, count: bool = False
    ) -> tuple[list[Snapshot], int | None]:
        """Read one page of snapshots; as :meth:`share_page`."""
        project_id = None if everyone and context.is_admin else context.project_id
        with self.site.store.read() as tx:
            return snapshot_pages.page(tx, project_id, wanted, page, count=count)

    def describe_share(self, context: Context, share: str, **said: str | None) -> Share:
        """Set a share's name or description.

        Raises:
            InvalidInput, NotFound: nothing has changed.
        """
        found = self.share_by_id(context, share)
        with self.site.store.write() as tx:
            shares.describe(tx, found.id, **_said(said)) if said else None
        return self.share_by_id(context, found.id)

    def describe_snapshot(self, context: Context, snapshot: str, **said: str | None) -> Snapshot:
        """Set a snapshot's name or description; as :meth:`describe_share`."""
        found = self.snapshot_by_id(context, snapshot)
        with self.site.store.write() as tx:
            snapshots.describe(tx, found.id, **_said(said)) if said else None
        return self.snapshot_by_id(context, found.id)

    def note_share(self, context: Context, share: str, change: Callable[[dict[str, str]], dict[str, str]]) -> Share:
        """Change a share's metadata: `change` answers what it becomes.

        Raises:
            InvalidInput, NotFound: nothing has changed.
        """
        found = self.share_by_id(context, share)
        with self.site.store.write() as tx:
            shares.hold(tx, found.id)
            shares.describe(tx, found.id, metadata=checked_notes(change(shares.get(tx, found.id).metadata)))
        return self.share_by_id(context, found.id)

    def note_snapshot(
        self, context: Context, snapshot: str, change: Callable[[dict[str, str]], dict[str, str]]
    ) -> Snapshot:
        """Change a snapshot's metadata; as :meth:`note_share`."""
        found = self.snapshot_by_id(context, snapshot)
        with self.site.store.write() as tx:
            shares.hold(tx, found.share_id)
            snapshots.describe(tx, found.id, metadata=checked_notes(change(snapshots.get(tx, found.id).metadata)))
        return self.snapshot_by_id(context, found.id)

    def access_rule(self, context: Context, rule_id: str) -> tuple[Share, AccessRule]:
        """Read an access rule of a share, and the share.

        Raises:
            NotFound: there is none that this caller may see.
        """
        with self.site.store.read() as tx:
            share_id, rule = OF_SHARES.get(tx, rule_id)
            share = shares.get(tx, share_id)
        return _seen(context, share, f"there is no access rule {rule_id!r}"), rule

    def note_rule(
        self, context: Context, rule_id: str, change: Callable[[dict[str, str]], dict[str, str]]
    ) -> dict[str, str]:
        """Change an access rule's metadata, and answer it; as :meth:`note_share`."""
        self.access_rule(context, rule_id)
        with self.site.store.write() as tx:
            notes = checked_notes(change(OF_SHARES.get(tx, rule_id)[1].metadata))
            OF_SHARES.note(tx, rule_id, notes)
        return notes

    def disabled_backends(self) -> dict[str, str]:
        """Say which backends of this host take no new share, and why."""
        with self.site.store.read() as tx:
            return backends.disabled(tx, self.site.host)

    def set_backend_enabled(self, backend: str, *, enabled: bool, reason: str | None = None) -> None:
        """Let new shares be placed on a backend, or none.

        Raises:
            NotFound: it is not configured here.
        """
        if backend not in self.site.backends:
            raise NotFound(f"backend {backend!r} is not configured on {self.site.host}")
        with self.site.store.write() as tx:
            if enabled:
                backends.enable(tx, self.site.host, backend)
            else:
                backends.disable(tx, self.site.host, backend, reason, self.site.now())


def _said(said: Mapping[str, str | None]) -> dict[str, str | None]:
    if "name" in said:
        return {**said, "name": optional_name(said["name"])}
    return dict(said)


def _seen(context: Context, found: T, otherwise: str) -> T:
    if scope_of(context) not in (None, found.project_id):
        raise NotFound(otherwise)
    return found
