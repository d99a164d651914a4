"""Settings: one file, the environment over it, and an error that names file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from revertkit import settings, state_dir
from revertkit.errors import SettingsError
from revertkit.system.mounts import Mount

FILE = """\
# a comment
host = "node-9"
project = "alpha"

[backends.fast]
driver = "lvm"
volume_group = "vg0"
snapshot_percent = 50

[backends."slow.one"]
driver = "directory"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A settings file."""
    path = tmp_path / "revertkit.toml"
    path.write_text(FILE)
    return path


def test_a_file_is_read(file: Path) -> None:
    """Backends keep their driver's own options for it to check."""
    told = settings.load(file)
    assert (told.host, told.project, told.database) == ("node-9", "alpha", "sqlite")
    assert told.backends["fast"].driver == "lvm"
    assert told.backends["fast"].options == {"volume_group": "vg0", "snapshot_percent": 50}
    assert set(told.all_backends) == {"fast", "slow.one"}


def test_the_environment_wins_over_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``REVERTKIT_*`` over the file, down into one key of one backend; the rest of the file stays."""
    monkeypatch.setenv("REVERTKIT_PROJECT", "beta")
    monkeypatch.setenv("REVERTKIT_BACKENDS__FAST__VOLUME_GROUP", "vg1")
    told = settings.load(file)
    assert (told.project, told.host) == ("beta", "node-9")
    assert told.backends["fast"].options["volume_group"] == "vg1"
    assert told.backends["fast"].driver == "lvm"


def test_the_file_is_where_it_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--config``, else ``$REVERTKIT_CONFIG``; one that is named has to be there."""
    monkeypatch.setenv("REVERTKIT_CONFIG", str(file))
    assert settings.load().host == "node-9"
    monkeypatch.setenv("REVERTKIT_CONFIG", str(file) + ".gone")
    with pytest.raises(SettingsError, match=r"toml\.gone: cannot be read"):
        settings.load()


def test_without_a_file_there_is_one_embedded_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything lives in the state directory, on the directory driver."""
    monkeypatch.setattr(settings, "default_file", lambda: tmp_path / "none.toml")
    monkeypatch.setenv("REVERTKIT_STATE_DIR", str(tmp_path))
    (name, backend), *others = settings.load().all_backends.items()
    assert not others
    assert (name, backend.driver, backend.options["mount_root"]) == ("local", "directory", tmp_path / "shares")


@pytest.mark.parametrize(
    ("line", "was", "becomes", "said"),
    [
        (2, 'host = "node-9"', "host = node-9", "line 2"),
        (2, 'host = "node-9"', 'host = "a b"', "host: "),
        (3, 'project = "alpha"', 'project = "-rf"', "project: "),
        (3, 'project = "alpha"', 'projct = "alpha"', "projct: "),
        (3, 'project = "alpha"', "project = 5", "project: "),
        (5, 'driver = "lvm"\nvolume', "volume", "backends.fast.driver: "),
        (6, 'driver = "lvm"', "driver = 5", "backends.fast.driver: "),
        (5, "[backends.fast]", '[backends."fa st"]', "backends.fa st"),
    ],
)
def test_a_corrupt_file_is_an_error_with_line_and_key(file: Path, line: int, was: str, becomes: str, said: str) -> None:
    """Bad input: a corrupt settings file (line and key)."""
    file.write_text(FILE.replace(was, becomes))
    with pytest.raises(SettingsError) as refused:
        settings.load(file)
    assert str(refused.value).startswith(str(file))
    assert said in str(refused.value)
    assert f":{line}: " in str(refused.value) or f"line {line}" in str(refused.value)


def test_a_file_that_is_no_text(file: Path) -> None:
    """Bytes that are no UTF-8, and a directory."""
    file.write_bytes(b"host = '\xff'")
    for path in (file, file.parent):
        with pytest.raises(SettingsError, match="cannot be read"):
            settings.load(path)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("REVERTKIT_HOST", "a b"),
        ("REVERTKIT_PROJECT", "-rf"),
        ("REVERTKIT_BACKENDS", "no json"),
        ("REVERTKIT_BACKENDS__FAST__DRIVER__X", "1"),
    ],
)
def test_a_wrong_variable_is_named(file: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    """The environment's fault is not put down to a line of the file."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as refused:
        settings.load(file)
    assert variable in str(refused.value) or "backends" in str(refused.value)
    assert f"{file}:" not in str(refused.value)


# --- the state directory


def test_a_state_directory_is_made_private(tmp_path: Path) -> None:
    """Mode 0700: it says who may mount what."""
    state_dir.prepare(tmp_path / "a" / "state")
    assert (tmp_path / "a" / "state").stat().st_mode & 0o777 == 0o700


def test_a_state_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """A missing parent that cannot be made, or a file in its place."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "state"):
        with pytest.raises(SettingsError, match=r"state_dir .* cannot be made: .*; name another one"):
            state_dir.prepare(path)


@pytest.mark.parametrize("fstype", ["nfs", "nfs4", "cifs", "9p", "fuse.sshfs"])
def test_a_state_directory_on_a_network_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fstype: str
) -> None:
    """SQLite is never on NFS, its locks and writes do not hold there; the innermost mount decides."""

    def mounted(target: Path, kind: str) -> Mount:
        return Mount("source", target, kind, ("rw",), "0:1")

    monkeypatch.setattr(state_dir, "mounts", lambda: [mounted(Path("/"), "ext4"), mounted(tmp_path, fstype)])
    with pytest.raises(SettingsError, match=f"is on {fstype}: .* need a local disk"):
        state_dir.prepare(tmp_path / "state")
    inner = [mounted(Path("/"), fstype), mounted(tmp_path, "ext4")]
    monkeypatch.setattr(state_dir, "mounts", lambda: inner)
    state_dir.prepare(tmp_path / "state")


def test_the_hosts_name_is_stored_at_first_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed hostname must not orphan operations."""
    monkeypatch.setattr("socket.gethostname", lambda: "first host")
    assert state_dir.host_name(tmp_path, None) == "first-host"
    monkeypatch.setattr("socket.gethostname", lambda: "second")
    assert state_dir.host_name(tmp_path, None) == "first-host"
    assert state_dir.host_name(tmp_path, "named") == "named"
    assert [path.name for path in tmp_path.iterdir()] == ["host"]
