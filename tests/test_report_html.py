"""The report of a run as a file: what it says, that nothing in a record can act in it, and that it is whole whatever is missing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from pictured import a_reference, a_run, a_source, a_window, calm_run, picture, records, share, without_anything
from pools import with_column
from run_examples import LEASE, START, candidate, failed, finished, week

from monitor.picture import to_bytes
from monitor.report.map_view import map_view
from monitor.report.numbers import axis, percent, short, signed, wilson
from monitor.report.run_page import run_page
from monitor.reporting import report_of
from monitor.values import Cause, Counts, Decision, RunStatus, State

NASTY = "</script><script>alert(\"x\")</script><img src=x onerror=alert(1)> & 'quoted' {{ 7*7 }} <!--"
RTL = "مرحبا أين طلبي؟ שלום"
EMOJI = "🛋️👩‍👩‍👧 lamp 💥"
VOID = {"meta", "link", "input", "br", "img", "hr"}


class Page(HTMLParser):
    """The page read as a browser reads it; fails on tags that do not close."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.open, self.words = [], [], []
        self.inside = {"script": [], "style": []}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag in self.inside:
            self.inside[tag].append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, words):
        if self.open and self.open[-1] in self.inside:
            self.inside[self.open[-1]][-1] += words
        else:
            self.words.append(words)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def attributes(self, name):
        return [found[name] for _, found in self.tags if name in found]

    @property
    def data(self):
        return json.loads(self.inside["script"][0])


def page_of(source):
    text = run_page(source)
    text.encode("utf-8")
    return Page(text)


def test_a_drifted_run_has_every_section():
    page = page_of(a_source())
    ids = [one for one in page.attributes("id") if one in
           ("verdict", "time", "map", "moved", "classes", "segments", "label", "quality", "origin")]  # fmt: skip
    assert ids == ["verdict", "time", "map", "moved", "classes", "segments", "label", "quality", "origin"]
    links = {one for one in page.attributes("href") if one.startswith("#")}
    assert links <= {f"#{one}" for one in page.attributes("id")}
    for words in (
        "Drift in embeddings: as if 14 % of traffic were a new kind of input.",
        "Change of content 14 % of traffic, as if it were new input; 95 %: 11 % to 18 %",
        "Evidence 312 alarm from 52 on",
        "Alarm since 2026-03-09",
        "About 14 % of the traffic forms one tight group.",
        "Label these records and refresh.",
        "badge chose nothing: no head",
        "Share of the need that it answers 91 %",
        "country=DE drifted",
        "topic 6 new",
        "0 % (0 % to 1.1 %) 30 % (24 % to 37 %) +30 % (+26 % to +35 %)",
        "rejected: wrong type could not be read 2",
        "Fingerprint of the reference " + "f" * 64,
        "all-MiniLM-L6-v2@abc",
        "version 3, made 2026-01-05",
        "Seed 17",
        "drift-monitor report run-9",
        "drift-monitor backfill --monitor support --from 2026-03-09T00:00:00+00:00 --to 2026-03-16T00:00:00+00:00 --no-send",
        "360 of 360 reference records, 200 of 200 sampled ones",
        "refund 0.88, t1",
        "20.0 %",
        "Far from every training example.",
    ):
        assert words in page.text, words
    assert len([1 for tag, found in page.tags if tag == "tr" and "data-value" not in found]) > 40


def test_the_same_run_gives_the_same_page():
    assert run_page(a_source()) == run_page(a_source())


