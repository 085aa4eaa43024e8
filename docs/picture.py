"""Draws docs/demo.svg, the picture of the README, from a performance of the demo: python docs/picture.py."""

from __future__ import annotations

import io
import re
import tempfile
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from monitor.demo.play import Play

# The page must not fetch fonts from anywhere: the reader's own monospace face does.
FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)

console = Console(record=True, width=112, file=io.StringIO(), force_terminal=True, legacy_windows=False)
with tempfile.TemporaryDirectory() as folder:
    play = Play(Path(folder) / "demo", console)
    play.perform()
    console.export_text(clear=True)
    if not play.review():
        raise SystemExit("the verdicts are not those of the script; no picture is drawn")
console.save_svg(str(Path(__file__).parent / "demo.svg"), title="make demo", code_format=FORMAT)
