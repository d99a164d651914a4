"""Who may mount a share, and who a snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from revertkit.acceptance import Acceptance
from revertkit.administration import checked_notes
from revertkit.capabilities import verbs
from revertkit.driver import SupportsAccessRules, SupportsMountableSnapshots
from revertkit.models import AccessLevel, AccessRule, Context, Snapshot
from revertkit.operations import access as access_story
from revertkit.operations import snapshot_access
from revertkit.store import shares
from revertkit.store.access import OF_SHARES, OF_SNAPSHOTS


class Access(Acceptance):
    """The part of :class:`~revertkit.manager.ShareManager` that lets people in."""

    def access_rules(self, context: Context, share: str) -> list[AccessRule]:
        """List a share's access rules."""
        found = self.share(context, share)
        with self.site.store.read() as tx:
            return OF_SHARES.listed(tx, found.id)

    def allow_access(
        self,
        context: Context,
        share: str,
        access_to: str,
        level: AccessLevel = AccessLevel.RW,
        *,
        metadata: Mapping[str, str] | None = None,
    ) -> AccessRule:
        """Let an IP address or network mount the share.

        Raises:
            InvalidInput, NotFound, NotSupported, Conflict: nothing has changed. OperationFailed: the rule is in error.
        """
        found = self.share(context, share)
        verbs(self._driver(found.pool), SupportsAccessRules)
        accept = partial(
            access_story.accept_allow,
            site=self.site,
            context=context,
            share=found,
            access_to=access_to,
            level=level,
            metadata=checked_notes(metadata or {}),
        )
        operation = self._start(accept, found.id)
        with self.site.store.read() as tx:
            return OF_SHARES.find(tx, found.id, operation.rule_id or "")

    def deny_access(self, context: Context, share: str, rule: str) -> None:
        """Take a rule (named by id or address) away; as :meth:`allow_access`."""
        found = self.share(context, share)
        verbs(self._driver(found.pool), SupportsAccessRules)
        with self.site.store.read() as tx:
            stored = OF_SHARES.find(tx, found.id, rule)
        accept = partial(access_story.accept_deny, site=self.site, context=context, share=found, rule=stored)
        self._start(accept, found.id)

    # --- of snapshots

    def snapshot_access_rules(self, context: Context, snapshot: str) -> list[AccessRule]:
        """List a snapshot's access rules."""
        found = self.snapshot(context, snapshot)
        with self.site.store.read() as tx:
            return OF_SNAPSHOTS.listed(tx, found.id)

    def allow_snapshot_access(self, context: Context, snapshot: str, access_to: str) -> AccessRule:
        """Let an IP address or network mount the snapshot, which is read-only.

        Raises:
            InvalidInput, NotFound, Conflict: nothing has changed.
            NotSupported: the share was made without ``mount_snapshot_support``, or its backend cannot do it.
            OperationFailed: the rule is in error.
        """
        found = self._mountable(context, snapshot)
        accept = partial(
            snapshot_access.accept_allow, site=self.site, context=context, snapshot=found, access_to=access_to
        )
        operation = self._start(accept, found.share_id)
        with self.site.store.read() as tx:
            return OF_SNAPSHOTS.find(tx, found.id, operation.rule_id or "")

    def deny_snapshot_access(self, context: Context, snapshot: str, rule: str) -> None:
        """Take a rule (named by id or address) away; as :meth:`allow_snapshot_access`."""
        found = self._mountable(context, snapshot)
        with self.site.store.read() as tx:
            stored = OF_SNAPSHOTS.find(tx, found.id, rule)
        accept = partial(snapshot_access.accept_deny, site=self.site, context=context, snapshot=found, rule=stored)
        self._start(accept, found.share_id)

    def _mountable(self, context: Context, snapshot: str) -> Snapshot:
        found = self.snapshot(context, snapshot)
        with self.site.store.read() as tx:
            share = shares.get(tx, found.share_id)
        snapshot_access.check(share)
        verbs(self._driver(share.pool), SupportsMountableSnapshots)
        return found
