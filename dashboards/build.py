"""Writes the dashboards next to this file; making them again changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

from fleet import fleet
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from one_monitor import one_monitor
from operations import operations

__all__ = ["BOARDS", "text_of"]

BOARDS = {"fleet": fleet, "monitor": one_monitor, "operations": operations}


def text_of(name: str) -> str:
    """The JSON of one dashboard, its panels numbered from 1."""
    made = BOARDS[name]().build()
    for number, panel in enumerate(made.panels or [], start=1):
        panel.id_val = number
    return json.dumps(made, cls=JSONEncoder, sort_keys=True, indent=1, ensure_ascii=False) + "\n"


def write(folder: Path) -> None:
    """Every dashboard as a file of this folder."""
    for name in BOARDS:
        (folder / f"{name}.json").write_text(text_of(name), encoding="utf-8")


if __name__ == "__main__":
    write(Path(__file__).parent)
