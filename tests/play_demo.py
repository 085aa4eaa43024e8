"""Plays the demo into a folder, argument 1, and writes what it said, and whether as scripted, as JSON, argument 2."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

from rich.console import Console

from monitor.demo.play import Play

stage = Console(file=io.StringIO(), width=160)
play = Play(Path(sys.argv[1]), stage)
play.perform()
as_scripted = play.review()
play.look_further()
told = {"as_scripted": as_scripted, "said": stage.file.getvalue()}  # type: ignore[attr-defined]
Path(sys.argv[2]).write_text(json.dumps(told))
