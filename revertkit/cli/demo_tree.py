"""The tree of ``revertkit demo``: planted with one of everything that a revert has to bring back, then wrecked."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from random import Random

FOLDERS = ("ledger/2019", "ledger/2020", "mail/inbox", "photos/summer", "photos/winter", "code/src", "code/docs")
NAMES = ("with space", "-dash", "naïve café", "日本語", "tab\there", "line\nbreak", "100%", "'quote\"", "emoji 🦉")
LONG_AGO = 1_234_567_890 * 10**9
WORDS = ("invoice", "owl", "winter", "ledger", "42", "draft", "final", "really final", "\n")
MODES = (0o644, 0o600, 0o640, 0o755, 0o444, 0o4755)


def plant(root: Path, count: int) -> None:
    """Fill `root` with about `count` files, the same ones every time, and what is hard to copy besides."""
    rng = Random(count)  # noqa: S311 - the same tree every time is the point
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True)
    for number in range(max(count - len(NAMES) - 4, 0)):
        _write(root / FOLDERS[number % len(FOLDERS)] / f"{WORDS[number % 4]}-{number}", rng, number)
    names = root / "names"
    names.mkdir()
    for number, name in enumerate(NAMES):
        _write(names / name, rng, number)
    _plant_links(root)
    _plant_oddities(root)
    _age(root)


def wreck(root: Path) -> Iterator[str]:
    """Do to `root` what a virus, an installation or a tired administrator would, each in a word."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    Random(len(files)).shuffle(files)  # noqa: S311
    a = max(len(files) // 7, 1)
    for path in files[:a]:
        path.chmod(0o600)
        path.write_bytes(b"All your files are belong to us.\n" * 7)
    yield f"overwrote {len(files[:a])} files"
    for path in files[a : 2 * a]:
        path.chmod(0o600)
        os.truncate(path, path.stat().st_size // 2)
    yield f"truncated {len(files[a : 2 * a])}"
    for path in files[2 * a : 3 * a]:
        path.unlink()
    yield f"deleted {len(files[2 * a : 3 * a])}"
    for path in files[3 * a : 4 * a]:
        path.rename(path.with_name(path.name + ".encrypted"))
    yield f"renamed {len(files[3 * a : 4 * a])}"
    for path in files[4 * a : 5 * a]:
        path.chmod(0o777)
    root.chmod(0o700)
    yield f"chmodded {len(files[4 * a : 5 * a])}"
    yield _wreck_links(root)
    for number in range(a):
        (root / "code" / f"node_modules-{number}").write_text("a dependency of a dependency\n")
    yield f"added {a}"
    shutil.rmtree(root / "photos")
    yield "rm -rf photos"


def remove_everything(root: Path) -> None:
    """``rm -rf`` all that is in `root`."""
    for path in root.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _write(path: Path, rng: Random, number: int) -> None:
    if number % 10 == 9:
        path.touch()
    elif number % 3:
        path.write_text(" ".join(rng.choices(WORDS, k=rng.randint(5, 400))))
    else:
        path.write_bytes(rng.randbytes(rng.randint(1, 40_000)))
    path.chmod(MODES[number % len(MODES)])


def _plant_links(root: Path) -> None:
    links = root / "links"
    links.mkdir()
    (links / "original").write_text("one file with three names\n")
    (links / "second name").hardlink_to(links / "original")
    (root / "mail" / "third name").hardlink_to(links / "original")
    (links / "relative").symlink_to("original")
    (links / "to a directory").symlink_to("../mail")
    (links / "dangling").symlink_to("nowhere/to be found")
    (links / "absolute").symlink_to("/etc/hostname")


def _plant_oddities(root: Path) -> None:
    (root / "empty directory").mkdir(mode=0o555)
    (root / "drop box").mkdir()
    (root / "drop box").chmod(0o1777)
    with (root / "sparse").open("wb") as stream:
        stream.truncate(8 * 1024**2)
        stream.seek(5 * 1024**2)
        stream.write(b"an island in a sea of zeros")
    (root / "labelled").write_text("it has extended attributes\n")
    with contextlib.suppress(OSError):  # not every file system has them; the table says how many there were
        os.setxattr(root / "labelled", "user.owner", "the café".encode())
        os.setxattr(root / "labelled", "user.bytes", bytes(range(256)))
        os.setxattr(root / "mail", "user.directory", b"too")


def _age(root: Path) -> None:
    """Give everything a time of its own, years ago, to the nanosecond; the deepest first, directories change last."""
    for number, path in enumerate(sorted(root.rglob("*"), reverse=True)):
        at = LONG_AGO + number * 86_401_234_567_891 // 7
        os.utime(path, ns=(at, at), follow_symlinks=False)
    os.utime(root, ns=(LONG_AGO, LONG_AGO))


def _wreck_links(root: Path) -> str:
    third = root / "mail" / "third name"
    if third.exists():
        content = third.read_bytes()
        third.unlink()
        third.write_bytes(content)
    (root / "links" / "relative").unlink()
    (root / "links" / "relative").symlink_to("/dev/null")
    labelled = root / "labelled"
    if labelled.exists() and stat.S_ISREG(labelled.stat().st_mode):
        for name in os.listxattr(labelled):
            os.removexattr(labelled, name)
    return "broke links and labels"
