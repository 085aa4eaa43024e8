"""Tickets by mail, into a real mail server and read back: threads, parts, encryption, login, refusals and broken connections."""

from __future__ import annotations

import logging
import re
import signal
import subprocess
import sys
from dataclasses import replace
from email import message_from_bytes
from email.policy import default
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import free_port
from example_tickets import NASTY, draft, note
from hypothesis import given, settings
from hypothesis import strategies as st
from mail_sinks import PASSWORD, USER, certificates, mail_server, scripted

from monitor import plugins
from monitor.documents.plain import plain
from monitor.documents.wording import one_line
from monitor.errors import PluginError, PublishError
from monitor.secrets import Secret
from monitor.tickets.living import settle
from monitor.tickets.mail import EmailTickets
from monitor.tickets.mail_letter import Letter, Parties, address, composed, thread_id
from monitor.values import Heading, Known, Paragraph, Span

HEADERS = {
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "List-Id",
    "Auto-Submitted",
    "X-Auto-Response-Suppress",
    "X-Drift-Monitor",
    "X-Drift-Monitor-Key",
    "MIME-Version",
    "Content-Type",
}


def tickets(port, **options) -> EmailTickets:
    given = {"host": "127.0.0.1", "port": port, "sender": "Drift <drift@example.org>", "to": ["team@example.org"]}
    return EmailTickets(**{**given, "security": "none", **options})


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return certificates(tmp_path_factory.mktemp("tls"))


def test_an_episode_is_one_thread():
    with mail_server() as (port, box):
        service, known = tickets(port, cc=["Łukasz <lukasz@example.org>"]), Known()
        one, two, three = note("n1"), note("n2", "The drift is over."), note("n3", "The drift is back.")
        for now in (
            draft(),
            draft(),
            draft(title="support: content and class balance drift since 2026-01-05", notes=(one,)),
            draft(notes=(one, two), open=False),
            draft(notes=(one, two), open=False),
            draft(notes=(one, two, three)),
        ):
            known = settle(service, now, known)
        first, *replies = box.messages
    assert [envelope.rcpt_tos for envelope in box.envelopes] == [["team@example.org", "lukasz@example.org"]] * 4
    assert [envelope.mail_from for envelope in box.envelopes] == ["drift@example.org"] * 4
    assert known == Known(f"mid:{first['Message-ID'].strip('<>')}", open=True, told=frozenset({"n1", "n2", "n3"}))
    assert first["Subject"] == "support: drift since 2026-01-05"
    assert "In-Reply-To" not in first
    for reply in replies:
        assert reply["In-Reply-To"] == reply["References"] == first["Message-ID"]
        assert reply["Subject"] == f"Re: {first['Subject']}"
    assert len(box.kept) == 4
    said = [reply.get_body(("plain",)).get_content() for reply in replies]
    assert "content and class balance drift" in said[0]
    assert [text.splitlines()[3] for text in said] == ["The drift goes on.", "The drift is over.", "The drift is back."]


def test_the_first_mail_has_text_html_and_the_report():
    with mail_server() as (port, box):
        seen = tickets(port).create(draft())
        (message,) = box.messages
    assert set(message.keys()) - {"X-Peer", "X-MailFrom", "X-RcptTo"} == HEADERS
    assert message["From"] == "Drift <drift@example.org>"
    assert message["Date"].datetime.tzinfo is not None
    assert message["List-Id"] == "<support.drift-monitor.example.org>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Drift-Monitor-Key"] == "0123456789abcdef"
    assert seen.location == f"mid:{message['Message-ID'][1:-1]}"
    assert (seen.open, seen.notes) == (None, None)
    text, page = message.get_body(("plain",)).get_content(), message.get_body(("html",)).get_content()
    assert text.replace("\r\n", "\n").startswith(plain((Heading(draft().title), *draft().body)))
    assert "The report of the run is attached" in text
    assert "<script" not in page
    parser = HTMLParser()
    parser.feed(page)
    (report,) = message.iter_attachments()
    assert (report.get_filename(), report.get_content_type()) == ("report.html", "text/html")
    assert report.get_content() == "<!doctype html><p>é"


