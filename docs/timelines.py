"""Draws docs/timeline_arxiv.svg and docs/timeline_genres.svg from benchmarks/results/timeline.json: python docs/timelines.py."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE.parent / "benchmarks" / "results" / "timeline.json"

WIDTH, LEFT, RIGHT, HEIGHT, GAP = 960, 56, 16, 150, 58
CHANGE, CLASSES, ALARM, REAL, QUIET = "#1f5fa8", "#c27a00", "#c01c28", "#2b7a3d", "#777777"
SERIES = {"embeddings": CHANGE, "classes": CLASSES}

Rows = Sequence[dict[str, Any]]


def text(x: float, y: float, said: str, colour: str = "#222222", anchor: str = "start", size: int = 12) -> str:
    """An SVG text with its baseline at y."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}" font-size="{size}">{escape(said)}</text>'
    )


def line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1.0, dash: str = "") -> str:
    """An SVG line."""
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"{dashed}/>'


class Panel:
    """One stretch of looks in shares of traffic, from 0 at ``bottom`` to ``highest`` at ``top``."""

    def __init__(self, rows: Rows, top: float, title: str, names: dict[str, str]) -> None:
        self.rows, self.top, self.bottom = rows, top, top + HEIGHT
        tops = [row.get(f"{name}_high") for row in rows for name in names.values()]
        self.highest = float(max(0.1, min(1.0, max(t for t in tops if t is not None))))
        self.drawn = [text(LEFT, top - 8, title, size=13)]
        for step in range(5):
            share = self.highest * step / 4
            y = self.y(share)
            self.drawn += [
                line(LEFT, y, WIDTH - RIGHT, y, "#e4e4e4"),
                text(LEFT - 6, y + 4, f"{share:.0%}", QUIET, "end", 11),
            ]
        for kind, name in names.items():
            self.series(name, SERIES[kind])

    def x(self, place: float) -> float:
        """Middle of a look."""
        return LEFT + (place + 0.5) * (WIDTH - LEFT - RIGHT) / len(self.rows)

    def y(self, share: float) -> float:
        """Height of a share of traffic."""
        return self.bottom - HEIGHT * min(share, self.highest) / self.highest

    def series(self, name: str, colour: str) -> None:
        """A line with its 95 % interval; looks without the number are left out."""
        known = [i for i, row in enumerate(self.rows) if row.get(name) is not None]
        ends = [(i, self.rows[i][f"{name}_high"]) for i in known] + [
            (i, self.rows[i][f"{name}_low"]) for i in reversed(known)
        ]
        band = " ".join(f"{self.x(i):.1f},{self.y(v):.1f}" for i, v in ends)
        middle = " ".join(f"{self.x(i):.1f},{self.y(self.rows[i][name]):.1f}" for i in known)
        self.drawn.append(f'<polygon points="{band}" fill="{colour}" opacity="0.16"/>')
        self.drawn.append(f'<polyline points="{middle}" fill="none" stroke="{colour}" stroke-width="1.6"/>')

    def alarms(self) -> None:
        """A mark at every look that raised an alarm."""
        for i, row in enumerate(self.rows):
            if row["alarm"]:
                x = self.x(i)
                self.drawn.append(line(x, self.top, x, self.bottom, ALARM, 1.4))
                corner = f"{x - 4:.1f},{self.top - 1:.1f} {x + 4:.1f},{self.top - 1:.1f} {x:.1f},{self.top + 6:.1f}"
                self.drawn.append(f'<polygon points="{corner}" fill="{ALARM}"/>')

    def real(self, place: float, said: str, row: int) -> None:
        """A real change at the start of a look, its name in one of several rows above the other."""
        x = self.x(place - 0.5)
        self.drawn.append(line(x, self.top, x, self.bottom, REAL, 1.4, "5 3"))
        if said:
            right = x > WIDTH - 140
            self.drawn.append(
                text(x - 4 if right else x + 4, self.top + 14 + 13 * row, said, REAL, "end" if right else "start", 11)
            )

    def ticks(self, named: Sequence[tuple[int, str]]) -> None:
        """Names of looks below the panel."""
        for place, name in named:
            x = self.x(place - 0.5)
            self.drawn += [
                line(x, self.bottom, x, self.bottom + 4, QUIET),
                text(x, self.bottom + 16, name, QUIET, "middle", 11),
            ]


