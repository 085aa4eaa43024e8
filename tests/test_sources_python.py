"""A Python function as a source."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from uuid import UUID

import pyarrow as pa
import pytest

from monitor.errors import ConfigError, SourceError
from monitor.sampling import draw
from monitor.sources.fields import Fields
from monitor.sources.objects import array_of
from monitor.sources.python import PythonSource, from_callable
from monitor.testing import check_source
from monitor.values import Counts, Window

START = datetime(2026, 1, 5, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(days=1))


def hourly(start, end):
    moment = start or START
    while moment < (end or START + timedelta(days=2)):
        yield {"id": str(moment), "text": "hello", "timestamp": moment}
        moment += timedelta(hours=1)


class Stream:
    """What a data frame offers."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


def read(given, window=WINDOW, fields=None):
    batches = list(from_callable(lambda start, end: given, fields).read(window))
    return [row for batch in batches for row in batch.rows.to_pylist()]


def test_a_function_of_dicts():
    source = from_callable(hourly)
    check_source(source, WINDOW)
    assert sum(b.rows.num_rows for b in source.read(WINDOW)) == 24
    assert sum(b.rows.num_rows for b in source.read(None)) == 48


def test_everything_arrow_can_read():
    table = pa.Table.from_pylist(list(hourly(None, None)))
    forms = [table, table.to_batches()[0], table.to_reader(), Stream(table), table.to_batches(7), iter([table, table])]
    assert [len(read(form)) for form in forms] == [48, 48, 48, 48, 48, 96]
    assert read([]) == []
    assert read(iter(())) == []


def test_many_dicts_come_in_batches_and_may_leave_columns_out():
    rows = [{"id": i, "text": "x", "timestamp": START, "label": "a"} for i in range(10_000)]
    rows += [{"id": i, "timestamp": START, "text": "y"} for i in range(10_000, 15_000)]
    batches = list(from_callable(lambda start, end: iter(rows), Fields(label="label")).read(WINDOW))
    assert [b.rows.num_rows for b in batches] == [10_000, 5_000]
    assert batches[1].rows.column("label").null_count == 5_000
    with pytest.raises(SourceError, match="there is no column 'label'; there are id, timestamp, text"):
        read(rows[10_000:], fields=Fields(label="label"))


def test_rows_outside_the_window_are_counted():
    sample = draw(from_callable(lambda start, end: hourly(None, None)).read(WINDOW), WINDOW, 100)
    assert sample.counts == Counts(population=24, sampled=24, outside=24)


def test_a_named_function(tmp_path, monkeypatch):
    (tmp_path / "my_records.py").write_text(
        "from datetime import UTC, datetime\n"
        "class Shop:\n"
        "    @staticmethod\n"
        "    def rows(start, end):\n"
        "        return [{'id': 1, 'text': 'a', 'timestamp': start}]\n"
        "limit = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (batch,) = PythonSource(Fields(), "my_records:Shop.rows").read(WINDOW)
    assert batch.rows.column("id").to_pylist() == ["1"]
    with pytest.raises(ConfigError, match=r"source.call 'my_records:limit' is a int, not a function"):
        PythonSource(Fields(), "my_records:limit")
    with pytest.raises(
        ConfigError, match=r"source.call 'my_records:gone' cannot be imported: .* installed or on PYTHON"
    ):
        PythonSource(Fields(), "my_records:gone")


@pytest.mark.parametrize("call", ["no_such_module_here:f", "json", "json:", ":f"])
def test_a_wrong_name_is_refused(call):
    with pytest.raises(ConfigError, match=f"source.call '{call}'"):
        PythonSource(Fields(), call)


def broken(start, end):
    yield {"id": "a", "text": "private words", "timestamp": START}
    raise KeyError("private words")


def test_what_the_function_raises_is_named_without_its_words():
    with pytest.raises(SourceError) as caught:
        list(from_callable(broken).read(WINDOW))
    assert str(caught.value) == f"broken raised KeyError for {WINDOW}; call it yourself to see why"
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "gave NoneType; it should give dicts, one for each record, or Arrow data"),
        ({"id": ["a"]}, "gave dict; it should"),
        ("text", "gave str; it should"),
        ([None], "gave an iterable of NoneType; it should hold dicts or Arrow data"),
        ([("a", "b")], "gave an iterable of tuple"),
        ([{"id": "a", "text": "t", "timestamp": START}, 3], "gave int among its dicts"),
    ],
)
def test_what_is_no_records_is_refused(given, message):
    with pytest.raises(SourceError, match=message):
        read(given)


def test_naive_times_are_a_wrong_setting():
    rows = [{"id": "a", "text": "t", "timestamp": START.replace(tzinfo=None)}]
    with pytest.raises(SourceError, match=r"column 'timestamp' has times without a time zone; set fields.timezone"):
        read(rows)


def test_times_of_different_kinds_are_each_taken_for_what_they_are():
    naive = START.replace(tzinfo=None)
    plus_two = datetime(2026, 1, 5, 3, tzinfo=timezone(timedelta(hours=2)))
    times = [START, plus_two, naive, date(2026, 1, 5), "2026-01-05T02:00:00Z"]
    rows = [{"id": str(i), "text": "t", "timestamp": t} for i, t in enumerate(times)]
    batches = list(from_callable(lambda start, end: rows).read(WINDOW))
    assert {r["id"]: r["observed_at"].hour for r in batches[0].rows.to_pylist()} == {"0": 0, "1": 1, "4": 2}
    assert batches[0].rejected == {"time without zone": 2}


def test_values_of_mixed_types_become_text():
    some = UUID(int=7)
    values = [1, "a", None, float("nan"), some, {"a": 1}, [1, "x"]]
    assert array_of(values).to_pylist() == ["1", "a", None, None, str(some), '{"a": 1}', '[1, "x"]']
    assert array_of([10**30, None]).to_pylist() == ["1" + "0" * 30, None]
    assert array_of(["fine", "\udcff"]).to_pylist() == [b"fine", b"\xed\xb3\xbf"]
    assert array_of([True, False]).type == pa.bool_()
    assert array_of([]).type == pa.null()


def test_a_module_that_fails_to_import_is_not_quoted(tmp_path, monkeypatch):
    (tmp_path / "quoting_module.py").write_text("raise ValueError('the text of a record')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError) as caught:
        PythonSource(Fields(), "quoting_module:read")
    assert str(caught.value) == (
        "source.call 'quoting_module:read' cannot be imported: its module raises ValueError; import it by hand to see why"
    )
