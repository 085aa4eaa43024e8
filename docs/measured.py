"""Writes measured.md from benchmarks/results: every goal with what came out, met or not; and the tables of other pages. `--check` only compares."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from measured_tables import PAGES, filled

HERE = Path(__file__).parent
RESULTS = HERE.parent / "benchmarks" / "results"


def page() -> str:
    """The page as it should be."""
    lines = [
        "# Measured",
        "",
        "Written by `python docs/measured.py` from `benchmarks/results/`, which hold the tables behind each line. Ratios and CPU times were",
        "taken side by side in one run on the machine named.",
    ]
    for path in sorted(RESULTS.glob("*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        machine = found["machine"]
        versions = f"Python {found['versions']['python']}, numpy {found['versions'].get('numpy', '-')}"
        lines += [
            "",
            f"## {path.stem}",
            "",
            f"`{found['command']}`, {found['date']}, {machine['cpu']}, {machine['cores']} cores, {versions}",
            "",
            "| | goal | measured | met |",
            "| --- | --- | --- | --- |",
        ]
        lines += [
            f"| {goal['name']} | {goal['goal']} | {_number(goal['measured'])} | {'yes' if goal['met'] else '**no**'} |"
            for goal in found["goals"]
        ]
        lines += _TABLES.get(path.stem, lambda tables: [])(found["tables"])
    return "\n".join(lines) + "\n"


def _number(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def _power(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """One row a test, one column a change: rejections at 5 % in per cent."""
    rows = tables["power"]
    changes = list(dict.fromkeys((row["change"], row["n"]) for row in rows))
    found = {(row["test"], row["change"], row["n"]): row["at_0.05"] for row in rows}
    lines = ["", "Rejections at 5 % in per cent:", "", "| | " + " | ".join(f"{c}, n = {n}" for c, n in changes) + " |"]
    lines.append("| --- |" + " ---: |" * len(changes))
    for test in dict.fromkeys(row["test"] for row in rows):
        cells = [found.get((test, *change)) for change in changes]
        lines.append(f"| {test} | " + " | ".join("" if c is None else f"{100 * c:.0f}" for c in cells) + " |")
    return lines


def _level(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    lines = []
    for name, rows in tables.items():
        if not rows or len(rows) > _MOST_ROWS:
            continue  # a curve, for its picture
        keys = [
            key for key in rows[0] if key not in {"pools", "cpu_seconds", "rows_a_unit"} and not key.startswith("se_")
        ]
        lines += ["", f"{name[0].upper()}{name[1:]}:", "", "| " + " | ".join(k.replace("_", " ") for k in keys) + " |"]
        lines.append("| --- " * len(keys) + "|")
        lines += ["| " + " | ".join(_number(row.get(key, "")) for key in keys) + " |" for row in rows]
    return lines


def _seconds(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    return [line for name, rows in tables.items() if rows for line in _level({name: rows})]


_MOST_ROWS = 60
_TABLES = {"power": _power, "level": _level, "mmd_speed": _seconds, "null_streams": _level, "timeline": _level}


if __name__ == "__main__":
    pages = {name: filled((HERE / name).read_text(encoding="utf-8"), made) for name, made in PAGES.items()}
    for name, content in {"measured.md": page(), **pages}.items():
        if "--check" not in sys.argv:
            (HERE / name).write_text(content, encoding="utf-8")
        elif (HERE / name).read_text(encoding="utf-8") != content:
            sys.exit(f"{name}: run python docs/measured.py")