def stacked(
    rows: Rows, top: float, title: str, real: Sequence[tuple[float, str]], ticks: Sequence[tuple[int, str]]
) -> tuple[list[str], float]:
    """Change against the accepted past above, standing gap to the reference below; the drawing and where it ends."""
    change = Panel(
        rows,
        top,
        f"{title}: change against the accepted past",
        {"embeddings": "change_embeddings", "classes": "change_classes"},
    )
    gap = Panel(
        rows,
        change.bottom + GAP,
        f"{title}: standing gap to the reference",
        {"embeddings": "gap_share", "classes": "gap_classes"},
    )
    for panel in (change, gap):
        for row, (place, said) in enumerate(real):
            panel.real(place, said if panel is change else "", row % 3)
        panel.ticks(ticks)
    change.alarms()
    return change.drawn + gap.drawn, gap.bottom + GAP


def legend(y: float) -> list[str]:
    """What the colours mean."""
    keys = (
        ("embeddings, as a share of new input, 95 % band", CHANGE, ""),
        ("classes, share that changed class", CLASSES, ""),
        ("alarm, accepted at once", ALARM, ""),
        ("real change", REAL, "5 3"),
    )
    drawn, x = [], float(LEFT)
    for said, colour, dash in keys:
        drawn += [line(x, y - 4, x + 22, y - 4, colour, 2, dash), text(x + 28, y, said, size=12)]
        x += 48 + 6.4 * len(said)
    return drawn


def save(name: str, height: float, drawn: Sequence[str], title: str) -> None:
    """Write one picture beside this script."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" font-family="system-ui, sans-serif" role="img">'
    body = "\n".join(
        (
            head,
            f"<title>{escape(title)}</title>",
            f'<rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>',
            *drawn,
            "</svg>",
        )
    )
    (HERE / name).write_text(body + "\n", encoding="utf-8")


def month(name: str) -> int:
    """Months since year 0 of ``2010-07`` or ``2010-07-01``."""
    return int(name[:4]) * 12 + int(name[5:7]) - 1


def arxiv(tables: dict[str, Rows]) -> None:
    """Papers by month, under each reference."""
    drawn, top = legend(24), 66.0
    for reference in ("2007-2009", "2014-2015"):
        looks = tables[f"arxiv {reference}: looks"]
        first = month(looks[0]["window"])
        real = [(float(month(e["month"]) - first), f"{e['event']} {e['month']}") for e in tables["events"]]
        years = [(i, row["window"][:4]) for i, row in enumerate(looks) if row["window"][5:7] == "01"]
        inside = [(place, said) for place, said in real if place >= 0]
        parts, top = stacked(looks, top, f"Reference {reference}", inside, years)
        drawn += parts
    save(
        "timeline_arxiv.svg",
        top - GAP + 30,
        drawn,
        "arXiv papers by month: changes, alarms and the gap to the reference",
    )


def genres(tables: dict[str, Rows]) -> None:
    """Sentences by week, with genres that arrive."""
    looks = tables["genres: looks"]
    names = [row["genre"] for row in tables["genres"][-4:]]
    stretch = len(looks) // (len(names) + 1)
    real = [(float(stretch * (n + 1)), f"{name} arrives") for n, name in enumerate(names)]
    ticks = [(i, f"week {i}") for i in range(0, len(looks), stretch)]
    drawn, bottom = stacked(looks, 66.0, "EmoBank", real, ticks)
    save(
        "timeline_genres.svg",
        bottom - GAP + 30,
        [*legend(24), *drawn],
        "EmoBank sentences by week: genres arrive, alarms follow",
    )


if __name__ == "__main__":
    found = json.loads(RESULTS.read_text(encoding="utf-8"))["tables"]
    arxiv(found)
    genres(found)
