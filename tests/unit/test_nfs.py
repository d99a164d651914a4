"""NFS: what is written for exports(5), and what the server tells of its clients."""

import os
from pathlib import Path

import pytest

from revertkit.errors import BackendError, InvalidInput
from revertkit.models import AccessLevel, AccessRule
from revertkit.system import nfs
from revertkit.system.run import Completed

CONTROL = Path("/proc/fs/nfsd/clients/7/ctl")
SHARE = "6f1c1f3e-0d0f-4a3e-9d6e-0f3b6f0f8a11"
OPTIONS = f"sync,no_subtree_check,no_root_squash,mp,fsid={SHARE}"
RULES = (
    AccessRule(id="1", access_to="10.0.0.5"),
    AccessRule(id="2", access_to="10.1.0.0/16", access_level=AccessLevel.RO),
    AccessRule(id="3", access_to="fd00::1"),
)


class Server:
    """An exportfs that does what it is told, or not."""

    def __init__(self, root: Path) -> None:
        self.runs, self.deaf, self.etab = 0, False, root / "etab"
        self.exports = root / "exports.d"

    def run(self, argv: list[str], ok: tuple[int, ...]) -> Completed:
        assert argv == ["exportfs", "-ra"]
        self.runs += 1
        if not self.deaf:
            lines = "".join(f.read_text() for f in self.exports.glob("*.exports"))
            path, *clients = lines.split() or [""]
            self.etab.write_text("".join(f"{path}\t{c}\n" for c in clients))
        return Completed(1 if self.deaf else 0, "", "exportfs: deaf" if self.deaf else "")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Server:
    fake = Server(tmp_path)
    monkeypatch.setattr(nfs, "EXPORTS", fake.exports)
    monkeypatch.setattr(nfs, "ETAB", fake.etab)
    monkeypatch.setattr(nfs, "run", fake.run)
    return fake


def test_a_line_of_exports() -> None:
    assert nfs.line(SHARE, Path("/srv/a"), RULES) == (
        f'"/srv/a" 10.0.0.5(rw,{OPTIONS}) 10.1.0.0/16(ro,{OPTIONS}) fd00::1(rw,{OPTIONS})\n'
    )


def test_read_only_whatever_the_rules_say() -> None:
    assert "(rw," not in nfs.line(SHARE, Path("/srv/a"), RULES, read_only=True)


@pytest.mark.parametrize(
    ("path", "quoted"),
    [("/srv/my share", r'"/srv/my\040share"'), ('/a"b#c\\d', r'"/a\042b\043c\134d"'), ("/srv/café", '"/srv/café"')],
)
def test_paths_are_quoted(path: str, quoted: str) -> None:
    assert nfs.line(SHARE, Path(path), RULES).startswith(quoted + " ")


@pytest.mark.parametrize(
    "hostile",
    ["*", "host.example", "10.0.0.0/8(rw)", "", "@netgroup", "10.0.0.1 *(rw)", "-ua", "fe80::1%x *", "fe80::1%x\n*"],
)
def test_a_target_is_an_address_or_nothing(hostile: str) -> None:
    with pytest.raises(InvalidInput):
        nfs.target(hostile)


def test_an_id_that_is_no_uuid_never_names_a_file() -> None:
    with pytest.raises(ValueError, match="UUID"):
        nfs.exported("../../etc/passwd")


def test_exported_once_and_again_only_when_it_changes(server: Server) -> None:
    for rules, runs in ((RULES, 1), (RULES, 1), (RULES[:1], 2), ((), 3), ((), 3)):
        nfs.export(SHARE, Path("/srv/a"), rules)
        assert server.runs == runs
    assert not nfs.exported(SHARE)


