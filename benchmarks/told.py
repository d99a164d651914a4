"""The figures of :mod:`revert` as a table, and as a picture: ``python benchmarks/told.py FIGURES.json PICTURE.svg``."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

BACKENDS = {"thick": "LVM, thick", "thin": "LVM, thin", "zfs": "ZFS"}
WHO = {"ours": "revertkit", "typed": "typed commands", "manila": "Manila's order"}
NO_PROCESS = ("umount2()", "lzc_", "(")
"""How the parts of a revert begin that are no command."""
COLOURS = {"ours": "#2f6db3", "gap": "#b9d0ea", "typed": "#8a8a8a", "manila": "#c98b2b"}
Row = tuple[str, str, str, str]


def spread(found: Sequence[float], digits: int = 1) -> str:
    """Say the median, and the fastest and slowest."""
    said = f"{statistics.median(found):.{digits}f} s"
    return f"{said} ({min(found):.{digits}f} to {max(found):.{digits}f}, {len(found)} times)"


def seconds(turns: list[dict[str, Any]]) -> list[float]:
    """Pick the seconds of each turn."""
    return [turn["seconds"] for turn in turns]


def _spent(turn: dict[str, Any], *names: str) -> float:
    return float(sum(took for name, took in turn["spans"] if name in names))


def ratio(one: Sequence[float], other: Sequence[float], most: float) -> tuple[str, str]:
    """Say how many times the other's median one takes, and whether that is within what is aimed at."""
    found = statistics.median(one) / statistics.median(other)
    return f"{found:.2f} ×", "met" if found <= most else "missed"


def compared(name: str, found: dict[str, Any]) -> Iterator[Row]:
    """Compare the whole calls."""
    mine = seconds(found["ours"])
    for who, label in WHO.items():
        if who in found:
            yield f"{BACKENDS[name]}: a revert after 10 MiB, {label}", "", spread(seconds(found[who])), ""
    aimed = "" if name == "zfs" else "at most 1.15 ×"
    times, verdict = ratio(mine, seconds(found["typed"]), 1.15)
    yield "  revertkit by typed commands", aimed, times, verdict if aimed else ""
    if "manila" in found:
        shorter = [turn["seconds"] - _spent(turn, "e2fsck", "tune2fs") for turn in found["manila"]]
        yield "  Manila's order but for its e2fsck and tune2fs", "", spread(shorter), ""
        times, verdict = ratio(mine, seconds(found["manila"]), 0.5)
        yield "  revertkit by Manila's order", "at most 0.50 ×", times, verdict
    if "ours-large" in found:
        large, its_large = seconds(found["ours-large"]), seconds(found["typed-large"])
        yield "  after 1,000 MiB, revertkit", "", spread(large), ""
        yield "    by after 10 MiB", "at most 1.30 ×", *ratio(large, mine, 1.3)
        yield "  after 1,000 MiB, typed commands", "", spread(its_large), ""
        yield "    by after 10 MiB", "", ratio(its_large, seconds(found["typed"]), 1.3)[0], ""
    yield "  a client cannot read for", "", spread([each["gap"] for each in found["gaps"]]), ""
    if refused := sum(each["refused"] for each in found["gaps"]):
        yield "    reverts refused meanwhile because of that client", "", str(refused), ""


def alone(steps: dict[str, list[float]]) -> Iterator[Row]:
    """Compare the one step that turns a dataset back."""
    for name, found in steps.items():
        yield f"ZFS, the data step alone: {name}", "", spread(found, 3), ""
    times, verdict = ratio(steps["lzc_rollback_to"], steps["zfs rollback"], 1.0)
    yield "  lzc_rollback_to by zfs rollback", "at most 1.00 ×", times, verdict


def starting(calls: dict[str, list[float]]) -> Iterator[Row]:
    """Say what the command line takes to start."""
    names = {"python": "python -c ''", "help": "revertkit --help", "dry run": "revertkit revert-to-snapshot --dry-run"}
    for name, found in calls.items():
        yield names.get(name, "  the same check in a warm process"), "", spread(found, 2), ""


def rows(figures: dict[str, Any]) -> Iterator[Row]:
    """Tell all figures but the parts."""
    for name in BACKENDS:
        found = figures.get(name, {})
        if found:
            yield from compared(name, found)
        if "data step" in found:
            yield from alone(found["data step"])
    for found in figures.values():
        if "command line" in found:
            yield from starting(found["command line"])