def test_the_policy_names_the_one_style_and_the_one_script_and_nothing_else():
    page = page_of(a_source())
    (policy,) = (f["content"] for tag, f in page.tags if f.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data:"

    def hashed(words):
        return "'sha256-" + base64.b64encode(hashlib.sha256(words.encode()).digest()).decode() + "'"

    assert [hashed(one) for one in page.inside["style"]] == [rules["style-src"]]
    kinds = [found.get("type") for tag, found in page.tags if tag == "script"]
    assert kinds == ["application/json", None]
    assert hashed(page.inside["script"][1]) == rules["script-src"]
    assert "unsafe" not in policy


def test_nothing_is_fetched_and_nothing_stands_where_the_policy_forbids_it():
    text = run_page(a_source())
    page = Page(text)
    fetched = [v for name in ("src", "href", "action", "poster", "srcset") for v in page.attributes(name)]
    assert all(one.startswith("#") or one == "data:," for one in fetched)
    assert page.attributes("style") == []
    assert not [name for _, found in page.tags for name in found if name.startswith("on")]
    assert "url(" not in page.inside["style"][0]
    assert "@import" not in page.inside["style"][0]
    assert not re.search(r"https?://", text)
    assert not re.search(
        r"\beval\b|innerHTML|insertAdjacentHTML|new Function|document\.write", page.inside["script"][1]
    )


@pytest.mark.parametrize("words", [NASTY, RTL, EMOJI, "\u202eevil\u2066", "a\u2028b\x00c\ud800"])
def test_words_of_records_are_words_in_every_place(words):
    drawn = picture(a_reference(60), with_column(a_window(60, 20), "predicted", [words.replace("\ud800", "")] * 60))
    drawn = replace(
        drawn,
        ids=(*drawn.ids[:-1], words),
        texts=dict.fromkeys(drawn.texts, words),
        groups=tuple(replace(g, terms=(words,), top_class=words) for g in drawn.groups),
    )
    chosen = candidate(1, record_id=words, text=words, predicted=words, suggested_label=words, cluster=words, label=words,
                       strategy=words, reason=words)  # fmt: skip
    run = a_run()
    decision = replace(
        run.decision,
        reasons=(words, words),
        segments={words: State.STABLE},
        findings=(Cause(words, words, {}, (words,), (words,)),),
    )
    run = replace(
        run,
        decision=decision,
        candidates=(chosen,),
        measurements=(*run.measurements, share(words, 0.1, 0.2)),
        counts=Counts(10, 10, rejected={words: 2}),
    )
    page = page_of(a_source(run=run, picture=drawn))
    plain = page_of(a_source())
    assert sorted({tag for tag, _ in page.tags} - {tag for tag, _ in plain.tags}) == []
    assert len([1 for tag, _ in page.tags if tag == "script"]) == 2
    assert page.inside["script"][1] == plain.inside["script"][1]
    assert not [name for _, found in page.tags for name in found if name.startswith("on")]
    safe = words.replace("\ud800", "?")
    assert page.data["ids"][-1] == safe
    assert safe in page.data["texts"].values()
    if words in (NASTY, RTL, EMOJI):
        assert " ".join(words.split()) in page.text


def test_texts_are_in_the_page_only_where_they_were_kept():
    kept = page_of(a_source())
    assert "my anchor and order number [number] of w" in kept.text
    assert "4711" not in run_page(a_source())
    none = a_source(picture=picture(excerpts="none"))
    assert "my anchor" not in run_page(none)
    assert page_of(none).text.count("text not kept") == 12
    assert "my anchor" not in run_page(a_source(picture=None))


def test_five_thousand_records_and_every_text_stay_under_five_megabytes():
    ref, window = a_reference(2_500), a_window(2_500, 400)
    wide = ["💶" * 150] * 2_500
    drawn = picture(with_column_of(ref, wide), with_column(window, "text", wide), excerpts="all")
    assert len(drawn) == 5_000
    every = run_page(a_source(picture=drawn))
    usual = run_page(a_source(picture=picture(ref, window)))
    assert len(every.encode()) < 5_000_000
    assert len(usual.encode()) < 600_000
    assert Page(every).data["texts"]["0"] == "💶" * 150


def with_column_of(ref, words):
    return replace(
        ref,
        train=with_column(ref.train, "text", words),
        protected=with_column(ref.protected, "text", words[: len(ref.protected)]),
    )


def test_a_run_without_candidates_asks_for_none():
    page = page_of(a_source(run=a_run(candidates=(), refresh=None)))
    assert "What to label" not in page.text
    assert not [f for tag, f in page.tags if f.get("id") == "candidates"]


def test_a_calm_run():
    page = page_of(a_source(run=calm_run(9)))
    assert "stable No drift." in page.text
    assert "Alarm since" not in page.text


def test_a_failed_run_says_why_and_what_came_before():
    run = a_run()
    broken = without_anything(run, status=RunStatus.FAILED, error="the source is gone", reference_version=None, seconds={},
                              decision=Decision(State.FAILED, ("No verdict: the source is gone",)))  # fmt: skip
    page = page_of(replace(broken, past=[calm_run(8)]))
    assert "failed No verdict: the source is gone" in page.text
    assert "Effect over time" in page.text
    assert "Map of the records" not in page.text
    assert "not kept: calm windows" in page.text
    alone = page_of(broken)
    assert "Effect over time" not in alone.text


def test_an_insufficient_and_an_unfinished_run():
    few = Decision(State.INSUFFICIENT, ("No verdict: 3 usable records.",), evidence={"sampled": 3.0})
    page = page_of(
        a_source(
            run=a_run(decision=few, measurements=(), candidates=(), refresh=None),
            picture=picture(window=a_window(3, 1)),
        )
    )
    assert "insufficient No verdict: 3 usable records." in page.text
    assert "3 of the window on a plane" in page.text
    running = page_of(without_anything(a_run(), status=RunStatus.RUNNING, decision=None))
    assert "running This run has not ended yet." in running.text


def bare(data):
    """The same records without texts and classes."""
    nothing = [None] * len(data)
    return with_column(with_column(data, "text", nothing), "predicted", nothing)


def test_no_text_and_no_class_at_all():
    ref = a_reference(60)
    ref = replace(ref, train=bare(ref.train), protected=bare(ref.protected))
    chosen = candidate(
        1, record_id="w00039", text=None, neighbours=(), suggested_label=None, predicted=None, cluster=None
    )
    page = page_of(a_source(picture=picture(ref, bare(a_window(40, 10))), run=a_run(candidates=(chosen,))))
    assert page.data["groups"][0] == "group 1"
    assert set(page.data["classes"]) == {-1}
    assert page.data["texts"] == {}
    assert "text not kept" in page.text


def test_very_long_class_names_and_many_of_them():
    long = "class" * 400
    many = tuple(share(f"{long}{n}", 0.001 * n, 0.002) for n in range(90))
    page = page_of(a_source(run=a_run(measurements=many)))
    assert "50 more classes" in page.text
    assert page.text.count(long) == 90
    css = page.inside["style"][0]
    assert re.search(r"tbody th \{[^}]*overflow-wrap: anywhere", css)


def test_every_picture_has_words_and_every_control_a_name():
    page = page_of(a_source())
    for tag, found in page.tags:
        if tag == "svg":
            assert found.get("aria-hidden") == "true" or found.get("aria-label") or found.get("aria-labelledby"), found
        if tag == "div" and found.get("class") == "scroll":
            assert (found["tabindex"], found["role"]) == ("0", "region")
            assert found["aria-label"]
    assert ("html", {"lang": "en"}) in page.tags
    assert next(tag for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)) == "h1"
    assert len([1 for tag, _ in page.tags if tag == "h1"]) == 1
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))