def test_every_line_on_the_wire_is_short_ascii():
    long = Paragraph((Span("ü漢字" * 2000),))
    with mail_server() as (port, box):
        tickets(port, sender="Dürft Monitor <drift@bücher.example>").create(draft(monitor="süd", body=(long,)))
    (envelope,) = box.envelopes
    assert max(map(len, envelope.original_content.split(b"\r\n"))) <= 78
    assert envelope.original_content.isascii()
    (message,) = box.messages
    assert message["From"] == "Dürft Monitor <drift@xn--bcher-kva.example>"
    assert message["Subject"] == "süd: drift since 2026-01-05"
    shown = message.get_body(("plain",)).get_content()
    assert "ü漢字" * 2000 in re.sub(r"\s", "", shown)


PARTIES = Parties("drift@example.org", ("team@example.org",))
WORDS = st.one_of(
    st.text(),
    st.lists(st.sampled_from([NASTY, "\r\nBcc: x@y.z\r\n", "=?utf-8?q?=0ABcc?=", "\u2028", "é", "x" * 90])).map(
        "".join
    ),
)


@settings(max_examples=60, deadline=None)
@given(WORDS, WORDS, WORDS)
def test_no_text_becomes_a_header(title, monitor, key):
    letter = Letter(thread_id(key, PARTIES), monitor, key, title, title, draft().body, thread_id("first", PARTIES))
    message = message_from_bytes(composed(letter, PARTIES).as_bytes(), policy=default)
    assert set(message.keys()) == HEADERS | {"In-Reply-To", "References"}
    assert len(message.keys()) == len(HEADERS) + 2
    flat = one_line(title).strip()
    # Folding may double a space.
    told = " ".join(message["Subject"].split()).removeprefix("Re:").strip()
    wanted = flat.replace("=?", "= ?")
    assert told == wanted or (len(wanted) > 200 and wanted.startswith(told[:-2]))
    assert message["Message-ID"] == thread_id(key, PARTIES)
    assert not message.defects
    assert {part.get_content_type() for part in message.walk()} == {"multipart/alternative", "text/plain", "text/html"}


def test_ids_come_of_key_and_people():
    long = "drift@" + "d" * 60 + ".example.org"
    ids = {
        thread_id(key, Parties(one, (to,)))
        for key in ("a", "b")
        for one in (PARTIES.sender, long)
        for to in ("x@y.z", "y@y.z")
    }
    assert len(ids) == 8
    assert all(re.fullmatch(r"<[0-9a-f]{32}@[a-z.-]+>", one) and len(one) < 100 for one in ids)
    assert thread_id("a", PARTIES) == thread_id("a", Parties(PARTIES.sender, PARTIES.to))
    message = composed(Letter("<1@x>", "m", "k", "s", "s", (), f"<{'a' * 32}@{'d' * 60}>"), PARTIES)
    assert f"References: <{'a' * 32}@{'d' * 60}>\r\n".encode() in message.as_bytes().replace(b"\r\n <", b" <")


@pytest.mark.parametrize("wrong", ["", "nobody", "a@b, c@d", "a@b\r\nBcc: c@d", "a@", "@b", "A <a@b", "a@b\x00"])
def test_wrong_addresses_are_refused_in_the_settings(wrong):
    with pytest.raises(PluginError, match=r"tickets\[0\]\.to\[0\]: "):
        plugins.validate("tickets", "email", {"host": "h", "sender": "a@b.example", "to": [wrong]}, "tickets[0]")


def test_a_password_is_not_sent_for_all_to_read():
    with pytest.raises(PluginError, match="for all to read"):
        tickets(25, user=USER, password=Secret(PASSWORD))
    with pytest.raises(PluginError, match="belong together"):
        tickets(25, user=USER)
    with pytest.raises(PluginError, match="must be ASCII"):
        tickets(25, user=USER, password=Secret("right hörse"), security="tls")
    with pytest.raises(PluginError, match="ca_file /nowhere cannot be read"):
        tickets(25, security="tls", ca_file="/nowhere")


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # TLS from the first byte, it means
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_encrypted_and_logged_in(security, authority):
    ca, context = authority
    with mail_server(context, implicit=security == "tls", login=True) as (port, box):
        options = {"security": security, "user": USER}
        with pytest.raises(
            PublishError, match=r"certificate is not trusted .*; name its authority by ca_file, then drift-monitor"
        ) as no:
            tickets(port, **options, password=Secret(PASSWORD)).create(draft())
        assert no.value.permanent
        with pytest.raises(
            PublishError, match=r"could not log in: it answered 535 5\.7\.8; correct user and password, then"
        ) as no:
            tickets(port, **options, password=Secret("wrong"), ca_file=ca).create(draft())
        assert no.value.permanent
        assert box.envelopes == []
        tickets(port, **options, password=Secret(PASSWORD), ca_file=ca).create(draft())
        assert len(box.envelopes) == 1
        with pytest.raises(PublishError, match="530") as no:
            tickets(port, security=security, ca_file=ca).create(draft())
        assert no.value.permanent


