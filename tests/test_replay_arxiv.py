"""Real papers by month, end to end: files and PostgreSQL give the identical runs, and a second replay adds nothing."""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import yaml

from monitor.config import load
from monitor.store import Store
from monitor.values import RunStatus, State

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "arxiv_cs.csv.gz"
pytestmark = [
    pytest.mark.replay,
    pytest.mark.model,
    pytest.mark.skipif(not DATA.exists(), reason="the shared data sets are not beside this checkout"),
]
QUERY = "SELECT id, text, submitted, category FROM papers WHERE submitted >= :start AND submitted < :end"


def settings(folder: Path, source: dict[str, object]) -> Path:
    raw = {
        "store": f"sqlite:///{folder}/monitor.db",
        "artifacts": f"{folder}/artifacts",
        "cache": f"{folder.parent}/embeddings.db",
        "monitors": [
            {
                "name": "arxiv",
                "schedule": {"every": "1mo"},
                "source": source,
                "fields": {"timestamp": "submitted", "timezone": "UTC", "predicted": "category"},
                "sample": {"size": 120, "max_characters": 240},
                "reference": {
                    "train": {"kind": "files", "path": f"{folder.parent}/reference.parquet"},
                    "fields": {"timestamp": "submitted", "timezone": "UTC", "label": "category"},
                    "size": 300,
                },
                "tickets": [{"kind": "file", "folder": f"{folder}/tickets"}],
                "exports": [{"kind": "files", "folder": f"{folder}/exports"}],
            }
        ],
    }
    folder.mkdir()
    path = folder / "drift-monitor.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


BACKFILL = ("backfill", "--from", "2014-01-01", "--to", "2014-04-01")


def replay(drift_monitor, config: Path) -> list[object]:
    for words in (("reference", "build"), BACKFILL):
        code, _, told = drift_monitor(*words, "-c", config)
        assert code == 0, told
    return saved(config)


def saved(config: Path) -> list[object]:
    with Store.open(load(config).store.url) as store:
        found = [store.run_by_id(run.id) for run in store.runs("arxiv")]
        files = sorted(
            str(p.relative_to(config.parent)) for p in config.parent.rglob("*") if p.suffix in {".md", ".parquet"}
        )
        return [*found, len(store.tickets()), len(store.exports()), files]


def same(run):
    """A run without what is allowed to differ: who ran it, when, how long it took, what the cache knew."""
    counts = replace(run.counts, cached=0)
    return replace(
        run, claimed_by="", started_at=run.window.end, finished_at=None, seconds={}, settings="", counts=counts
    )


def test_files_and_postgresql_give_the_identical_runs(tmp_path, postgres_database, drift_monitor):
    import psycopg  # noqa: PLC0415 - an extra; only here

    with gzip.open(DATA, "rt", encoding="utf-8", newline="") as stream:
        rows = [(r["id"], r["text"], r["timestamp"], r["label"]) for r in csv.DictReader(stream)]
    names = ["id", "text", "submitted", "category"]
    table = pa.Table.from_arrays([pa.array(column) for column in zip(*rows, strict=True)], names=names)
    years = pa.array([row[2][:4] for row in rows])
    pq.write_table(
        table.filter(pa.compute.is_in(years, pa.array(["2011", "2012", "2013"]))), tmp_path / "reference.parquet"
    )
    traffic = table.filter(pa.compute.equal(years, "2014"))
    for month in range(1, 13):
        part = traffic.filter(pa.compute.starts_with(traffic["submitted"], f"2014-{month:02d}"))
        with pa.CompressedOutputStream(str(tmp_path / f"2014-{month:02d}.csv.gz"), "gzip") as sink:
            pyarrow.csv.write_csv(part, sink)
    with psycopg.connect(postgres_database.replace("+psycopg", "")) as database:
        database.execute("CREATE TABLE papers (id text PRIMARY KEY, text text, submitted timestamptz, category text)")
        with database.cursor().copy("COPY papers FROM STDIN") as copy:
            for record, text, moment, category in rows:
                if moment.startswith("2014"):
                    copy.write_row((record, text, f"{moment}T00:00:00+00:00", category))

    files = settings(tmp_path / "files", {"kind": "files", "path": f"{tmp_path}/2014-*.csv.gz"})
    sql = settings(tmp_path / "sql", {"kind": "sql", "url": postgres_database, "query": QUERY})
    from_files, from_sql = replay(drift_monitor, files), replay(drift_monitor, sql)
    _, shown, _ = drift_monitor("reference", "show", "--json", "-c", files)
    weights = json.loads(shown)["settings"]["weights"]
    assert weights["model.safetensors"] == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    assert len(from_files) == 3 + 3
    assert [same(run) for run in from_files[:3]] == [same(run) for run in from_sql[:3]]
    assert from_files[3:] == from_sql[3:]
    for run in from_files[:3]:
        assert run.status is RunStatus.DONE
        assert run.decision.state is not State.INSUFFICIENT
        assert run.counts.sampled == 120
        assert run.counts.population > 200
        assert {m.detector for m in run.measurements} == {"mmd", "ks", "class_balance", "change"}

    assert drift_monitor(*BACKFILL, "-c", files)[0] == 0
    assert saved(files) == from_files, "a second replay adds nothing and changes nothing"
