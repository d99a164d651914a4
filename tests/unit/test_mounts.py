"""Mounts: what the kernel writes, read right; what keeps one busy, named."""

import errno
from pathlib import Path

import pytest

from revertkit.errors import BackendError
from revertkit.system import mounts

REAL = r"""
24 1 254:0 / / rw,relatime - ext4 /dev/vda rw
29 24 0:25 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate
151 24 253:3 / /srv/a\040b\134c\043d rw,nosuid,nodev shared:8 master:3 - ext4 /dev/mapper/vg0-share--1 rw,stripe=4
152 24 253:3 /in /mnt/bound ro,relatime shared:81 - ext4 /dev/mapper/vg0-share--1 rw
153 24 0:61 / /srv/stacked rw shared:82 - zfs tank0/my\040share rw,xattr,posixacl
154 153 0:62 / /srv/stacked rw shared:83 - tmpfs none rw
155 24 0:63 / /srv/café rw - tmpfs none rw
""".strip()


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_text(REAL)
    monkeypatch.setattr(mounts, "MOUNTINFO", tmp_path / "mountinfo")


def test_escapes_options_and_optional_fields() -> None:
    found = mounts.parse(REAL)[2]
    assert found.target == Path("/srv/a b\\c#d")
    assert found.options == ("rw", "nosuid", "nodev", "stripe=4")
    assert (found.source, found.fstype, found.major_minor) == ("/dev/mapper/vg0-share--1", "ext4", "253:3")
    assert mounts.parse(REAL)[3].root == "/in"


def test_other_letters_stay_as_they_are() -> None:
    assert mounts.parse(REAL)[-1].target == Path("/srv/café")


def test_only_a_newline_ends_a_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A mount point that anybody may name must not keep every other from being seen."""
    strange = "a\rb\x0bc\x0c\x1c\x85\u2028d"
    (tmp_path / "mountinfo").write_bytes(f"150 24 0:9 / /mnt/{strange} rw - fuse x rw\n{REAL}\n".encode())
    monkeypatch.setattr(mounts, "MOUNTINFO", tmp_path / "mountinfo")
    assert mounts.mounts()[0].target == Path(f"/mnt/{strange}")
    assert len(mounts.mounts()) == 1 + len(REAL.splitlines())


@pytest.mark.usefixtures("real")
def test_the_mount_on_top_is_the_one_that_is_seen() -> None:
    seen = mounts.mounted_at(Path("/srv/stacked"))
    assert seen is not None
    assert seen.fstype == "tmpfs"
    assert mounts.mounted_at(Path("/srv")) is None


@pytest.mark.usefixtures("real")
def test_mounts_of_a_source_that_is_no_device() -> None:
    assert [m.target for m in mounts.mounts_of("tank0/my share")] == [Path("/srv/stacked")]


@pytest.mark.usefixtures("real")
def test_mounts_of_a_device_include_bind_mounts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "block_device", lambda path: "253:3")
    assert [m.target for m in mounts.mounts_of("/dev/vg0/share-1")] == [
        Path("/srv/a b\\c#d"),
        Path("/mnt/bound"),
    ]


def test_a_mount_is_found_under_a_name_with_a_link(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "real/share").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "mountinfo").write_text(f"9 1 0:9 / {tmp_path}/real/share rw - tmpfs none rw\n")
    monkeypatch.setattr(mounts, "MOUNTINFO", tmp_path / "mountinfo")
    assert mounts.mounted_at(tmp_path / "link/share") is not None


def test_what_is_no_block_device() -> None:
    assert mounts.block_device("/dev/null") is None
    assert mounts.block_device("/nowhere/at/all") is None
    assert mounts.block_device("/dev/null/below") is None


def test_busy_for_good_names_the_unnamed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mounts, "_umount2", lambda target: errno.EBUSY)
    monkeypatch.setattr(mounts, "holders", lambda *paths: [])
    with pytest.raises(mounts.Busy, match="another namespace") as busy:
        mounts.unmount(tmp_path, seconds=0.1)
    assert [b.kind for b in busy.value.blockers] == ["open"]


def test_busy_for_a_moment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answers = [errno.EBUSY, errno.EBUSY, 0]
    monkeypatch.setattr(mounts, "_umount2", lambda target: answers.pop(0))
    mounts.unmount(tmp_path)
    assert answers == []


def test_not_mounted_is_fine_and_not_allowed_is_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mounts, "_umount2", lambda target: errno.EINVAL)
    mounts.unmount(tmp_path)
    monkeypatch.setattr(mounts, "_umount2", lambda target: errno.EPERM)
    with pytest.raises(BackendError, match="not permitted"):
        mounts.unmount(tmp_path)


def test_where_a_directory_is_shown_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it or a part, here and in another namespace; not what lies beside it, inside it, or on another device."""

    def shown(target: str, root: str, device: str = "0:30") -> mounts.Mount:
        return mounts.Mount("any", Path(target), "any", (), device, root)

    ours = [shown("/", "/", "8:1"), shown("/srv", "/"), shown("/mnt", "/shares/one"), shown("/part", "/shares/one/d")]
    beside = [shown("/a", "/shares/one-more"), shown("/b", "/shares"), shown("/c", "/shares/one", "8:1")]
    inside = shown("/srv/shares/one/inner", "/shares/one/data")
    theirs = [shown("/srv", "/"), shown("/data", "/shares/one"), *beside]
    monkeypatch.setattr(mounts, "mounts", lambda: [*ours, *beside, inside])
    monkeypatch.setattr(mounts, "_namespaces", lambda: [("", [*ours, *beside, inside]), (" of process 7", theirs)])
    assert mounts.shown_elsewhere(Path("/srv/shares/one")) == ["/mnt", "/part", "/data of process 7"]
    monkeypatch.setattr(mounts, "mounts", list)
    assert mounts.shown_elsewhere(Path("/srv/shares/one")) == [], "in a chroot"


def test_each_namespace_is_looked_into_once() -> None:
    """Ours is the first, and the only one that is nobody's in particular."""
    found = dict(mounts._namespaces())
    assert found.pop("") == mounts.mounts()
    assert all(who.startswith(" of process ") for who in found)
