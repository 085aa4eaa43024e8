"""No secret and no private text leaves: a whole story with everything that can go wrong, and then a look at all it wrote."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import logging
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import psycopg
import pytest
import yaml
from conftest import free_port
from leaks import disguises, files_below, holding, rows_of_every_table
from mail_sinks import certificates, mail_server
from run_examples import LEASE, START, WEEK, candidate, finished, week
from shop import raw_settings, rows_of, write_jsonl, write_shop
from test_http_client import listening

from monitor import cli, plugins
from monitor.config import load
from monitor.store import Store
from monitor.wiring import open_store

SECRETS = {
    "DB_PASSWORD": "right horse",
    "OTHER_DB_PASSWORD": "wr0ng-cart/ä@stable",
    "TRACKER_TOKEN": "ghp_trackerQx7Tk",
    "HOOK_SECRET": "hook-s1gner-Qx8",
    "HOOK_HEADER": "hook-be4rer-Qx9",
    "MAIL_PASSWORD": "ma1l+pa ss-Qx1",
    "BUCKET_KEY": "AKIAQX2BUCKETKEYQX2B",
    "BUCKET_SECRET": "buck3t/secret+Qx3",
    "CHAT_PASSWORD": "ch4t-Qx4",
    "PAGE_PASSWORD": "p4ge:reader-Qx5",
    "SOURCE_PASSWORD": "s0urce-Qx6",
}
PRIVATE = {
    "email": "kim.planted@private.example",
    "phone": "+44 20 7946 0958",
    "card": "4111 1111 1111 1111",
    "iban": "GB82WEST12345698765432",
    "customer": "KD-QQZZ",
}
PARTS = '''
# Put together, so that a traceback's line of source does not hold it.
RECORD = "of kim.planted" + "@private" + ".example"


def predict(texts):
    raise ValueError(f"no class for {texts[0]!r} of {texts!r}")


def read(start, end):
    yield {"id": "p1", "text": "a first one", "timestamp": start}
    raise RuntimeError(f"cannot parse the record {RECORD}")


class Crashing:
    """A ticket destination of somebody else's that falls over what it is given."""

    def __init__(self, note: str = "") -> None:
        self.note = note

    def find(self, draft, location):
        raise KeyError(f"{draft!r} {RECORD}")
