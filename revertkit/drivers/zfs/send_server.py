"""What a replica's host may do on its active one's: the forced command of its key in ``authorized_keys``.

``command="revertkit-zfs-send-server tank0/shares",restrict ssh-ed25519 …`` lets that key run the few commands of
:mod:`~revertkit.drivers.zfs.active` on the shares below ``tank0/shares``: look, take, send and destroy markers, send
snapshots, keep writers out; nothing else, and no shell. What is asked for (``SSH_ORIGINAL_COMMAND``) has to be one of
them to the last character, and runs with the rights of the account, which ``zfs allow`` gives
(docs/replication-zfs.md).
"""

from __future__ import annotations

import os
import re
import sys
from typing import NoReturn

from revertkit.drivers.zfs import listing, openzfs
from revertkit.drivers.zfs.lineage import UUID
from revertkit.errors import InvalidInput, RevertkitError
from revertkit.system.run import become

REFUSED = 2
RESUMING = r"[0-9]+-[0-9a-f]+-[0-9a-f]+-[0-9a-f]+"
"""What ``receive_resume_token`` looks like (lib/libzfs/libzfs_sendrecv.c)."""


def forms(pool: str) -> tuple[str, ...]:
    """Answer a regular expression for each command that may run on the shares below `pool`."""
    share = rf"{re.escape(openzfs.checked(pool))}/share-{UUID}"
    marker, replica = rf"{share}@marker-{UUID}-[0-9a-f]{{12}}", rf"{listing.MARKER}={UUID}"
    point = rf"{share}@(?:snap-{UUID}|marker-{UUID}-[0-9a-f]{{12}})"
    looked = re.escape(",".join(listing.ASKED))
    return (
        rf"zfs get -Hp -d 1 -t filesystem,snapshot,bookmark -o name,property,value,source {looked} {share}",
        rf"zfs snapshot -o {replica} {marker}",
        rf"zfs set {replica}{listing.RECEIVED} {marker}",
        rf"zfs destroy {marker}",
        rf"zfs set readonly=(?:on|off) {share}",
        rf"zfs send -vPLec (?:-i {point} )?(?P<sent>{point})",
        rf"zfs send -vP -t (?P<token>{RESUMING})",
    )


def checked(asked: str, pool: str) -> tuple[list[str], str]:
    """Return what is asked for as an argv, and which snapshot it sends, if it sends one.

    Raises:
        InvalidInput: it is none of the commands that are let through.
    """
    found = next((match for form in forms(pool) if (match := re.fullmatch(form, asked))), None)
    if found is None:
        raise InvalidInput(f"this key may not run {asked[:200]!r}: it replicates the shares below {pool}, no more")
    parts = found.groupdict()
    sent = parts.get("sent") or ""
    if token := parts.get("token"):
        sent = openzfs.read_token(token).name
        checked(" ".join(["zfs", "send", "-vPLec", sent]), pool)
    return asked.split(" "), sent


def main() -> NoReturn:
    """Run the command that was asked for, in this process's place."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: revertkit-zfs-send-server POOL (see docs/replication-zfs.md)\n")
        sys.exit(REFUSED)
    try:
        argv, sent = checked(os.environ.get("SSH_ORIGINAL_COMMAND", ""), sys.argv[1])
        become(argv, sent)
    except RevertkitError as refused:
        sys.stderr.write(f"revertkit-zfs-send-server: {refused}\n")
        sys.exit(refused.exit_code)
