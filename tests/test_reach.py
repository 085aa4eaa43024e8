"""Who may be called: the list is held against the address that a socket really goes to, whatever library opens it."""

from __future__ import annotations

import socket
import subprocess
import sys
from dataclasses import replace

import pytest
from mail_sinks import mail_server
from shop import desk, open_shop, raw_settings, window
from test_http_client import OK, listening, no_proxies  # noqa: F401 - the fixture unsets this machine's proxies

from monitor.config import parse
from monitor.errors import ConfigError, PublishError
from monitor.http_client import HttpClient
from monitor.notifiers.apprise import AppriseNotifier
from monitor.pipeline import publish_pending, run_window
from monitor.push import push_metrics
from monitor.reach import Reach, only
from monitor.secrets import Secret
from monitor.store import Store
from monitor.tickets.mail_delivery import MailServer
from monitor.values import Notice


@pytest.mark.parametrize(
    ("allow", "host", "address", "admitted"),
    [
        (["tracker.example.org"], "tracker.example.org", "198.51.100.7", True),
        (["tracker.example.org"], "TRACKER.example.org.", "10.1.2.3", True),
        (["tracker.example.org"], "tracker.example.org.evil.example", "198.51.100.7", False),
        (["tracker.example.org"], "other.example.org", "198.51.100.7", False),
        (["*.example.org"], "a.b.example.org", "198.51.100.7", True),
        (["*.example.org"], "example.org", "198.51.100.7", False),
        (["*.example.org"], "badexample.org", "198.51.100.7", False),
        (["bücher.example"], "xn--bcher-kva.example", "198.51.100.7", True),
        (["10.0.0.0/8"], "anything.example", "10.9.8.7", True),
        (["10.0.0.0/8"], "10.9.8.7", "10.9.8.7", True),
        (["10.0.0.0/8"], "anything.example", "11.0.0.1", False),
        (["10.0.0.0/8"], "anything.example", "::ffff:10.9.8.7", True),
        (["2001:db8::/32"], "[2001:db8::5]", "2001:db8::5", True),
        ([], "anything.example", "198.51.100.7", False),
        # A name in the list may lead to no place where only this machine, or its cloud, answers.
        (["x.example"], "x.example", "127.0.0.1", False),
        (["x.example"], "x.example", "::1", False),
        (["x.example"], "x.example", "::ffff:127.0.0.1", False),
        (["x.example"], "x.example", "0.0.0.0", False),
        (["x.example"], "x.example", "169.254.169.254", False),
        (["x.example"], "x.example", "::ffff:169.254.169.254", False),
        (["x.example"], "x.example", "64:ff9b::a9fe:a9fe", False),
        (["x.example"], "x.example", "2002:a9fe:a9fe::1", False),
        (["x.example"], "x.example", "fd00:ec2::254", False),
        (["x.example"], "x.example", "168.63.129.16", False),
        (["x.example"], "x.example", "fe80::1%eth0", False),
        (["x.example", "127.0.0.1"], "x.example", "127.0.0.1", True),
        (["169.254.169.254"], "metadata", "169.254.169.254", True),
        (["x.example"], "x.example", "x.example", False),
    ],
)
def test_what_a_list_admits(allow, host, address, admitted):
    assert Reach(allow).admits(host, address) is admitted


@pytest.mark.parametrize("entry", ["", "*", "*.", "https://x.example", "x.example:443", "10.0.0.0/99", "1.2.3", "a..b"])
def test_an_entry_that_is_no_host_is_refused_by_name(tmp_path, entry):
    with pytest.raises(ConfigError) as caught:
        parse({**raw_settings(tmp_path), "network": {"allow": ["x.example", entry]}})
    assert "network.allow[1]: " in str(caught.value)


def refused(caught) -> str:
    assert caught.value.permanent
    assert "add it to network.allow" in str(caught.value)
    return str(caught.value)


def test_a_call_to_another_address_sends_nothing(monkeypatch):
    naps: list[float] = []
    monkeypatch.setattr("monitor.http_client.sleep", naps.append)
    with listening(lambda head: OK) as (port, heads):
        client = HttpClient("Web", f"http://127.0.0.1:{port}")
        with (
            pytest.raises(PublishError, match=r"127\.0\.0\.1 is none of the hosts") as caught,
            only(Reach(["10.0.0.0/8"])),
        ):
            client.call("POST", doing="open it", json={})
        refused(caught)
        assert (heads, naps) == ([], [])
        with only(Reach(["127.0.0.0/8"])):
            assert client.call("POST", doing="open it", json={}).status == 200
        assert client.call("POST", doing="open it", json={}).status == 200
        assert len(heads) == 2


def test_a_name_in_the_list_that_leads_to_this_machine_is_refused():
    with listening(lambda head: OK) as (port, heads):
        client = HttpClient("Web", f"http://localhost:{port}")
        with pytest.raises(PublishError, match=r"localhost, which leads to ") as caught, only(Reach(["localhost"])):
            client.call("GET", doing="look")
        refused(caught)
        with only(Reach(["127.0.0.1", "::1"])):
            assert client.call("GET", doing="look").status == 200
    assert len(heads) == 1