def colours(css, block):
    found = re.search(block + r"\s*\{([^}]*)\}", css)[1]
    return dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})\b", found))


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("block", [":root", r':root\[data-theme="dark"\]'])
def test_words_stand_out_by_the_ratio_of_wcag_aa_in_light_and_dark(block):
    css = page_of(a_source()).inside["style"][0]
    named = colours(css, block)
    words = ("ink", "faint", "link", "current", "drifted", "stable", "watch", "recovering", "insufficient", "failed")
    for front in words:
        for back in ("sheet", "soft", "paper"):
            a, b = sorted((luminance(named[front]), luminance(named[back])), reverse=True)
            assert (a + 0.05) / (b + 0.05) >= 4.5, (front, back)
    for mark in ("reference", "classes", "candidate"):
        a, b = sorted((luminance(named[mark]), luminance(named["sheet"])), reverse=True)
        assert (a + 0.05) / (b + 0.05) >= 3, mark


def test_dark_is_the_same_by_switch_and_by_system():
    css = page_of(a_source()).inside["style"][0]
    system = re.search(r"prefers-color-scheme: dark\) \{ :root:not\(\[data-theme=\"light\"\]\) \{([^}]*)\}", css)[1]
    switch = re.search(r':root\[data-theme="dark"\] \{([^}]*)\}', css)[1].replace(" color-scheme: dark;", "")
    assert system.split() == switch.split()


