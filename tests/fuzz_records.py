"""Windows of odd records in files of every format and out of a Python function, as a run meets them."""

from __future__ import annotations

import gzip
import io
import json
import sys
import types
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fuzz_tally import EDITS, JSON, SECRET, TRACEBACKS, Tally, each, flipped, heard, inside, last_line, long_numbers
from hypothesis import strategies as st
from shop import FIRST, desk, open_shop, raw_settings, rows_of, window

from monitor.config import parse
from monitor.desk import Monitor
from monitor.errors import SourceError
from monitor.pipeline import run_window
from monitor.sources.fields import Fields
from monitor.sources.files import FilesSource
from monitor.store import Store
from monitor.values import RunStatus
from monitor.wiring import wire

GOOD = 60
NAMES = ("id", "text", "timestamp", "predicted", "confidence", "vector", "country", "extra")


class Unspeakable:
    """An object whose every word is an error."""

    def __str__(self) -> str:
        raise RuntimeError(SECRET)

    __repr__ = __str__


ODD_OBJECTS = st.sampled_from(
    [
        datetime(2026, 3, 2, 12),  # noqa: DTZ001 - a naive time among others
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=23))),
        datetime(9999, 12, 31, 23, 59, tzinfo=timezone(-timedelta(hours=23))),
        date(2026, 3, 2),
        timedelta(days=10**8),
        Decimal("NaN"),
        Decimal("1e400"),
        np.float32("nan"),
        np.int64(-1),
        np.datetime64("NaT"),
        np.array([1.0, np.nan]),
        np.array(SECRET),
        b"\xff\xfe",
        {1, 2},
        frozenset(),
        1j,
        object(),
        float("inf"),
        range(3),
        memoryview(b"x"),
        pa.scalar(1),
        lambda: SECRET,
        type,
    ]
) | st.builds(Unspeakable)
TIMES = st.sampled_from(
    [
        "2026-03-02T12:00:00",
        "2026-03-02 12:00:00+25:00",
        "2026-03-02T12:00:00+00:00:00.5",
        "0000-00-00",
        "9999-12-31T23:59:59-14:00",
        "0001-01-01T00:00:00+14:00",
        "1e400",
        "9" * 400,
        "١٢٣٤٥٦٧٨٩٠",
        "-999999999999999999",
        "NaT",
        "20260302T120000Z",
        "2026-W10-1",
        -(2**63),
        2**63 - 1,
        1e308,
        "24:00",
    ]
)
ODD_TEXT = st.sampled_from(
    ["\ud800", "a\0b", "\x1b[31m", "\u202e", "x" * 200_000, "=cmd|' /C calc'!A0", "\r\n", '"', "﷽" * 500]
)
CELL = (
    JSON
    | TIMES
    | ODD_TEXT
    | st.sampled_from([f"{SECRET} text", [1.0, 2.0], [[1]], {"a": 1}, '{"a": NaN}', "[1, 1e999]"])
)
ROW = st.dictionaries(st.sampled_from(NAMES), CELL, max_size=6)
OBJECTS = st.dictionaries(st.sampled_from(NAMES) | st.integers() | st.none(), CELL | ODD_OBJECTS, max_size=6)


def good(day: int) -> list[dict[str, Any]]:
    """Records that nothing is wrong with; each text holds a secret."""
    return [row | {"text": f"{row['text']} {SECRET}"} for row in rows_of(day, calm=GOOD)]


def mixed(rows: list[dict[Any, Any]], odd: list[dict[Any, Any]]) -> list[dict[Any, Any]]:
    """Good rows with the odd ones, laid over good ones, between them."""
    made = list(rows)
    for n, one in enumerate(odd):
        made.insert((n * 17) % (len(made) + 1), rows[n % len(rows)] | {"id": f"odd-{n}"} | one)
    return made


def as_lines(rows: list[dict[Any, Any]]) -> bytes:
    """JSON lines as Python writes them, NaN and lone surrogates included."""
    with long_numbers():
        texts = [json.dumps(row, ensure_ascii=bool(n % 2)) for n, row in enumerate(rows)]
    return "".join(f"{text}\n" for text in texts).encode("utf-8", "surrogatepass")


def as_csv(rows: list[dict[Any, Any]]) -> bytes:
    """CSV with whatever quoting comes of it."""
    import csv  # noqa: PLC0415 - beside its use

    sink = io.StringIO()
    writer = csv.DictWriter(sink, NAMES, extrasaction="ignore", quoting=csv.QUOTE_MINIMAL)
    writer.writeheader()
    with long_numbers():
        writer.writerows(rows)
    return sink.getvalue().encode("utf-8", "surrogatepass")


