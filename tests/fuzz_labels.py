"""Exports of every labelling tool with something wrong in them, as ``drift-monitor labels import`` meets them."""

from __future__ import annotations

import copy
import csv
import io
import json
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import sqlalchemy as sa
import yaml
from fuzz_records import COLUMN
from fuzz_settings import place
from fuzz_tally import EDITS, JSON, Said, Tally, each, flipped, inside, long_numbers, typed
from hypothesis import strategies as st
from shop import NEW, desk, open_shop, raw_settings, window

from monitor.config import parse
from monitor.errors import SourceError
from monitor.labels import READERS, read_labels
from monitor.pipeline import run_window
from monitor.store import Store
from monitor.store.tables import metadata
from monitor.wiring import open_shelf

Truth = list[tuple[str, str, str]]


def label_studio(truth: Truth) -> Any:
    """JSON of a project."""
    return [
        {
            "id": n,
            "annotations": [
                {
                    "id": n,
                    "completed_by": {"id": 1, "email": "ana@example.org"},
                    "result": [
                        {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [label]}}
                    ],
                    "was_cancelled": False,
                    "ground_truth": False,
                    "updated_at": "2026-03-04T11:00:00.759452Z",
                }
            ],
            "predictions": [],
            "data": {"text": text, "record_id": record},
        }
        for n, (record, label, text) in enumerate(truth)
    ]


def label_studio_min(truth: Truth) -> Any:
    """JSON_MIN, and the columns of its CSV."""
    return [
        {
            "text": text,
            "record_id": record,
            "id": n,
            "annotator": 1,
            "annotation_id": n,
            "label": label,
            "updated_at": "2026-03-04T11:00:00Z",
            "lead_time": 1.5,
        }
        for n, (record, label, text) in enumerate(truth)
    ]


def argilla(truth: Truth) -> Any:
    """Records of a dataset."""
    return [
        {
            "id": str(n),
            "fields": {"text": text},
            "metadata": {"record_id": record},
            "responses": {"label": [{"value": label, "user_id": "ana"}]},
        }
        for n, (record, label, text) in enumerate(truth)
    ]


def argilla_api(truth: Truth) -> Any:
    """Records as the API gives them."""
    return [
        {
            "id": str(n),
            "fields": {"text": text},
            "metadata": {"record_id": record},
            "responses": [
                {
                    "values": {"label": {"value": label}},
                    "status": "submitted",
                    "user_id": "ana",
                    "updated_at": "2026-03-04T11:00:00",
                }
            ],
        }
        for n, (record, label, text) in enumerate(truth)
    ]


def argilla_flat(truth: Truth) -> Any:
    """Records as a flattened dataset has them."""
    return [
        {
            "id": record,
            "text": text,
            "label.responses": [label],
            "label.responses.users": ["ana"],
            "label.responses.status": ["submitted"],
        }
        for record, label, text in truth
    ]


def doccano(truth: Truth) -> Any:
    """JSON lines."""
    return [
        {"id": n, "text": text, "label": [label], "record_id": record} for n, (record, label, text) in enumerate(truth)
    ]


def prodigy(truth: Truth) -> Any:
    """What db-out writes."""
    return [
        {
            "text": text,
            "record_id": record,
            "options": [],
            "accept": [label],
            "answer": "accept",
            "_task_hash": n,
            "_timestamp": 1772600000,
            "_annotator_id": "ana",
        }
        for n, (record, label, text) in enumerate(truth)
    ]


def plain(truth: Truth) -> Any:
    """A table."""
    return [
        {"id": record, "label": label, "annotator": "ana", "labelled_at": "2026-03-04T11:00:00Z"}
        for record, label, _ in truth
    ]


def as_list(rows: Any) -> bytes:
    """One JSON document."""
    with long_numbers():
        return json.dumps(rows).encode()


def as_lines(rows: Any) -> bytes:
    """A JSON document a line."""
    with long_numbers():
        return "".join(
            json.dumps(row, ensure_ascii=False) + "\n" for row in (rows if isinstance(rows, list) else [rows])
        ).encode("utf-8", "surrogatepass")


def as_csv(rows: Any) -> bytes:
    """CSV of what is a mapping."""
    sink = io.StringIO()
    maps = [row for row in (rows if isinstance(rows, list) else []) if isinstance(row, dict)]
    names = dict.fromkeys(str(key) for row in maps for key in row)
    writer = csv.writer(sink)
    writer.writerow(names)
    with long_numbers():
        writer.writerows([[row.get(name) for name in names] for row in maps])
    return sink.getvalue().encode("utf-8", "surrogatepass")


