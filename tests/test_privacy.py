"""Private texts in a whole run: each destination gets them as its settings say, what was masked is counted, and nowhere else is a word of them."""

from __future__ import annotations

import json
import logging

import pytest
import yaml
from prometheus_client import generate_latest
from shop import desk, open_shop, raw_settings, rows_of, window, write_jsonl, write_shop
from starlette.testclient import TestClient
from typer.testing import CliRunner

from monitor.cli import app
from monitor.config import load, parse
from monitor.errors import ConfigError
from monitor.metrics import StoreCollector
from monitor.pipeline import publish_pending, run_window
from monitor.reporting import report_of
from monitor.serve import application
from monitor.store import Store
from monitor.wiring import build_reference, open_shelf, terms_of, wire

PLANTED = {
    "email": "kim.planted@example.org",
    "phone": "+44 20 7946 0958",
    "card": "4111 1111 1111 1111",
    "iban": "GB82 WEST 1234 5698 7654 32",
    "ip": "203.0.113.77",
    "key": "ghp_" + "Ab3" * 12,
    "link": "https://kim:geheim@intranet.example.com/x",
    "customer": "KD-QQZZ",
}
WORDS = [
    part
    for value in PLANTED.values()
    for part in (value, *value.split())
    if part == value or (len(part) > 3 and not part.isdigit())
]
EXPORTS = ("masked", "bare", "whole")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A shop whose new messages all hold something private, run, sent, and what was logged meanwhile."""
    folder = tmp_path_factory.mktemp("private")
    write_shop(folder, (0, 40))
    rows = rows_of(1, new=40)
    kinds = list(PLANTED)
    for n, row in enumerate(rows[-40:]):
        row["text"] += f" {PLANTED[kinds[n % len(kinds)]]} please"
    write_jsonl(folder / "traffic" / "1.jsonl", rows)
    part = {"kind": "files", "formats": ["parquet", "jsonl", "csv"]}
    texts = {"masked": "redacted", "bare": "ids"}
    exports = [
        {**part, "name": name, "folder": f"{folder}/{name}", **({"texts": texts[name]} if name in texts else {})}
        for name in EXPORTS
    ]
    raw = raw_settings(folder, exports=exports, report={"excerpts": "all"}, selection={"budget": 60})
    raw |= {"privacy": {"patterns": {"customer": "KD-[A-Z]+"}}}
    (folder / "drift-monitor.yaml").write_text(yaml.safe_dump(raw))
    settings = parse(raw)
    records = []
    listening = logging.Handler()
    listening.emit = lambda record: records.append(f"{record.getMessage()} {record.__dict__}")
    logging.getLogger().addHandler(listening)
    logging.getLogger().setLevel(logging.DEBUG)
    with Store.open(settings.store.url) as store:
        store.upgrade()
        reference, _ = build_reference(settings, settings.monitors[0], now=window(0).start)
        entry = open_shelf(settings).save(reference)
        store.register_reference("shop", 1, entry.fingerprint, entry.uri, entry.created_at)
        store.use_reference("shop", 1)
        monitor = wire(settings, settings.monitors[0], store)
        for day in (0, 1):
            run_window(monitor, window(day), desk(store))
        publish_pending({"shop": monitor}, desk(store))
        logging.getLogger().removeHandler(listening)
        yield folder, store, "\n".join(records)


def held(text: str) -> list[str]:
    return [word for word in WORDS if word in text]


def export_in(folder, name):
    (manifest,) = (folder / name).rglob("manifest.json")
    (lines,) = manifest.parent.glob("*/candidates.jsonl")
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    return json.loads(manifest.read_text()), rows


def test_a_whole_export_has_the_texts_and_says_so(shop):
    said, rows = export_in(shop[0], "whole")
    assert (said["texts"], said["redacted"]) == ("whole", {})
    assert held(str(rows))


def test_a_masked_export_has_none_of_it_and_counts_what_was_masked(shop):
    folder, _, _ = shop
    said, rows = export_in(folder, "masked")
    assert said["texts"] == "redacted"
    _, whole = export_in(folder, "whole")
    assert [row["id"] for row in rows] == [row["id"] for row in whole]
    counted = {kind: sum(value in row["text"] for row in whole) for kind, value in PLANTED.items()}
    assert said["redacted"] == {kind: number for kind, number in counted.items() if number}
    assert len(said["redacted"]) >= 5
    for path in (folder / "masked").rglob("*.*"):
        assert held(path.read_bytes().decode("latin-1")) == [], path


def test_an_export_of_ids_has_no_texts_and_no_report(shop):
    folder, _, _ = shop
    said, rows = export_in(folder, "bare")
    assert (said["texts"], said["redacted"]) == ("ids", {"withheld": len(rows)})
    assert {row["text"] for row in rows} == {row["cluster"] for row in rows} == {None}
    assert not list((folder / "bare").rglob("report.html"))


def test_nothing_else_that_is_written_or_served_holds_a_word_of_it(shop):
    folder, store, logged = shop
    run = store.run("shop", window(1).start)
    assert len(run.candidates) > 20
    assert held(str([one.text for one in run.candidates]))
    client = TestClient(application(store, terms_of(load(folder / "drift-monitor.yaml"))))
    pages = [client.get(path) for path in (
        "/", "/monitors/shop", f"/runs/{run.id}", f"/runs/{run.id}/candidates", "/tickets",
        f"/runs/{run.id}/candidates.csv", f"/runs/{run.id}/candidates.jsonl", "/metrics",
    )]  # fmt: skip
    assert {page.status_code for page in pages} == {200}
    config = ["-c", str(folder / "drift-monitor.yaml")]
    shown = [CliRunner().invoke(app, [command, *config, "--json"]).output for command in ("runs", "show", "tickets")]
    assert "shop" in shown[1]
    written = {path: path.read_text(errors="replace") for path in (folder / "tickets").iterdir()}
    assert len(written) == 2
    everything = {
        "log": logged,
        "report": report_of(store, run),
        "metrics": generate_latest(StoreCollector(store)).decode(),
        **{f"page {n}": page.text for n, page in enumerate(pages)},
        **{f"command {n}": output for n, output in enumerate(shown)},
        **written,
    }
    assert {place: held(text) for place, text in everything.items() if held(text)} == {}
    assert "[customer]" in everything["report"]
    assert "Masked in them: " in everything["report"]


def test_what_was_masked_is_a_metric_by_destination(shop):
    folder, store, _ = shop
    text = generate_latest(StoreCollector(store)).decode()
    said, _ = export_in(folder, "masked")
    for kind, number in said["redacted"].items():
        line = f'drift_monitor_redactions_total{{channel="export",destination="masked",kind="{kind}",monitor="shop"}} {number}.0'
        assert line in text
    assert 'channel="report",destination="report",kind="customer"' in text
    assert 'channel="export",destination="whole"' not in text


def test_sending_again_after_a_crash_counts_once(tmp_path):
    _, store, monitor = open_shop(
        tmp_path, None, (0, 40), exports=[{"kind": "files", "folder": f"{tmp_path}/out", "texts": "ids"}]
    )
    for day in (0, 1):
        run_window(monitor, window(day), desk(store))
    (due,) = store.due_exports(desk(store).clock())
    for _ in range(2):
        store.sent(due, "there", desk(store).clock(), masked={"withheld": 3})
    assert store.overview()[0].redactions["export", "files", "withheld"] == 3
    store.close()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"tickets": [{"kind": "file", "texts": "all"}]}, "tickets[0]: texts: wanted one of redacted, ids, whole"),
        ({"detectors": [{"kind": "mmd", "texts": "ids"}]}, "detectors[0].texts: unknown key"),
    ],
)
def test_wrong_ways_to_send_texts_are_refused(tmp_path, more, said):
    with pytest.raises(ConfigError) as caught:
        parse(raw_settings(tmp_path, **more))
    assert said in str(caught.value)


def test_usual_ways_to_send_texts(tmp_path):
    one = parse(raw_settings(tmp_path, tickets=["file"], exports=["files"])).monitors[0]
    assert (one.tickets[0].texts, one.exports[0].texts, one.detectors[0].texts) == ("redacted", "whole", None)


@pytest.mark.parametrize(
    ("privacy", "said"),
    [
        ({"patterns": {"x": "(?<=a)b"}}, "privacy: pattern x: "),
        ({"kinds": ["name"]}, "privacy.kinds[0]"),
        ({"regions": ["Germany"]}, "privacy.regions[0]"),
        ({"retention": "soon"}, "privacy.retention"),
        ({"keep": 1}, "privacy.keep: unknown key"),
    ],
)
def test_wrong_privacy_settings_are_refused_by_name(tmp_path, privacy, said):
    with pytest.raises(ConfigError) as caught:
        parse({**raw_settings(tmp_path), "privacy": privacy})
    assert said in str(caught.value)