COLUMN = st.sampled_from(
    [
        lambda n: pa.array([None] * n),
        lambda n: pa.array([b"\xff\xfe" + SECRET.encode()] * n, pa.binary()),
        lambda n: pa.Array.from_buffers(pa.string(), n, pa.array([b"\xff\xc0"] * n, pa.binary()).buffers()),
        lambda n: pa.array([2**63 - 1 - i for i in range(n)]),
        lambda n: pa.array([2**64 - 1 - i for i in range(n)], pa.uint64()),
        lambda n: pa.array([float("nan"), float("inf")] * n, pa.float64())[:n],
        lambda n: pa.array([1.5] * n, pa.float32()).cast(pa.float16()),
        lambda n: pa.array([Decimal("1.5")] * n, pa.decimal128(38, 2)),
        lambda n: pa.array([2**62] * n, pa.timestamp("s")),
        lambda n: pa.array([-(2**62)] * n, pa.timestamp("ns", "UTC")),
        lambda n: pa.array([0] * n, pa.timestamp("us", "Europe/Berlin")),
        lambda n: pa.array([0] * n, pa.date32()),
        lambda n: pa.array([0] * n, pa.time64("us")),
        lambda n: pa.array([0] * n, pa.duration("s")),
        lambda n: pa.array([True] * n),
        lambda n: pa.array([[1.0, None]] * n, pa.list_(pa.float64())),
        lambda n: pa.array([["a"]] * n),
        lambda n: pa.array([{"a": 1}] * n),
        lambda n: pa.array([[("a", 1.0)]] * n, pa.map_(pa.string(), pa.float64())),
        lambda n: pa.array([SECRET] * n).dictionary_encode(),
        lambda n: pa.array([SECRET] * n, pa.large_string()),
        lambda n: pa.array([b"x" * 16] * n, pa.binary(16)),
    ]
)
TABLES = st.dictionaries(st.sampled_from(NAMES[:7]), COLUMN, max_size=3)


def as_parquet(rows: list[dict[str, Any]], columns: dict[str, Callable[[int], pa.Array]]) -> bytes:
    """A table of good rows with columns of any type."""
    table = pa.Table.from_pylist(rows)
    for name, make in columns.items():
        made = make(len(rows))
        table = table.drop_columns([name]) if name in table.schema.names else table
        table = table.append_column(name, made)
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


class Stand:
    """A shop whose every case is the traffic of another day."""

    def __init__(self, tally: Tally, folder: Path) -> None:
        self.tally, self.folder, self.day = tally, folder, 0
        self.settings, self.store, _ = open_shop(folder, days=(), detectors=["class_balance"])
        self.raw = raw_settings(folder, detectors=["class_balance"])

    def monitor(self, **more: object) -> Monitor:
        """The monitor with other settings."""
        one = self.raw["monitors"][0]  # type: ignore[index]
        settings = parse({**self.raw, "monitors": [{**one, "tickets": [], "exports": [], **more}]})
        return wire(settings, settings.monitors[0], self.store)

    def run(self, monitor: Monitor, given: object, kept: int) -> None:
        """Run the day; ``kept`` good records must have been taken."""
        at = FIRST + timedelta(days=self.day + 30)
        with heard() as log:
            run = run_window(monitor, window(self.day), desk(self.store, at=at))
        assert run is not None
        reasons = run.decision.reasons if run.decision else ()
        said = f"{log.getvalue()}\n{run.error}\n{reasons}\n{run.counts.rejected}"
        if any(mark in said for mark in TRACEBACKS) or "a part failed" in said:
            self.tally.fault("traceback", last_line(said), given)
        elif SECRET in said or SECRET.lower() in said.lower():
            self.tally.fault("text shown", run.error or log.getvalue()[-200:], given)
        elif run.status is RunStatus.FAILED and len(run.error) < 10:
            self.tally.fault("no reason", run.error, given)
        elif run.status is RunStatus.DONE and run.counts.population < kept:
            self.tally.fault("wrong data", f"{run.counts.population} of {kept} good records were taken", given)
        else:
            self.tally.counts["refused" if run.status is RunStatus.FAILED else "accepted"] += 1

    def today(self) -> list[dict[str, Any]]:
        """Good records of another day."""
        self.day += 1
        return good(self.day)