def test_encryption_that_is_not_offered_is_not_done_without():
    with mail_server() as (port, box):
        with pytest.raises(
            PublishError, match="could not begin encryption: STARTTLS extension not supported"
        ) as caught:
            tickets(port, security="starttls").create(draft())
        assert caught.value.permanent
        with pytest.raises(PublishError, match="are port and security right"):
            tickets(port, security="tls").create(draft())
        assert box.envelopes == []


FAULTS = [
    (
        {"HELLO": "554 no mail here"},
        True,
        "could not reach it: it answered 554 no mail here; correct host and port, then drift-monitor tickets --retry",
    ),
    ({"HELLO": "421 too busy"}, False, "it answered 421 too busy; it is tried again later by itself"),
    ({"EHLO": "502 no", "HELO": "550 go away"}, True, "550 go away"),
    ({"EHLO": "502 no", "HELO": "450 wait"}, False, "450 wait"),
    ({"MAIL": "451 4.3.0 later"}, False, "could not hand in the mail: it answered 451 4.3.0 later"),
    ({"MAIL": "550 5.7.1 who are you"}, True, "550 5.7.1 who are you"),
    ({"RCPT": "450 4.2.0 greylisted"}, False, "it refused every recipient, one with 450 4.2.0 greylisted"),
    ({"RCPT": "550 5.1.1 unknown"}, True, "it refused every recipient, one with 550 5.1.1 unknown"),
    ({"DATA": "451 4.3.0 full of support"}, False, "it answered 451 4.3.0; it is tried"),
    (
        {"DATA": "554 5.7.1 no"},
        True,
        "it answered 554 5.7.1; correct what it wants of sender, recipients and size, then",
    ),
    ({"CONTENT": "452 4.3.1 full"}, False, "it answered 452 4.3.1; it is tried"),
    ({"CONTENT": "554 5.6.0 quoting support texts"}, True, "it answered 554 5.6.0; correct what"),
]


@pytest.mark.parametrize(("script", "permanent", "said"), FAULTS, ids=lambda value: str(value)[:30])
def test_refusals_at_every_step(script, permanent, said):
    with scripted(script) as (port, _), pytest.raises(PublishError) as caught:
        tickets(port).create(draft())
    assert caught.value.permanent is permanent
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"mail server 127.0.0.1:{port}: could not ")
    assert "support" not in str(caught.value)


@pytest.mark.parametrize("step", ["HELLO", "EHLO", "MAIL", "RCPT", "DATA", "CONTENT"])
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("cut", "it cut the connection"),
        ("silent", "did not answer in time"),
        ("drip", "did not answer in time"),
        ("endless", "cut the connection"),
    ],
)
def test_broken_connections_end_and_are_tried_again(step, fault, said):
    with scripted({step: fault}) as (port, got), pytest.raises(PublishError, match=said) as caught:
        tickets(port, patience=60 if fault in ("cut", "endless") else 0.3).create(draft())
    assert not caught.value.permanent
    assert got.count("CONTENT") <= 1, "it is not for the mail server's client to try again"


def test_a_goodbye_that_fails_is_no_failure():
    with scripted({"QUIT": "cut"}) as (port, got):
        assert tickets(port).create(draft()).location
    assert "CONTENT" in got


def test_a_server_that_is_down_is_tried_again():
    with pytest.raises(PublishError, match=r"it cannot be reached .*Connection refused") as caught:
        tickets(free_port()).create(draft())
    assert not caught.value.permanent
    with pytest.raises(PublishError, match="it cannot be reached") as caught:
        tickets(25, host="nowhere.invalid").create(draft())
    assert not caught.value.permanent


