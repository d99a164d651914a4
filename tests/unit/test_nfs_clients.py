"""What NFSv4 clients hold, and how it is given back."""

import os
from pathlib import Path

import pytest

from revertkit.system import nfs_clients

CONTROL = Path("/proc/fs/nfsd/clients/7/ctl")


def test_what_clients_hold() -> None:
    info = 'clientid: 0x1\naddress: "127.0.0.1:812"\nstatus: confirmed\nname: "Linux NFSv4.2 box"\n'
    states = (
        '- 0x01: { type: open, access: rw, deny: --, superblock: "fd:03:12", filename: "d/log", owner: "o" }\n'
        '- 0x02: { type: deleg, access: r, superblock: "fd:04:13", filename: "a b" }\n'
    )
    client = "127.0.0.1:812 Linux NFSv4.2 box"
    assert list(nfs_clients.parse_states(info, states, CONTROL)) == [
        ("fd:03", nfs_clients.OpenFile(client, "d/log", "open", 12, CONTROL)),
        ("fd:04", nfs_clients.OpenFile(client, "a b", "deleg", 13, CONTROL)),
    ]


def test_a_name_that_is_no_text_hides_nobodys_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The kernel writes it as it is; one such file of one client would stop every revert on the host."""
    (tmp_path / "7").mkdir()
    (tmp_path / "7/info").write_text('address: "10.0.0.7:1"\n')
    line = b'- 0x01: { type: open, access: rw, deny: --, superblock: "fd:03:12", filename: "d/caf\xe9", owner: "o" }\n'
    (tmp_path / "7/states").write_bytes(line + line.replace(b"caf\xe9", b"log").replace(b"fd:03", b"fd:04"))
    monkeypatch.setattr(nfs_clients, "CLIENTS", tmp_path)
    assert [(device, f.filename) for device, f in nfs_clients._states()] == [
        ("fd:03", "d/caf\\xe9"),
        ("fd:04", "d/log"),
    ]


@pytest.mark.parametrize(("states", "revoked"), [(["deleg", "deleg"], True), (["deleg", "open"], False), ([], False)])
def test_on_a_read_only_file_system_delegations_are_revoked_and_open_files_are_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, states: list[str], revoked: bool
) -> None:
    """Nothing can be opened for writing there, which is what recalls one elsewhere."""
    top, unlock = tmp_path / "snap of a\\b", tmp_path / "unlock"
    top.mkdir()
    monkeypatch.setattr(nfs_clients, "UNLOCK", unlock)
    monkeypatch.setattr(nfs_clients, "_is_read_only", lambda path: path == top)
    held = [nfs_clients.OpenFile("c", "d/file", state, 1, CONTROL) for state in states]
    monkeypatch.setattr(nfs_clients, "open_files", lambda path: held)
    nfs_clients.recall(top)
    assert unlock.exists() is revoked
    if revoked:
        assert unlock.read_text() == f"{tmp_path}/snap\\040of\\040a\\134b\n"


def test_what_a_client_kept_is_recalled_without_a_byte_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    kept = tmp_path / "deep/kept"
    kept.write_text("content")
    looks = [[nfs_clients.OpenFile("c", "deep/kept", "deleg", kept.stat().st_ino, CONTROL)], []]
    opened = []
    really = os.open
    monkeypatch.setattr(nfs_clients, "open_files", lambda path: looks.pop(0))
    monkeypatch.setattr(nfs_clients.os, "open", lambda path, flags: opened.append(path) or really(path, flags))
    before = kept.stat()
    nfs_clients.recall(tmp_path)
    assert opened == [str(kept)]
    assert (kept.read_text(), kept.stat().st_mtime_ns) == ("content", before.st_mtime_ns)