def play(tally: Tally, folder: Path, cases: int, seed: int | None) -> None:
    """A third of the cases are rows, a third a function's objects, a third whole files."""
    stand = Stand(tally, folder)
    store: Store = stand.store
    traffic = folder / "traffic"
    traffic.mkdir(exist_ok=True)
    segments = {"predicted": "predicted", "confidence": "confidence", "timezone": "UTC", "segments": ["country"]}

    def put(content: bytes, name: str) -> None:
        for old in traffic.iterdir():
            old.unlink()
        (traffic / name).write_bytes(content)

    def filed(name: str, fields: dict[str, Any]) -> Monitor:
        return stand.monitor(source={"kind": "files", "path": f"{traffic}/{name}"}, fields=fields)

    def lines(odd: list[dict[str, Any]]) -> None:
        rows = [row | {"country": "DE"} for row in stand.today()]
        put(as_lines(mixed(rows, odd)), "x.jsonl")
        stand.run(filed("x.jsonl", segments), odd, GOOD)

    def spreadsheet(odd: list[dict[str, Any]]) -> None:
        rows = [row | {"country": "DE"} for row in stand.today()]
        put(as_csv(mixed(rows, odd)), "x.csv")
        # A quote that nobody closes takes the rows behind it along.
        stand.run(filed("x.csv", segments), odd, 0)

    def objects(odd: list[dict[Any, Any]]) -> None:
        rows = mixed([row | {"country": "DE"} for row in stand.today()], odd)
        module = types.ModuleType("fuzz_given")
        module.records = lambda start, end: rows  # type: ignore[attr-defined]
        sys.modules["fuzz_given"] = module
        stand.run(stand.monitor(source={"kind": "python", "call": "fuzz_given:records"}, fields=segments), odd, GOOD)

    def columns(given: dict[str, Any]) -> None:
        rows = [row | {"country": "DE"} for row in stand.today()]
        try:
            content = as_parquet(rows, given)
        except pa.ArrowInvalid:
            # Not every column can be written to this format.
            tally.counts["cases"] -= 1
            return
        put(content, "x.parquet")
        stand.run(filed("x.parquet", segments), list(given), 0)

    def damaged(given: tuple[str, list[Any]]) -> None:
        kind, edits = given
        rows = stand.today()
        plain = {"jsonl": as_lines, "csv": as_csv, "parquet": lambda some: as_parquet(some, {})}[
            kind.partition(".")[0]
        ](rows)
        put(flipped(gzip.compress(plain) if kind.endswith(".gz") else plain, edits), f"x.{kind}")
        stand.run(filed(f"x.{kind}", {"predicted": "predicted", "confidence": "confidence"}), given, 0)

    def noise(given: tuple[str, bytes]) -> None:
        stand.day += 1
        put(given[1], f"x.{given[0]}")
        stand.run(filed(f"x.{given[0]}", segments), given, 0)

    def translated(given: tuple[str, list[dict[str, Any]]]) -> None:
        kind, odd = given
        rows = good(0)[:3] + odd
        content = as_lines(rows) if kind == "jsonl" else as_csv(rows)
        put(content, f"x.{kind}")
        fields = Fields(
            predicted="predicted", confidence="confidence", vector="vector", segments=["country"], timezone="UTC"
        )
        try:
            for batch in FilesSource(fields, f"{traffic}/x.{kind}").read(window(0)):
                batch.rows.validate(full=True)
        except SourceError as error:
            if SECRET in str(error):
                tally.fault("text shown", str(error), given)
            tally.counts["refused"] += 1
            return
        tally.counts["accepted"] += 1

    kinds = st.sampled_from(["jsonl", "csv", "parquet", "jsonl.gz", "csv.gz", "parquet", "jsonl.xz", "csv.bz2"])
    with inside(folder):
        share = max(cases // 6, 1)
        each(tally, st.lists(ROW, min_size=1, max_size=8), share, seed, lines)
        each(tally, st.lists(ROW, min_size=1, max_size=8), share, seed, spreadsheet)
        # The source by itself is quick: most cases.
        alone = st.tuples(
            st.sampled_from(["jsonl", "csv"]),
            st.lists(ROW.map(lambda row: {"country": "DE", "vector": None} | row), min_size=1, max_size=8),
        )
        each(tally, alone, cases * 2, seed, translated)
        each(tally, st.lists(OBJECTS, min_size=1, max_size=8), share, seed, objects)
        each(tally, TABLES, share, seed, columns)
        each(tally, st.tuples(kinds.filter(lambda kind: kind[-2:] not in ("xz", "z2")), EDITS), share, seed, damaged)
        each(tally, st.tuples(kinds, st.binary(max_size=300)), share, seed, noise)
    sys.modules.pop("fuzz_given", None)
    store.close()
