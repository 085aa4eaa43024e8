"""Draws the pictures of docs/dashboards.md: Grafana's own components, in a browser, with what a Prometheus answers over the demo's story.

    npm install --legacy-peer-deps --no-package-lock --prefix docs/dashboard_pictures
    python docs/dashboard_pictures/draw.py

Needs a Chromium, Pillow, the servers that .ci/unpack-debian fetches, and five minutes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

from answers import answers
from PIL import Image
from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).resolve().parent
PICTURES = HERE.parent / "dashboards"
WIDTH = 1400
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
PAGE = '<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="draw.css"><div id="root"></div><script>window.given=GIVEN</script><script src="draw.js"></script>'
MODES = {"fleet": "dark", "monitor": "light", "operations": "dark"}


def parts_of(name: str, board: dict[str, Any]) -> list[tuple[str, list[int]]]:
    """Which panels make one picture: a long dashboard is cut at its rows."""
    parts: list[tuple[str, list[int]]] = [(name, [])]
    for panel in board["panels"]:
        if panel["type"] == "row" and name == "monitor":
            first = not parts[0][1]
            title = panel["title"].split(":")[0].split(",")[0].lower().replace(" ", "-")
            parts = [(f"{name}-{title}", [])] if first else [*parts, (f"{name}-{title}", [])]
        parts[-1][1].append(panel["id"])
    return parts


def bundle(folder: Path, modules: Path) -> None:
    """The drawing program in one file."""
    source = folder / "draw.jsx"
    shutil.copy(HERE / "draw.jsx", source)
    (folder / "node_modules").symlink_to(modules)
    options = [
        "--bundle",
        f"--outfile={folder / 'draw.js'}",
        "--loader:.svg=text",
        "--loader:.ttf=empty",
        "--jsx=transform",
        "--log-level=error",
    ]
    options.append('--define:process.env.NODE_ENV="production"')
    subprocess.run([modules / ".bin" / "esbuild", source, *options], check=True)  # noqa: S603 - of the packages installed


def drawn(page: Page, folder: Path, given: dict[str, Any]) -> bytes:
    """One picture; an error of the page is one here."""
    path = folder / "page.html"
    path.write_text(PAGE.replace("GIVEN", json.dumps(given).replace("</", "<\\/")), encoding="utf-8")
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.add_init_script(
        "addEventListener('error', () => { window.failed = true }); addEventListener('unhandledrejection', () => { window.failed = true })"
    )
    page.goto(path.as_uri())
    page.wait_for_function("() => document.body.dataset.done || window.failed", timeout=60_000)
    if wrong:
        raise RuntimeError("; ".join(wrong))
    return page.locator("#page").screenshot()


def main() -> None:
    """Every picture of every dashboard."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--modules", type=Path, default=HERE / "node_modules")
    options.add_argument(
        "--answers", type=Path, help="file to keep the answers in, or to take them from when it is there"
    )
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as place, sync_playwright() as browsers:
        folder = Path(place)
        if chosen.answers and chosen.answers.exists():
            found = json.loads(chosen.answers.read_text(encoding="utf-8"))
        else:
            found = json.loads(json.dumps(answers(folder)))
            if chosen.answers:
                chosen.answers.write_text(json.dumps(found), encoding="utf-8")
        bundle(folder, chosen.modules.resolve())
        browser = browsers.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": WIDTH + 24, "height": 2800})
        page.clock.set_fixed_time(found["fleet"]["to"])
        PICTURES.mkdir(exist_ok=True)
        for name, one in found.items():
            for n, (title, ids) in enumerate(parts_of(name, one["board"])):
                given = {**one, "mode": MODES[name], "width": WIDTH, "ids": ids, "heading": n == 0}
                picture = Image.open(BytesIO(drawn(page, folder, given)))
                small = picture.convert("RGB").quantize(128, dither=Image.Dither.NONE)
                small.save(PICTURES / f"{title}.png", optimize=True)
        browser.close()


if __name__ == "__main__":
    main()
