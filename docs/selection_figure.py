"""Draws docs/selection.svg from benchmarks/results/selection.json: gain against negative flips, every strategy under every bonus."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from timelines import line, text

HERE = Path(__file__).parent
RESULTS = HERE.parent / "benchmarks" / "results" / "selection.json"
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 960, 560, 70, 250, 48, 60
OURS, OTHERS, FRONT = "#1f5fa8", "#9a9a9a", "#c27a00"

Points = list[tuple[float, float]]


def pareto(points: Sequence[tuple[float, float]]) -> Points:
    """The points (NFR, gain) that no other beats in both."""
    front: Points = []
    for rate, gain in sorted(points, key=lambda p: (p[0], -p[1])):
        if not front or gain > front[-1][1]:
            front.append((rate, gain))
    return front


def main() -> None:
    """Draw it."""
    rows: list[dict[str, Any]] = json.loads(RESULTS.read_text(encoding="utf-8"))["tables"]["curves"]
    curves: dict[str, Points] = {}
    for row in rows:
        curves.setdefault(row["strategy"], []).append((row["nfr"], row["gain"]))
    most_rate = max(rate for curve in curves.values() for rate, _ in curve) * 1.05
    most_gain = max(gain for curve in curves.values() for _, gain in curve) * 1.08

    def x(rate: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * rate / most_rate

    def y(gain: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * max(gain, 0.0) / most_gain

    drawn = [
        text(LEFT, 22, "Gain on drifted traffic against negative flips, under bonuses from 0 (dot) upwards", size=15)
    ]
    for step in range(5):
        gain, rate = most_gain * step / 4, most_rate * step / 4
        drawn += [
            line(LEFT, y(gain), WIDTH - RIGHT, y(gain), "#e4e4e4"),
            text(LEFT - 8, y(gain) + 4, f"{gain:.0%}", "#555555", "end", 11),
            text(x(rate), HEIGHT - BOTTOM + 18, f"{rate:.2%}", "#555555", "middle", 11),
        ]
    drawn.append(
        text(
            (LEFT + WIDTH - RIGHT) / 2,
            HEIGHT - 14,
            "negative flips of what the old model had right",
            "#333333",
            "middle",
            12,
        )
    )
    drawn.append(text(LEFT, 40, "accuracy gained on drifted records", "#333333", "start", 12))
    labels: list[tuple[float, str, str]] = []
    for name, curve in sorted(curves.items()):
        mine = "drift" in name or name == "herding" or name.endswith("herding, 10 % random")
        colour = OURS if mine else OTHERS
        points = " ".join(f"{x(rate):.1f},{y(gain):.1f}" for rate, gain in curve)
        drawn.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{2.2 if mine else 1.2}"/>'
        )
        rate, gain = curve[0]
        drawn.append(f'<circle cx="{x(rate):.1f}" cy="{y(gain):.1f}" r="{4 if mine else 3}" fill="{colour}"/>')
        labels.append((y(gain), name, colour))
    front = pareto([point for curve in curves.values() for point in curve])
    points = " ".join(f"{x(rate):.1f},{y(gain):.1f}" for rate, gain in front)
    drawn.append(
        f'<polyline points="{points}" fill="none" stroke="{FRONT}" stroke-width="1.4" stroke-dasharray="5 4"/>'
    )
    drawn += named(labels)
    drawn += [
        line(WIDTH - RIGHT + 16, HEIGHT - 30, WIDTH - RIGHT + 44, HEIGHT - 30, FRONT, 1.4, "5 4"),
        text(WIDTH - RIGHT + 50, HEIGHT - 26, "Pareto front", size=12),
    ]
    body = "\n".join(drawn)
    (HERE / "selection.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="DejaVu Sans, sans-serif" role="img">\n'
        f'<title>Gain against negative flips</title>\n<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n',
        encoding="utf-8",
    )


def named(labels: list[tuple[float, str, str]]) -> list[str]:
    """Names to the right, moved apart where they would overlap, in the order of plain gain."""
    drawn, last = [], -1e9
    for at, name, colour in sorted(labels):
        last = max(at + 4, last + 14)
        drawn.append(text(WIDTH - RIGHT + 12, last, name if len(name) < 40 else name[:38] + "…", colour, "start", 11))
    return drawn


if __name__ == "__main__":
    main()