def parts(turns: list[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """Say how often each part comes in a revert, and its seconds, both the medians of the turns."""
    names = dict.fromkeys(name for turn in turns for name, _ in turn["spans"])
    said = {}
    for name in names:
        each = [[took for what, took in turn["spans"] if what == name] for turn in turns]
        said[name] = (statistics.median(map(len, each)), statistics.median(map(sum, each)))
    said["(the rest: its own work)"] = (
        1,
        statistics.median(turn["seconds"] - sum(took for _, took in turn["spans"]) for turn in turns),
    )
    return said


def processes(found: dict[str, tuple[float, float]]) -> float:
    """Count the commands among the parts."""
    return sum(count for name, (count, _) in found.items() if not name.startswith(NO_PROCESS))


def consisting(figures: dict[str, Any]) -> Iterator[str]:
    """Tell what the reverts consist of."""
    for name, label in BACKENDS.items():
        for who in (*WHO, "ours-large", "typed-large"):
            if turns := figures.get(name, {}).get(who):
                said = parts(turns)
                listed = ", ".join(
                    f"{what}{f' ×{count:g}' if count != 1 else ''} {took:.2f}" for what, (count, took) in said.items()
                )
                after = "1,000 MiB" if who.endswith("large") else "10 MiB"
                whose = f"{label}, {WHO[who.partition('-')[0]]}, after {after}"
                yield f"{whose}: {processes(said):g} processes; seconds: {listed}"


def table(figures: dict[str, Any]) -> str:
    """Lay it all out."""
    told = list(rows(figures))
    wide = [max(len(row[column]) for row in told) for column in range(4)]
    lines = [f"{what}: {said}" for what, said in figures["machine"].items()]
    lines += ["", *("  ".join(f"{cell:<{width}}" for cell, width in zip(row, wide, strict=True)) for row in told)]
    return "\n".join([*(line.rstrip() for line in lines), "", *consisting(figures)])


def bars(figures: dict[str, Any]) -> Iterator[tuple[str, str, list[float]]]:
    """Say which bars there are: a label, a colour and the seconds of each turn; one without seconds is a heading."""
    for name, label in BACKENDS.items():
        found = figures.get(name)
        if found:
            yield label, "", []
            for who, says in WHO.items():
                if who in found:
                    yield says, COLOURS[who], seconds(found[who])
                if who == "ours":
                    yield "a client cannot read for", COLOURS["gap"], [each["gap"] for each in found["gaps"]]


def picture(figures: dict[str, Any]) -> str:
    """Draw the medians as bars, with a line from the fastest to the slowest."""
    drawn = list(bars(figures))
    left, wide, high = 185, 430, 22
    scale = wide / max(max(found) for _, _, found in drawn if found)
    shapes, y = [], 34
    for label, colour, found in drawn:
        if not found:
            y += 10
            shapes.append(f'<text x="10" y="{y + 15}" font-weight="bold">{escape(label)}</text>')
        else:
            middle = statistics.median(found)
            ends, line = [left + scale * each for each in (min(found), max(found))], y + high / 2
            shapes += [
                f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{escape(label)}</text>',
                f'<rect x="{left}" y="{y + 3}" width="{scale * middle:.1f}" height="{high - 6}" fill="{colour}"/>',
                f'<path d="M{ends[0]:.1f} {line}H{ends[1]:.1f}" stroke="#222"/>',
                f'<text x="{max(ends[1], left + scale * middle) + 8:.1f}" y="{y + 15}">{middle:.1f} s</text>',
            ]
        y += high
    machine = figures["machine"]
    title = f"One revert after a change of 10 MiB: seconds, median, fastest to slowest; {machine['machine']}"
    size = f'width="{left + wide + 70}" height="{y + 12}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13" fill="#222">'
    paper = '<rect width="100%" height="100%" fill="#fff"/>'
    return "\n".join([head, paper, f'<text x="10" y="22">{escape(title)}</text>', *shapes, "</svg>\n"])


def main() -> None:
    """Print the table of a file of figures, and draw their picture where a second file is named."""
    figures = json.loads(Path(sys.argv[1]).read_text())
    print(table(figures))
    for target in sys.argv[2:]:
        Path(target).write_text(picture(figures))


if __name__ == "__main__":
    main()
