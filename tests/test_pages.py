"""The pages of the service: what they show, what they never show, and who may read them."""

from __future__ import annotations

import csv
import io
import json
import logging
import re
import ssl
import subprocess
import threading
import time
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from pictured import a_run, a_window, calm_run, candidates, picture
from run_examples import LEASE, failed, open_ticket, tickets, week
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from test_report_html import EMOJI, NASTY, RTL

from monitor.attempts import Attempts
from monitor.config import parse
from monitor.door import Door, check_certificate, users_of
from monitor.errors import ConfigError, StoreError
from monitor.picture import to_bytes
from monitor.serve import application
from monitor.store import Claim, Store
from monitor.values import MonitorTerms, State

ROOT = Path(__file__).resolve().parents[1]
LIMITS = {"lag": timedelta(days=14)}
TERMS = {
    "support": MonitorTerms("team-desk", 1.0, 50, LIMITS),
    "calm": MonitorTerms("team-quiet", 1.0, 50, LIMITS),
    "broken": MonitorTerms("<b>team</b>", 1.0, 50, LIMITS),
    "new": MonitorTerms("nobody", 1.0, 50, LIMITS),
}
SECRET = "4711"
"""In every raw text of the examples, and masked in every excerpt."""


def keep(store, run, monitor="support", destinations=(), key="episode-1", **wishes):
    """Claim the window, and save the run under the id that the store gives it."""
    now = run.window.end
    claim = store.claim(monitor, run.window, "a", now, LEASE)
    made = replace(run, id=claim.run_id, monitor=monitor)
    store.save(claim, made, tickets=tickets(made, key, destinations), **wishes)
    return made


def strange(found):
    """Records whose id, label and group try everything."""
    odd = [
        replace(one, record_id=words, suggested_label=words, cluster=words, predicted=words)
        for one, words in zip(found, (NASTY, RTL, EMOJI), strict=False)
    ]
    return (*odd, replace(found[3], record_id="=cmd|' /C calc'!A0"), *found[4:])


def fill(store):
    """A drifted monitor with eight calm weeks before it, a calm one, a broken one, and one that never ran."""
    for name in TERMS:
        if name != "new":
            settings = {"settings": "s", "period": timedelta(days=7)}
            store.register_monitor(name, now=week(0).start, **settings)
    for number in range(1, 9):
        keep(store, calm_run(number))
    drifted = a_run(candidates=strange(candidates(a_window())))
    drawn = picture()
    texts = dict(drawn.texts)
    first = min(drawn.candidates, key=lambda row: drawn.candidates[row])
    texts[first] = NASTY
    made = replace(drifted, id="x")
    kept = keep(store, made, destinations=["file"], picture=to_bytes(replace(drawn, texts=texts)))
    for due in store.due_tickets(week(10).start + timedelta(hours=1)):
        open_ticket(store, due, "https://tickets.example/7?<script>", week(10).start + timedelta(hours=2))
    keep(store, calm_run(9), "calm")
    window = week(9)
    keep(
        store,
        failed(Claim("x", "broken", window, 1, "a", window.end, window.end + LEASE), f"gone {NASTY}"),
        "broken",
    )
    return kept


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    with Store.open(f"sqlite:///{tmp_path_factory.mktemp('pages') / 'monitor.db'}") as store:
        store.upgrade()
        run = fill(store)
        store.now = lambda: week(10).start + timedelta(hours=3)
        yield store, run


@pytest.fixture
def client(filled):
    return TestClient(application(filled[0], TERMS), raise_server_exceptions=False)


@pytest.fixture
def run(filled):
    return filled[1]


