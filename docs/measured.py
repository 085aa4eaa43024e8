"""Writes measured.md from benchmarks/results: every goal with what came out, met or not. `--check` only compares."""

from __future__ import annotations

import json
import sys
from pathlib import Path

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
    return "\n".join(lines) + "\n"


def _number(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(0 if (HERE / "measured.md").read_text(encoding="utf-8") == page() else "run python docs/measured.py")
    (HERE / "measured.md").write_text(page(), encoding="utf-8")
