"""Bad settings, bad data, bad servers: what a person sees, what is counted, what is left behind. From the command to the store."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from broken_shop import DAY, SECRET, built_shop, drifting, jsonl, secret_rows, shop
from conftest import free_port
from shop import window

from monitor.metrics import render

__all__ = ["built_shop", "shop"]

GOOD = secret_rows()
CANNOT_PARSE = b'{"id": "x", "text": "XYZZYSECRET\n'


# Settings


def edit(shop, change) -> None:
    path = shop.folder / "drift-monitor.yaml"
    raw = yaml.safe_load(path.read_text())
    change(raw)
    path.write_text(yaml.safe_dump(raw))


def test_unknown_keys_are_named_with_their_path_and_nothing_is_made(shop):
    def misspell(raw):
        raw["store"] = {"url": f"sqlite:///{shop.folder}/other.db", "pasword": "right horse"}
        raw["monitors"][0]["sorce"] = raw["monitors"][0].pop("source")
        raw["monitors"][0]["embedder"]["dimensions"] = 64

    edit(shop, misspell)
    said = shop("run", "--window", DAY)
    assert (said.code, said.out) == (2, "")
    for line in (
        "store.pasword: unknown key",
        "monitors[0].sorce: unknown key",
        "monitors[0].source: Field required",
        "monitors[0].embedder.dimensions: unknown key; hashing knows dimension, seed",
    ):
        assert f"error: drift-monitor.yaml: {line}\n" in said.err
    assert not (shop.folder / "other.db").exists()


def test_an_environment_variable_that_is_not_set_is_named(shop, monkeypatch):
    monkeypatch.delenv("SHOP_PASSWORD", raising=False)
    source = {"kind": "sql", "url": "postgresql://me@db/shop", "query": "SELECT 1", "password": "${SHOP_PASSWORD}"}
    shop.set(source=source)
    said = shop("check")
    assert said.code == 2
    assert said.err == (
        "error: drift-monitor.yaml: monitors[0].source.password: environment variable SHOP_PASSWORD is not set; "
        "set it or use the field's _file form\n"
    )


def test_a_password_in_the_file_is_refused_and_not_shown(shop):
    shop.set("postgresql://guarded:right%20horse@127.0.0.1/x")
    said = shop("runs")
    assert (said.code, "store.url: a password stands in the URL" in said.err) == (2, True)
    assert "horse" not in said.err


def test_strata_that_cannot_be(shop):
    shop.set(sample={"stratify": "country"})
    said = shop("runs")
    assert (said.code, "sample.stratify: 'country' is none of predicted, label" in said.err) == (2, True)
    shop.set(fields={"segments": ["id"]}, sample={"stratify": "id"})
    shop.traffic(jsonl([row | {"id": f"{copy}-{row['id']}"} for copy in range(9) for row in GOOD]))
    shop.failed("'id' has more than 1,000 different values; stratify by a coarser field")


# Columns


@pytest.mark.parametrize(
    ("change", "phrases"),
    [
        ({"fields": {"predicted": "intent"}}, ("there is no column 'intent'", "predicted", "Set fields.predicted")),
        ({"text": {"body": SECRET}}, ("column 'text' (fields.text) is struct<body: string>", "should be a string")),
        ({"timestamp": True}, ("column 'timestamp' (fields.timestamp) is bool", "ISO-8601")),
        ({"timestamp": f"{DAY}T12:00:00"}, ("times without a time zone; set fields.timezone", "for example UTC")),
        ({"timestamp": SECRET}, ("none of the first 120 values can be read as a time",)),
        ({"confidence": SECRET}, ("column 'confidence' (fields.confidence)", "can be read as a number")),
    ],
)
def test_a_column_that_is_wrong_throughout_fails_the_run(shop, change, phrases):
    fields = change.pop("fields", {"predicted": "predicted", "confidence": "confidence"})
    shop.set(fields=fields)
    shop.traffic(jsonl([row | change for row in GOOD]))
    shop.failed("0.jsonl: ", *phrases)


def test_a_failed_run_is_run_again_once_the_cause_is_gone(shop):
    shop.traffic(jsonl([row | {"timestamp": row["timestamp"][:19]} for row in GOOD]))
    shop.failed("set fields.timezone")
    shop.set(fields={"predicted": "predicted", "timezone": "UTC"})
    run = shop.run()
    assert (run.decision.state, run.attempt, run.error, run.counts.sampled) == ("stable", 2, "", 120)


# Windows and records


def test_no_file_an_empty_file_and_an_empty_window(shop):
    shop.failed("no file matches", "Check source.path")
    for content in (b"", jsonl([row | {"timestamp": "2026-04-01T00:00:00Z"} for row in GOOD])):
        shop.traffic(content)
        shop.folder.joinpath("monitor.db").replace(shop.folder / "old.db")
        shop("reference", "use", 1)
        run = shop.run()
        assert (run.decision.state, run.counts.population) == ("insufficient", 0)
        assert run.decision.reasons[0].startswith("No verdict: 0 usable records were sampled and 50 are needed; use")
    shop.sent_nothing()


def test_texts_that_are_all_empty_are_too_little_not_drift(shop):
    shop.traffic(jsonl([row | {"text": " " if n % 2 else None} for n, row in enumerate(GOOD)]))
    run = shop.run()
    assert (run.decision.state, run.counts.empty, run.counts.sampled) == ("insufficient", 120, 0)
    shop.sent_nothing()


BAD_RECORDS = {
    "malformed line": CANNOT_PARSE,
    "no time": jsonl([GOOD[0] | {"id": "b1", "timestamp": None}]),
    "unreadable time": jsonl([GOOD[0] | {"id": "b2", "timestamp": SECRET}]),
    "time without zone": jsonl([GOOD[0] | {"id": "b3", "timestamp": f"{DAY}T12:00:00"}]),
    "unreadable confidence": jsonl([GOOD[0] | {"id": "b4", "confidence": SECRET}]),
    "non-finite confidence": jsonl([GOOD[0] | {"id": "b5", "confidence": 1e999}]),
    "no id": jsonl([GOOD[0] | {"id": None}]),
    "invalid UTF-8": jsonl([GOOD[0] | {"id": "b6", "text": f"{SECRET} ~"}]).replace(b"~", b"\xff\xfe"),
}


@pytest.mark.parametrize("reason", [*BAD_RECORDS, "all of these"])
def test_a_bad_record_in_a_good_window_is_counted_and_stops_nothing(shop, reason):
    chosen = BAD_RECORDS if reason == "all of these" else {reason: BAD_RECORDS[reason]}
    shop.traffic(b"".join([jsonl(GOOD[:60]), *chosen.values(), jsonl(GOOD[60:])]))
    run = shop.run()
    assert (run.decision.state, run.counts.sampled) == ("stable", 120)
    assert run.counts.rejected == dict.fromkeys(chosen, 1)
    assert f"{len(chosen)} rejected" in shop("show").out


def test_odd_records_are_used_or_counted_and_stop_nothing(shop):
    odd = [
        GOOD[0] | {"id": "o1", "text": f"nul \0 {SECRET} \ud800 lone surrogate"},
        GOOD[0] | {"id": "o2", "text": "\u202e\x1b[31m[bold]{{ run }}` | <!-- -->"},
        GOOD[0] | {"id": "o3", "predicted": "new\0 class\n" + "y" * 500},
        GOOD[0] | {"id": "x" * 100_000},
        {"id": "o5", "timestamp": f"{DAY}T12:00:00Z"},
    ]
    shop.traffic(jsonl([*GOOD, *odd]))
    run = shop.run()
    assert run.counts.sampled + run.counts.empty + sum(run.counts.rejected.values()) == 125
    assert run.counts.sampled >= 123
    for command in (["runs"], ["show"], ["report", "--out", shop.folder / "report.html"], ["report", "--markdown"]):
        assert shop(*command).code == 0


def test_ids_that_occur_twice_are_one_record(shop):
    shop.traffic(jsonl([*GOOD, *GOOD[:30]]))
    run = shop.run()
    assert (run.counts.sampled, run.counts.repeats, run.counts.population) == (120, 30, 150)
    assert run.decision.state == "stable"


def test_records_of_the_future_wait_for_their_window(shop):
    shop.traffic(jsonl([*GOOD, *(row | {"id": f"f{row['id']}", "timestamp": "2099-01-01T00:00:00Z"} for row in GOOD)]))
    run = shop.run()
    assert (run.decision.state, run.counts.sampled, run.counts.population) == ("stable", 120, 120)
    for words in (("run", "--window", "2099-01-01"), ("backfill", "--from", "2026-03-02", "--to", "2099-01-02")):
        said = shop(*words)
        # Once done, a window of the future would hide every window before it from the schedule.
        assert (said.code, said.out) == (2, "")
        assert "has not ended yet" in said.err
    with shop.store() as store:
        assert store.watermark("shop") == window(0).end


def test_a_text_of_a_megabyte_is_cut_counted_and_sent_on(shop):
    rows = secret_rows(new=40)
    rows[-1]["text"] = f"boat harbour {SECRET} " * 50_000
    shop.traffic(jsonl(rows))
    shop.set(detectors=[{"kind": "mmd", "permutations": 499}], selection={"strategies": ["random"], "budget": 160})
    run = shop.run()
    assert (run.decision.state, run.counts.overlong, run.counts.sampled) == ("drifted", 1, 160)
    (ticket,) = (shop.folder / "tickets").glob("*.md")
    assert ticket.stat().st_size < 200_000
    (export,) = (shop.folder / "exports").rglob("candidates.jsonl")
    lengths = [len(json.loads(line)["text"]) for line in export.read_text().splitlines()]
    assert (len(lengths), max(lengths)) == (160, 20_000)


# Files


def as_csv(rows) -> bytes:
    sink = io.StringIO()
    writer = csv.DictWriter(sink, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    return sink.getvalue().encode()


def as_parquet(rows) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


def test_invalid_utf8_in_csv_is_counted(shop):
    shop.set(source={"kind": "files", "path": "traffic/*.csv"})
    content = as_csv([*GOOD, *(row | {"id": f"b{n}", "text": f"~ {SECRET}"} for n, row in enumerate(GOOD[:7]))])
    shop.traffic(content.replace(b"~", b"\xc3\x28"), "0.csv")
    run = shop.run()
    assert (run.decision.state, run.counts.sampled, run.counts.rejected) == ("stable", 120, {"invalid UTF-8": 7})


def test_a_file_of_another_format_is_named(shop):
    shop.traffic(as_csv(GOOD))
    shop.failed("0.jsonl: no line is a JSON object; is the file JSON lines? Check source.format")


@pytest.mark.parametrize("keep", [0, 1, 100, -100, -1])
def test_a_truncated_parquet_file_is_named(shop, keep):
    shop.set(source={"kind": "files", "path": "traffic/*.parquet"})
    shop.traffic(as_parquet(GOOD[:60]), "0.parquet")
    shop.traffic(as_parquet(GOOD[60:])[:keep], "1.parquet")
    shop.failed("1.parquet: not a whole Parquet file; it is truncated, damaged or still being written")


# Databases


def test_a_dead_database_is_named(shop):
    port = free_port()
    shop.set(f"postgresql://me@127.0.0.1:{port}/shop")
    for words in (("run", "--window", DAY), ("runs",), ("tickets",), ("reference", "build")):
        said = shop(*words)
        assert (said.code, said.out) == (1, "")
        assert f"error: database postgresql+psycopg://me@127.0.0.1:{port}/shop: it cannot be reached" in said.err
    query = "SELECT * FROM messages WHERE at >= :start AND at < :end"
    shop.set(source={"kind": "sql", "url": f"postgresql://me@127.0.0.1:{port}/shop", "query": query})
    shop.failed(f"postgresql://me@127.0.0.1:{port}/shop: cannot connect: ", "is the server up")


def test_a_wrong_password_is_said_and_not_shown(shop, postgres_server, monkeypatch):
    address = postgres_server.replace("postgres@", "guarded@") + "/postgres"
    guessed = address.replace("guarded@", "guarded:${GUESS}@")
    monkeypatch.setenv("GUESS", "wrong cart")
    (shop.folder / "guess").write_text("wrong cart\n")
    for store in (guessed, {"url": address, "password": "${GUESS}"}, {"url": address, "password_file": "guess"}):
        shop.set(store)
        said = shop("run", "--window", DAY)
        assert (said.code, said.out) == (1, "")
        assert "user name or password is wrong; check the URL and the password" in said.err
        assert shop("check").code == 2
    query = "SELECT * FROM messages WHERE at >= :start AND at < :end"
    shop.set(source={"kind": "sql", "url": address, "query": query, "password": "${GUESS}"})
    shop.failed("cannot connect: ", "user", "password")


def test_the_database_says_what_is_wrong_with_the_query_and_never_what_a_row_holds(shop, postgres_server):
    url = f"{postgres_server}/postgres"
    for query, phrase in (
        ("SELECT * FROM nowhere WHERE at >= :start AND at < :end", 'relation "nowhere" does not exist'),
        (f"SELECT CAST('{SECRET}' AS integer) AS id WHERE :start < :end", "source.query failed"),
    ):
        shop.set(source={"kind": "sql", "url": url, "query": query})
        shop.failed("source.query failed: ", phrase)


# Embedders and references


def test_a_missing_model(shop):
    shop.set(embedder={"kind": "sentence_transformer", "model": "no/such"})
    shop.traffic(jsonl(GOOD))
    shop.failed("embedding model 'no/such' was not found", "check the name")
    said = shop("reference", "build")
    assert (said.code, "embedding model 'no/such' was not found" in said.err) == (1, True)
    assert [path.name for path in (shop.folder / "artifacts" / "shop").iterdir()] == ["v0001"]


@pytest.mark.parametrize(
    ("embedder", "phrase"),
    [
        ({"kind": "hashing", "dimension": 64, "seed": 1}, "canary texts moved by"),
        ({"kind": "hashing", "dimension": 32}, "canary vectors have shape (21, 32), the reference's (21, 64)"),
        ({"kind": "precomputed", "name": "clip"}, "window vectors come from precomputed:clip, the reference's from "),
    ],
)
def test_a_changed_embedder_is_a_failure_and_never_drift(shop, embedder, phrase):
    changed = "build a new reference" if embedder["kind"] == "precomputed" else "the embedder changed, not the data"
    shop.set(embedder=embedder)
    shop.traffic(jsonl(secret_rows(new=40)))
    run = shop.failed(phrase, changed)
    assert [(finding.name, finding.sentence) for finding in run.decision.findings] == [("embedder", run.error)]
    with shop.store() as store:
        assert 'findings{kind="embedder",monitor="shop"} 1.0' in render(store).decode()


def test_a_damaged_reference_file_is_refused_by_name(shop):
    shop.traffic(jsonl(GOOD))
    (path,) = (shop.folder / "artifacts").rglob("train-*.parquet")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    shop.failed(f"file {path.name} of reference shop version 1 is damaged: SHA-256 ", "build a new version")
    path.unlink()
    shop.failed(f"file {path.name} of reference shop version 1 is missing")
    said = shop("reference", "show")
    assert (said.code, f"{path.name} of reference shop version 1 is missing" in said.err) == (1, True)
    path.write_bytes(whole)
    assert shop.run().decision.state == "stable"


def with_vectors(rows, dimension=8):
    rng = np.random.default_rng(3)
    return [
        {**{k: v for k, v in row.items() if k != "text"}, "embedding": list(map(float, rng.normal(size=dimension)))}
        for row in rows
    ]


@pytest.fixture
def images(shop):
    """The shop with vectors in place of texts."""
    fields = {"text": None, "vector": "embedding", "predicted": "predicted"}
    training = {"kind": "files", "path": "images.jsonl"}
    shop.set(
        embedder={"kind": "precomputed", "name": "clip"},
        fields=fields,
        reference={"train": training, "fields": {**fields, "timestamp": None}},
        detectors=[{"kind": "mmd", "permutations": 199}],
    )
    (shop.folder / "images.jsonl").write_bytes(jsonl(with_vectors(secret_rows(5))))
    assert shop("reference", "build").code == 0
    return shop


def test_nan_in_vectors_is_counted(images):
    rows = with_vectors(GOOD)
    rows[0]["embedding"][3] = float("nan")
    rows[1]["embedding"] = None
    rows[2]["embedding"] = [0.0] * 8
    rows[3]["embedding"] = [1.0] * 9
    rows[4]["embedding"] = [float("inf")] * 8
    images.traffic(jsonl(rows))
    run = images.run()
    assert (run.counts.sampled, run.counts.empty) == (115, 1)
    assert run.counts.rejected == {"non-finite vector": 2, "unusable vector": 2}
    assert run.decision.state == "stable"


@pytest.mark.parametrize("bad", [float("nan"), 0.0, None])
def test_vectors_that_are_all_unusable_fail_the_run(images, bad):
    images.traffic(
        jsonl([row | {"embedding": [1.0] * 7 + [bad] if bad != 0 else [0.0] * 8} for row in with_vectors(GOOD)])
    )
    images.failed("120 ", "vector", "check")


def test_vectors_of_another_dimension_than_the_reference_fail_the_run(images):
    images.traffic(jsonl(with_vectors(GOOD, dimension=9)))
    images.failed("window vectors have 9 dimensions, the reference's 8", "reference build")


# Sending out


def deliveries(shop) -> dict[str, dict]:
    return {item["kind"]: item for item in json.loads(shop("tickets", "--json").out)}


def test_an_export_folder_that_cannot_be_is_parked_and_sent_once_repaired(shop):
    drifting(shop)
    (shop.folder / "exports").write_text("a file where the folder should be")
    assert shop.run().decision.state == "drifted"
    found = deliveries(shop)
    assert (found["ticket"]["status"], found["export"]["status"]) == ("sent", "parked")
    assert found["export"]["error"].startswith("export cannot be written to ")
    assert "correct the folder, its permissions or the credentials" in found["export"]["error"]
    assert "parked" in shop("tickets").out
    (shop.folder / "exports").unlink()
    assert deliveries(shop)["export"]["status"] == "parked"
    assert shop("tickets", "--retry").code == 0
    found = deliveries(shop)
    assert (found["export"]["status"], found["export"]["attempts"], found["ticket"]["attempts"]) == ("sent", 2, 1)
    assert len(list((shop.folder / "exports").rglob("candidates.*"))) == 3