def as_parquet(truth: Truth, columns: dict[str, Callable[[int], pa.Array]]) -> pa.Table:
    """A table with columns of any type."""
    table = pa.Table.from_pylist(plain(truth))
    for name, make in columns.items():
        table = table.drop_columns([name]) if name in table.schema.names else table
        table = table.append_column(name, make(len(truth)))
    return table


FORMATS: dict[str, tuple[Callable[[Truth], Any], Callable[[Any], bytes], str]] = {
    "label_studio": (label_studio, as_list, "json"),
    "label_studio min": (label_studio_min, as_list, "json"),
    "label_studio_csv": (label_studio_min, as_csv, "csv"),
    "argilla": (argilla, as_lines, "jsonl"),
    "argilla api": (argilla_api, as_list, "json"),
    "argilla flat": (argilla_flat, as_lines, "jsonl"),
    "doccano": (doccano, as_lines, "jsonl"),
    "prodigy": (prodigy, as_lines, "jsonl"),
    "csv": (plain, as_csv, "csv"),
    "jsonl": (plain, as_lines, "jsonl"),
}
ODD_VALUES = JSON | st.sampled_from(
    [
        "9999-12-31T23:59:59-14:00",
        "0001-01-01T00:00:00+14:00",
        "9" * 400,
        1e300,
        -1e300,
        [[]],
        [{}],
        {"choices": 5},
        {"choices": [1, 2]},
        [None],
        {"label": 5},
        {"label": [5]},
        "junk",
    ]
)
HOW = st.tuples(
    st.sampled_from(["set", "set", "set", "remove", "rename", "repeat"]), st.floats(0, 1, allow_nan=False), ODD_VALUES
)
WORDS = st.lists(
    st.sampled_from(
        [
            ("--skip-invalid",),
            ("--dry-run",),
            ("--no-gate",),
            ("--json",),
            ("--new-class", "boat"),
            ("--use",),
            ("--second-look",),
            ("--by", "x\ud800"),
            *[("--format", kind) for kind in READERS],
        ]
    ),
    max_size=3,
)


def changed(rows: Any, edits: list[tuple[str, float, Any]]) -> Any:
    """The rows with these edits."""
    made = copy.deepcopy(rows)
    for how, share, given in edits:
        value = copy.deepcopy(given)
        found = place(made, share)
        if found is None:
            return made
        inner, last = found
        if how == "remove":
            del inner[last]
        elif how == "repeat" and isinstance(inner, list):
            inner.append(copy.deepcopy(inner[last]))
        elif how == "rename" and isinstance(inner, dict):
            inner[f"{last}_"] = inner.pop(last)
        else:
            inner[last] = value
    return made


