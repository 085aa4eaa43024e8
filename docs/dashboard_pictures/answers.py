"""What a Prometheus that holds the story answers to every query of every dashboard."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from conftest import tool  # noqa: E402 - the tests' servers are found here
from live_prometheus import asked, scraping  # noqa: E402
from played import STEP, UNTIL, History, played  # noqa: E402

__all__ = ["answers"]

SHORT = timedelta(weeks=5)
"""What Operations shows: one bar per run stays wide enough to see."""

WIDTH = 600
"""Points in a graph."""

CHOSEN = {"owner": "All", "monitor": "All", "class": "order_status", "pages": "http://localhost:9464"}
SCRAPED = (("instance", "drift-monitor:9464"), ("job", "drift-monitor"))
IN_DEPTH = "support-desk"


def answers(folder: Path) -> dict[str, dict[str, Any]]:
    """By dashboard: the dashboard itself, the time shown, the variables, and the answers by panel."""
    history = played(folder)
    text = folder / "history.txt"
    text.write_text(_exposition(history), encoding="utf-8")
    data = folder / "prometheus" / "data"
    subprocess.run(  # noqa: S603 - promtool
        [
            tool("promtool"),
            "tsdb",
            "create-blocks-from",
            "--max-block-duration=8760h",
            "openmetrics",
            str(text),
            str(data),
        ],
        check=True,
        capture_output=True,
    )
    first = min(points[0][0] for series in history.values() for points in series.values())
    options = (f"--query.lookback-delta={2 * STEP.total_seconds():.0f}s", "--storage.tsdb.retention.time=100y")
    with scraping(folder / "prometheus", options=options) as url:
        start = {"fleet": first, "monitor": first, "operations": (UNTIL - SHORT).timestamp()}
        return {name: _answered(url, name, start[name], UNTIL.timestamp()) for name in start}


def _exposition(history: History) -> str:
    lines = []
    for name, series in history.items():
        for labels, points in series.items():
            marked = ",".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in (*labels, *SCRAPED))
            lines += [f"{name}{{{marked}}} {value} {at}" for at, value in points]
    return "\n".join([*lines, "# EOF\n"])


def _answered(url: str, name: str, start: float, end: float) -> dict[str, Any]:
    board = json.loads((ROOT / "dashboards" / f"{name}.json").read_text(encoding="utf-8"))
    chosen = {**CHOSEN, "monitor": IN_DEPTH} if name == "monitor" else CHOSEN
    values = {
        **{key: ".*" if value == "All" else value for key, value in chosen.items()},
        "__range": f"{round(end - start)}s",
    }

    def ask(expression: str, *, instant: bool, points: int = WIDTH) -> Any:
        step = round((end - start) / points)
        known = {**values, "__rate_interval": f"{step + round(STEP.total_seconds())}s"}
        query = re.sub(r"\$\{?(\w+)\}?", lambda found: known[found[1]], expression)
        if instant:
            return asked(url, "query", {"query": query, "time": end})["result"]
        return asked(url, "query_range", {"query": query, "start": start, "end": end, "step": step})["result"]

    points = {panel["id"]: round(panel.get("maxDataPoints", WIDTH)) for panel in board["panels"]}
    panels = {
        panel["id"]: [
            ask(target["expr"], instant=bool(target.get("instant")), points=points[panel["id"]])
            for target in panel.get("targets", [])
        ]
        for panel in board["panels"]
    }
    marks = {one["name"]: ask(one["expr"], instant=False) for one in board["annotations"]["list"]}
    return {
        "board": board,
        "from": start,
        "to": end,
        "steps": {key: round((end - start) / number) for key, number in points.items()},
        "step": round((end - start) / WIDTH),
        "variables": chosen,
        "panels": panels,
        "marks": marks,
    }
