"""The pages in a real browser: one page and one style sheet are asked for, nothing is logged, links and filters do what they say.

With ``DRIFT_MONITOR_SCREENSHOTS`` set to a folder, pictures of them are written there, light and dark, wide and narrow.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
import uvicorn
from test_pages import TERMS, filled
from test_report_browser import NARROW, WIDE, browser
from test_report_html import EMOJI, NASTY, RTL

from monitor.serve import application

__all__ = ["browser", "filled"]

LIGHT, DARK = "rgb(246, 245, 241)", "rgb(18, 22, 26)"


@pytest.fixture(scope="module")
def address(filled):
    """The pages behind a real server."""
    config = uvicorn.Config(application(filled[0], TERMS), port=0, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    until = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < until
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(30)


@pytest.fixture
def visit(browser, address):
    """A page in its own window; what went wrong in it fails the test."""
    opened = []

    def open_it(**look):
        context = browser.new_context(**{"viewport": WIDE, "reduced_motion": "reduce"} | look)
        page = context.new_page()
        said, asked = [], []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: (said.append("dialog"), dialog.dismiss()))
        page.on("request", lambda request: asked.append(request.url))
        opened.append((context, said, asked))
        page.goto(address)
        return page

    yield open_it
    for context, said, asked in opened:
        context.close()
        assert said == []
        assert all(url.startswith(f"{address}/") for url in asked)


def words(text):
    return " ".join(text.split())


def test_from_the_monitors_to_what_to_label(visit, address):
    page = visit(color_scheme="light")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == LIGHT
    pill = page.locator("tbody tr").first.locator(".pill")
    assert pill.inner_text() == "drifted"
    assert pill.evaluate("e => getComputedStyle(e).color") == "rgb(196, 56, 13)"
    page.get_by_role("link", name="support").click()
    page.get_by_role("link", name="candidates").click()
    assert page.locator("tbody tr").count() == 12
    shown = [words(text) for text in page.locator("tbody th").all_inner_texts()[:3]]
    assert shown == [words(text) for text in (NASTY, RTL, EMOJI)]
    assert page.evaluate("document.scripts.length + document.images.length") == 0
    page.get_by_label("Predicted").select_option("topic 1")
    page.get_by_role("button", name="Show").click()
    assert page.locator("tbody tr").count() == 3
    page.get_by_role("link", name="Need").click()
    page.get_by_role("link", name="Need").click()
    assert page.locator("th[aria-sort=descending]").inner_text().startswith("Need")
    assert page.locator("tbody tr").count() == 3, "sorted, the filter stays"
    with page.expect_download() as taken:
        page.get_by_role("link", name="JSON lines").click()
    assert taken.value.suggested_filename == "candidates-support-20260309T0000.jsonl"
    assert len(Path(taken.value.path()).read_text(encoding="utf-8").splitlines()) == 3
    page.get_by_role("link", name="all", exact=True).click()
    page.get_by_role("link", name="report", exact=True).click()
    assert page.locator("h1").inner_text().startswith("drifted Drift in embeddings")
    assert page.evaluate("document.documentElement.classList.contains('js')"), (
        "its script runs under the header's policy"
    )
    page.goto(f"{address}/tickets")
    assert page.locator("td.place a").count() == 0
    assert page.locator("td.place").inner_text() == "https://tickets.example/7?<script>"


def test_an_alert_leads_to_the_report_and_to_the_runbook(visit, address, filled):
    page = visit()
    page.goto(f"{address}/monitors/support/newest")
    assert page.url == f"{address}/runs/{filled[1].id}"
    page.goto(f"{address}/runbooks#driftmonitorticketwaiting")
    heading = page.locator("h2:target")
    assert heading.inner_text() == "DriftMonitorTicketWaiting"
    assert heading.bounding_box()["y"] < WIDE["height"]
    page.get_by_role("link", name="DriftMonitorFailing").click()
    assert page.url.endswith("#driftmonitorfailing")


def test_one_page_and_one_style_sheet_are_asked_for(visit, address):
    page = visit()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}/monitors/support")
    assert asked == [f"{address}/monitors/support", f"{address}/pages.css"]


def test_pages_fit_a_phone_and_the_dark(visit, address, filled):
    folder = os.environ.get("DRIFT_MONITOR_SCREENSHOTS")
    run = filled[1].id
    places = {
        "monitors": "/",
        "runs": "/monitors/support",
        "tickets": "/tickets",
        "runbooks": "/runbooks",
        "candidates": f"/runs/{run}/candidates",
    }
    for scheme, background in (("light", LIGHT), ("dark", DARK)):
        for size, viewport in (("wide", WIDE), ("narrow", NARROW)):
            page = visit(color_scheme=scheme, viewport=viewport)
            for name, path in places.items():
                page.goto(address + path)
                assert page.evaluate("getComputedStyle(document.body).backgroundColor") == background
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is too wide"
                if folder:
                    page.screenshot(path=Path(folder) / f"{name}-{scheme}-{size}.png")
