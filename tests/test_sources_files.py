"""Parquet, JSON lines and CSV, local and in object stores: what is read, what is counted, what is refused."""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import logging
import os
import tracemalloc
from collections import Counter
from datetime import UTC, datetime, timedelta

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor import testing
from monitor.errors import SourceError
from monitor.sources import lines
from monitor.sources import parquet as parquet_room
from monitor.sources.fields import Fields
from monitor.sources.files import FilesSource
from monitor.values import Window

START = datetime(2026, 1, 5, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(days=1))
FIELDS = Fields(predicted="predicted", confidence="confidence", segments=["country"])


def rows(n, start=0):
    """One record an hour; the first 24 lie in the window."""
    return [
        {
            "id": f"r{i}",
            "text": f'message "{i}",\nsecond line é',
            "timestamp": (START + timedelta(hours=i)).isoformat(),
            "predicted": f"c{i % 3}",
            "confidence": 0.5,
            "country": "DE",
            "unused": i,
        }
        for i in range(start, start + n)
    ]


def write_jsonl(path, records):
    path.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")


def write_csv(path, records):
    with path.open("w", encoding="utf-8", newline="") as f:
        writer = csv.DictWriter(f, list(records[0]))
        writer.writeheader()
        writer.writerows(records)


def write_parquet(path, records, **options):
    table = pa.Table.from_pylist(records)
    times = pa.array([datetime.fromisoformat(r["timestamp"]) for r in records], pa.timestamp("ns", "UTC"))
    pq.write_table(table.set_column(table.schema.get_field_index("timestamp"), "timestamp", times), path, **options)


WRITERS = {"jsonl": write_jsonl, "csv": write_csv, "parquet": write_parquet}


def read(path, window=WINDOW, fields=FIELDS, **options):
    """Records as dicts, and the rejected counts."""
    batches = list(FilesSource(fields, str(path) if not isinstance(path, list) else path, **options).read(window))
    rejected = sum((Counter(b.rejected) for b in batches), Counter())
    return [r for b in batches for r in b.rows.to_pylist()], dict(rejected)


def ids(path, window=WINDOW, fields=FIELDS, **options):
    return [r["id"] for r in read(path, window, fields, **options)[0]]