def cells(page):
    """Rows of the table as plain words."""
    body = page[page.index("<tbody>") : page.index("</tbody>")]
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in body.split("<tr>")[1:]]
    return [[" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in row] for row in rows]


def test_monitors_show_who_needs_attention_first(client):
    rows = cells(client.get("/").text)
    assert [row[0] for row in rows] == ["support", "broken", "calm", "new"]
    support = rows[0]
    assert support[1:3] == ["team-desk", "drifted"]
    assert support[3] == f"{week(8).end:%Y-%m-%d}"
    assert support[4] == "312 of 52"
    assert support[5].startswith("Drift in embeddings")
    assert support[6] == "1"
    assert rows[1][1] == "&lt;b&gt;team&lt;/b&gt;"
    assert rows[1][2] == "failed late", "it never had a verdict"
    assert (rows[2][2], rows[2][6]) == ("stable", "0")
    assert rows[3][2:4] == ["no run yet", "-"]


def test_a_failed_run_hides_no_drift_and_a_late_verdict_is_said(tmp_path):
    with Store.open(f"sqlite:///{tmp_path / 'monitor.db'}") as store:
        store.upgrade()
        keep(store, a_run())
        window = week(10)
        keep(store, failed(Claim("x", "support", window, 1, "a", window.end, window.end + LEASE)))
        keep(store, calm_run(9), "calm")
        terms = {name: TERMS[name] for name in ("calm", "support")}
        client = TestClient(application(store, terms))
        store.now = lambda: week(11).start
        assert [row[2] for row in cells(client.get("/").text)] == ["failed drifted", "stable"]
        store.now = lambda: week(13).start
        assert [row[2] for row in cells(client.get("/").text)] == ["failed drifted late", "stable late"]


def test_runs_stand_newest_first_and_in_pages(client, tmp_path):
    rows = cells(client.get("/monitors/support").text)
    assert [row[1] for row in rows] == ["drifted"] + ["stable"] * 8
    assert rows[0][3] == "14 % 11 % to 18 %"
    assert rows[0][6] == "report candidates"
    assert rows[1][6] == "report"
    with Store.open(f"sqlite:///{tmp_path / 'monitor.db'}") as store:
        store.upgrade()
        for number in range(1, 61):
            keep(store, calm_run(number))
        many = TestClient(application(store, TERMS))
        address, seen = "/monitors/support", []
        for size in (25, 25, 10):
            page = many.get(address).text
            found = [row[0].split()[0] for row in cells(page)]
            assert len(found) == size
            seen += found
            older = re.search(r'href="([^"]+)" rel="next"', page)
            assert (older is None) == (size == 10)
            address = older and older[1]
        assert seen == [f"{week(number).start:%Y-%m-%d}" for number in range(60, 0, -1)]


def test_the_report_of_a_run_is_the_page_of_the_run(client, run):
    answer = client.get(f"/runs/{run.id}")
    assert answer.status_code == 200
    assert "Drift in embeddings" in answer.text
    inside = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', answer.text)[1].replace("&#39;", "'")
    assert answer.headers["content-security-policy"] == f"{inside}; frame-ancestors 'none'"


def test_tickets_tell_where_they_are_and_link_nowhere_foreign(client, run):
    (row,) = cells(client.get("/tickets").text)
    assert row[:2] == ["sent", "support"]
    assert row[4] == "https://tickets.example/7?&lt;script&gt;"
    page = client.get("/tickets?monitor=support").text
    assert f'href="/runs/{run.id}"' in page
    assert not re.search(r'href="https?:', page)
    assert "No tickets yet" in client.get("/tickets?monitor=calm").text


def many_tickets(store, count):
    """Runs with a ticket each, two of them asked for at the same time."""
    for number in range(count):
        run = replace(a_run(number), finished_at=week(number // 2).end)
        keep(store, run, destinations=["file"], key=f"k{number:03}")


def test_tickets_stand_in_pages_and_none_is_left_out(store):
    many_tickets(store, 120)
    other = replace(a_run(200), monitor="unknown")
    keep(store, other, "unknown", destinations=["file"], key="other")
    client = TestClient(application(store, TERMS))
    for start in ("/tickets", "/tickets?monitor=support"):
        address, sizes, seen = start, [], []
        while address:
            page = client.get(address).text
            found = re.findall(r'href="/runs/(\w+)"', page)
            sizes.append(len(found))
            seen += found
            older = re.search(r'href="([^"]+)" rel="next"', page)
            address = older and older[1].replace("&amp;", "&")
        assert sizes == [50, 50, 20]
        assert seen == [one.run_id for one in store.tickets("support")]
        assert len(set(seen)) == 120
    assert 'href="/tickets?monitor=support">Newest' in page
    assert client.get("/tickets?before=yesterday").status_code == 404
    assert "No older tickets" in client.get("/tickets", params={"before": week(0).start.isoformat()}).text


def test_the_newest_run_has_an_address_that_stays(client, run):
    answer = client.get("/monitors/support/newest", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, f"/runs/{run.id}")
    assert answer.headers["cache-control"] == "no-store"
    assert client.get("/monitors/new/newest", follow_redirects=False).headers["location"] == "/monitors/new"
    assert client.get("/monitors/nobody/newest").status_code == 404


def test_every_alert_finds_its_runbook_at_the_address_it_names(client):
    from test_alerts import ALL  # noqa: PLC0415 - only here

    page = client.get("/runbooks").text
    anchors = re.findall(r'<h2 id="(\w+)">(\w+)</h2>', page)
    assert anchors == [(name.lower(), name) for name in ALL]
    links = re.findall(r'<a href="([^"]+)"', page.partition('class="runbooks"')[2])
    assert links
    assert {link.removeprefix("#") for link in links} <= {anchor for anchor, _ in anchors}
    assert "<code>drift-monitor check</code>" in page
    assert "in settings" in page, "what a link said stays where the link goes nowhere"


def test_the_runbooks_are_those_of_the_documentation():
    from monitor.pages import runbooks  # noqa: PLC0415 - only here

    served = Path(runbooks.__file__).parent / "templates" / "runbooks.md"
    assert served.read_text() == (ROOT / "docs" / "runbooks.md").read_text(), "make gen"


def ids(page):
    return [row[1] for row in cells(page)]


def test_candidates_are_filtered_and_sorted_by_the_address(client, run):
    address = f"/runs/{run.id}/candidates"
    everything = ids(client.get(address).text)
    assert len(everything) == len(run.candidates) == 12
    by_class = client.get(address, params={"predicted": "topic 1"}).text
    wanted = [one.record_id for one in run.candidates if one.predicted == "topic 1"]
    assert wanted
    assert ids(by_class) == wanted
    assert '<option value="topic 1" selected>' in by_class
    assert ids(client.get(address, params={"label": RTL}).text) == [RTL]
    assert ids(client.get(address, params={"id": "W 19"}).text) == [
        one.record_id for one in run.candidates if "w" in one.record_id and "19" in one.record_id
    ]
    turned = ids(client.get(address, params={"sort": "need", "order": "desc"}).text)
    assert turned == everything, "need falls with rank"
    assert ids(client.get(address, params={"sort": "need"}).text) == everything[::-1]
    assert ids(client.get(address, params={"sort": "nonsense", "order": "up"}).text) == everything
    assert "None of them is like that" in client.get(address, params={"strategy": "nobody"}).text
    assert "No record of this window" in client.get(f"/runs/{calm_id(client)}/candidates").text


def calm_id(client):
    return re.search(r"/runs/(\w+)", client.get("/monitors/calm").text)[1]


def test_what_is_shown_can_be_taken_away(client, run):
    address = f"/runs/{run.id}/candidates"
    page = client.get(address, params={"predicted": "topic 1", "sort": "need"}).text
    links = [link.replace("&amp;", "&") for link in re.findall(rf'href="({address}\.[^"]+)"', page)]
    as_csv, as_lines = (client.get(link) for link in links)
    rows = [json.loads(line) for line in as_lines.text.splitlines()]
    assert [row["id"] for row in rows] == ids(page)
    assert [row["id"] for row in csv.DictReader(io.StringIO(as_csv.text, newline=""))] == ids(page)
    assert set(rows[0]) == {
        *("rank", "id", "strategy", "need", "gain", "risk", "predicted", "confidence"),
        *("suggested_label", "label", "duplicates", "group", "excerpt"),
    }
    assert as_csv.headers["content-disposition"] == 'attachment; filename="candidates-support-20260309T0000.csv"'
    assert as_csv.headers["content-type"].startswith("text/csv")
    none = client.get(f"{address}.csv", params={"strategy": "nobody"}).text
    assert none.splitlines() == [as_csv.text.splitlines()[0]]
    formulas = [row["id"] for row in csv.DictReader(io.StringIO(client.get(f"{address}.csv").text, newline=""))]
    assert "'=cmd|' /C calc'!A0" in formulas


def test_texts_appear_only_as_they_were_redacted_with_the_run(client, run):
    assert SECRET in run.candidates[5].text
    address = f"/runs/{run.id}"
    for path in ("/", "/monitors/support", "/tickets", address, f"{address}/candidates", f"{address}/candidates.csv"):
        assert SECRET not in client.get(path).text
    lines = client.get(f"{address}/candidates.jsonl").text
    assert SECRET not in lines
    assert "[number]" in lines


def test_a_run_that_kept_no_picture_shows_no_text(tmp_path):
    with Store.open(f"sqlite:///{tmp_path / 'monitor.db'}") as store:
        store.upgrade()
        made = keep(store, a_run())
        client = TestClient(application(store, TERMS))
        assert "not kept" in client.get(f"/runs/{made.id}/candidates").text
        rows = [json.loads(one) for one in client.get(f"/runs/{made.id}/candidates.jsonl").text.splitlines()]
        assert {row["excerpt"] for row in rows} == {None}


@pytest.mark.parametrize("words", [NASTY, RTL, EMOJI, "\u202eevil", "a\x00c"])
def test_strange_words_are_shown_harmlessly(client, run, words):
    page = client.get(f"/runs/{run.id}/candidates", params={"id": words, "predicted": words}).text
    assert "<script" not in page
    assert "<img" not in page
    if words in (NASTY, RTL, EMOJI):
        assert [row[1] for row in cells(page)] == [
            words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("'", "&#39;").replace('"', "&#34;")
        ]  # fmt: skip
    assert "<script" not in client.get("/").text
    assert "<script" not in client.get("/monitors/broken").text


class Tags(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes = set(), set()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


SHEET = (
    "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


def test_every_answer_carries_safe_headers(client, run):
    address = f"/runs/{run.id}"
    plain = ["/", "/monitors/support", "/tickets", f"{address}/candidates", f"{address}/candidates.csv", "/pages.css"]
    for path in (*plain, address, "/nothing", "/metrics", "/healthz"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        if path != address:
            assert headers["content-security-policy"] == SHEET
    for path in plain[:4]:
        seen = Tags(client.get(path).text)
        assert seen.tags.isdisjoint({"style", "script", "img", "iframe", "object", "base"})
        assert not [name for name in seen.attributes if name == "style" or name.startswith("on")]


def test_nothing_but_reading(client, run):
    for path in ("/", "/monitors/support", f"/runs/{run.id}", f"/runs/{run.id}/candidates", "/tickets", "/pages.css"):
        assert client.head(path).status_code == 200
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            answer = client.request(method, path)
            assert answer.status_code == 405
            assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/monitors/nobody",
        "/monitors/%3Cscript%3E",
        "/runs/nothing",
        "/runs/a%00b",
        "/runs/" + "a" * 5_000,
        "/runs/nothing/candidates",
        "/runs/nothing/candidates.csv",
        "/tickets?monitor=nobody",
        "/monitors/nobody/newest",
        "/monitors/support?before=yesterday",
        "/monitors/support?before=2026-01-01",
        "/monitors/support?before=0001-01-01T00:00:00%2B14:00",
    ],
)
def test_what_does_not_exist_is_not_found(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert "<h1>Not found</h1>" in answer.text
    assert "<script" not in answer.text


def test_monitors_that_the_settings_do_not_name_are_not_shown(filled, run):
    client = TestClient(application(filled[0], {"calm": TERMS["calm"]}))
    assert [row[0] for row in cells(client.get("/").text)] == ["calm"]
    assert client.get("/monitors/support").status_code == 404
    assert client.get(f"/runs/{run.id}").status_code == 404
    assert "No tickets yet" in client.get("/tickets").text


def test_a_store_that_does_not_answer_is_said_without_details(filled, run, monkeypatch, caplog):
    store, _ = filled

    def gone(*_, **__):
        raise StoreError("database db.internal: no such host")

    for name in ("overview", "runs", "run_by_id", "tickets"):
        monkeypatch.setattr(store, name, gone)
    client = TestClient(application(store, TERMS))
    for path in ("/", "/monitors/support", f"/runs/{run.id}", f"/runs/{run.id}/candidates", "/tickets"):
        with caplog.at_level(logging.WARNING, "monitor.serve"):
            answer = client.get(path)
        assert answer.status_code == 503
        assert "The store does not answer" in answer.text
        assert "internal" not in answer.text
        assert answer.headers["cache-control"] == "no-store"
    assert "no such host" in caplog.records[-1].monitor_fields["error"]


def test_what_nobody_foresaw_is_said_without_details(filled, monkeypatch, caplog):
    store, run = filled

    def broken(*_, **__):
        raise RuntimeError(run.candidates[5].text)

    monkeypatch.setattr(store, "overview", broken)
    answer = TestClient(application(store, TERMS)).get("/")
    assert answer.status_code == 500
    assert SECRET not in answer.text + caplog.text


# --- who may read ----------------------------------------------------------------------------------------------------


@pytest.fixture
def auth_file(tmp_path):
    path = tmp_path / "users"
    path.write_text("kim:right: horse \n\nzoë:pässword\n", encoding="utf-8")
    return path


def test_who_is_not_in_the_file_reads_no_page(filled, run, auth_file):
    client = TestClient(application(filled[0], TERMS, users_of(str(auth_file))))
    for path in ("/", "/monitors/support", f"/runs/{run.id}", "/tickets", "/pages.css", "/nothing", "/metrics/"):
        answer = client.get(path, follow_redirects=False)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Basic realm="drift-monitor", charset="UTF-8"'
        assert answer.headers["cache-control"] == "no-store"
        assert "support" not in answer.text
    for path in ("/metrics", "/healthz", "/readyz"):
        assert client.get(path).status_code == 200
    for user in (("kim", "right: horse "), ("zoë".encode(), "pässword".encode())):
        assert client.get("/", auth=user).status_code == 200
    for user in (
        ("kim", "right: horse"),
        ("Kim", "right: horse "),
        ("kim", "pässword".encode()),
        ("kim", ""),
        ("", ""),
    ):
        assert client.get("/", auth=user).status_code == 401
    client = TestClient(application(filled[0], TERMS, users_of(str(auth_file))))
    for header in ("Basic", "Basic !!!", "Basic é", "Bearer a2lt", "Basic a2lt" + "A" * 10_000):
        assert client.get("/", headers={"Authorization": header.encode("latin-1")}).status_code == 401


class Ticking:
    """A clock that stands still until it is moved."""

    now = 1_000.0

    def __call__(self):
        return self.now


async def inside(scope, receive, send):
    await PlainTextResponse("inside")(scope, receive, send)


def visitor(app, client="203.0.113.7"):
    return TestClient(app, client=(client, 5000))


def test_who_guesses_waits_longer_and_longer(auth_file):
    clock = Ticking()
    door = Door(inside, users_of(str(auth_file)), ("/metrics",), clock)
    guesser, owner = visitor(door), visitor(door, "203.0.113.8")
    right, wrong = ("kim", "right: horse "), ("kim", "horse")
    for _ in range(10):
        assert guesser.get("/").status_code == 401, "to ask without a name is no guess"
    assert [guesser.get("/", auth=wrong).status_code for _ in range(5)] == [401] * 5
    waits = []
    for _ in range(9):
        refused = guesser.get("/", auth=right)
        assert refused.status_code == 429, "who is right waits too, else waiting would tell who is"
        assert refused.headers["cache-control"] == "no-store"
        waits.append(int(refused.headers["retry-after"]))
        clock.now += waits[-1]
        assert guesser.get("/", auth=wrong).status_code == 401
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert guesser.get("/metrics").status_code == 200
    assert owner.get("/", auth=right).status_code == 200, "each client for itself"
    clock.now += 60
    assert guesser.get("/", auth=right).text == "inside"
    assert guesser.get("/", auth=wrong).status_code == 401
    assert guesser.get("/", auth=right).status_code == 200, "forgotten"


def test_who_stays_away_begins_anew_and_no_more_clients_are_kept_than_allowed():
    clock = Ticking()
    attempts = Attempts(clock, clients=100)
    for _ in range(6):
        attempts.failed("a")
    assert attempts.wait("a") == 2
    clock.now += 700
    attempts.failed("a")
    assert attempts.wait("a") == 0
    for _ in range(5):
        attempts.failed("a")
    for number in range(1_000):
        attempts.failed(f"client {number}")
    assert attempts.wait("a") == 0, "forgotten, as the one that failed longest ago"
    assert len(attempts._known) == 100


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read (FileNotFoundError)"),
        (b" \n\n", "is empty"),
        (b"kim:horse\nlee\n", "line 2: wanted user:password"),
        (b"kim:\n", "line 1: wanted user:password"),
        (b":horse\n", "line 1: wanted user:password"),
        (b"\xff:horse\n", "is not UTF-8 text"),
    ],
)
def test_a_file_of_users_that_lets_in_nobody_or_anybody_is_refused(tmp_path, content, said):
    path = tmp_path / "users"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        users_of(str(path))
    assert str(refused.value).startswith("serve.auth_file: ")
    assert said in str(refused.value)
    assert "horse" not in str(refused.value)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    pair = folder / "cert.pem", folder / "key.pem"
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command = ["openssl", "req", "-x509", *kind, "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-out", pair[0], "-keyout", pair[1]], check=True, capture_output=True)
    return tuple(map(str, pair))


def test_a_certificate_without_its_key_is_refused(tmp_path, certificate):
    check_certificate(*certificate)
    empty = tmp_path / "empty.pem"
    empty.touch()
    for pair, said in (
        ((str(tmp_path / "none.pem"), certificate[1]), "serve.tls_certificate: "),
        ((certificate[0], str(empty)), "serve.tls_key: "),
        ((certificate[0], certificate[0]), "no PEM certificate with its key"),
    ):
        with pytest.raises(ConfigError, match=said):
            check_certificate(*pair)
    raw = {"serve": {"tls_certificate": certificate[0]}, "monitors": []}
    with pytest.raises(ConfigError, match="tls_certificate and tls_key belong together"):
        parse(raw)


def test_pages_are_read_through_tls(filled, certificate, monkeypatch):
    """The service itself, in a thread, with the certificate of the settings."""
    from shop import raw_settings  # noqa: PLC0415 - only here

    from monitor import serve as service  # noqa: PLC0415 - only here

    store, _ = filled
    started = []

    class Known(service._Server):
        def __init__(self, *given):
            super().__init__(*given)
            started.append(self)

    monkeypatch.setattr(service, "open_store", lambda settings: store)
    monkeypatch.setattr(store, "close", lambda: None)
    monkeypatch.setattr(service, "_Server", Known)
    raw = raw_settings("nowhere")
    raw["serve"] |= {"tls_certificate": certificate[0], "tls_key": certificate[1]}
    thread = threading.Thread(target=service.serve, args=[parse(raw)], kwargs={"worker": "a", "schedule": False})
    thread.start()
    try:
        until = time.monotonic() + 30
        while not (started and started[0].started):
            assert time.monotonic() < until
            time.sleep(0.02)
        port = started[0].servers[0].sockets[0].getsockname()[1]
        trusted = ssl.create_default_context(cafile=certificate[0])
        answer = httpx.get(f"https://127.0.0.1:{port}/", verify=trusted)
        assert (answer.status_code, "server" in answer.headers) == (200, False)
    finally:
        started[0].should_exit = True
        thread.join(30)


def test_state_words_are_the_pills_of_the_style_sheet(client):
    style = client.get("/pages.css").text
    for state in (*State, "late", "no-run-yet", "sent", "pending", "parked", "running"):
        assert f".{state} {{ --state:" in style or f".{state}, " in style


def test_either_kind_of_store_is_read(store):
    run = fill(store)
    client = TestClient(application(store, TERMS))
    assert {row[0] for row in cells(client.get("/").text)} == set(TERMS)
    assert len(cells(client.get("/monitors/support").text)) == 9
    assert len(cells(client.get(f"/runs/{run.id}/candidates").text)) == 12
    assert len(cells(client.get("/tickets").text)) == 1
    assert client.get(f"/runs/{run.id}").status_code == 200
    for strange_id in ("a%00b", "%ED%A0%80", "x" * 200):
        assert client.get(f"/runs/{strange_id}").status_code == 404
    assert client.get("/monitors/support", params={"before": "9999-12-31T23:59:59-14:00"}).status_code == 404


def test_a_missing_file_of_users_stops_the_service_before_it_starts(tmp_path):
    from shop import raw_settings  # noqa: PLC0415 - only here

    from monitor.serve import serve  # noqa: PLC0415 - only here

    raw = raw_settings(tmp_path)
    raw["serve"] |= {"auth_file": str(tmp_path / "users")}
    with pytest.raises(ConfigError, match=r"serve\.auth_file: .*users cannot be read"):
        serve(parse(raw), worker="a", schedule=False)
    assert not (tmp_path / "monitor.db").exists()
