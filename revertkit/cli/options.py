"""Arguments and options that several commands have, each with its sentence of help; reading ``key=value``."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer

from revertkit.status import Status

ShareArgument = Annotated[str, typer.Argument(metavar="SHARE", help="The share's id, or its name if only one has it.")]
SnapshotArgument = Annotated[
    str, typer.Argument(metavar="SNAPSHOT", help="The snapshot's id, or its name if only one has it.")
]
TypeArgument = Annotated[str, typer.Argument(metavar="TYPE", help="The share type's id or name.")]
SizeArgument = Annotated[int, typer.Argument(metavar="SIZE", help="The size, a whole number of GiB.")]
NameOption = Annotated[str | None, typer.Option("--name", "-n", help="A name to find it by; it need not be unique.")]
DescriptionOption = Annotated[str | None, typer.Option("--description", help="A sentence for people.")]
TypeOption = Annotated[
    str | None,
    typer.Option("--type", "--share-type", "-t", help="Its share type; default: default_share_type of the settings."),
]
MetadataOption = Annotated[
    list[str] | None, typer.Option("--metadata", metavar="KEY=VALUE", help="A note of your own; repeatable.")
]
AddressArgument = Annotated[str, typer.Argument(metavar="ADDRESS", help="An IP address, or a network as 10.0.0.0/24.")]
RuleArgument = Annotated[str, typer.Argument(metavar="RULE", help="The rule's id, or its address.")]
AllProjects = Annotated[bool, typer.Option("--all-projects", help="List those of every project.")]
Force = Annotated[bool, typer.Option("--force", help="Begin from any resting status, not only from the usual ones.")]

NUMBERS = {"ignore_unknown_options": True}
"""Context settings of a command that takes a number: ``-5`` is then a number, not an option that does not exist."""


class SettableStatus(StrEnum):
    """The statuses that can be set by hand; ``operations.set_status`` has the rule."""

    AVAILABLE = Status.AVAILABLE.value
    ERROR = Status.ERROR.value
    ERROR_DELETING = Status.ERROR_DELETING.value


StatusArgument = Annotated[SettableStatus, typer.Argument(metavar="STATUS", help=f"{', '.join(SettableStatus)}.")]


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """Read ``key=value`` texts.

    Raises:
        InvalidInput: one is not of that form, or a key comes twice.
    """
    from revertkit.errors import InvalidInput

    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise InvalidInput(f"{text!r} is not of the form key=value")
        if key in found:
            raise InvalidInput(f"{key!r} is set twice")
        found[key] = value
    return found
