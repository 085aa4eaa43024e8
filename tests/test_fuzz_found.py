"""What thrown-together input found, each by itself; see the table ``found`` of benchmarks/results/fuzz.json."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from worlds import World, around

from monitor.causes.sides import Side
from monitor.causes.topics import _either_way
from monitor.config import load
from monitor.door import HEADERS
from monitor.errors import ConfigError, SourceError
from monitor.labels import Bad, read_labels
from monitor.slow_clients import Impatient
from monitor.sources.columns import numbers, probabilities, vectors
from monitor.sources.times import times

NO_UTF8 = pa.Array.from_buffers(pa.string(), 2, pa.array([b"\xff\xc0", b"1"], pa.binary()).buffers())
_BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("monitors: 2026-02-30\n", "a date or a number that there is not"),
        ("monitors: 2026-99-99T25:61:61Z\n", "a date or a number that there is not"),
        (f"monitors: {'9' * 5_000}\n", "a date or a number that there is not"),
        ("monitors: !!bool abc\n", "a date or a number that there is not"),
        ("monitors: !!timestamp abc\n", "a date or a number that there is not"),
        ("- " * 5_000, "nested too deeply"),
        (f"{_BOMB}artifacts: {{url: x, storage: {{a: *a8}}}}\n", "aliases make more than 100,000 values"),
        ("a: &a [*a]\n", "an alias stands inside what it names"),
    ],
)
def test_settings_that_the_yaml_parser_trips_over(tmp_path, text, words):
    path = tmp_path / "drift-monitor.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        load(path)


@pytest.mark.parametrize(
    "convert", [vectors, lambda c: probabilities(c, ["a"]), lambda c: numbers(c, "x"), lambda c: times(c, "UTC")]
)
def test_a_string_column_that_is_no_utf8_spoils_one_record_not_the_window(convert):
    bad = convert(NO_UTF8).bad
    assert sum(mask[0] for mask in bad.values()) == 1


def test_whole_numbers_beyond_floats_are_confidences_like_any_other():
    found = numbers(pa.array([2**63 - 1, 1]), "confidence")
    assert found.values.to_pylist() == [2.0**63, 1.0]


@pytest.mark.parametrize(
    "told", [b"", b"\xff", b"[null]", b'{"info": {"features": {"label": {"names": 5}}}}', b"[" * 50_000]
)
def test_features_of_a_dataset_that_say_nothing(tmp_path, told):
    table = pa.table({"id": ["r1"], "label": ["lamp"]}).replace_schema_metadata({b"huggingface": told})
    pq.write_table(table, tmp_path / "x.parquet")
    found = read_labels(tmp_path)
    assert [(one.record_id, one.label) for one in found.labels] == [("r1", "lamp")]


def test_a_label_that_is_no_utf8_is_one_bad_row(tmp_path):
    pq.write_table(pa.table({"id": ["r1", "r2"], "label": NO_UTF8}), tmp_path / "x.parquet")
    found = read_labels(tmp_path / "x.parquet")
    assert found.bad == (Bad(1, "unreadable value"),)
    assert [one.label for one in found.labels] == ["1"]


def test_two_columns_of_one_name_are_refused(tmp_path):
    table = pa.Table.from_arrays([pa.array(["r1"]), pa.array(["a"]), pa.array(["b"])], names=["id", "label", "label"])
    with pyarrow.ipc.new_stream(tmp_path / "x.arrow", table.schema) as stream:
        stream.write_table(table)
    with pytest.raises(SourceError, match="two columns label"):
        read_labels(tmp_path)


class Wire:
    """A transport that keeps what was written."""

    def __init__(self) -> None:
        self.said, self.closed = b"", False

    def write(self, data: bytes) -> None:
        self.said += data

    def close(self) -> None:
        self.closed = True


class Cycle:
    """A request whose answer has begun."""

    response_started, response_complete = True, False


def test_what_is_no_http_is_refused_with_safe_headers_and_never_inside_an_answer():
    line = Impatient.__new__(Impatient)
    line.cycle, line.transport = None, Wire()
    line.send_400_response("Invalid HTTP request received.")
    head, _, body = line.transport.said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert all(f"{name}: {value}".encode() in head for name, value in HEADERS.items())
    assert (body, line.transport.closed) == (b"Invalid HTTP request received.", True)
    line.cycle, line.transport = Cycle(), Wire()
    line.send_400_response("Invalid HTTP request received.")
    assert (line.transport.said, line.transport.closed) == (b"", True)


def side(vectors, prefix):
    """Rows without texts; every second one chooses."""
    n = len(vectors)
    ids = np.array([f"{prefix}{i}" for i in range(n)], dtype=object)
    empty = ("",) * n
    return Side(
        ids,
        vectors,
        np.arange(n),
        empty,
        ((),) * n,
        np.array([None] * n, dtype=object),
        np.arange(n) % 2 == 0,
        np.zeros(n),
    )


def test_a_topic_that_took_the_rows_that_count_leaves_nothing_to_look_at():
    rng = np.random.default_rng(3)
    centres = World(4, 12, seed=1).centres
    reference = side(around(centres, [0] * 100, rng, 0.2), "t")
    current = side(around(centres, [1] * 100, rng, 0.2), "c")
    everything = np.ones(100, dtype=bool)
    assert _either_way(reference, current, everything, everything) is not None
    assert _either_way(reference, current, everything, current.first) is None


ODD_EXPORTS = {
    "an argilla response that is none": {"id": "1", "fields": {"text": "a"}, "responses": {"label": [5]}},
    "argilla responses that are none": {"id": "1", "fields": {"text": "a"}, "responses": [{"values": 5}]},
    "annotations that are none": {"id": 1, "data": {"record_id": "r"}, "annotations": 5},
    "a result that is none": {"id": 1, "data": {"record_id": "r"}, "annotations": [{"result": 5}]},
    "choices that are none": {
        "id": 1,
        "data": {"record_id": "r"},
        "annotations": [{"result": [{"value": {"choices": {"a": 1}}}]}],
    },
}


@pytest.mark.parametrize("what", ODD_EXPORTS)
def test_an_answer_of_another_form_is_one_bad_row(tmp_path, what):
    (tmp_path / "x.json").write_text(json.dumps([ODD_EXPORTS[what]]))
    found = read_labels(tmp_path / "x.json")
    assert ([bad.line for bad in found.bad], found.labels) == ([1], ())


def test_a_time_at_the_end_of_time_is_no_time(tmp_path):
    row = {"id": "r", "label": "a", "at": "9999-12-31T23:59:59-14:00"}
    (tmp_path / "x.jsonl").write_text(json.dumps(row))
    (label,) = read_labels(tmp_path / "x.jsonl").labels
    assert label.at is None


def test_a_cell_that_begins_like_choices(tmp_path):
    text = 'record_id,label,annotation_id,lead_time\nr,"{""choices"": 5}",1,1\ns,"{""choices"" }",1,1\nt,"{""choicesx"": 1}",1,1\n'
    (tmp_path / "x.csv").write_text(text)
    assert [one.record_id for one in read_labels(tmp_path / "x.csv").labels] == ["r", "s", "t"]