@pytest.mark.parametrize("words", ["535 5.7.8 no: AUTH PLAIN cmlnaHQgaG9yc2U=", "454 4.7.0 right horse"])
def test_what_a_server_says_of_a_login_is_not_repeated(words, authority, monkeypatch):
    monkeypatch.setattr("smtplib.SMTP.starttls", lambda self, context: (220, b""))
    with scripted({"AUTH": words}) as (port, _), pytest.raises(PublishError) as caught:
        tickets(port, security="starttls", user=USER, password=Secret("right horse")).create(draft())
    assert f"could not log in: it answered {words[:9]}; " in str(caught.value)
    assert caught.value.permanent is words.startswith("5")
    assert "horse" not in str(caught.value)


def test_some_refused_recipients_are_reported_and_the_others_get_it_once(caplog):
    refused = {"gone@example.org": "550 5.1.1 unknown", "grey@example.org": "450 4.2.0 later"}
    with mail_server(refused=refused) as (port, box):
        tickets(port, to=["gone@example.org", "team@example.org"], cc=["grey@example.org"]).create(draft())
    assert [envelope.rcpt_tos for envelope in box.envelopes] == [["team@example.org"]]
    (record,) = [one for one in caplog.records if one.name == "monitor.tickets.mail"]
    assert record.levelno == logging.WARNING
    assert record.monitor_fields["refused"] == {"gone@example.org": 550, "grey@example.org": 450}


def test_all_refused_one_of_them_for_now_is_tried_again():
    refused = {"gone@example.org": "550 5.1.1 unknown", "grey@example.org": "450 4.2.0 later"}
    with mail_server(refused=refused) as (port, _), pytest.raises(PublishError, match="one with 450") as caught:
        tickets(port, to=list(refused)).create(draft())
    assert not caught.value.permanent


def test_a_report_that_is_too_large_stays_out_and_the_mail_says_so():
    large = draft(report="x" * 200_000)
    with mail_server(data_size_limit=150_000) as (port, box):
        tickets(port).create(large)
        tickets(port, attach_mb=0.1).create(large)
        tickets(port).create(draft())
    assert [len(list(message.iter_attachments())) for message in box.messages] == [0, 0, 1]
    for message in box.messages[:2]:
        assert (
            "The report of the run (0.2 MB) is too large to be attached." in message.get_body(("plain",)).get_content()
        )


def test_a_long_body_loses_rows_not_words():
    paragraph, names, heading, table, *rest = draft().body
    long = replace(table, rows=table.rows * 400)
    with mail_server() as (port, box):
        tickets(port).create(draft(body=(paragraph, names, heading, long, *rest)))
    (message,) = box.messages
    page = message.get_body(("html",)).get_content()
    assert 50_000 < len(page.encode()) < 102_000
    assert "more rows are left out here" in page
    assert "more rows are left out here" in message.get_body(("plain",)).get_content()


def test_a_crash_between_sending_and_keeping_repeats_the_same_mail():
    """Programs that keep mail by its id show one; nothing better is possible, for no mail can be looked for."""

    def crash(known):
        raise KeyboardInterrupt

    with mail_server() as (port, box):
        with pytest.raises(KeyboardInterrupt):
            settle(tickets(port), draft(), Known(), crash)
        known = settle(tickets(port), draft(), Known())
        with pytest.raises(KeyboardInterrupt):
            settle(tickets(port), draft(notes=(note("n1"),)), known, crash)
        settle(tickets(port), draft(notes=(note("n1"),)), known)
    assert len(box.envelopes) == 4
    assert len(box.kept) == 2


KILLED = """
import os, signal, sys
from example_tickets import draft
from monitor.tickets.living import settle
from monitor.tickets.mail import EmailTickets
from monitor.values import Known
service = EmailTickets("127.0.0.1", "drift@example.org", ["team@example.org"], port=int(sys.argv[1]), security="none")
settle(service, draft(), Known(), lambda known: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_a_process_killed_after_sending_leaves_one_mail_in_the_box():
    with mail_server() as (port, box):
        done = subprocess.run([sys.executable, "-c", KILLED, str(port)], check=False, cwd=Path(__file__).parent)
        assert done.returncode == -signal.SIGKILL
        tickets(port, sender="drift@example.org").create(draft())
    assert len(box.envelopes) == 2
    assert len(box.kept) == 1


def test_an_address_may_have_a_name_in_any_script():
    assert address("Łukasz Żółć <l@example.org>") == "Łukasz Żółć <l@example.org>"
    assert address('"Drift, Monitor" <a@bücher.example>') == '"Drift, Monitor" <a@xn--bcher-kva.example>'