class Desk:
    """A shop with a drifted day whose files are put back after each import that changed them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        more = {"selection": {"budget": 12, "junk": ["junk"]}}
        settings, store, monitor = open_shop(folder, days=(0, 40), **more)
        run_window(monitor, window(1), desk(store))
        (run,) = store.runs("shop")
        assert run.candidates
        self.truth = [
            (
                one.record_id,
                "boat" if set(str(one.text).split()) & set(NEW["boat"]) else str(one.predicted),
                str(one.text),
            )
            for one in run.candidates
        ]
        store.close()
        self.config = folder / "drift-monitor.yaml"
        self.config.write_text(yaml.safe_dump(raw_settings(folder, **more)))
        self.settings = settings
        self.given = folder / "given"
        self.whole = folder.with_name(f"{folder.name}-whole")
        shutil.copytree(folder, self.whole)
        self.before = self.rows()

    def rows(self) -> dict[str, Any]:
        """Every row of the database and every version on the shelf, which must load."""
        with Store.open(parse(raw_settings(self.folder)).store.url) as store, store._database.read() as connection:
            found = {
                name: sorted(map(repr, connection.execute(sa.select(table)).all()))
                for name, table in metadata.tables.items()
            }
            shelf = open_shelf(self.settings)
            for one in store.references("shop"):
                assert shelf.load("shop", one.version).fingerprint == one.fingerprint
            return {**found, "shelf": shelf.versions("shop")}

    def put_back(self) -> None:
        """As it was before the import."""
        for name in ("monitor.db", "monitor.db-wal", "monitor.db-shm"):
            (self.folder / name).unlink(missing_ok=True)
            if (self.whole / name).exists():
                shutil.copy2(self.whole / name, self.folder / name)
        shutil.rmtree(self.folder / "artifacts")
        shutil.copytree(self.whole / "artifacts", self.folder / "artifacts")

    def take(self, tally: Tally, path: Path, words: list[tuple[str, ...]], given: object) -> None:
        """Import and look at what is left."""
        flags = [word for words_ in words for word in words_]
        said: Said = typed("labels", "import", path, "-c", self.config, *flags)
        after = self.rows()
        moved = {name for name in after if after[name] != self.before[name]}
        nothing = said.code in (1, 2) or "--dry-run" in flags
        wrong = moved if nothing else moved - {"label_imports", "annotations"} if said.code == 3 else set()
        if wrong:
            tally.fault("partial write", f"exit status {said.code} and {', '.join(sorted(wrong))} changed", given)
        tally.settle(said, given, allowed=(0, 1, 2, 3))
        if moved:
            self.put_back()


def play(tally: Tally, folder: Path, cases: int, seed: int | None) -> None:
    """Mutated structures of each format, damaged bytes of each, tables of any types, datasets in folders."""
    stand = Desk(folder)
    truth = stand.truth

    def put(content: bytes, ending: str) -> Path:
        path = folder / f"given.{ending}"
        path.write_bytes(content)
        return path

    def structure(given: tuple[str, list[Any], Any]) -> None:
        kind, edits, words = given
        make, write, ending = FORMATS[kind]
        stand.take(tally, put(write(changed(make(truth), edits)), ending), words, given)

    def read_alone(given: tuple[str, list[Any], str | None]) -> None:
        kind, edits, reader = given
        make, write, ending = FORMATS[kind]
        try:
            read_labels(put(write(changed(make(truth[:3]), edits)), ending), reader)
        except SourceError:
            tally.counts["refused"] += 1
            return
        tally.counts["accepted"] += 1

    def damage(given: tuple[str, list[Any], Any]) -> None:
        kind, edits, words = given
        make, write, ending = FORMATS[kind]
        stand.take(tally, put(flipped(write(make(truth)), edits), ending), words, given)

    def tables(given: tuple[dict[str, Any], list[Any] | None, bytes, bool, Any]) -> None:
        columns, edits, features, in_folder, words = given
        table = as_parquet(truth, columns)
        if in_folder:
            table = table.replace_schema_metadata({b"huggingface": features})
        for content, ending in dumped(table):
            path = put(content if edits is None else flipped(content, edits), ending)
            if in_folder:
                dataset = folder / "dataset"
                shutil.rmtree(dataset, ignore_errors=True)
                dataset.mkdir()
                path = dataset / path.replace(dataset / path.name).name
                stand.take(tally, dataset, words, (list(columns), edits, features, in_folder))
            elif ending == "parquet":
                stand.take(tally, path, words, (list(columns), edits))

    names = st.sampled_from(sorted(FORMATS))
    edits = st.lists(HOW, min_size=1, max_size=3)
    features = (
        st.binary(max_size=20)
        | JSON.map(as_list)
        | st.recursive(
            JSON,
            lambda inner: st.fixed_dictionaries(
                {
                    "info": st.fixed_dictionaries(
                        {"features": st.fixed_dictionaries({"label": st.fixed_dictionaries({"names": inner})})}
                    )
                }
            ),
        ).map(as_list)
    )
    columns = st.dictionaries(
        st.sampled_from(["id", "label", "annotator", "labelled_at", "text", "export"]),
        COLUMN | st.just(moments),
        max_size=2,
    )
    with inside(folder):
        each(tally, st.tuples(names, edits, WORDS), cases // 2, seed, structure)
        # The readers by themselves are quick: most cases.
        readers = st.none() | st.sampled_from(sorted(READERS))
        each(tally, st.tuples(names, edits, readers), cases * 4, seed, read_alone)
        each(tally, st.tuples(names, EDITS, WORDS), cases // 4, seed, damage)
        each(tally, st.tuples(columns, st.none() | EDITS, features, st.booleans(), WORDS), cases // 4, seed, tables)


def moments(count: int) -> pa.Array:
    """Times at the end of time."""
    return pa.array([datetime(9999, 12, 31, 23, 59)] * count, pa.timestamp("us", "-14:00"))  # noqa: DTZ001 - the type has the zone


def dumped(table: pa.Table) -> Iterator[tuple[bytes, str]]:
    """The table as Parquet and as an Arrow stream."""
    sink = io.BytesIO()
    pq.write_table(table, sink)
    yield sink.getvalue(), "parquet"
    stream = io.BytesIO()
    with pyarrow.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    yield stream.getvalue(), "arrow"