@pytest.mark.parametrize("kind", WRITERS)
def test_a_window_of_each_format(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    WRITERS[kind](path, rows(30))
    found, rejected = read(path)
    assert rejected == {}
    assert [r["id"] for r in found] == [f"r{i}" for i in range(24)]
    assert found[7] == {
        "id": "r7",
        "text": 'message "7",\nsecond line é',
        "observed_at": START + timedelta(hours=7),
        "predicted": "c1",
        "confidence": 0.5,
        "probabilities": None,
        "label": None,
        "vector": None,
        "block": None,
        "segment.country": "DE",
    }
    assert len(ids(path, None)) == 30
    testing.check_source(FilesSource(FIELDS, str(path)), WINDOW)


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
@pytest.mark.parametrize(("suffix", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_compressed_lines(tmp_path, kind, suffix, compress):
    WRITERS[kind](tmp_path / "plain", rows(30))
    path = tmp_path / f"a.{kind}{suffix}"
    path.write_bytes(compress((tmp_path / "plain").read_bytes()))
    assert len(ids(path)) == 24


def test_patterns_and_lists_in_the_order_of_names(tmp_path, monkeypatch):
    (tmp_path / "logs" / "deep").mkdir(parents=True)
    write_jsonl(tmp_path / "logs" / "b.jsonl", rows(2, 2))
    write_csv(tmp_path / "logs" / "deep" / "c.csv", rows(2, 4))
    write_parquet(tmp_path / "logs" / "a.parquet", rows(2))
    (tmp_path / "logs" / "notes.txt").write_text("no records")
    everything = [f"r{i}" for i in range(6)]
    assert ids([str(tmp_path / "logs/?.[jp]*"), str(tmp_path / "logs/**/*.csv")]) == everything
    assert ids([str(tmp_path / "logs/a.parquet")] * 2) == everything[:2]
    monkeypatch.chdir(tmp_path)
    assert ids("logs/a.*") == everything[:2]
    assert ids(f"file://{tmp_path}/logs/b.jsonl") == everything[2:4]


def test_no_match_says_which_pattern_from_where(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError) as caught:
        read("data/*.parquet")
    assert str(caught.value) == (
        f"no file matches 'data/*.parquet' from the working directory {tmp_path}. Check source.path"
    )
    with pytest.raises(SourceError, match=r"no file matches '/nowhere/\*.csv'. Check source.path"):
        read("/nowhere/*.csv")
    (tmp_path / "data").mkdir()
    with pytest.raises(SourceError, match=r"it is a folder, write data/\* to read what is in it"):
        read("data")


def test_an_unclear_format_is_asked_for(tmp_path):
    (tmp_path / "a.log").write_text('{"id": "a", "text": "b"}\n')
    with pytest.raises(SourceError, match=r"a.log: the format is not clear from the name .* set source.format"):
        read(tmp_path / "a.log")
    assert ids(tmp_path / "a.log", None, Fields(timestamp=None), format="jsonl") == ["a"]


@pytest.mark.parametrize("kind", WRITERS)
def test_schemas_are_united_by_name(tmp_path, kind):
    fields = Fields(label="label")
    old = rows(2)
    new = [{"label": f"y{i}"} | {k: r[k] for k in ("timestamp", "text", "id")} for i, r in enumerate(rows(2, 2))]
    WRITERS[kind](tmp_path / f"a.{kind}", old)
    WRITERS[kind](tmp_path / f"b.{kind}", new)
    found, _ = read(tmp_path / f"*.{kind}", fields=fields)
    assert [(r["id"], r["label"]) for r in found] == [("r0", None), ("r1", None), ("r2", "y0"), ("r3", "y1")]


@pytest.mark.parametrize("kind", WRITERS)
def test_a_missing_column_names_the_file_and_the_columns(tmp_path, kind):
    WRITERS[kind](tmp_path / f"a.{kind}", rows(2))
    with pytest.raises(SourceError) as caught:
        read(tmp_path / f"a.{kind}", fields=Fields(text="txt"))
    assert str(caught.value) == (
        f"{tmp_path / f'a.{kind}'}: there is no column 'txt'; there are id, text, timestamp, predicted, confidence, "
        "country, unused; did you mean 'text'?. Set fields.text (null if the data has none)"
    )
    WRITERS[kind](tmp_path / f"b.{kind}", rows(2))
    with pytest.raises(SourceError, match=f"a.{kind} and 1 more: there is no column 'txt'"):
        read(tmp_path / f"*.{kind}", fields=Fields(text="txt"))


def test_a_wrong_type_names_the_file(tmp_path):
    pq.write_table(pa.table({"id": ["a"], "text": [1.5], "timestamp": [START]}), tmp_path / "a.parquet")
    with pytest.raises(SourceError, match=r"a.parquet: column 'text' \(fields.text\) is double; it should be a string"):
        read(tmp_path / "a.parquet", fields=Fields())


def test_naive_times_ask_for_the_time_zone(tmp_path):
    table = pa.table({"id": ["a"], "text": ["b"], "timestamp": [START.replace(tzinfo=None)]})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(
        SourceError, match=r"a.parquet: column 'timestamp' has times without a time zone; set fields.ti"
    ):
        read(tmp_path / "a.parquet", fields=Fields())
    assert ids(tmp_path / "a.parquet", fields=Fields(timezone="UTC")) == ["a"]


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_empty_files_are_empty_windows(tmp_path, kind):
    (tmp_path / f"a.{kind}").write_bytes(b"")
    assert read(tmp_path / f"a.{kind}") == ([], {})
    WRITERS[kind](tmp_path / f"b.{kind}", rows(1))
    assert ids(tmp_path / f"*.{kind}") == ["r0"]


def test_malformed_json_lines_are_counted(tmp_path):
    good = json.dumps(rows(1)[0]).encode()
    bad = [b'{"id": "x", "te', b"[1, 2]", b"null", b"\x00\x01", b'{"id": "x"} trailing', b"[" * 100_000]
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b"\n".join([good, *bad, b"", b"  ", good.replace(b"r0", b"r1")]))
    found, rejected = read(path)
    assert [r["id"] for r in found] == ["r0", "r1"]
    assert found[1]["text"] == rows(1)[0]["text"]
    assert rejected == {"malformed line": 6}


def test_malformed_csv_lines_are_counted(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(
        b"\xef\xbb\xbfid,text,timestamp\n"
        b"r0,fine,2026-01-05T00:00:00Z\n"
        b"r1,one,too,many\n"
        b"too few\n"
        b"\n"
        b'r2,"quoted, and\n""over two lines""",2026-01-05T00:00:00Z\r\n'
        b'r3,5" pipe,2026-01-05T00:00:00Z\n'
        b"r4,nul \x00 byte,2026-01-05T00:00:00Z\n"
        b'r5,"never closed,2026-01-05T00:00:00Z\n'
    )
    found, rejected = read(path, fields=Fields())
    assert {r["id"]: r["text"] for r in found} == {
        "r0": "fine",
        "r2": 'quoted, and\n"over two lines"',
        "r3": '5" pipe',
        "r4": "nul \x00 byte",
    }
    assert rejected == {"malformed line": 3}


def test_a_quote_that_swallows_megabytes_is_one_malformed_line(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "_LONGEST_LINE", 10_000)
    path = tmp_path / "a.csv"
    tail = "".join(f"r{i},fine,2026-01-05T00:00:00Z\n" for i in range(2000))
    path.write_text(f'id,text,timestamp\nr,"never closed,2026-01-05T00:00:00Z\n{tail}', encoding="utf-8")
    found, rejected = read(path, fields=Fields())
    assert 1500 < len(found) < 2000
    assert 1 <= rejected["malformed line"] <= 2


def test_lines_longer_than_the_limit_are_dropped_and_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "_BLOCK", 1_000)
    monkeypatch.setattr(lines, "_LONGEST_LINE", 10_000)
    path = tmp_path / "a.jsonl"
    long = json.dumps(rows(1)[0] | {"text": "x" * 25_000})
    path.write_text("\n".join([json.dumps(rows(1)[0]), long, *(json.dumps(r) for r in rows(10, 1))]))
    found, rejected = read(path)
    assert [r["id"] for r in found] == [f"r{i}" for i in range(11)]
    assert rejected == {"malformed line": 1}


def test_invalid_utf8_is_counted_in_every_format(tmp_path):
    for kind in ("jsonl", "csv"):
        path = tmp_path / f"a.{kind}"
        WRITERS[kind](path, rows(3))
        broken = path.read_bytes().replace(b'1"', b'1\xff"', 1) if kind == "csv" else path.read_bytes()
        path.write_bytes(
            broken.replace(b'message \\"1', b'message \xff\\"1').replace(b'message ""1', b'message \xff""1')
        )
        found, rejected = read(path)
        assert ([r["id"] for r in found], rejected) == (["r0", "r2"], {"invalid UTF-8": 1})
    raw = pa.array([b"fine", b"bad \xff"])
    text = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    pq.write_table(pa.table({"id": ["a", "b"], "text": text, "timestamp": [START] * 2}), tmp_path / "a.parquet")
    found, rejected = read(tmp_path / "a.parquet", fields=Fields())
    assert ([r["id"] for r in found], rejected) == (["a"], {"invalid UTF-8": 1})


def test_invalid_utf8_beside_a_malformed_line(tmp_path):
    path = tmp_path / "a.jsonl"
    at = b'"timestamp": "2026-01-05T00:00:00Z"'
    path.write_bytes(
        b'{"id": "a", "text": "bad \xff", %s}\n{"id": "b", "text": "\\ud800", %s}\n{"id"\n{"id": "c", %s}\n'
        % (at, at, at)
    )
    found, rejected = read(path, fields=Fields())
    assert ([r["id"] for r in found], rejected) == (["c"], {"invalid UTF-8": 2, "malformed line": 1})


def test_json_values_of_mixed_types(tmp_path):
    path = tmp_path / "a.jsonl"
    records = [
        {"id": 1, "timestamp": "2026-01-05T02:00:00+02:00", "p": {"a": 0.7, "b": 0.3}, "v": [1, 2.5]},
        {"id": "x", "timestamp": "2026-01-05T00:00:00Z", "p": {"a": 1}, "v": [1, 2]},
        {"id": 3, "timestamp": 1767571200, "p": None, "v": None},
        {"id": "y", "timestamp": 1767571200000, "v": [3, 4]},
    ]
    fields = Fields(text=None, probabilities="p", vector="v")
    for chosen in (records[:1], records[1:2], records[2:3], records, records * 200):
        write_jsonl(path, chosen)
        found, rejected = read(path, fields=fields)
        assert rejected == {}
        assert {r["observed_at"] for r in found} == {START}
        assert [r["id"] for r in found[:4]] == [str(r["id"]) for r in chosen[:4]]
        got = [r["probabilities"] and dict(r["probabilities"]) for r in found[:4]]
        assert got == [r.get("p") for r in chosen[:4]]
        assert [r["vector"] for r in found[:4]] == [r.get("v") for r in chosen[:4]]


def test_json_times_keep_their_zone_whatever_comes_first(tmp_path):
    path = tmp_path / "a.jsonl"
    late = [{"id": str(i), "text": "t"} for i in range(150)]
    timed = [{"id": "z", "text": "2026-01-05", "timestamp": "2026-01-05T02:00:00+02:00"}]
    write_jsonl(path, late + timed)
    found, rejected = read(path, fields=Fields())
    assert [(r["id"], r["text"], r["observed_at"]) for r in found] == [("z", "2026-01-05", START)]
    assert rejected == {"no time": 150}


def test_a_file_that_is_no_json_lines_is_refused(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(rows(3), indent=2))
    with pytest.raises(SourceError, match=r"a.json: no line is a JSON object; is the file JSON lines"):
        read(path)


@pytest.mark.parametrize("keep", [0, 3, 200, -8])
def test_truncated_parquet_is_named(tmp_path, keep):
    write_parquet(tmp_path / "a.parquet", rows(30))
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "b.parquet").write_bytes(whole[:keep])
    with pytest.raises(
        SourceError, match=r"b.parquet: not a whole Parquet file; it is truncated, damaged or still being"
    ):
        read(tmp_path / "*.parquet")


def test_parquet_with_damaged_pages_is_named(tmp_path):
    write_parquet(tmp_path / "a.parquet", rows(2000))
    whole = bytearray((tmp_path / "a.parquet").read_bytes())
    whole[4:4000] = os.urandom(3996)
    (tmp_path / "a.parquet").write_bytes(whole)
    with pytest.raises(SourceError, match=r"a.parquet: "):
        read(tmp_path / "a.parquet")


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_truncated_and_damaged_gzip_is_named(tmp_path, kind):
    WRITERS[kind](tmp_path / "plain", rows(2000))
    path = tmp_path / f"a.{kind}.gz"
    whole = gzip.compress((tmp_path / "plain").read_bytes())
    for broken in (whole[: len(whole) // 2], whole[:-4], whole[:500] + b"\x00" * 50 + whole[550:], b"not gzip at all"):
        path.write_bytes(broken)
        with pytest.raises(SourceError, match=rf"a.{kind}.gz: "):
            read(path)


def test_a_megabyte_of_text_and_a_vector(tmp_path):
    big = [rows(1)[0] | {"text": "é" * 500_000}]
    for kind, write in WRITERS.items():
        write(tmp_path / f"a.{kind}", big)
        assert len(read(tmp_path / f"a.{kind}")[0][0]["text"]) == 500_000


def test_row_groups_outside_the_window_are_not_read(tmp_path, monkeypatch):
    asked = []
    real = pq.ParquetFile.iter_batches

    def spy(self, *args, row_groups, columns, **kwargs):
        asked.append((list(row_groups), list(columns)))
        return real(self, *args, row_groups=row_groups, columns=columns, **kwargs)

    monkeypatch.setattr(parquet_room.pq.ParquetFile, "iter_batches", spy)
    day = Window(START + timedelta(days=10), START + timedelta(days=11))
    want = [f"r{i}" for i in range(240, 264)]
    names = ["id", "text", "timestamp", "predicted", "confidence", "country"]
    write_parquet(tmp_path / "a.parquet", rows(1000), row_group_size=100)
    assert ids(tmp_path / "a.parquet", day) == want
    assert asked == [([2], names)]
    asked.clear()
    assert len(ids(tmp_path / "a.parquet", Window(day.start, day.start + timedelta(days=5)))) == 120
    assert asked == [([2], names), ([3], names)]


@pytest.mark.parametrize(
    "kind",
    [
        pa.timestamp("s", "UTC"),
        pa.timestamp("ms", "Asia/Tokyo"),
        pa.timestamp("us"),
        pa.timestamp("ns"),
        pa.int64(),
        "ms",
        "us",
        "ns",
        pa.string(),
        pa.date32(),
    ],
    ids=str,
)
def test_the_time_filter_agrees_with_reading_everything(tmp_path, kind):
    moments = [START + timedelta(hours=i) for i in range(-60, 60)]
    if isinstance(kind, str):
        per = {"ms": 10**3, "us": 10**6, "ns": 10**9}[kind]
        column = pa.array([int(t.timestamp()) * per for t in moments])
    elif pa.types.is_int64(kind):
        column = pa.array([int(t.timestamp()) for t in moments])
    elif pa.types.is_string(kind):
        column = pa.array([t.isoformat() for t in moments])
    else:
        naive = pa.types.is_date(kind) or kind.tz is None
        clock = [t.astimezone(UTC).replace(tzinfo=None) if naive else t for t in moments]
        column = pa.array([t.date() for t in clock] if pa.types.is_date(kind) else clock, kind)
    table = pa.table({"id": [str(t) for t in moments], "text": ["x"] * 120, "timestamp": column})
    table = pa.concat_tables([table, pa.table({"id": ["n"], "text": ["x"], "timestamp": pa.nulls(1, column.type)})])
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=10)
    fields = Fields(timezone="UTC")
    found, rejected = read(tmp_path / "a.parquet", fields=fields)
    everything, _ = read(tmp_path / "a.parquet", None, fields)
    inside = [r for r in everything if r["observed_at"] and WINDOW.start <= r["observed_at"] < WINDOW.end]
    assert found == inside
    assert len(found) == 24
    assert rejected == {"no time": 1}


def test_memory_depends_neither_on_rows_nor_on_their_length(tmp_path):
    records = [r | {"text": os.urandom(1_000).hex()} for r in rows(24)]
    for size in (1_200, 48_000):
        write_parquet(tmp_path / "a.parquet", records * 2_000, row_group_size=size, use_dictionary=False)
        before = pa.total_allocated_bytes()
        batches = FilesSource(FIELDS, str(tmp_path / "a.parquet")).read(WINDOW)
        held = [pa.total_allocated_bytes() - before for batch in batches if batch.rows.num_rows]
        assert max(held) < 60 << 20
        assert len(held) < 60


def test_reading_holds_a_few_rows_alone(tmp_path):
    path = tmp_path / "a.jsonl"
    line = json.dumps(rows(1)[0] | {"text": "x" * 1000}) + "\n"
    with path.open("w") as f:
        for _ in range(40):
            f.write(line * 1000)
    tracemalloc.start()
    before = pa.total_allocated_bytes()
    for batch in FilesSource(FIELDS, str(path)).read(WINDOW):
        assert pa.total_allocated_bytes() - before < 30 << 20
        assert batch.rows.num_rows < 10_000
    assert tracemalloc.get_traced_memory()[1] < 30 << 20
    tracemalloc.stop()


def test_another_delimiter(tmp_path):
    (tmp_path / "a.csv").write_text("id;text;timestamp\na;hi;2026-01-05\n")
    assert ids(tmp_path / "a.csv", fields=Fields(timezone="UTC"), delimiter=";") == ["a"]
    with pytest.raises(SourceError, match=r"write a header, correct the names or source.delimiter"):
        read(tmp_path / "a.csv", fields=Fields())


def test_a_record_in_place_of_the_header_is_not_quoted(tmp_path):
    (tmp_path / "a.csv").write_text("a1,my card number is 4711,2026-01-05T00:00:00Z\n")
    with pytest.raises(SourceError) as caught:
        read(tmp_path / "a.csv", fields=Fields())
    assert str(caught.value) == (
        f"{tmp_path / 'a.csv'}: the first line names none of the columns 'id' (fields.id), 'text' (fields.text), "
        "'timestamp' (fields.timestamp); write a header, correct the names or source.delimiter"
    )


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_fault_is_counted_in_the_window_of_its_record_alone(tmp_path, kind):
    records = [
        {"id": f"r{day}", "text": "x", "timestamp": f"2026-01-0{day}T12:00:00Z", "p": "high"} for day in (5, 6, 7)
    ]
    records += [{"id": "good", "text": "x", "timestamp": "2026-01-05T13:00:00Z", "p": "0.5"}]
    records += [{"id": "lost", "text": "x", "timestamp": "", "p": "0.5"}]
    path = tmp_path / f"a.{kind}"
    (write_jsonl if kind == "jsonl" else write_csv)(path, records)
    day = Window(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC))
    batches = list(FilesSource(Fields(confidence="p"), str(path)).read(day))
    found = sum((Counter(batch.rejected) for batch in batches), Counter())
    assert found["unreadable confidence"] == 1, "the other two lie in other windows"
    assert sum(found.values()) == 2, "a record without a time may lie in any"
    assert [i for batch in batches for i in batch.rows.column("id").to_pylist()] == ["good"]


@pytest.fixture
def memory():
    store = fsspec.filesystem("memory")
    yield store
    store.store.clear()


def test_an_object_store_in_memory(tmp_path, memory):
    for kind, write in WRITERS.items():
        write(tmp_path / "x", rows(30))
        memory.pipe_file(f"/logs/{kind}/a.{kind}", (tmp_path / "x").read_bytes())
        assert len(ids(f"memory://logs/{kind}/*.{kind}")) == 24
    memory.pipe_file("/logs/b.parquet", b"PAR1 no")
    with pytest.raises(SourceError, match=r"memory:///?logs/b.parquet: not a whole Parquet file"):
        read("memory://logs/b.parquet")
    with pytest.raises(SourceError, match=r"no file matches 'memory://logs/\*.csv'. Check"):
        read("memory://logs/*.csv")


@pytest.fixture(scope="module")
def s3():
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - an extra; only these tests need it

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield {"key": "testing", "secret": "s3cr3t-key", "client_kwargs": {"endpoint_url": f"http://{host}:{port}"}}
    server.stop()


def test_s3(tmp_path, s3):
    store = fsspec.filesystem("s3", **s3)
    store.mkdir("production")
    for kind, write in WRITERS.items():
        write(tmp_path / "x", rows(30))
        store.put_file(str(tmp_path / "x"), f"production/2026/a.{kind}")
    gz = gzip.compress((tmp_path / "x").read_bytes())
    for kind in WRITERS:
        assert len(ids(f"s3://production/2026/*.{kind}", storage=s3)) == 24
    # A file that came after the first listing is seen.
    write_jsonl(tmp_path / "y", rows(2))
    store.pipe_file("production/2026/b.jsonl.gz", gzip.compress((tmp_path / "y").read_bytes()))
    assert len(ids("s3://production/2026/*.jsonl*", storage=s3)) == 26
    store.pipe_file("production/2026/c.csv.gz", gz[:-20])
    with pytest.raises(SourceError, match=r"s3://production/2026/c.csv.gz: "):
        read("s3://production/2026/c.csv.gz", storage=s3)
    for pattern in ("s3://production/2027/*.csv", "s3://nowhere/*.csv"):
        with pytest.raises(SourceError) as caught:
            read(pattern, storage=s3)
        assert pattern in str(caught.value)
        assert "s3cr3t-key" not in str(caught.value)


def test_an_object_store_that_does_not_answer(s3):
    dead = s3 | {
        "client_kwargs": {"endpoint_url": "http://127.0.0.1:9"},
        "config_kwargs": {"retries": {"max_attempts": 0}},
    }
    with pytest.raises(SourceError) as caught:
        read("s3://production/*.csv", storage=dead)
    assert "source.path 's3://production/*.csv' cannot be listed" in str(caught.value)
    assert "s3cr3t-key" not in str(caught.value)


def test_a_missing_driver_says_what_to_install(monkeypatch):
    def refuse(*args, **kwargs):
        raise ImportError("Install gcsfs")

    monkeypatch.setattr("fsspec.core.url_to_fs", refuse)
    with pytest.raises(
        SourceError, match=r"'gs://b/\*.csv' needs a driver that is not installed: pip install drift-mo.*gcs"
    ):
        read("gs://b/*.csv")
    with pytest.raises(SourceError, match="install the fsspec package"):
        read("odd://b/*.csv")


def test_a_file_that_vanishes_is_named(tmp_path):
    for name in "ab":
        write_csv(tmp_path / f"{name}.csv", rows(2))
    batches = FilesSource(FIELDS, str(tmp_path / "*.csv")).read(WINDOW)
    assert next(batches).rows.num_rows == 2
    (tmp_path / "b.csv").unlink()
    with pytest.raises(SourceError, match=r"b.csv: cannot be read: FileNotFoundError \(No such file or directory\)"):
        list(batches)
