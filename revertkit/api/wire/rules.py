"""Access rules of shares and of snapshots."""

from __future__ import annotations

from dataclasses import dataclass

from revertkit.api.wire.views import NOTES, STRING, TIME, UUID, Key, View, optional, time
from revertkit.models import AccessRule
from revertkit.status import RuleState, Status

OLD_STATES = {RuleState.APPLYING: "new", RuleState.DENYING: Status.DELETING.value}
"""What a rule's state was called before 2.28."""


@dataclass(frozen=True)
class ShownRule:
    """A rule and the share that it is of."""

    rule: AccessRule
    share_id: str


def _state(shown: ShownRule) -> str:
    return shown.rule.state


def _old_state(shown: ShownRule) -> str:
    return OLD_STATES.get(shown.rule.state, shown.rule.state)


LISTED: View[ShownRule] = View(
    Key("id", UUID, lambda s: s.rule.id),
    Key("access_type", STRING, lambda s: s.rule.access_type),
    Key("access_to", STRING, lambda s: s.rule.access_to),
    Key("access_level", STRING, lambda s: s.rule.access_level),
    Key("state", STRING, _old_state, until=27),
    Key("state", STRING, _state, since=28),
    Key("access_key", optional(STRING), lambda s: None, since=21),
    Key("created_at", TIME, lambda s: time(s.rule.created_at), since=33),
    Key("updated_at", optional(TIME), lambda s: time(s.rule.updated_at), since=33),
    Key("metadata", NOTES, lambda s: s.rule.metadata, since=45),
)
RULE: View[ShownRule] = View(Key("share_id", UUID, lambda s: s.share_id), *LISTED.keys)
SNAPSHOT_RULE: View[AccessRule] = View(
    Key("id", UUID, lambda rule: rule.id),
    Key("access_type", STRING, lambda rule: rule.access_type),
    Key("access_to", STRING, lambda rule: rule.access_to),
    Key("state", STRING, lambda rule: rule.state),
)
