"""The generic webhook on real sockets: what it sends, how it is signed, what it finds, and that nothing is done twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from example_tickets import NASTY, REPORT_LINK, WINDOW, draft, note
from hypothesis import given
from hypothesis import strategies as st
from tracker_webhook import ASKED, SIGNING, AskedTracker, Receiver, copied, documented, documented_settings
from trackers import TOKEN, Fault

from monitor import plugins
from monitor.errors import PluginError, PublishError
from monitor.testing import check_tickets
from monitor.tickets.living import settle
from monitor.tickets.webhook_templates import TEXTS, WHOLE, filled, filled_url
from monitor.values import Known


def build(**options):
    return plugins.build("tickets", "webhook", {"url": "https://hooks.example.org/x", **options})


def episode(backend):
    one, two, three = note("n1"), note("n2", "The drift is over."), note("n3", "The drift is back.")
    known = Known()
    for now in (
        draft(),
        draft(notes=(one,)),
        draft(notes=(one, two), open=False),
        draft(notes=(one, two, three)),
    ):
        known = settle(backend, now, known)
    return known


def test_an_episode_as_the_documented_payload():
    with Receiver() as receiver:
        known = episode(receiver.backend())
    assert [(one["event"], one["open"]) for one in receiver.events] == [
        ("create", True),
        ("comment", True),
        ("update", True),
        ("comment", False),
        ("close", False),
        ("reopen", True),
        ("comment", True),
    ]
    first, comment = receiver.events[:2]
    assert (first["key"], first["idempotency_key"]) == ("0123456789abcdef", "0123456789abcdef")
    assert (first["monitor"], first["title"]) == ("support", "support: content drift since 2026-01-05")
    assert first["window"] == {"start": WINDOW.start.isoformat(), "end": WINDOW.end.isoformat()}
    assert first["report_link"] == REPORT_LINK
    assert first["note"] is None
    assert first["body"]["markdown"].startswith("Content has drifted; **sure**.")
    assert first["body"]["html"].startswith("<p>Content has drifted; <strong>sure</strong>")
    assert first["body"]["document"][0]["words"][1] == {"text": "sure", "style": "bold", "href": ""}
    assert [block["kind"] for block in first["body"]["document"]] == [
        "paragraph", "table", "heading", "table", "bullets", "steps", "preformatted"
    ]  # fmt: skip
    assert comment["note"]["key"] == "n1"
    assert comment["note"]["markdown"] == comment["body"]["markdown"] == "The drift goes on."
    assert (comment["number"], comment["location"]) == ("T1", "https://issues.example.org/T1")
    assert known == Known("https://issues.example.org/T1", open=True, told=frozenset({"n1", "n2", "n3"}))
    assert len({request.headers["Idempotency-Key"] for request in receiver.requests}) == len(receiver.requests) == 7
    assert {request.headers["Content-Type"] for request in receiver.requests} == {"application/json"}


def test_nothing_is_said_twice_of_what_stayed():
    with Receiver() as receiver:
        known = settle(receiver.backend(), draft(), Known())
        for _ in range(3):
            assert settle(receiver.backend(), draft(), known) == known
    assert [one["event"] for one in receiver.events] == ["create", "update"]


def test_the_signature_is_what_openssl_makes_of_it():
    with Receiver() as receiver:
        receiver.backend().create(draft(title="ü \ud800 漢字"))
        (request,) = receiver.requests
    signed = request.headers["X-Drift-Monitor-Timestamp"].encode() + b"." + request.data
    command = ["openssl", "dgst", "-sha256", "-hmac", SIGNING]
    made = subprocess.run(command, input=signed, capture_output=True, check=True).stdout.split()[-1].decode()
    assert request.headers["X-Drift-Monitor-Signature"] == f"sha256={made}"


def test_a_wrong_secret_is_refused_and_not_shown():
    with (
        Receiver() as receiver,
        pytest.raises(PublishError, match="401 Unauthorized: signature does not match") as caught,
    ):
        receiver.backend(secret="another-secret").create(draft())
    assert caught.value.permanent
    assert "another" not in str(caught.value)
    assert receiver.events == []


def test_the_receiver_of_the_page_on_webhooks_works(tmp_path):
    """The example that users copy, run as it stands."""
    code = documented("A receiver").replace('"the secret of the settings"', f'"{SIGNING}"').replace("8099", "0")
    server = subprocess.Popen(
        [sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, text=True, cwd=tmp_path, env={"PATH": ""}
    )
    try:
        port = server.stdout.readline().split()[-1]
        settings = {"url": f"http://127.0.0.1:{port}/hook"}
        known = episode(build(**settings, secret=SIGNING))
        assert known.location.endswith("/tickets/1")
        assert episode(build(**settings, secret=SIGNING)).location == known.location, "one key, one ticket"
        with pytest.raises(PublishError, match="401"):
            build(**settings, secret="wrong").create(draft(key="other"))
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


def test_redmine_settings_of_the_page_are_read():
    settings = documented_settings("Redmine")
    settings["headers"] = {"X-Redmine-API-Key": "k"}
    assert settings.pop("kind") == "webhook"
    with AskedTracker() as tracker, pytest.raises(PublishError, match="could not look for the ticket: it answered 401"):
        plugins.build("tickets", "webhook", {**settings, "url": tracker.url}).find(draft(), "")
    (request,) = tracker.requests
    assert (request.path, request.query) == (
        "/issues.json",
        {"status_id": "*", "sort": "id", "description": "~0123456789abcdef"},
    )


def test_a_tracker_that_can_be_asked_keeps_the_contract():
    with AskedTracker() as tracker:
        check_tickets(tracker.backend(), draft())
    assert tracker.violations == []


def test_an_episode_in_a_tracker_that_can_be_asked():
    with AskedTracker() as tracker:
        known = episode(tracker.backend())
        (issue,) = tracker.issues
        assert (issue["done"], len(issue["comments"])) == (False, 3)
        assert known.location == "https://issues.example.org/1"
        issue.update(done=True, tags=[{"name": "Accepted"}, "WONT-FIX"])
        known = settle(tracker.backend(), draft(notes=(note("n4"),)), known)
        assert (known.by_hand, known.open, known.labels) == (True, False, {"accepted", "wont-fix"})
        assert issue["done"]
        issue["deleted"] = True
        known = settle(tracker.backend(), draft(), known)
        assert (known.by_hand, tracker.count()) == (True, 1)


@pytest.mark.parametrize("tracker", [AskedTracker, Receiver])
def test_a_process_killed_after_opening_leaves_one_ticket(tracker):
    code = (
        "import json, os, signal, sys\n"
        "from example_tickets import draft\n"
        "from monitor import plugins\n"
        "from monitor.tickets.living import settle\n"
        "from monitor.values import Known\n"
        "backend = plugins.build('tickets', 'webhook', json.loads(sys.argv[1]))\n"
        "settle(backend, draft(), Known(), lambda known: os.kill(os.getpid(), signal.SIGKILL))\n"
    )
    with tracker() as started:
        options = {"url": started.url, "headers": {"Authorization": f"Bearer {TOKEN}"}, "secret": SIGNING}
        options |= ASKED if tracker is AskedTracker else {}
        done = subprocess.run([sys.executable, "-c", code, json.dumps(options)], check=False, cwd=Path(__file__).parent)
        assert done.returncode == -signal.SIGKILL
        made = started.issues if tracker is AskedTracker else started.events
        assert len(made) == 1
        assert settle(started.backend(), draft(), Known()).open
        assert len(made) == 1


def test_ten_at_once_are_one_ticket_to_who_honours_the_key():
    with Receiver() as receiver, ThreadPoolExecutor(10) as threads:
        places = set(threads.map(lambda _: settle(receiver.backend(), draft(), Known()).location, range(10)))
    assert len([one for one in receiver.events if one["event"] == "create"]) == len(places) == 1


@pytest.mark.parametrize("kind", ["500", "502", "cut", "drip", "silence", "wrong JSON"])
def test_an_opening_that_arrived_is_one_ticket_when_it_is_tried_again(kind):
    with Receiver() as receiver:
        receiver.faults.append(Fault(kind, receiver.opens, processed=True))
        with pytest.raises(PublishError, match="tried again later by itself") as caught:
            settle(receiver.backend(timeout=0.4 if kind in ("drip", "silence") else 30), draft(), Known())
        assert not caught.value.permanent
        assert settle(receiver.backend(), draft(), Known()).open
    assert [one["event"] for one in receiver.events] == ["create"]


def test_a_service_that_only_says_ok_has_been_told(monkeypatch):
    with Receiver() as receiver:
        monkeypatch.setattr(receiver, "answer", lambda request: (200, {"Content-Type": "text/plain"}, b"ok"))
        known = settle(receiver.backend(), draft(), Known())
    assert known.location.startswith(f"{receiver.url}/hook#")


def test_only_the_events_that_are_wanted_are_sent():
    with Receiver() as receiver:
        episode(receiver.backend(events=["create", "close"]))
    assert [one["event"] for one in receiver.events] == ["create", "close"]


def test_a_place_in_an_answer_leads_only_to_allowed_hosts():
    elsewhere = {"update": {"url": "{location}"}}
    with Receiver() as receiver, Receiver() as other:
        backend = receiver.backend(requests=elsewhere)
        seen = backend.find(draft(), f"{other.url}/hook")
        with pytest.raises(
            PublishError, match=r"127\.0\.0\.1 is none of the hosts that may be called; add it to hosts"
        ) as caught:
            backend.update(seen, draft(title="new"), open=True)
        assert caught.value.permanent
        assert other.requests == []
        receiver.backend(requests=elsewhere, hosts=["127.0.0.1"]).update(seen, draft(title="new"), open=True)
        assert len(other.requests) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"requests": {"create": {"body": {"a": ["{titel}"]}}}},
            r"create\.body: there is no \{titel\}; known are body_html",
        ),
        ({"requests": {"create": {"body": "x{document}"}}}, r"\{document\} is no text; give it a string of its own"),
        ({"requests": {"create": {"url": "issues"}}}, "a path that begins with /"),
        ({"requests": {"create": {"url": "{open}"}}}, "can hold texts only"),
        ({"requests": {"open": {}}}, "requests"),
        ({"requests": {"create": {"methode": "PUT"}}}, "unknown key"),
        ({"find": {"list": "x"}}, r"find\.url"),
        ({"url": "ftp://x"}, "url must begin with https"),
        ({"events": ["update"]}, "must hold create"),
        ({"ca_file": "/nowhere"}, "ca_file /nowhere cannot be read"),
    ],
)
def test_wrong_settings_are_refused_with_their_place(options, said):
    with pytest.raises(PluginError, match=said):
        build(**options)


TEXT = st.one_of(st.text(), st.sampled_from([NASTY, "{key}", "{{", "{", '"}', "{title.__class__}", "\\"]))


@given(st.lists(TEXT, min_size=len(TEXTS), max_size=len(TEXTS)), TEXT)
def test_a_text_is_put_in_as_it_is_and_never_read_again(texts, other):
    values = dict(zip(sorted(TEXTS), texts, strict=True)) | {name: {"x": [1]} for name in WHOLE}
    template = {"a": "{title}", "b": ["<{key}> {{no} } {", 3, None], "c": "{document}", "d": {"e": "{title}{monitor}"}}
    before = copied(template)
    made = filled(template, values)
    assert made == {
        "a": values["title"],
        "b": [f"<{values['key']}> {{no}} }} {{", 3, None],
        "c": {"x": [1]},
        "d": {"e": values["title"] + values["monitor"]},
    }
    assert template == before
    assert json.loads(json.dumps(made)) == made
    values = {name: text.encode("utf-8", "replace").decode() for name, text in values.items() if isinstance(text, str)}
    url = filled_url("/a/{title}/b?q={key}&r=1", values)
    assert url.count("/") == 3
    assert (url.count("?"), url.count("&"), url.count("#")) == (1, 1, 0)
    assert url.isascii()
