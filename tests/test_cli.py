"""Every command as a user types it: what it prints, what it writes, how it exits."""

from __future__ import annotations

import csv
import json

import pytest
import yaml
from shop import DAY, FIRST, NEW, raw_settings, rows_of, write_jsonl, write_shop

from monitor.store.schema import NEEDED


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A shop with its settings file in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    write_shop(tmp_path)
    (tmp_path / "drift-monitor.yaml").write_text(yaml.safe_dump(raw_settings(tmp_path)))
    return tmp_path


def backfill(drift_monitor, *more):
    assert drift_monitor("reference", "build")[0] == 0
    return drift_monitor("backfill", "--from", FIRST.date(), "--to", (FIRST + 3 * DAY).date(), *more)


def test_version_and_help(drift_monitor):
    assert drift_monitor("--version")[:2] == (0, "drift-monitor 0.1.0\n")
    code, out, _ = drift_monitor("--help")
    assert code == 0
    for command in (
        "init",
        "check",
        "reference",
        "run",
        "backfill",
        "serve",
        "runs",
        "show",
        "report",
        "tickets",
        "export",
        "labels",
        "baseline",
        "plugins",
        "db",
        "demo",
    ):
        assert f" {command} " in out


def test_init_writes_a_starter_once(drift_monitor, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert drift_monitor("init")[0] == 0
    assert "monitors:" in (tmp_path / "drift-monitor.yaml").read_text()
    code, _, err = drift_monitor("init")
    assert (code, err) == (2, "error: drift-monitor.yaml exists already; move it away or name another file\n")


def test_check_reads_one_record_per_source_and_writes_nothing(drift_monitor, shop):
    before = sorted(p.name for p in shop.iterdir())
    code, out, _ = drift_monitor("check", "--json")
    found = {row["what"]: (row["result"], row["detail"]) for row in json.loads(out)}
    assert code == 0
    assert found["source"] == ("ok", "one record read, with id, text, observed_at, predicted, confidence")
    assert found["training data"] == ("ok", "one record read, with id, text, label")
    assert found["embedder"] == ("ok", "hashing:64:0")
    assert found["artifacts"] == ("ok", "0 reference versions")
    assert sorted(p.name for p in shop.iterdir()) == before


def test_check_says_what_is_wrong_everywhere(drift_monitor, shop):
    raw = raw_settings(
        shop, fields={"predicted": "intent"}, embedder={"kind": "sentence_transformer", "model": "no/such"}
    )
    (shop / "drift-monitor.yaml").write_text(yaml.safe_dump(raw))
    code, out, _ = drift_monitor("check", "--json")
    wrong = {row["what"]: row["detail"] for row in json.loads(out) if row["result"] == "error"}
    assert code == 2
    assert set(wrong) == {"source", "embedder"}
    assert "intent" in wrong["source"]
    assert "fields.predicted" in wrong["source"]
    assert "embedding model 'no/such' was not found" in wrong["embedder"]


def test_wrong_settings_end_with_2_and_every_problem(drift_monitor, shop):
    (shop / "drift-monitor.yaml").write_text("stor: x\nmonitors: [{name: a, sourc: 1}]\n")
    code, out, err = drift_monitor("runs")
    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert all(line.startswith("error: drift-monitor.yaml: ") for line in lines)
    assert len(lines) == 4


def test_a_missing_reference_is_a_failed_run_that_says_what_to_do(drift_monitor, shop):
    code, out, _ = drift_monitor("run", "--window", FIRST.date())
    assert code == 1
    assert "failed: No verdict: monitor shop has no reference; run drift-monitor reference build --monitor shop" in out


def test_the_whole_loop(drift_monitor, shop):
    code, out, _ = backfill(drift_monitor)
    assert code == 0
    assert out.splitlines()[0] == (
        "1 alarm in 3 looks (2026-03-04); the budget of 1 per year allows 0.0082 false ones."
    )
    assert [line.split()[2] for line in out.splitlines()[1:]] == ["stable:", "stable:", "drifted:"]

    runs = json.loads(drift_monitor("runs", "--json")[1])
    assert [run["decision"]["state"] for run in runs] == ["drifted", "stable", "stable"]
    assert "2026-03-04" in drift_monitor("runs")[1]
    shown = drift_monitor("show")[1]
    assert "Content has moved" in shown
    assert "embeddings within classes" in shown
    report = drift_monitor("report", "--markdown")[1]
    assert report.startswith("# shop: content and class balance drift since 2026-03-04\n")
    assert drift_monitor("report", "--markdown", "--window", "2026-03-04", "-o", shop / "report.md")[0] == 0
    assert (shop / "report.md").read_text() == report
    code, out, _ = drift_monitor("report", "latest", "--out", shop / "report.html")
    assert (code, out.split(":")[0]) == (0, str(shop / "report.html"))
    page = (shop / "report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert drift_monitor("report", runs[0]["id"], "--out", "-")[1] == page
    assert drift_monitor("report", "nobody", "--out", "-")[0] == 2
    assert drift_monitor("report", runs[0]["id"], "--window", "2026-03-04")[0] == 2
    assert drift_monitor("report", "--out", shop / "nowhere" / "report.html")[0] == 2

    listed = json.loads(drift_monitor("tickets", "--json")[1])
    assert [(item["kind"], item["status"]) for item in listed] == [("ticket", "sent"), ("export", "sent")]
    assert "sent" in drift_monitor("tickets")[1]

    code, out, _ = drift_monitor("export", shop / "out", "--dry-run")
    assert (code, (shop / "out").exists()) == (0, False)
    assert drift_monitor("export", shop / "out", "--format", "csv")[0] == 0
    (exported,) = (shop / "out").rglob("candidates.csv")
    with exported.open(newline="") as stream:
        records = list(csv.DictReader(stream))
    assert records
    known = {r["id"]: "boat" if set(r["text"].split()) & set(NEW["boat"]) else r["predicted"] for r in records}
    with (shop / "labels.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("id", "label"), *known.items(), ("stranger", "boat")])
    take = ("labels", "import", shop / "labels.csv", "--by", "Kim", "--new-class", "boat", "--no-gate")
    code, out, err = drift_monitor(*take)
    assert (code, out) == (1, "")
    assert f"unknown record: 1, line {len(records) + 2} (stranger)" in err
    done = drift_monitor(*take, "--skip-invalid")[1]
    assert f"{len(records)} labels new, 0 changed, 0 as before, 0 sent back\n" in done
    assert "dataset version 2: " in done

    code, out, _ = drift_monitor("reference", "build", "--add-labels")
    assert (code, out.startswith("reference shop version 3: ")) == (0, True)
    versions = json.loads(drift_monitor("reference", "list", "--json")[1])
    assert [(v["entry"]["version"], v["used"]) for v in versions] == [(1, False), (2, False), (3, True)]
    rows = [v["entry"]["rows"]["train"] for v in versions]
    assert rows == [rows[0], rows[0] + len(records), rows[0] + len(records)]
    assert "boat" in drift_monitor("reference", "show")[1]
    assert drift_monitor("reference", "use", 1)[1] == "shop compares with version 1 from now on\n"


def test_drift_can_fail_a_pipeline(drift_monitor, shop):
    assert backfill(drift_monitor, "--fail-on-drift")[0] == 3
    assert drift_monitor("run", "--window", "2026-03-02", "--fail-on-drift")[0] == 0


def test_an_accepted_gap_no_longer_alarms(drift_monitor, shop):
    backfill(drift_monitor)
    code, out, _ = drift_monitor(
        "baseline", "accept", "--by", "Kim", "--reason", "we sell boats now", "--until", "2026-04-01"
    )
    assert code == 0
    assert out.endswith("accepted by Kim until 2026-04-01T00:00:00+00:00\n")
    later = [
        row | {"id": f"x{row['id']}", "timestamp": row["timestamp"].replace("03-04", "03-05")}
        for row in rows_of(2, new=38, seed=5)
    ]
    write_jsonl(shop / "traffic" / "3.jsonl", later)
    code, out, _ = drift_monitor("run", "--window", "2026-03-05", "--json")
    (run,) = json.loads(out)
    assert run["decision"]["state"] in {"stable", "watch"}


def test_dry_runs_run_nothing(drift_monitor, shop):
    drift_monitor("reference", "build")
    code, out, _ = drift_monitor("backfill", "--from", "2026-03-02", "--to", "2026-03-04", "--dry-run")
    assert code == 0
    assert "2026-03-03T00:00:00+00:00" in out
    code, out, _ = drift_monitor("run", "--dry-run", "--json")
    assert (code, len(json.loads(out))) == (0, 1)
    assert json.loads(out)[0]["monitor"] == "shop"
    assert json.loads(drift_monitor("runs", "--json")[1]) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("backfill", "--from", "yesterday", "--to", "2026-03-03"), "is not an ISO 8601 time"),
        (("backfill", "--from", "2026-03-02T00:00:00", "--to", "2026-03-03"), "has no time zone"),
        (("run", "--monitor", "nobody"), "--monitor nobody: there are shop; name one of them"),
        (("backfill", "--from", "2026-03-02", "--to", "2026-03-02T05:00:00Z"), "no whole window of 1d lies between"),
        (("show",), "shop has no finished run yet"),
        (("show", "--window", "2020-01-01"), "shop has no run for the window that starts 2020-01-01"),
        (("reference", "show"), "shop has no reference"),
        (("labels", "import", "none.csv"), "none.csv"),
    ],
)
def test_wrong_use_is_explained(drift_monitor, shop, words, message):
    code, _, err = drift_monitor(*words)
    assert code in {1, 2}
    assert message in " ".join(err.replace("│", " ").split())


def test_plugins_and_schema(drift_monitor):
    parts = json.loads(drift_monitor("plugins", "--json")[1])
    (mmd,) = [part for part in parts if part["name"] == "mmd"]
    assert (mmd["kind"], mmd["where"]) == ("detectors", "monitor.detectors.mmd:MmdDetector")
    assert "permutations" in mmd["options"]
    assert "sentence_transformer" in drift_monitor("plugins")[1]
    assert json.loads(drift_monitor("schema")[1])["title"] == "drift-monitor.yaml"


def test_the_database_command(drift_monitor, shop):
    for done in ("made", "nothing to do"):
        code, out, _ = drift_monitor("db", "upgrade")
        assert code == 0
        assert out.rstrip().endswith(f"monitor.db, schema {NEEDED}: {done}")


def test_a_locked_out_database_is_a_message(drift_monitor, shop):
    raw = raw_settings(shop, "postgresql+psycopg://nobody@127.0.0.1:1/none")
    (shop / "drift-monitor.yaml").write_text(yaml.safe_dump(raw))
    code, _, err = drift_monitor("runs")
    assert code == 1
    assert err.startswith("error: ")
    assert "127.0.0.1" in err
