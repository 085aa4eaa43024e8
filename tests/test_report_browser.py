"""The report in a real browser: it fetches nothing, logs nothing, and every part that can be used does what it says.

With ``DRIFT_MONITOR_SCREENSHOTS`` set to a folder, pictures of it are written there, light and dark, wide and narrow.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import missing
from pictured import a_reference, a_run, a_source, a_window, calm_run, candidates, picture
from test_report_html import EMOJI, NASTY, RTL

from monitor.report.run_page import run_page

SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser():
    program = os.environ.get("DRIFT_MONITOR_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        missing("no Chromium: apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - a test of one extra
    except ImportError:
        missing("no playwright: pip install -e '.[dev]'")
    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=program, args=SWITCHES)
        yield chromium
        chromium.close()


def strange_source():
    """A drifted run whose records try everything."""
    drawn = picture(a_reference(), a_window())
    chosen = sorted(drawn.candidates, key=lambda row: drawn.candidates[row])
    texts = dict(drawn.texts) | dict(zip(chosen, (NASTY, RTL, EMOJI), strict=False))
    odd = [
        replace(one, text=words, suggested_label=NASTY)
        for one, words in zip(candidates(a_window()), (NASTY, RTL, EMOJI), strict=False)
    ]
    return a_source(run=a_run(candidates=(*odd, *a_run().candidates[3:])), picture=replace(drawn, texts=texts))


class Seen:
    """One page in one window, and all that went wrong or was asked for."""

    def __init__(self, browser, path, **look):
        self.context = browser.new_context(viewport=WIDE, reduced_motion="reduce", **look)
        self.page = self.context.new_page()
        self.said, self.asked = [], []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append("dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.url = path.as_uri()
        self.page.goto(self.url)

    def clean(self):
        assert self.said == []
        assert self.asked == [self.url]
        self.context.close()


@pytest.fixture
def report(browser, tmp_path):
    """Opens the report of a source."""
    opened = []

    def open_it(source, **look):
        path = tmp_path / f"report-{len(opened)}.html"
        path.write_text(run_page(source), encoding="utf-8")
        opened.append(Seen(browser, path, **look))
        return opened[-1].page

    yield open_it
    for seen in opened:
        seen.clean()


def paths(page, selector):
    return (page.get_attribute(selector, "d") or "").count("M")


def colour(page, selector="body", name="background-color"):
    return page.evaluate(f"getComputedStyle(document.querySelector({selector!r})).getPropertyValue({name!r})")


def test_it_is_one_request_and_shows_nasty_words_harmlessly(report):
    page = report(strange_source())
    assert page.locator("h1").inner_text().startswith("drifted Drift in embeddings")
    assert page.locator("#candidates tbody tr").count() == 12
    shown = page.locator("#candidates td.record .text").all_inner_texts()
    assert [" ".join(one.split()) for one in shown[:3]] == [" ".join(one.split()) for one in (NASTY, RTL, EMOJI)]
    assert page.locator("#candidates img").count() == 0
    # Neither direction nor markup leaks out of a record.
    assert page.evaluate("getComputedStyle(document.querySelectorAll('#candidates .text')[1]).unicodeBidi") == "isolate"
    assert page.evaluate("document.scripts.length") == 2
    assert page.evaluate("document.documentElement.classList.contains('js')")


def test_colours_follow_the_system_and_the_switch(report):
    light, dark = "rgb(246, 245, 241)", "rgb(18, 22, 26)"
    page = report(a_source(), color_scheme="light")
    assert colour(page) == light
    button = page.locator("#theme")
    seen = [button.get_attribute("aria-label")]
    for _ in range(3):
        button.click()
        seen.append((colour(page), button.get_attribute("aria-label")))
    assert seen == [
        "Colours: as the system",
        (light, "Colours: light"),
        (dark, "Colours: dark"),
        (light, "Colours: as the system"),
    ]
    page = report(a_source(), color_scheme="dark")
    assert colour(page) == dark
    page.locator("#theme").click()
    assert colour(page) == light


def test_candidates_are_filtered_and_sorted_by_mouse_and_keyboard(report):
    page = report(strange_source())
    rows = page.locator("#candidates tbody tr:visible")
    page.fill("#filter", "harbour w0019")
    assert page.locator("#count").inner_text() == f"{rows.count()} of 12"
    assert 0 < rows.count() < 12
    page.fill("#filter", "ZZZ")
    assert rows.count() == 0
    page.fill("#filter", "")
    assert rows.count() == 12

    def first(column):
        return [
            int(one)
            for one in page.locator(f"#candidates tbody tr td:nth-child({column})").evaluate_all(
                "cells => cells.map((c) => c.parentElement.cells[0].textContent)"
            )
        ][:3]

    page.locator("#candidates th button", has_text="Risk").click()
    head = page.locator("#candidates th", has=page.locator("button", has_text="Risk"))
    assert head.get_attribute("aria-sort") == "descending"
    assert first(6) == [11, 10, 8]
    page.locator("#candidates th button", has_text="Risk").press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    # Those without an estimate come first then.
    assert first(6)[0] in (3, 6, 9, 12)
    for name in ("Record", "Predicted", "Gain", "Need", "Alike", "Group", "Nearest", "Why", "#"):
        page.locator("#candidates th button", has_text=name).first.click()
    assert page.locator("#candidates th[aria-sort]").count() == 1
    assert first(1) == [1, 2, 3]


def test_the_map_tells_of_a_record_under_the_pointer_and_lets_go(report):
    page = report(strange_source())
    plane = page.locator("#plane")
    plane.scroll_into_view_if_needed()
    row = int(page.locator("#candidates [data-show]").first.get_attribute("data-show"))
    x, y = page.evaluate(
        """(row) => { const p = JSON.parse(document.querySelector('#data').textContent).places;
        const m = document.querySelector('#plane').getScreenCTM();
        return [m.a * p[2 * row] + m.e, m.d * p[2 * row + 1] + m.f]; }""", row)  # fmt: skip
    page.mouse.move(x, y)
    card = page.locator("#card")
    card.wait_for(state="visible")
    assert "% of the traffic around it is new" in card.inner_text()
    assert paths(page, "#here") == 1
    page.mouse.click(x, y)
    assert page.locator("#said").inner_text().startswith("Window")
    page.mouse.move(5, 5)
    plane.press("Escape")
    assert not card.is_visible()


def test_the_map_is_walked_and_zoomed_by_keys(report):
    page = report(strange_source())
    plane = page.locator("#plane")
    whole = plane.get_attribute("viewBox")
    plane.focus()
    plane.press("ArrowRight")
    said = page.locator("#said")
    assert said.inner_text().startswith("Window, to label: number 1.")
    # The first candidate's text is the nastiest.
    assert "<script>alert" in page.locator("#card").inner_text()
    plane.press("ArrowDown")
    assert "number 2" in said.inner_text()
    plane.press("ArrowLeft")
    plane.press("ArrowUp")
    assert said.inner_text().startswith("Reference")
    plane.press("+")
    assert plane.get_attribute("viewBox") != whole
    plane.press("-")
    plane.press("0")
    assert plane.get_attribute("viewBox") == whole


def test_the_map_is_zoomed_and_moved_by_mouse(report):
    page = report(a_source())
    plane = page.locator("#plane")
    plane.scroll_into_view_if_needed()
    whole = plane.get_attribute("viewBox")
    page.locator("[data-zoom=in]").click()
    page.locator("[data-zoom=in]").click()
    near = plane.get_attribute("viewBox")
    assert float(near.split()[2]) == pytest.approx(10_700 * 0.49)
    plane.evaluate("plane => plane.scrollIntoView({ block: 'center' })")
    box = plane.bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] - 80, middle[1] - 40, steps=4)
    page.mouse.up()
    moved = plane.get_attribute("viewBox")
    assert float(moved.split()[0]) > float(near.split()[0])
    page.locator("[data-zoom=out]").click()
    page.locator("[data-zoom=all]").click()
    assert plane.get_attribute("viewBox") == whole
    plane.hover()
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    page.locator("#plane.zoomed").wait_for()
    page.locator("[data-zoom=all]").click()
    plane.dblclick()
    assert "zoomed" in plane.get_attribute("class")


def test_layers_come_and_go_and_groups_light_up(report):
    page = report(a_source())
    for layer in ("reference", "current", "drifted", "candidates", "names"):
        parts = page.locator(f"#plane [data-is={layer}]")
        assert parts.count() > 0
        page.locator(f"[data-layer={layer}]").uncheck()
        assert all("off" in (one.get_attribute("class") or "") for one in parts.all())
        page.locator(f"[data-layer={layer}]").check()
    page.locator("#group").select_option("0")
    size = paths(page, "#chosen")
    assert size == page.evaluate(
        "JSON.parse(document.querySelector('#data').textContent).group.filter((g) => g === 0).length"
    )
    assert f"{size} records" in page.locator("#said").inner_text()
    page.locator("#group").select_option("")
    assert paths(page, "#chosen") == 0
    page.locator("[data-group]").nth(1).click()
    assert paths(page, "#chosen") > 0
    assert page.evaluate("document.activeElement.id") == "plane"


def test_records_are_found_on_the_map_from_every_list(report):
    page = report(a_source())
    for place in ("#moved article [data-show]", "#candidates [data-show]"):
        page.locator(place).first.click()
        assert page.locator("#card").is_visible()
        assert "zoomed" in page.locator("#plane").get_attribute("class")


def test_numbers_over_time_by_pointer_and_as_a_table(report):
    page = report(a_source())
    page.locator("[data-tip]").last.hover()
    assert page.locator("#tip").inner_text().startswith("2026-03-09: drifted; content 14 %")
    page.mouse.move(2, 2)
    assert not page.locator("#tip").is_visible()
    for summary in page.locator("summary:visible").all():
        summary.click()
    assert page.locator("#time tbody tr").first.is_visible()
    assert page.locator("details:not([open])").count() == 0


def test_links_lead_to_sections(report):
    page = report(a_source())
    for link in page.locator("nav a").all():
        link.click()
        assert page.locator(link.get_attribute("href")).is_visible()
    page.keyboard.press("Home")
    page.locator(".skip").focus()
    page.locator(".skip").press("Enter")
    assert page.evaluate("document.activeElement.id") == "verdict"


def test_without_scripts_it_can_still_be_read(report):
    page = report(strange_source(), java_script_enabled=False)
    assert page.locator("#candidates tbody tr").count() == 12
    assert page.locator("#plane path").first.is_visible()
    assert page.locator(".js-only:visible").count() == 0


def test_on_paper_all_is_open_and_nothing_to_press(report):
    page = report(a_source(), color_scheme="dark")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert colour(page) == "rgb(255, 255, 255)"
    # Heads of columns are words there.
    assert page.locator("button:visible:not([data-sort])").count() == 0
    assert len(page.pdf()) > 20_000
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_nothing_sticks_out_and_pictures_are_taken(report, size):
    folder = os.environ.get("DRIFT_MONITOR_SCREENSHOTS")
    for name, source in (("drifted", strange_source()), ("calm", a_source(run=calm_run(9)))):
        for scheme in ("light", "dark"):
            page = report(source, color_scheme=scheme)
            page.set_viewport_size(size)
            assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
            if folder:
                Path(folder).mkdir(parents=True, exist_ok=True)
                kind = "wide" if size is WIDE else "narrow"
                page.screenshot(path=Path(folder) / f"report-{name}-{kind}-{scheme}.png", full_page=True)


def test_five_thousand_records_answer_at_once(report):
    drawn = picture(a_reference(2_500), a_window(2_500, 400))
    page = report(a_source(picture=drawn))
    plane = page.locator("#plane")
    plane.scroll_into_view_if_needed()
    plane.focus()
    plane.press("ArrowRight")
    assert page.locator("#card").is_visible()
    assert (
        sum(paths(page, f"#plane path.{kind}") for kind in ("reference", "current", "drifted")) == len(drawn) == 5_000
    )
