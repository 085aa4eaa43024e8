"""The user's columns as records: every type that is taken, every reason to reject, every message."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.errors import ConfigError, SourceError
from monitor.sources.fields import Fields, Translator, to_batch
from monitor.values import Window, record_schema

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def table(n=None, **columns):
    made = {k: v if isinstance(v, pa.Array) else pa.array(v) for k, v in columns.items()}
    n = n or len(next(iter(made.values())))
    made = {"id": pa.array([str(i) for i in range(n)]), "text": pa.array(["hello"] * n)} | made
    return pa.RecordBatch.from_pydict(made)


def translate(fields, /, dated=False, **columns):
    return to_batch(table(**columns), fields, dated=dated)


def values(batch, name):
    return batch.rows.column(name).to_pylist()


PLAIN = Fields(timestamp=None)


def test_the_columns_are_those_of_records():
    fields = Fields(id="key", text="body", timestamp="at", predicted="p", label="y", segments={"country": "cc"})
    rows = pa.RecordBatch.from_pylist([{"key": 7, "body": "hi", "at": NOON, "p": 3, "y": "a", "cc": True, "more": 1}])
    batch = to_batch(rows, fields)
    assert batch.rows.schema == record_schema(["country"])
    assert batch.rows.to_pylist() == [
        {
            "id": "7",
            "text": "hi",
            "observed_at": NOON,
            "predicted": "3",
            "confidence": None,
            "probabilities": None,
            "label": "a",
            "vector": None,
            "block": None,
            "segment.country": "true",
        }
    ]
    assert batch.rejected == {}


@pytest.mark.parametrize(
    ("column", "want"),
    [
        (pa.array(["a", "b"]), ["a", "b"]),
        (pa.array(["a", "b"], pa.large_string()), ["a", "b"]),
        (pa.array(["a", "b"], pa.string_view()), ["a", "b"]),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
        (pa.array([b"a", b"\xc3\xa9"]), ["a", "é"]),
        (pa.array([1, 2], pa.uint64()), ["1", "2"]),
        (pa.array([1.0, 2.0]), ["1", "2"]),
        (pa.array([Decimal(12), Decimal(7)]), ["12", "7"]),
        (pa.array([True, False]), ["true", "false"]),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_ids_and_classes_of_many_types_become_strings(column, want):
    batch = translate(Fields(timestamp=None, predicted="p"), id=column, p=column)
    assert values(batch, "id") == want
    assert values(batch, "predicted") == want


TIMES = [
    pa.array([NOON], pa.timestamp("s", "UTC")),
    pa.array([NOON], pa.timestamp("ns", "Europe/Berlin")),
    pa.array([NOON.replace(tzinfo=None)], pa.timestamp("ms")),
    pa.array(["2026-01-05T12:00:00Z"]),
    pa.array(["2026-01-05 13:00:00.000000000+01:00"]),
    pa.array(["20260105T173000+0530"]),
    pa.array(["2026-01-05 12:00"]),
    pa.array([" 2026-01-05T12:00:00.000000000 "]),
    pa.array([1767614400]),
    pa.array([1767614400_000]),
    pa.array([1767614400_000_000]),
    pa.array([1767614400_000_000_000], pa.uint64()),
    pa.array([1767614400.0]),
    pa.array(["1767614400"]),
    pa.array(["1767614400000.0"]),
    pa.array(["2026-01-05T12:00:00+00"]).dictionary_encode(),
]


@pytest.mark.parametrize("column", TIMES, ids=lambda c: f"{c.type} {c[0]}")
def test_times_in_any_usual_form(column):
    assert values(translate(Fields(timestamp="at", timezone="UTC"), at=column), "observed_at") == [NOON]


def test_dates_are_their_midnight_in_the_declared_zone():
    for column in (pa.array([date(2026, 7, 1)]), pa.array([date(2026, 7, 1)], pa.date64()), pa.array(["2026-07-01"])):
        batch = translate(Fields(timestamp="at", timezone="Europe/Berlin"), at=column)
        assert values(batch, "observed_at") == [datetime(2026, 6, 30, 22, tzinfo=UTC)]


def test_clock_changes_are_the_first_of_two_hours_and_the_end_of_a_skipped_one():
    clock = ["2026-10-25 02:30:00", "2026-03-29 02:30:00"]
    want = [datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 3, 29, 1, tzinfo=UTC)]
    fields = Fields(timestamp="at", timezone="Europe/Berlin")
    assert values(translate(fields, at=clock), "observed_at") == want
    # Nine digits take the way through Python's parser, which must agree.
    assert values(translate(fields, at=[t + ".000000000" for t in clock]), "observed_at") == want


@given(st.lists(st.datetimes(timezones=st.timezones()) | st.none(), min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_iso_strings_with_mixed_offsets_give_the_instant(times):
    batch = translate(Fields(timestamp="at"), at=pa.array([t and t.isoformat() for t in times], pa.string()))

    def utc(time):
        # Years 0 and 10000 in UTC are no datetime; seconds in an offset are no ISO 8601.
        try:
            return time and time.astimezone(UTC)
        except OverflowError:
            return "unreadable"

    want = [utc(t) for t in times]
    assert values(batch, "observed_at") == [t for t in want if t != "unreadable"]
    assert batch.rejected == ({"unreadable time": n} if (n := want.count("unreadable")) else {})


def test_bad_times_are_counted_by_reason():
    times = ["2026-01-05T12:00:00Z", "yesterday", "2026-02-30T00:00:00Z", None, "", "2026-01-05T12:00:00", "9" * 30]
    fields = Fields(timestamp="at")
    batch = translate(fields, at=times, dated=True)
    assert values(batch, "id") == ["0"]
    assert batch.rejected == {"unreadable time": 3, "time without zone": 1, "no time": 2}
    undated = translate(fields, at=times)
    assert values(undated, "id") == ["0", "3", "4"]
    assert undated.rejected == {"unreadable time": 3, "time without zone": 1}


def test_times_beyond_the_calendar_are_unreadable_not_fatal():
    columns = [
        pa.array([2**62, 0], pa.timestamp("s", "UTC")),
        pa.array([2**63 - 1, 0], pa.timestamp("us", "UTC")),
        pa.array([-(2**63), 0], pa.timestamp("us", "UTC")),
        pa.array([math.inf, 0.0]),
        pa.array([math.nan, 0.0]),
        pa.array([1e300, 0.0]),
        pa.array(["99999-01-01T00:00:00Z", "1970-01-01T00:00:00Z"]),
    ]
    for column in columns:
        batch = translate(Fields(timestamp="at"), at=column)
        assert (values(batch, "observed_at"), batch.rejected) == (
            [datetime(1970, 1, 1, tzinfo=UTC)],
            {"unreadable time": 1},
        )


@pytest.mark.parametrize("column", [["2026-01-05 12:00"], [NOON.replace(tzinfo=None)], [date(2026, 1, 5)]])
def test_times_that_all_lack_a_zone_are_a_wrong_setting(column):
    message = "column 'at' has times without a time zone; set fields.timezone to the one they are in, for example UTC"
    with pytest.raises(SourceError, match=message):
        translate(Fields(timestamp="at"), at=column)


def test_one_naive_batch_in_a_stream_with_zones_is_counted():
    read = Translator(Fields(timestamp="at"), dated=True)
    assert read(table(at=["2026-01-05T12:00:00Z"])).rejected == {}
    assert read(table(at=["2026-01-05T12:00:00"])).rejected == {"time without zone": 1}


def test_records_without_id_are_counted():
    batch = translate(PLAIN, id=["a", "", None, "b"])
    assert values(batch, "id") == ["a", "b"]
    assert batch.rejected == {"no id": 2}
    assert translate(PLAIN, id=[1.0, 1.5, math.nan]).rejected == {"unreadable id": 2}


def invalid_utf8():
    raw = pa.array([b"good", b"bad \xff", b"\xed\xa0\x80", None])
    return pa.Array.from_buffers(pa.string(), 4, raw.buffers())


@pytest.mark.parametrize("column", [invalid_utf8(), pa.array([b"good", b"bad \xff", b"\xed\xa0\x80", None])])
def test_invalid_utf8_is_counted(column):
    batch = translate(PLAIN, text=column)
    assert values(batch, "text") == ["good", None]
    assert batch.rejected == {"invalid UTF-8": 2}
    assert translate(Fields(timestamp=None, segments=["s"]), s=column).rejected == {"invalid UTF-8": 2}


def test_confidences():
    fields = Fields(timestamp=None, confidence="c")
    batch = translate(fields, c=[0.25, None, math.nan, math.inf])
    assert values(batch, "confidence") == [0.25, None]
    assert batch.rejected == {"non-finite confidence": 2}
    batch = translate(fields, c=["0.25", None, "high", "nan"])
    assert values(batch, "confidence") == [0.25, None]
    assert batch.rejected == {"unreadable confidence": 1, "non-finite confidence": 1}
    assert values(translate(fields, c=[Decimal("0.5")]), "confidence") == [0.5]


PROBABILITIES = {
    "map": pa.array([[("a", 0.7), ("b", 0.3)], None], pa.map_(pa.string(), pa.float32())).cast(
        pa.map_(pa.string(), pa.float64())
    ),
    "struct": pa.array([{"a": 0.7, "b": 0.3}, None]),
    "list": pa.array([[0.7, 0.3], None]),
    "large list": pa.array([[0.7, 0.3], None], pa.large_list(pa.float64())),
    "fixed list": pa.array([[0.7, 0.3], None], pa.list_(pa.float64(), 2)),
    "json": pa.array(['{"a": 0.7, "b": 0.3}', None]),
    "json list": pa.array(["[0.7, 0.3]", ""]),
}


@pytest.mark.parametrize("name", PROBABILITIES)
def test_probabilities_in_any_usual_form(name):
    fields = Fields(timestamp=None, probabilities="p", classes=["a", "b"])
    batch = translate(fields, p=PROBABILITIES[name])
    first, second = values(batch, "probabilities")
    assert dict(first) == pytest.approx({"a": 0.7, "b": 0.3})
    assert second is None
    assert values(batch, "confidence") == [pytest.approx(0.7), None]
    assert batch.rejected == {}


def test_one_column_of_probabilities_for_each_class():
    fields = Fields(timestamp=None, probabilities={"a": "pa", "b": "pb"}, confidence="c")
    batch = translate(fields, pa=[0.7, 1, None, None], pb=["0.3", None, None, "x"], c=[0.1] * 4)
    assert values(batch, "probabilities") == [[("a", 0.7), ("b", 0.3)], [("a", 1.0)], None]
    assert values(batch, "confidence") == [0.1] * 3
    assert batch.rejected == {"unreadable probabilities": 1}


def test_bad_probabilities_are_counted():
    fields = Fields(timestamp=None, probabilities="p", classes=["a", "b"])
    assert translate(fields, p=[[0.5, 0.5], [1.0], [math.nan, 1], [None, 1]]).rejected == {
        "unreadable probabilities": 1,
        "non-finite probabilities": 2,
    }
    texts = ['{"a": 1}', "{", '{"a": "x"}', "[1]", "3", '{"a": NaN}', "[" * 100_000]
    assert translate(fields, p=texts).rejected == {"unreadable probabilities": 5, "non-finite probabilities": 1}
    assert translate(fields, p=[{"a": math.inf}, {"a": 0.5}]).rejected == {"non-finite probabilities": 1}


VECTORS = [
    pa.array([[1, 2], None], pa.list_(pa.int64())),
    pa.array([[1.0, 2.0], None], pa.list_(pa.float64())),
    pa.array([[1.0, 2.0], None], pa.list_(pa.float32(), 2)),
    pa.array([np.float16([1, 2]), None], pa.large_list(pa.float16())),
    pa.array(["[1, 2.0]", None]),
]


@pytest.mark.parametrize("column", VECTORS, ids=lambda c: str(c.type))
def test_vectors_in_any_usual_form(column):
    batch = translate(Fields(timestamp=None, text=None, vector="v"), v=column)
    assert values(batch, "vector") == [[1.0, 2.0], None]
    assert values(batch, "text") == [None, None]


def test_bad_vectors_are_counted():
    fields = Fields(timestamp=None, vector="v")
    column = pa.array([[1.0, 2.0], [math.nan, 1.0], [1.0, None], [1e300], [], [3.0]], pa.list_(pa.float64()))
    batch = translate(fields, v=column)
    assert values(batch, "vector") == [[1.0, 2.0], [], [3.0]]
    assert batch.rejected == {"non-finite vector": 3}
    part = to_batch(table(v=column).slice(2, 3), fields)
    assert (values(part, "id"), part.rejected) == (["4"], {"non-finite vector": 2})
    assert translate(fields, v=["[1]", "1", "{}", "[x"]).rejected == {"unreadable vector": 3}


def test_a_row_is_counted_under_one_reason():
    fields = Fields(timestamp="at", confidence="c")
    batch = translate(fields, id=[None, "a"], at=["no", "2026-01-05T12:00:00Z"], c=[math.nan, 0.5], dated=True)
    assert batch.rejected == {"no id": 1}


def test_a_missing_column_is_named_with_those_there_are():
    rows = pa.RecordBatch.from_pydict({"id": ["a"], "txet": ["b"], "at": [NOON]})
    with pytest.raises(SourceError) as caught:
        to_batch(rows, Fields(timestamp="at"), origin="a.parquet: ")
    assert str(caught.value) == (
        "a.parquet: there is no column 'text'; there are id, txet, at; did you mean 'txet'?. "
        "Set fields.text (null if the data has none)"
    )
    with pytest.raises(SourceError, match=r"there is no column 'cc'; .* Set fields.segments.country$"):
        to_batch(rows, Fields(text="txet", timestamp="at", segments={"country": "cc"}))
    wide = pa.RecordBatch.from_pydict({f"c{i}": [1] for i in range(200)})
    with pytest.raises(SourceError, match="c29 and 170 more"):
        to_batch(wide, Fields())


@pytest.mark.parametrize(
    ("field", "column", "message"),
    [
        ("id", pa.array([[1]]), r"column 'c' \(fields.id\) is list<.*>; it should be a string or a whole number"),
        ("text", pa.array([1]), r"column 'c' \(fields.text\) is int64; it should be a string"),
        ("timestamp", pa.array([True]), r"column 'c' \(fields.timestamp\) is bool; it should be a timestamp, a date"),
        ("predicted", pa.array([{"a": 1}]), r"column 'c' \(fields.predicted\) is struct<a: int64>; it should be"),
        ("confidence", pa.array([True]), r"column 'c' \(fields.confidence\) is bool; it should be a number"),
        ("probabilities", pa.array([1.0]), r"column 'c' \(fields.probabilities\) is double; it should be a map, a str"),
        ("probabilities", pa.array([[1.0]]), "is list<.*>; it should be .*; for a list set fields.classes"),
        ("vector", pa.array([1.0]), r"column 'c' \(fields.vector\) is double; it should be a list of numbers"),
        ("vector", pa.array([["x"]]), r"is list<.*string>; it should be a list of numbers"),
        ("confidence", pa.array(["low"] * 20), "is string, but none of the first 20 values can be read as a number"),
        ("timestamp", pa.array(["soon"] * 20), "is string, but none of the first 20 values can be read as a time"),
    ],
)
def test_a_wrong_type_is_named(field, column, message):
    with pytest.raises(SourceError, match=message):
        translate(Fields(**({"timestamp": None} | {field: "c"})), n=len(column), c=column)


def test_no_message_shows_what_a_record_holds():
    secret = "my card number is 4111"
    rows = table(at=[secret] * 30, text=[secret] * 30)
    with pytest.raises(SourceError) as caught:
        to_batch(rows, Fields(timestamp="at"), dated=True)
    assert secret not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_window_needs_a_time_column():
    with pytest.raises(SourceError, match=r"a window cannot be read as fields.timestamp is null; set it to the column"):
        translate(PLAIN, id=["a"], dated=True)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"timezone": "Mars/Olympus"}, "fields.timezone: there is no time zone 'Mars/Olympus'; write UTC or an IANA"),
        ({"timezone": "../etc"}, "fields.timezone: there is no time zone"),
        ({"text": None}, "fields.text and fields.vector are both null"),
        ({"segments": "country"}, "fields.segments is one string; write a list"),
    ],
)
def test_wrong_fields_are_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        Fields(**wrong)


def test_a_translator_of_a_window_is_half_open():
    window = Window(NOON, NOON + timedelta(hours=1))
    times = [NOON, NOON + timedelta(hours=1), NOON - timedelta(microseconds=1), None]
    rows = pa.RecordBatch.from_pydict(
        {"id": list("0123"), "text": ["x"] * 4, "at": pa.array(times, pa.timestamp("us", "UTC"))}
    )
    batch = Translator(Fields(timestamp="at"), dated=True, window=window)(rows)
    assert (values(batch, "id"), batch.rejected) == (["0"], {"no time": 1})
    assert values(Translator(Fields(timestamp="at"), dated=False)(rows), "id") == ["0", "1", "2", "3"]


def test_no_rows_and_columns_of_nulls():
    fields = Fields(predicted="p", confidence="c", probabilities="q", label="y", segments=["s"], vector="v")
    names = list(fields.columns.values())
    empty = to_batch(pa.RecordBatch.from_pydict({n: pa.nulls(0) for n in names}), fields, dated=True)
    assert empty.rows.num_rows == 0
    nulls = to_batch(pa.RecordBatch.from_pydict({n: pa.nulls(2) for n in names} | {"id": ["a", "b"]}), fields)
    assert nulls.rows.num_rows == 2


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.floats(0, 1)) | st.none(), max_size=10), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_json_and_maps_agree(rows, start):
    fields = Fields(timestamp=None, probabilities="p")
    as_json = pa.array([r if r is None else json.dumps(r) for r in rows], pa.string())
    as_map = pa.array([r if r is None else list(r.items()) for r in rows], pa.map_(pa.string(), pa.float64()))
    one, other = (to_batch(table(len(rows) or None, p=p).slice(start), fields) for p in (as_json, as_map))
    assert one.rows.equals(other.rows)
    want = [max(r.values()) if r else None for r in rows][start:]
    assert values(one, "confidence") == want