def test_a_crash_between_file_and_server_is_made_up_for(server: Server) -> None:
    server.exports.mkdir()
    (server.exports / f"revertkit-{SHARE}.exports").write_text(nfs.line(SHARE, Path("/srv/a"), RULES))
    assert nfs.exported(SHARE)
    nfs.export(SHARE, Path("/srv/a"), RULES)
    assert len(nfs.serving(SHARE)) == 3
    (server.exports / f"revertkit-{SHARE}.exports").unlink()
    nfs.unexport(SHARE)
    assert nfs.serving(SHARE) == []


def test_whose_an_export_is(server: Server) -> None:
    """Of two replicas on one host the share's export is the active one's: the other has not to take it away."""
    here, there = Path("/srv/a b"), Path("/srv/a")
    assert nfs.is_of(SHARE, here), "nothing is exported, so nothing is another's"
    nfs.export(SHARE, here, RULES)
    assert nfs.is_of(SHARE, here)
    assert not nfs.is_of(SHARE, there), "not even one whose path begins alike"


def test_an_exportfs_that_does_nothing_is_a_failure(server: Server) -> None:
    server.deaf = True
    with pytest.raises(BackendError, match="deaf"):
        nfs.export(SHARE, Path("/srv/a"), RULES)


def test_who_is_denied_and_still_served_is_named(server: Server) -> None:
    nfs.export(SHARE, Path("/srv/a"), RULES)
    server.deaf = True
    with pytest.raises(BackendError, match=r"\(10\.0\.0\.5\(rw\)\): .*deaf"):
        nfs.export(SHARE, Path("/srv/a"), RULES[1:])


def test_what_clients_hold() -> None:
    info = 'clientid: 0x1\naddress: "127.0.0.1:812"\nstatus: confirmed\nname: "Linux NFSv4.2 box"\n'
    states = (
        '- 0x01: { type: open, access: rw, deny: --, superblock: "fd:03:12", filename: "d/log", owner: "o" }\n'
        '- 0x02: { type: deleg, access: r, superblock: "fd:04:13", filename: "a b" }\n'
    )
    client = "127.0.0.1:812 Linux NFSv4.2 box"
    assert list(nfs.parse_states(info, states, CONTROL)) == [
        ("fd:03", nfs.OpenFile(client, "d/log", "open", 12, CONTROL)),
        ("fd:04", nfs.OpenFile(client, "a b", "deleg", 13, CONTROL)),
    ]


@pytest.mark.parametrize(("states", "revoked"), [(["deleg", "deleg"], True), (["deleg", "open"], False), ([], False)])
def test_on_a_read_only_file_system_delegations_are_revoked_and_open_files_are_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, states: list[str], revoked: bool
) -> None:
    """Nothing can be opened for writing there, which is what recalls one elsewhere."""
    top, unlock = tmp_path / "snap of a\\b", tmp_path / "unlock"
    top.mkdir()
    monkeypatch.setattr(nfs, "UNLOCK", unlock)
    monkeypatch.setattr(nfs, "_is_read_only", lambda path: path == top)
    held = [nfs.OpenFile("c", "d/file", state, 1, CONTROL) for state in states]
    monkeypatch.setattr(nfs, "clients", lambda path: held)
    nfs.recall(top)
    assert unlock.exists() is revoked
    if revoked:
        assert unlock.read_text() == f"{tmp_path}/snap\\040of\\040a\\134b\n"


def test_what_a_client_kept_is_recalled_without_a_byte_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    kept = tmp_path / "deep/kept"
    kept.write_text("content")
    looks = [[nfs.OpenFile("c", "deep/kept", "deleg", kept.stat().st_ino, CONTROL)], []]
    opened = []
    really = os.open
    monkeypatch.setattr(nfs, "clients", lambda path: looks.pop(0))
    monkeypatch.setattr(nfs.os, "open", lambda path, flags: opened.append(path) or really(path, flags))
    before = kept.stat()
    nfs.recall(tmp_path)
    assert opened == [str(kept)]
    assert (kept.read_text(), kept.stat().st_mtime_ns) == ("content", before.st_mtime_ns)
