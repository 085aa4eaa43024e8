"""The values refuse what does not fit together, and say what and by how much."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import dataset

from monitor.values import (
    Batch,
    Counts,
    Measurement,
    Reference,
    Run,
    RunStatus,
    Sample,
    Window,
    record_schema,
)

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
SHAPE = np.eye(3, 4, dtype=np.float32)


def refusal(make, *args, **fields) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        make(*args, **fields)
    return str(caught.value)


def data(**fields):
    return dataset(SHAPE, predicted=["a", None, "b"], labels=["x", "y", None], **fields)


def test_a_window_is_half_open_time():
    window = Window(MONDAY, MONDAY + timedelta(days=7))
    assert window.length == timedelta(days=7)
    assert str(window) == "2026-03-02T00:00:00+00:00/2026-03-09T00:00:00+00:00"
    assert window < Window(MONDAY + timedelta(hours=1), MONDAY + timedelta(days=2))


def test_a_window_compares_moments_not_clocks():
    berlin = timezone(timedelta(hours=1))
    one = Window(MONDAY, MONDAY + timedelta(hours=1))
    other = Window(MONDAY.astimezone(berlin), (MONDAY + timedelta(hours=1)).astimezone(berlin))
    assert one == other
    assert hash(one) == hash(other)


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (datetime(2026, 3, 2), MONDAY, "window start 2026-03-02T00:00:00 has no time zone; give an offset, for example +00:00"),  # noqa: DTZ001 - naive on purpose
        (MONDAY, datetime(2026, 3, 9), "window end 2026-03-09T00:00:00 has no time zone; give an offset, for example +00:00"),  # noqa: DTZ001
        (MONDAY, MONDAY, "window start 2026-03-02T00:00:00+00:00 is not before its end 2026-03-02T00:00:00+00:00"),
        (MONDAY, MONDAY - timedelta(days=1), "window start 2026-03-02T00:00:00+00:00 is not before its end 2026-03-01T00:00:00+00:00"),
    ],
)  # fmt: skip
def test_a_window_refuses(start, end, message):
    assert refusal(Window, start, end) == message


def test_record_schema():
    assert record_schema().names == [
        "id", "text", "observed_at", "predicted", "confidence", "probabilities", "label", "vector", "block",
    ]  # fmt: skip
    assert record_schema(["country", "tier"]).names[-2:] == ["segment.country", "segment.tier"]
    assert [field.name for field in record_schema(["country"]) if not field.nullable] == ["id"]


def test_records_need_every_column_in_its_type():
    rows = data().records.to_batches()[0]
    assert Batch(rows).rejected == {}
    shorter = rows.drop_columns(["label"])
    message = (
        "records lack the column 'label'; they have "
        "['id', 'text', 'observed_at', 'predicted', 'confidence', 'probabilities', 'vector', 'block']"
    )
    assert refusal(Batch, shorter) == message
    assert refusal(Sample, None, pa.table(shorter), np.ones(3), Counts()) == message
    assert refusal(replace, data(), records=pa.table(shorter)) == message
    as_text = pa.array([str(n) for n in range(3)])
    index = rows.schema.get_field_index("confidence")
    assert refusal(Batch, rows.set_column(index, "confidence", as_text)) == "column 'confidence' is string, not double"


def test_a_sample_needs_one_weight_a_record():
    sample = Sample(None, data().records, np.ones(3), Counts(3, 3))
    assert len(sample) == 3
    assert refusal(replace, sample, weights=np.ones(2)) == "(2,) weights for 3 records"
    assert refusal(replace, sample, weights=np.ones((3, 1))) == "(3, 1) weights for 3 records"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"vectors": SHAPE[:2]}, "vectors of shape (2, 4) for 3 records"),
        ({"vectors": SHAPE[0]}, "vectors of shape (4,) for 3 records"),
        ({"vectors": SHAPE.astype(np.float64)}, "vectors are float64, not float32"),
        ({"weights": np.ones(4)}, "weights of shape (4,) for 3 records"),
    ],
)
def test_a_dataset_refuses(fields, message):
    assert refusal(replace, data(), **fields) == message


def test_columns_of_a_dataset():
    whole = data(segments={"country": ["DE", "FR", None], "tier": ["a", "b", "c"]}, confidence=[0.5, 0.25, 1.0])
    assert len(whole) == 3
    assert whole.ids == ["r00000", "r00001", "r00002"]
    assert whole.segments == ("country", "tier")
    assert whole.column("segment.country").tolist() == ["DE", "FR", None]
    assert whole.column("confidence").tolist() == [0.5, 0.25, 1.0]
    assert whole.column("vector").tolist() == [None, None, None]
    assert whole.classes.tolist() == ["a", "y", "b"]
    assert replace(whole, records=whole.records.slice(0, 0), vectors=SHAPE[:0], weights=np.ones(0)).classes.shape == (
        0,
    )


def test_columns_of_lists_stay_one_value_a_record():
    records = data().records
    index = records.schema.get_field_index("probabilities")
    pairs = [[("a", 0.5), ("b", 0.5)]] * 3
    filled = replace(
        data(), records=records.set_column(index, records.field(index), pa.array(pairs, records.field(index).type))
    )
    assert filled.column("probabilities").tolist() == pairs
    assert filled.column("probabilities").shape == (3,)


@given(st.lists(st.integers(0, 2), max_size=8))
def test_take_is_indexing(rows):
    taken = data().take(rows)
    assert taken.ids == [f"r{n:05d}" for n in rows]
    assert (taken.vectors == SHAPE[rows]).all()
    assert taken.vectors.dtype == np.float32
    assert taken.vectors.flags.c_contiguous
    assert taken.weights.tolist() == [1.0] * len(rows)
    assert taken.embedder == data().embedder


@given(st.lists(st.booleans(), min_size=3, max_size=3))
def test_take_under_a_mask(mask):
    assert data().take(mask).ids == data().take(np.flatnonzero(mask)).ids
    assert data().take(np.array(mask)).classes.tolist() == data().classes[mask].tolist()


def test_take_refuses_what_is_not_there():
    assert refusal(data().take, [True, False]) == "a mask of shape (2,) for 3 records"
    with pytest.raises(IndexError):
        data().take([3])


def test_append_puts_one_after_the_other():
    one, other = data(prefix="a", weights=np.array([1.0, 2.0, 3.0])), data(prefix="b")
    both = one.append(other.take([2, 0]))
    assert both.ids == ["a00000", "a00001", "a00002", "b00002", "b00000"]
    assert both.weights.tolist() == [1.0, 2.0, 3.0, 1.0, 1.0]
    assert (both.vectors == np.concatenate([SHAPE, SHAPE[[2, 0]]])).all()
    assert both.classes.tolist() == ["a", "y", "b", "b", "a"]
    assert both.append(one.take([])).ids == both.ids


def test_append_does_not_mind_the_order_of_columns_or_what_may_be_null():
    other = data(prefix="b")
    names = other.records.schema.names[::-1]
    loose = pa.schema([field.with_nullable(True) for field in other.records.schema])
    odd = replace(other, records=other.records.cast(loose).select(names))
    both = data(prefix="a").append(odd)
    assert both.ids == [*data(prefix="a").ids, *other.ids]
    assert both.records.schema == data().records.schema


def test_append_refuses_what_cannot_be_compared():
    one = data(segments={"country": ["DE"] * 3})
    assert (
        refusal(one.append, replace(one, embedder="other")) == "vectors of embedder made-up and other cannot be mixed"
    )
    assert refusal(one.append, data()) == "segments ('country',) and () differ"
    assert refusal(one.append, replace(one, vectors=SHAPE[:, :2])) == "vectors of 4 and 2 dimensions cannot be mixed"


def reference(**fields):
    given_fields = {
        "name": "r", "version": 1, "created_at": MONDAY, "train": data(prefix="t"), "protected": data(prefix="p"),
        "fingerprint": "f", "canaries": SHAPE,
    }  # fmt: skip
    return Reference(**(given_fields | fields))


def test_a_reference_is_both_sets():
    assert reference().embedder == "made-up"
    assert reference().everything.ids == [*data(prefix="t").ids, *data(prefix="p").ids]


def test_a_reference_refuses_sets_that_do_not_fit():
    other = data(prefix="p")
    assert refusal(reference, created_at=datetime(2026, 3, 2)) == (  # noqa: DTZ001 - naive on purpose
        "reference creation time 2026-03-02T00:00:00 has no time zone; give an offset, for example +00:00"
    )
    assert refusal(reference, protected=replace(other, vectors=SHAPE[:, :3])) == (
        "train vectors have 4 dimensions, protected ones 3"
    )
    assert refusal(reference, protected=replace(other, embedder="x")) == (
        "train vectors come from made-up, protected ones from x"
    )
    assert refusal(reference, protected=data(segments={"country": ["DE"] * 3})) == (
        "train has the segments (), protected ('country',)"
    )


def measurement(**fields):
    return Measurement(**({
        "detector": "mmd", "subject": "embeddings", "effect": 0.1, "low": 0.0, "high": 0.2, "p_value": 0.5,
        "n_reference": 10, "n_current": 10,
    } | fields))  # fmt: skip


def test_a_measurement_refuses_numbers_that_are_none():
    assert measurement(p_value=None).p_value is None
    assert measurement(p_value=1.0).p_value == 1.0
    assert refusal(measurement, effect=float("nan")) == (
        "mmd of embeddings: effect and interval [nan, 0.0, 0.2] must be finite"
    )
    assert refusal(measurement, high=float("inf")) == (
        "mmd of embeddings: effect and interval [0.1, 0.0, inf] must be finite"
    )
    for p_value in (0.0, -0.1, 1.1, float("nan")):
        assert refusal(measurement, p_value=p_value) == f"mmd of embeddings: p-value {p_value} is not in (0, 1]"


def test_segments_of_a_run_begin_with_all_traffic():
    window = Window(MONDAY, MONDAY + timedelta(days=1))
    run = Run("id", "m", window, RunStatus.DONE, 1, "w", MONDAY)
    assert list(run.segments()) == [""]
    segments = ["b=1", "", "a=1", "b=1"]
    measured = replace(run, measurements=tuple(measurement(segment=segment) for segment in segments))
    assert list(measured.segments()) == ["", "b=1", "a=1"]
