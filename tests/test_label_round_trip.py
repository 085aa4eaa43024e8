"""Whatever candidates go out in whatever format, unchanged they come back as they were, and answered they bring just the answers."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from run_examples import LEASE, START, candidate, finished, week

from monitor.config import parse
from monitor.exporters.formats import FORMATS, made
from monitor.formulas import neutralised
from monitor.intake import Case, Request, import_labels
from monitor.labels import read_labels
from monitor.labels.checks import Known, checked
from monitor.reference import assemble
from monitor.store import Store
from monitor.store.columns import storable
from monitor.store.tables import metadata
from monitor.values import Dataset, Export, record_schema
from monitor.wiring import open_shelf

FILES = {
    "parquet": "candidates.parquet",
    "jsonl": "candidates.jsonl",
    "csv": "candidates.csv",
    "huggingface": "huggingface",
    "label_studio": "label-studio/tasks.json",
    "argilla": "argilla/records.jsonl",
    "doccano": "doccano/data.jsonl",
    "prodigy": "prodigy/tasks.jsonl",
}
TABLES = {"parquet", "jsonl", "csv", "huggingface"}
# Every character, lone surrogates and NUL too, and more often what breaks files: quotes, marks, line ends, formulas.
NASTY = st.sampled_from(
    [
        "=1+1",
        "@SUM(A1)",
        "-2",
        "+3",
        "'",
        "''=x",
        '"',
        "\n",
        "\r\n",
        "\r",
        "\t",
        ";",
        ",",
        "\u2028",
        "\ufeff",
        "\ud800",
        "\0",
        "é",
        "💶",
        "[",
        "{",
        "null",
        " ",
    ]
)
TEXTS = st.lists(st.one_of(NASTY, st.text(max_size=4)), max_size=4).map("".join)
NAMES = TEXTS.map(storable).filter(lambda name: name.strip("\ufffd"))
# XML has no way to write a choice with a control character.
LABELS = NAMES.filter(
    lambda name: all(c >= " " or c in "\t\n\r" for c in name) and "\ufffe" not in name and "\uffff" not in name
)
BATCHES = st.lists(
    st.tuples(NAMES, st.none() | TEXTS, LABELS, st.none() | LABELS, st.dictionaries(NAMES, TEXTS, max_size=2)),
    min_size=1,
    max_size=4,
    unique_by=lambda one: one[0],
)


def export_of(batch, *, labelled):
    found = tuple(
        candidate(
            rank,
            record_id=record,
            text=text,
            label=label if labelled else None,
            suggested_label=suggested,
            predicted=label,
            segments=segments,
        )
        for rank, (record, text, label, suggested, segments) in enumerate(batch, 1)
    )
    return Export("shop|2026", "shop", "run", week(0), found, 1, classes=tuple({label for _, _, label, _, _ in batch}))


def laid_out(folder, export, kind):
    for name, content in made(export, [kind]).items():
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return Path(folder) / FILES[kind]


def known(batch):
    texts = {record: None if text is None else storable(text) for record, text, _, _, _ in batch}
    return Known(texts, set(), set(), {storable(label) for _, _, label, _, _ in batch})


@settings(max_examples=40, deadline=None)
@given(batch=BATCHES, kind=st.sampled_from(FORMATS))
def test_an_export_that_nobody_touched_loses_and_alters_nothing(batch, kind):
    with tempfile.TemporaryDirectory() as folder:
        plain = read_labels(laid_out(folder, export_of(batch, labelled=False), kind))
    assert (plain.kind, plain.labels, plain.bad, plain.unlabelled) == (kind, (), (), len(batch))
    if kind not in TABLES:
        return
    with tempfile.TemporaryDirectory() as folder:
        told = read_labels(laid_out(folder, export_of(batch, labelled=True), kind))
    assert {(one.record_id, one.label) for one in told.labels} == {(record, label) for record, _, label, _, _ in batch}
    assert checked(told, known(batch)).problems == ()
    for one in told.labels:
        text = next(text for record, text, _, _, _ in batch if record == one.record_id)
        # A CSV cannot tell an empty text from none; its checksum can.
        assert (one.text or None) == (storable(text) or None if text is not None else None)
        assert one.export == "shop|2026"


def answered(path, kind, answers):
    """The file as its tool gives it back once people have answered."""
    if kind in TABLES:
        return tables_answered(path, kind, answers)
    if kind == "label_studio":
        tasks = json.loads(path.read_text(encoding="utf-8"))
        for number, task in enumerate(tasks, 1):
            choice = {
                "from_name": "label",
                "to_name": "text",
                "type": "choices",
                "value": {"choices": [answers[task["data"]["record_id"]]]},
            }
            task["id"] = number
            task["annotations"] = [{"id": number, "completed_by": 1, "result": [choice], "was_cancelled": False}]
        path.write_text(json.dumps(tasks), encoding="utf-8")
        return path
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    for number, row in enumerate(rows, 1):
        if kind == "argilla":
            label = answers[row["metadata"]["record_id"]]
            row["responses"] = {"label": [{"value": label, "user_id": "u1"}]}
        elif kind == "doccano":
            row |= {"id": number, "label": [answers[row["record_id"]]], "Comments": []}
        else:
            row |= {"accept": [answers[row["record_id"]]], "answer": "accept", "_task_hash": number}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def tables_answered(path, kind, answers):
    if kind == "jsonl":
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        path.write_text(
            "".join(json.dumps(row | {"label": answers[row["id"]]}) + "\n" for row in rows), encoding="utf-8"
        )
    elif kind == "csv":
        header, *rows = csv.reader(io.StringIO(path.read_bytes().decode(), newline=""))
        column, ids = header.index("label"), header.index("id")
        by_cell = {neutralised(record): label for record, label in answers.items()}
        for row in rows:
            row[column] = neutralised(by_cell[row[ids]])
        with path.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([header, *rows])
    else:
        file = path / "data" / "train.parquet" if path.is_dir() else path
        table = pq.read_table(file)
        labels = pa.array([answers[record] for record in table.column("id").to_pylist()], pa.string())
        pq.write_table(table.set_column(table.schema.get_field_index("label"), "label", labels), file)
    return path


@settings(max_examples=40, deadline=None)
@given(batch=BATCHES, kind=st.sampled_from(FORMATS))
def test_what_people_answered_is_all_that_comes_back(batch, kind):
    answers = {record: label for record, _, label, _, _ in batch}
    with tempfile.TemporaryDirectory() as folder:
        found = read_labels(answered(laid_out(folder, export_of(batch, labelled=False), kind), kind, answers))
    assert (found.kind, found.bad, found.unlabelled, found.skipped) == (kind, (), 0, 0)
    assert {one.record_id: one.label for one in found.labels} == answers
    read = checked(found, known(batch))
    assert read.problems == ()
    for one in read.labels:
        assert not one.text or hashlib.sha256(one.text.encode()).hexdigest() == one.text_sha256


def reference_of(name, classes):
    rng = np.random.default_rng(1)
    labels = [classes[n % len(classes)] for n in range(12)]
    columns = {"id": [f"training {n}" for n in range(12)], "text": labels, "label": labels}
    schema = record_schema()
    table = pa.Table.from_arrays(
        [pa.array(columns.get(f.name, [None] * 12), type=f.type) for f in schema], schema=schema
    )
    vectors = rng.normal(size=(12, 4)).astype(np.float32)
    data = Dataset(table, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.ones(12), "all-MiniLM-L6-v2@abc")
    return assemble(name, 1, START, data.take(np.arange(8)), data.take(np.arange(8, 12)), vectors[:0], {}, {})


@pytest.fixture
def desk(database_url, tmp_path):
    raw = {
        "store": database_url,
        "artifacts": str(tmp_path / "artifacts"),
        "cache": None,
        "monitors": [
            {
                "name": "shop",
                "source": {"kind": "files", "path": "none.jsonl"},
                "embedder": {"kind": "hashing", "dimension": 4},
                "detectors": ["ks"],
                "reference": {"train": {"kind": "files", "path": "none.jsonl"}},
            }
        ],
    }
    made = parse(raw)
    with Store.open(made.store.url) as store:
        store.upgrade()
        yield made, store, tmp_path


def dumped(store):
    with store._database.read() as connection:
        return {name: sorted(map(repr, connection.execute(sa.select(t)).all())) for name, t in metadata.tables.items()}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch=BATCHES, kind=st.sampled_from(FORMATS))
def test_any_batch_comes_in_once_and_whole(desk, batch, kind):
    config, store, folder = desk
    name = f"m{len(list(folder.glob('artifacts/*')))}"
    config = config.model_copy(update={"monitors": [config.monitors[0].model_copy(update={"name": name})]})
    answers = {record: label for record, _, label, _, _ in batch}
    entry = open_shelf(config).save(reference_of(name, sorted(set(answers.values()) | {"one", "two"})))
    store.register_reference(name, 1, entry.fingerprint, entry.uri, START)
    store.use_reference(name, 1)
    unit = np.full(4, 0.5, dtype="<f4").tobytes()
    proposed = [
        candidate(n, record_id=r, text=t, vector=unit, segments=s) for n, (r, t, _, _, s) in enumerate(batch, 1)
    ]
    claim = store.claim(name, week(0), "a", START, LEASE)
    store.save(claim, finished(claim, candidates=tuple(proposed)))
    with tempfile.TemporaryDirectory() as place:
        path = laid_out(place, export_of(batch, labelled=False), kind)
        before = dumped(store)

        def take(**more):
            request = Request(path, gate=False, **more)
            return import_labels(Case(config, config.monitors[0], store, request, datetime(2026, 2, 1, tzinfo=UTC)))

        assert take().verdict == "before"
        assert dumped(store) == before, "an export that nobody touched"
        answered(path, kind, answers)
        done = take()
        assert (done.verdict, dict(done.labels), done.checked.problems) == ("accept", answers, ())
        after = dumped(store)
        assert take().verdict == "before"
        assert dumped(store) == after, "the same file again"
    train = open_shelf(config).load(name, 2).train
    found = dict(zip(train.ids, train.column("label"), strict=True))
    assert {record: found[record] for record in answers} == answers
    assert {c.record_id: c.label for c in store.run(name, START).candidates} == answers