def test_over_time_shows_this_run_last_and_marks_a_new_reference():
    past = [replace(calm_run(n), reference_version=2 if n < 5 else 3) for n in range(1, 9)]
    page = page_of(a_source(past=past))
    tips = page.attributes("data-tip")
    assert len(tips) == 9
    assert tips[-1] == "2026-03-09: drifted; content 14 % (11 % to 18 %); class balance 5 % (2 % to 9 %)"
    assert "reference 3" in page.text
    assert "tolerance, 2 %" in page.text
    assert "limit 52" in page.text


def test_the_store_has_all_that_a_report_takes(store):
    past = store.claim("support", week(0), "a", START, LEASE)
    store.save(past, replace(calm_run(0), id=past.run_id))
    claim = store.claim("support", week(1), "a", START, LEASE)
    run = finished(claim)
    store.save(claim, run, picture=to_bytes(picture()))
    store.register_reference("support", 3, "f" * 64, "file:///x", START)
    page = Page(report_of(store, store.run_by_id(run.id)))
    assert len(page.attributes("data-tip")) == 2
    assert "360 of 360 reference records" in page.text
    assert "version 3, made 2026-01-05" in page.text
    broken = store.claim("support", week(2), "a", START, LEASE)
    store.save(broken, failed(broken))
    assert "the source is gone" in Page(report_of(store, store.run("support", week(2).start))).text


def test_numbers_as_people_read_them():
    assert [percent(x) for x in (0, 0.005, 0.0999, 0.123, -0.02, 1)] == [
        "0 %",
        "0.5 %",
        "10 %",
        "12 %",
        "\u22122 %",
        "100 %",
    ]
    assert (signed(0.02), signed(0), signed(-0.1)) == ("+2 %", "0 %", "\u221210 %")
    assert [short(x) for x in (0, 0.01234, 1913.4, 1.5e11, -2.5)] == ["0", "0.0123", "1,913", "1.5e11", "\u22122.5"]
    assert list(axis(0.57)) == [0, 0.2, 0.4, 0.6]
    assert wilson(0.5, 0) == (0, 1)
    # Wilson 1927, as in Agresti and Coull 1998: 0 of 10.
    assert wilson(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)


def test_records_alike_on_both_sides_are_no_news():
    page = page_of(a_source(picture=picture(window=records([i % 6 for i in range(120)], 12, "w"))))
    assert "0 of these lie in the drifted region" in page.text


def test_a_single_drifted_record_is_no_region():
    drawn = picture()
    alone = np.flatnonzero(drawn.drifted)[:1]
    one = replace(drawn, excess=np.where(np.arange(len(drawn)) == alone, drawn.excess, 0).astype(np.uint8))
    shown = [map_view(one)[kind].count("M") for kind in ("drifted", "region")]
    assert shown == [1, 0]
    assert map_view(drawn)["region"].count("M") > 40
