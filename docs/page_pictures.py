"""Takes the pictures of pages.md: `python docs/page_pictures.py http://127.0.0.1:9464 MONITOR`, of a running service, with Chromium and playwright."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).parent / "pages"
SIZE = {"width": 1180, "height": 760}


def visited(page: Page, base: str, monitor: str) -> dict[str, str]:
    """Addresses of the pages, the candidates those of the newest run that has any."""
    page.goto(f"{base}/monitors/{monitor}")
    candidates = page.get_by_role("link", name="candidates").first.get_attribute("href")
    paths = {"monitors": "/", "runs": f"/monitors/{monitor}", "candidates": str(candidates)}
    return paths | {"tickets": "/tickets", "runbooks": "/runbooks"}


def main() -> None:
    """Each page in light and in dark."""
    base, monitor = sys.argv[1:]
    HERE.mkdir(exist_ok=True)
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            page = browser.new_page(viewport=SIZE, color_scheme=scheme, reduced_motion="reduce")
            for name, path in visited(page, base, monitor).items():
                page.goto(base + path)
                page.screenshot(path=HERE / f"{name}-{scheme}.png")
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
