"""``revertkit demo``: a share goes back in time, on this machine, and every byte is compared.

The story is the specification's: a good state, a snapshot, corruption, ``rm -rf``; then a revert by the same manager
that every other command calls. It touches nothing outside a temporary directory of its own.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from revertkit import manifest
from revertkit.cli import demo_tree
from revertkit.cli.output import Format, say, show_record, show_rows
from revertkit.cli.session import session_of, set_up_logs
from revertkit.manifest import Manifest

if TYPE_CHECKING:
    from revertkit.manager import ShareManager
    from revertkit.settings import Settings

SPECS = {
    "driver_handles_share_servers": "false",
    "snapshot_support": "true",
    "revert_to_snapshot_support": "true",
}
COLUMNS = {"what": "What", "recorded": "Recorded", "after_wreck": "After wreck", "after_revert": "After revert"}
SHOWN_DIFFERENCES = 20


class Backend(StrEnum):
    """What the demo can run on."""

    DIRECTORY = "directory"
    LVM = "lvm"
    ZFS = "zfs"


def demo(
    ctx: typer.Context,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the directory there, to look around in.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else.")] = False,
    files: Annotated[int, typer.Option("--files", min=20, max=1_000_000, help="How many files, about.")] = 300,
    backend: Annotated[Backend, typer.Option("--backend", help="What the share lives on.")] = Backend.DIRECTORY,
    disk: Annotated[
        Path | None, typer.Option("--disk", help="An empty disk for lvm or zfs, instead of a loop file.")
    ] = None,
) -> None:
    """Make a share, snapshot it, wreck it, revert it, and compare every byte, mode, time, link and xattr.

    It runs as any user, in a temporary directory of its own ($TMPDIR, with 1 GiB free), and cleans up. With --backend
    lvm or zfs (as root) it makes a volume group or pool of its own, on a loop file or on the empty disk that --disk
    names, and removes it. Exit code 0: nothing differs. 1: something does, and the table says what.
    """
    from revertkit.errors import InvalidInput

    if keep and backend is not Backend.DIRECTORY:
        raise InvalidInput("--keep is for the directory backend: a volume group or pool is not left behind")
    home = Path(tempfile.mkdtemp(prefix="revertkit-demo-"))
    story = Story(home, quiet=as_json)
    try:
        set_up_logs(verbose=session_of(ctx).verbose)
        told = _on_ground(backend, disk, story, files, keep=keep)
    finally:
        if not keep:
            _remove(home)
    told["directory"] = str(home) if keep else None
    _show(told, Format.JSON if as_json else Format.TABLE)
    if not told["same"]:
        raise typer.Exit(1)


def _on_ground(backend: Backend, disk: Path | None, story: Story, files: int, *, keep: bool) -> dict[str, Any]:
    """Tell the story where a share of this backend can live, and leave nothing of it there."""
    from revertkit import registry
    from revertkit.manager import ShareManager

    registry.check(backend.value)
    ground = import_module(f"revertkit.drivers.{backend.value}.demo").ground
    with ground(story.home, disk) as options:
        manager = ShareManager.open(settings_of(story.home, backend, options))
        try:
            return _tell(manager, story, files)
        finally:
            if not keep:
                _clear(manager)


def _clear(manager: ShareManager) -> None:
    from revertkit.models import Context

    me = Context(project_id="demo")
    for snapshot in reversed(manager.snapshots(me)):
        manager.delete_snapshot(me, snapshot.id, force=True)
    for share in manager.shares(me):
        manager.delete_share(me, share.id, force=True)


def add_to(app: typer.Typer) -> None:
    """Make it a command of `app`."""
    app.command("demo")(demo)


@dataclass
class Story:
    """What happens, step by step, each with the time it took."""

    home: Path
    quiet: bool
    steps: list[dict[str, Any]] = field(default_factory=list)

    @contextmanager
    def step(self) -> Iterator[Callable[[str], None]]:
        """Time a step; its line is said at its end, when its numbers are known."""
        lines: list[str] = []
        begun = time.perf_counter()
        yield lines.append
        took = time.perf_counter() - begun
        self.steps.append({"step": lines[0], "seconds": round(took, 3)})
        if not self.quiet:
            say(f"{took:7.2f} s  {lines[0]}")


def settings_of(home: Path, backend: Backend, options: dict[str, Any]) -> Settings:
    """Describe a host with its records in `home`, whatever the settings file and the environment say."""
    from revertkit.settings import BackendSettings, Settings

    described = BackendSettings(driver=backend.value, **options)
    return Settings.model_construct(host="demo", state_dir=home / "state", project="demo", backends={"demo": described})


def _tell(manager: ShareManager, story: Story, files: int) -> dict[str, Any]:
    from revertkit.models import Context

    me = Context(project_id="demo")
    with story.step() as say_it:
        manager.create_type("demo", SPECS)
        share = manager.create_share(me, 1, name="work", share_type="demo")
        root = Path(share.export_locations[0].path)
        say_it(f"made a share of 1 GiB: {root}")
    with story.step() as say_it:
        demo_tree.plant(root, files)
        recorded = manifest.record(root)
        size = manifest.total_bytes(recorded) / 1024**2
        say_it(f"planted {len(recorded)} files, directories and links in it, {size:.1f} MiB, and recorded each of them")
    with story.step() as say_it:
        snapshot = manager.create_snapshot(me, share.id, name="before")
        say_it("took a snapshot of it, called 'before'")
    with story.step() as say_it:
        done = ", ".join(demo_tree.wreck(root))
        say_it(f"wrecked it: {done}")
    wrecked = manifest.record(root)
    with story.step() as say_it:
        manager.revert_to_snapshot(me, snapshot.id)
        say_it(f"reverted it ({_differing(recorded, wrecked)} entries differed): revertkit revert-to-snapshot before")
    reverted = manifest.record(root)
    with story.step() as say_it:
        demo_tree.remove_everything(root)
        say_it(f"wrecked it again: rm -rf of everything ({len(manifest.record(root)) - 1} entries are left)")
    with story.step() as say_it:
        manager.revert_to_snapshot(me, snapshot.id)
        say_it("reverted it again, to the same snapshot: a revert consumes none")
    again = manifest.record(root)
    rows = _comparison(recorded, wrecked, reverted) + _comparison_again(recorded, again)
    differences = [*manifest.differences(recorded, reverted), *manifest.differences(recorded, again)]
    return {
        "same": not differences,
        "entries": len(recorded),
        "bytes": manifest.total_bytes(recorded),
        "differed_after_wreck": _differing(recorded, wrecked),
        "steps": story.steps,
        "comparison": rows,
        "differences": [difference._asdict() for difference in differences],
    }


def _differing(recorded: Manifest, found: Manifest) -> int:
    return len({difference.path for difference in manifest.differences(recorded, found)})


def _comparison(recorded: Manifest, wrecked: Manifest, reverted: Manifest) -> list[dict[str, Any]]:
    """Count, by aspect, what is as it was recorded, and what is there that was not."""
    counts = [manifest.kept(recorded, found) for found in (recorded, wrecked, reverted)]
    rows = [_row(f"{what}s", *(count[what] for count in counts)) for what in manifest.ASPECTS]
    return [*rows, _row("entries added since", 0, len(wrecked.keys() - recorded), len(reverted.keys() - recorded))]


def _comparison_again(recorded: Manifest, again: Manifest) -> list[dict[str, Any]]:
    same = len(recorded) - _differing(recorded, again)
    return [_row("all of it, after rm -rf of everything", len(recorded), 0, same)]


def _row(what: str, recorded: int, wrecked: int, reverted: int) -> dict[str, Any]:
    same = recorded == reverted
    return {"what": what, "recorded": recorded, "after_wreck": wrecked, "after_revert": reverted, "same": same}


def _show(told: dict[str, Any], output: Format) -> None:
    if output is Format.JSON:
        show_record(told, output)
        return
    say()
    show_rows(told["comparison"], {**COLUMNS, "same": "Same?"}, output, "")
    say()
    for difference in told["differences"][:SHOWN_DIFFERENCES]:
        say(f"{difference['path']}: {difference['what']}: {difference['recorded']} -> {difference['found']}")
    if told["same"]:
        say(f"Nothing differs: all {told['entries']} entries are as they were recorded.")
    else:
        say(f"{len(told['differences'])} things differ.")
    if told["directory"]:
        say(f"It is all still there: {told['directory']}")


def _remove(home: Path) -> None:
    """Remove the demo's directory, with what its snapshots hold read-only."""
    for directory, _, _ in os.walk(home):
        Path(directory).chmod(0o700)
    shutil.rmtree(home)