'''
DAYS = ("2026-03-02", "2026-03-04")


def word(n: int) -> str:
    """A word that stands in one text alone."""
    return f"qz{chr(97 + n // 26)}{chr(97 + n % 26)}vyx"


WORDS = [*(word(n) for n in range(40)), "qzlabelvyx"]


def settings_for(folder, database, servers, authority):
    """Three monitors: one that sends no text at all, one that sends masked excerpts, one whose source breaks."""
    tracker, hook, dead, mail = servers
    exports = [
        {"kind": "files", "folder": f"{folder}/whole", "formats": ["parquet", "jsonl", "csv", "label_studio"]},
        {
            "kind": "files",
            "name": "bucket",
            "folder": "s3://exports/drift",
            "storage": {
                "key": SECRETS["BUCKET_KEY"],
                "secret": SECRETS["BUCKET_SECRET"],
                "client_kwargs": {"endpoint_url": f"http://127.0.0.1:{dead}"},
                "config_kwargs": {"retries": {"max_attempts": 0}},
            },
        },
    ]
    tickets = [
        {"kind": "file", "folder": f"{folder}/tickets"},
        {"kind": "github", "repository": "a/b", "token": "${TRACKER_TOKEN}", "url": f"http://127.0.0.1:{tracker}"},
        {"kind": "webhook", "url": f"http://127.0.0.1:{hook}/in", "secret": "${HOOK_SECRET}", "headers": {"Authorization": "Bearer ${HOOK_HEADER}"}},
        {"kind": "webhook", "name": "dead", "url": f"http://127.0.0.1:{dead}/in", "secret": "${HOOK_SECRET}", "timeout": 0.5},
        {"kind": "email", "host": "127.0.0.1", "port": mail, "sender": "a@example.org", "to": ["b@example.org"], "ca_file": authority, "user": "drift", "password": "${MAIL_PASSWORD}"},
        {"kind": "leaky", "note": "x"},
    ]  # fmt: skip
    notify = [{"kind": "apprise", "url": f"json://user:${{CHAT_PASSWORD}}@127.0.0.1:{hook}/told"}]
    raw = raw_settings(folder, database, name="usual", tickets=tickets, exports=exports, notify=notify)
    (usual,) = raw["monitors"]
    quiet = {
        **usual,
        "name": "quiet",
        "source": {"kind": "files", "path": f"{folder}/quiet/*.jsonl"},
        "report": {"excerpts": "none"},
        "tickets": [{**one, "texts": "ids"} for one in tickets],
        "selection": {"budget": 20, "strategies": ["drift_cover", "augmented"], "predict": "leaky_parts:predict"},
    }
    few = {"tickets": tickets[:1], "exports": exports[:1], "notify": []}
    broken = {**usual, **few, "name": "broken", "source": {"kind": "python", "call": "leaky_parts:read"}}
    away = f"postgresql+psycopg://reader:${{SOURCE_PASSWORD}}@127.0.0.1:{dead}/app"
    query = "SELECT * FROM messages WHERE at >= :start AND at < :end"
    unreachable = {**usual, **few, "name": "unreachable", "source": {"kind": "sql", "url": away, "query": query}}
    raw["monitors"] = [quiet, {**usual, **few}, broken, unreachable]
    raw["metrics"] = {"textfile": f"{folder}/metrics.prom", "pushgateway": f"http://127.0.0.1:{dead}"}
    raw["privacy"] = {"patterns": {"customer": "KD-[A-Z]+"}}
    raw["serve"] |= {"auth_file": f"{folder}/secrets/users", "port": free_port()}
    return raw


def planted_traffic(folder):
    """Traffic whose new messages all hold something private; those of ``quiet`` a word of their own as well."""
    write_shop(folder, (0, 40))
    for name, own in (("traffic", False), ("quiet", True)):
        for day, new in enumerate((0, 40)):
            rows = rows_of(day, new=new)
            for n, row in enumerate(rows[-new:] if new else []):
                row["text"] += f" {list(PRIVATE.values())[n % len(PRIVATE)]}" + (f" {word(n)}" if own else "")
            write_jsonl(folder / name / f"{day}.jsonl", rows)
    labels = [{"id": row["id"], "text": "qzlabelvyx", "label": "boat"} for row in rows_of(1, new=40)[-20:]]
    write_jsonl(folder / "labels.jsonl", labels)


def said_by(*words):
    """All that a command says, logs at DEBUG included, and its exit status."""
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["drift-monitor", "--verbose", *words]
    status = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            cli.main()
    except SystemExit as end:
        status = end.code
    finally:
        sys.argv = before
    return status, out.getvalue() + err.getvalue()


def commands(folder):
    config = ("-c", str(folder / "drift-monitor.yaml"))
    for words in (
        ("check",),
        ("check", "--json"),
        ("plugins", "--json"),
        *(("reference", "build", "-m", name) for name in ("quiet", "usual", "broken", "unreachable")),
        *(("backfill", "--from", DAYS[0], "--to", DAYS[1], "-m", name) for name in ("quiet", "usual", "broken", "unreachable")),
        ("run", "--window", DAYS[0], "--json", "-m", "quiet"),
        ("tickets", "--retry"),
        ("tickets",),
        ("tickets", "--json"),
        ("runs", "--json"),
        *(("show", "--json", "--window", "2026-03-03", "-m", name) for name in ("quiet", "usual", "broken", "unreachable")),
        ("show", "--window", "2026-03-03", "-m", "quiet"),
        ("report", "-m", "quiet", "-o", str(folder / "quiet.html")),
        ("report", "-m", "usual", "-o", str(folder / "usual.html")),
        ("report", "-m", "quiet", "--markdown"),
        ("report", "-m", "usual", "--markdown"),
        ("export", "-m", "quiet", "--to", "bucket", "--dry-run"),
        ("compare", "2026-03-02", "2026-03-03", "-m", "quiet", "--json"),
        ("labels", "import", str(folder / "labels.jsonl"), "--by", "ana", "-m", "quiet"),
        ("refresh", "verdict", "-m", "quiet"),
        ("datasets", "list", "-m", "quiet"),
        ("silence", "-m", "quiet", "--by", "ana", "--reason", "rest"),
        ("purge", "--id", "d1-121", "--dry-run"),
        ("retention", "--dry-run"),
        ("db", "upgrade"),
    ):  # fmt: skip
        yield " ".join(words).replace(str(folder), ""), (*words, *config)


def served(folder, raw):
    """Pages, metrics and probes of the service as it runs, with the right password and with wrong ones, and its log."""
    config, at = folder / "drift-monitor.yaml", f"http://127.0.0.1:{raw['serve']['port']}"
    command = [sys.executable, "-m", "monitor", "--verbose", "serve", "--no-schedule", "-c", str(config)]
    found = {}

    def ask(path, password):
        login = base64.b64encode(f"kim:{password}".encode()).decode()
        request = urllib.request.Request(at + path, headers={"Authorization": f"Basic {login}"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, str(answer.headers) + answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, str(refused.headers) + refused.read().decode()

    log = folder / "serve.log"
    with log.open("wb") as sink, subprocess.Popen(command, stdout=sink, stderr=sink) as process:
        try:
            until = time.monotonic() + 60
            while time.monotonic() < until:
                with contextlib.suppress(OSError):
                    ask("/healthz", "x")
                    break
                time.sleep(0.1)
            with open_store(load(config)) as store:
                runs = {run.monitor: run.id for run in reversed(store.runs("quiet") + store.runs("usual"))}
            paths = ["/", "/tickets", "/metrics", "/readyz", "/runbooks", *(f"/monitors/{name}" for name in runs)]
            paths += [
                f"/runs/{run}{end}"
                for run in runs.values()
                for end in ("", "/candidates", "/candidates.csv", "/candidates.jsonl")
            ]
            for path in paths:
                status, found[f"page {path}"] = ask(path, SECRETS["PAGE_PASSWORD"])
                assert status == 200, found[f"page {path}"]
            assert ask("/", SECRETS["PAGE_PASSWORD"] + "!")[0] == 401
            with socket.create_connection(("127.0.0.1", raw["serve"]["port"])) as line:
                line.sendall(b"NONSENSE " + SECRETS["PAGE_PASSWORD"].encode() + b"\r\n\r\n")
                line.recv(1_000)
        finally:
            process.terminate()
            process.wait(timeout=30)
            found["log of serve"] = log.read_text()
    return found


@pytest.fixture(scope="module")
def story(tmp_path_factory, postgres_server):
    """Everything is planted and everything runs: what was said, what was written, what servers got."""
    folder = tmp_path_factory.mktemp("leaks")
    for name in ("secrets", "tls"):
        (folder / name).mkdir()
    (folder / "secrets" / "users").write_text(f"kim:{SECRETS['PAGE_PASSWORD']}\n")
    (folder / "secrets" / "leaky_parts.py").write_text(PARTS)
    planted_traffic(folder)
    with psycopg.connect(f"{postgres_server.replace('+psycopg', '')}/postgres", autocommit=True) as admin:
        admin.execute("CREATE DATABASE leaks OWNER guarded")
    database = f"{postgres_server.replace('postgres@', 'guarded:${DB_PASSWORD}@')}/leaks"
    authority, tls = certificates(folder / "tls")

    def quoting(head: bytes) -> bytes:
        said = json.dumps({"message": f"refused: {head.decode('latin-1')}"}).encode()
        return b"HTTP/1.1 422 No\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(said) + said

    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as servers:
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder / "secrets"), os.environ.get("PYTHONPATH", "")]))
        patch.syspath_prepend(str(folder / "secrets"))
        patch.setitem(plugins.BUILT_IN["tickets"], "leaky", "leaky_parts:Crashing")
        tracker, to_tracker = servers.enter_context(listening(quoting))
        hook, to_hook = servers.enter_context(listening(quoting))
        mail, _ = servers.enter_context(mail_server(tls, login=True))
        raw = settings_for(folder, database, (tracker, hook, free_port(), mail), authority)
        (folder / "drift-monitor.yaml").write_text(yaml.safe_dump(raw))
        handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
        try:
            said = {}
            for what, words in commands(folder):
                said[what] = said_by(*words)
            patch.setenv("DB_PASSWORD", SECRETS["OTHER_DB_PASSWORD"])
            said["runs with a wrong password"] = said_by("runs", "-c", str(folder / "drift-monitor.yaml"))
        finally:
            logging.getLogger().handlers[:] = handlers
            logging.getLogger().setLevel(level)
        patch.setenv("DB_PASSWORD", SECRETS["DB_PASSWORD"])
        part = next(one for one in raw["monitors"][0]["tickets"] if one["kind"] == "leaky")
        for one in raw["monitors"]:
            one["tickets"] = [part for part in one["tickets"] if part["kind"] != "leaky"]
        assert part["note"] == "x"
        (folder / "drift-monitor.yaml").write_text(yaml.safe_dump(raw))
        pages = served(folder, raw)
        with open_store(load(folder / "drift-monitor.yaml")) as store:
            yield folder, store, said, pages, [head.decode("latin-1") for head in (*to_tracker, *to_hook)]


def everything(story, *, texts: bool) -> dict[str, str]:
    """All places; with ``texts`` without those in which, as docs/privacy.md says, production texts are kept."""
    folder, store, said, pages, _ = story
    ours = ["secrets", "tls", "drift-monitor.yaml"]
    inputs = ["traffic", "quiet", "labels.jsonl", "training.jsonl"]
    kept = ["whole", *inputs] if texts else []
    columns = {"candidates": ["text"]} if texts else {}
    return {
        **{f"command {what}": words for what, (_, words) in said.items()},
        **pages,
        **files_below(folder, [*ours, *kept]),
        **rows_of_every_table(store, columns),
    }


def test_the_story_went_through_all_it_should(story):
    folder, store, said, pages, got = story
    went_wrong = {what for what, (status, _) in said.items() if status}
    assert went_wrong >= {"check", "backfill --from 2026-03-02 --to 2026-03-04 -m broken", "runs with a wrong password"}
    assert not went_wrong & {
        "reference build -m quiet",
        "runs --json",
        "show --json --window 2026-03-03 -m quiet",
        "tickets --json",
    }
    assert {run.decision.state for run in store.runs("quiet")} == {"stable", "drifted"}
    ended = {one.destination: (one.status, one.error) for one in store.tickets("quiet")}
    assert ended.keys() == {"file", "github", "webhook", "dead", "email", "leaky"}
    assert sum(status == "sent" for status, _ in ended.values()) == 1, ended
    assert {status for status, error in ended.values() if error} <= {"parked", "waiting", "pending"}
    assert "422" in ended["github"][1]
    assert "it cannot be reached" in ended["dead"][1]
    assert "could not log in" in ended["email"][1]
    assert "KeyError in find" in ended["leaky"][1]
    assert "RuntimeError" in str(store.runs("broken"))
    assert len(got) >= 4
    assert holding(files_below(folder / "whole"), [*WORDS, PRIVATE["email"]])
    assert holding(rows_of_every_table(store), WORDS)
    assert len(pages["log of serve"].splitlines()) > 2


def test_no_secret_is_anywhere(story):
    assert holding(everything(story, texts=False), SECRETS.values()) == []


def test_no_private_text_is_where_none_may_be(story):
    assert holding(everything(story, texts=True), [*PRIVATE.values(), *WORDS]) == []


def test_no_server_got_a_text_that_its_settings_keep_back(story):
    *_, got = story
    assert holding({"got": "".join(got)}, [*PRIVATE.values(), *WORDS]) == []


@pytest.mark.parametrize("planted", [*SECRETS.values(), *PRIVATE.values(), WORDS[0]])
def test_the_look_finds_what_is_planted_in_any_disguise(planted, tmp_path):
    """The control: the same look, over places in which something was left on purpose."""
    for shape in disguises(planted):
        assert holding({"log": f'{{"message": "told {shape} to all"}}'}, [planted]) == [("log", planted)]
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "page.html").write_bytes(b"\0\xff" + planted.encode() + b"\0")
    coded = base64.b64encode(b"drift:" + planted.encode()).decode()
    assert holding({"header": f"Authorization: Basic {coded}"}, [planted])
    assert holding(files_below(tmp_path), [planted]) == [("a/page.html", planted)]


def test_the_look_finds_what_is_left_in_a_database(tmp_path):
    with Store.open(f"sqlite:///{tmp_path}/monitor.db") as store:
        store.upgrade()
        store.register_monitor("shop", settings="s", period=WEEK, now=START)
        claim = store.claim("shop", week(0), "a", START, LEASE)
        store.save(claim, finished(claim, candidates=(candidate(1, text=f"so {WORDS[0]}", reason="token ch4t-Qx4"),)))
        without = {"candidates": ["text"]}
        assert holding(rows_of_every_table(store), [WORDS[0]]) == [("table candidates", WORDS[0])]
        assert holding(rows_of_every_table(store, without), [WORDS[0], "ch4t-Qx4"]) == [
            ("table candidates", "ch4t-Qx4")
        ]
