"""One request as the routes see it: who asks, for which project, at which microversion."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated

from fastapi import Depends, Request

from revertkit.api.errors import Fault, no_such_resource
from revertkit.api.policy import Policy
from revertkit.api.versions import Version
from revertkit.errors import NotFound
from revertkit.manager import ShareManager
from revertkit.models import Context, Share, Snapshot

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass
class Call:
    """One request."""

    manager: ShareManager
    policy: Policy
    version: Version
    request_id: str
    user_id: str | None
    project_id: str
    roles: tuple[str, ...]
    base: str
    """The server's URL."""
    prefix: str = ""
    """``/<project>`` where the request's URL had it; links have it then too."""
    experimental: bool = False
    max_limit: int = 1000
    percent: Callable[[str], float | None] = field(default=lambda share_id: None)
    action: str | None = None
    """The action that is asked for, once it is known."""

    @cached_property
    def is_admin(self) -> bool:
        """Whether an administrator asks."""
        return self.allows("context_is_admin")

    @cached_property
    def context(self) -> Context:
        """What the manager is told."""
        return Context(
            project_id=self.project_id, user_id=self.user_id, request_id=self.request_id, is_admin=self.is_admin
        )

    def allows(self, rule: str, whose: str | None = None) -> bool:
        """Say whether the policy allows it; `whose` project the thing is in, the caller's own by default."""
        return self.policy.allows(rule, self.project_id, self.roles, whose or self.project_id)

    def demand(self, rule: str, whose: str | None = None) -> None:
        """Refuse what the policy does not allow.

        Raises:
            Fault: 403.
        """
        self.policy.demand(rule, self.project_id, self.roles, whose or self.project_id)

    def within(self, since: int = 0, until: int = 10**9) -> None:
        """Refuse what this microversion does not have.

        Raises:
            Fault: 404, as for what there is not.
        """
        if not since <= self.version.minor <= until:
            raise no_such_resource()

    def share(self, share_id: str, rule: str) -> Share:
        """Find the share that the URL names, and ask the policy.

        Raises:
            Fault: 404, 403.
        """
        if not _UUID.fullmatch(share_id):
            raise no_such_resource()
        try:
            found = self.manager.share_by_id(self.context, share_id)
        except NotFound as missing:
            raise Fault(404, str(missing)) from None
        self.demand(rule, found.project_id)
        return found

    def snapshot(self, snapshot_id: str, rule: str) -> Snapshot:
        """Find the snapshot that the URL names, and ask the policy; as :meth:`share`."""
        if not _UUID.fullmatch(snapshot_id):
            raise no_such_resource()
        try:
            found = self.manager.snapshot_by_id(self.context, snapshot_id)
        except NotFound as missing:
            raise Fault(404, str(missing)) from None
        self.demand(rule, found.project_id)
        return found


CALL = "revertkit.call"


async def _of(request: Request) -> Call:
    call: Call = request.scope[CALL]
    return call


Asked = Annotated[Call, Depends(_of)]
"""The parameter of a route that takes its request's :class:`Call`."""