def test_a_name_that_leads_elsewhere_the_second_time_is_refused(monkeypatch):
    """DNS rebinding: each connection is looked at, and no answer of an earlier look-up is believed."""
    leads = iter(["127.0.0.2", "127.0.0.1"])

    def look_up(host, port, *more, **options):
        sys.audit("socket.getaddrinfo", host, port, 0, 0, 0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(leads), port))]

    with socket.create_server(("127.0.0.2", 0)) as second:
        port = second.getsockname()[1]
        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        with only(Reach(["rebinding.example", "127.0.0.2"])):
            socket.create_connection(("rebinding.example", port)).close()
        with (
            pytest.raises(PublishError, match=r"rebinding\.example, which leads to 127\.0\.0\.1, is none") as caught,
            only(Reach(["rebinding.example", "127.0.0.2"])),
        ):
            socket.create_connection(("rebinding.example", port))
    refused(caught)


def test_a_proxy_is_asked_for_hosts_of_the_list_alone(monkeypatch):
    with listening(lambda head: OK) as (port, heads):
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        reach = Reach(["127.0.0.1", "service.example"])
        with only(reach):
            assert HttpClient("Web", "http://service.example").call("GET", "/x", doing="look").status == 200
        with pytest.raises(PublishError, match=r"169\.254\.169\.254 is none") as caught, only(reach):
            HttpClient("Web", "http://169.254.169.254").call("GET", "/latest", doing="look")
        refused(caught)
        with (
            pytest.raises(PublishError, match=r"127\.0\.0\.1 is none"),
            only(Reach(["*.example"])),
        ):
            HttpClient("Web", "http://service.example").call("GET", "/x", doing="look")
    assert len(heads) == 1


def test_mail_goes_to_hosts_of_the_list_alone():
    with mail_server() as (port, box):
        server = MailServer("127.0.0.1", port, security="none")
        with pytest.raises(PublishError) as caught, only(Reach(["mail.example"])):
            server.send(lambda size: pytest.fail("a mail was made"), "a@example.org", ("b@example.org",))
    assert "127.0.0.1 is none of the hosts" in refused(caught)
    assert box.envelopes == []


def test_a_notifiers_library_is_bound_too_where_it_is_redirected():
    def elsewhere(head: bytes) -> bytes:
        return b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2:9/x\r\nContent-Length: 0\r\n\r\n"

    notice = Notice("k", "shop", "drift", "Drift", "There is drift", window(0))
    with listening(elsewhere) as (port, heads):
        notifier = AppriseNotifier(Secret(f"json://127.0.0.1:{port}"))
        with pytest.raises(PublishError, match=r"127\.0\.0\.2 is none") as caught, only(Reach(["127.0.0.1"])):
            notifier.send(notice)
        refused(caught)
        assert len(heads) == 1
        with pytest.raises(PublishError, match=r"127\.0\.0\.1 is none"), only(Reach([])):
            notifier.send(notice)
    assert len(heads) == 1


def test_metrics_are_pushed_to_hosts_of_the_list_alone(tmp_path, caplog):
    with listening(lambda head: OK) as (port, heads), Store.open(f"sqlite:///{tmp_path}/monitor.db") as store:
        store.upgrade()
        raw = raw_settings(tmp_path) | {"metrics": {"pushgateway": f"http://127.0.0.1:{port}"}}
        push_metrics(parse(raw | {"network": {"allow": ["gateway.example"]}}), store)
        assert "127.0.0.1 is none of the hosts" in str([record.__dict__ for record in caplog.records])
        assert heads == []
        push_metrics(parse(raw | {"network": {"allow": ["127.0.0.1"]}}), store)
        assert heads[0].startswith(b"PUT /metrics/job/drift-monitor")


def test_a_run_parks_a_ticket_for_another_host_and_sends_it_once_the_list_holds_it(tmp_path):
    with listening(lambda head: OK) as (port, heads):
        webhook = {"kind": "webhook", "url": f"http://127.0.0.1:{port}/hook", "number": "", "location": ""}
        _, store, monitor = open_shop(tmp_path, None, (0, 40), tickets=[webhook], exports=[])
        assert monitor.reach is None
        closed, opened = Reach(["tracker.example"]), Reach(["127.0.0.1"])
        monitor = replace(monitor, reach=closed)
        for day in (0, 1):
            run_window(monitor, window(day), desk(store))
        publish_pending({"shop": monitor}, desk(store))
        (parked,) = store.tickets()
        assert "none of the hosts that may be called" in parked.error
        assert heads == []
        store.unpark()
        publish_pending({"shop": replace(monitor, reach=opened)}, desk(store))
        assert len(heads) == 1
        store.close()


def test_within_no_list_all_is_as_ever():
    with listening(lambda head: OK) as (port, _), only(None):
        socket.create_connection(("127.0.0.1", port)).close()
    with pytest.raises(ZeroDivisionError), only(Reach([])):
        raise ZeroDivisionError


def test_it_is_silent_when_python_ends():
    """Then a module's names are gone, and its hook is still asked."""
    script = (
        "import sys, monitor.reach as reach\n"
        "with reach.only(reach.Reach(['tracker.example.org'])): pass\n"
        "for name in [name for name in vars(reach) if name[:2] != '__']: setattr(reach, name, None)\n"
        "sys.audit('open', 'file', 'r', 0)\n"
        "sys.audit('socket.connect', None, ('198.51.100.7', 1))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
