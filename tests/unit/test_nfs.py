"""NFS: what is written for exports(5)."""

from pathlib import Path

import pytest

from revertkit.errors import BackendError, InvalidInput
from revertkit.models import AccessLevel, AccessRule
from revertkit.system import nfs
from revertkit.system.run import Completed

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
