"""Takes the pictures of report.md: `python docs/report_pictures.py REPORT.html`, with Chromium and playwright."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent / "report"
SHOTS = (
    ("verdict", "light", 1280, "#verdict", "#time"),
    ("map", "dark", 1280, "#map", "#map"),
    ("candidates", "light", 1280, "#label", "#candidates tbody tr:nth-child(5)"),
    ("phone", "dark", 390, "#verdict", "#map"),
)


def main() -> None:
    """One picture per line of the table: from the top of one part to the bottom of another."""
    report = Path(sys.argv[1]).resolve().as_uri()
    HERE.mkdir(exist_ok=True)
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, scheme, width, first, last in SHOTS:
            page = browser.new_page(
                viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
            )
            page.goto(report)
            top = page.locator(first).first.bounding_box()["y"] - 16
            end = page.locator(last).first.bounding_box()
            clip = {"x": 0, "y": top, "width": width, "height": end["y"] + end["height"] + 8 - top}
            page.screenshot(path=HERE / f"{name}-{scheme}.png", full_page=True, clip=clip)
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
