"""Bottom-k samples: the laws of merging, exactness against a naive oracle, unbiased weights, every count."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from monitor import sampling
from monitor.errors import SourceError
from monitor.sampling import Sketch, draw
from monitor.values import Batch, Counts, Window, record_schema

START = datetime(2026, 1, 5, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(days=7))
SCHEMA = record_schema(["country"])


def row(id_, text="hello", *, day=1.0, predicted=None, country=None, vector=None, **rest):
    time = None if day is None else START + timedelta(days=day)
    return {
        "id": str(id_),
        "text": text,
        "observed_at": time,
        "predicted": predicted,
        "segment.country": country,
        "vector": vector,
        **rest,
    }


def batch(rows, **rejected):
    return Batch(pa.RecordBatch.from_pylist(rows, schema=SCHEMA), rejected)


def sketch_of(rows, **options):
    options = {"window": WINDOW, "size": 5, "segments": ["country"]} | options
    sketch = Sketch.empty(**options)
    for r in rows:
        sketch.add(batch([r]))
    return sketch


def drawn(rows, **options):
    options = {"window": WINDOW, "size": 5, "segments": ["country"]} | options
    return draw([batch(rows)], **options)


def same(one, other):
    assert one.records.equals(other.records)
    assert one.weights.tolist() == other.weights.tolist()
    assert one.counts == other.counts


def keyed(id_, key=""):
    inner = hashlib.blake2b(key.encode(), digest_size=32).digest()
    return hashlib.blake2b(id_.encode(), digest_size=8, key=inner).digest()


def naive(rows, size, minimum=0, by=None):
    """Ids, weights and repeats by sorting everything; rows with one id have one stratum."""
    strata = defaultdict(set)
    copies = defaultdict(int)
    for r in rows:
        strata[r[by] if by else None].add(r["id"])
        copies[r["id"]] += 1
    everything = sorted(copies, key=keyed)
    chosen = set(everything[:size])
    for ids in strata.values():
        chosen |= set(sorted(ids, key=keyed)[:minimum])
    weights = {}
    for ids in strata.values():
        here = ids & chosen
        weights |= {i: sum(copies[j] for j in ids) / len(here) for i in here}
    ids = sorted(chosen, key=keyed)
    return ids, [weights[i] for i in ids], sum(copies[i] - 1 for i in ids)


ROWS = st.lists(
    st.builds(
        row,
        st.integers(0, 40),
        st.sampled_from(["hello", "good day", "x" * 30, "  ", None]),
        day=st.sampled_from([0.0, 1.0, 2.5, 7.0, None]),
        predicted=st.sampled_from(["a", "b", "c", None]),
        country=st.sampled_from(["DE", "FR", None]),
        confidence=st.sampled_from([0.5, None]),
    ),
    max_size=60,
)
DESIGNS = st.sampled_from(
    [
        {"size": 1},
        {"size": 5},
        {"size": 100, "key": "other"},
        {"size": 5, "stratify": "predicted", "minimum": 2},
        {"size": 3, "stratify": "country", "minimum": 1, "max_characters": 10},
        {"size": 5, "window": None},
    ]
)


@given(ROWS, DESIGNS, st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_order_does_not_matter(rows, design, random):
    mixed = rows.copy()
    random.shuffle(mixed)
    same(drawn(rows, **design), drawn(mixed, **design))


@given(ROWS, ROWS, ROWS, DESIGNS)
@settings(max_examples=150, deadline=None)
def test_merging_gives_exactly_the_sample_of_the_whole(one, two, three, design):
    a, b, c = (sketch_of(rows, **design) for rows in (one, two, three))
    whole = drawn(one + two + three, **design)
    same(a.merge(b).merge(c).sample(), whole)
    same(a.merge(b.merge(c)).sample(), whole)
    same(c.merge(a).merge(b).sample(), whole)
    same(a.sample(), drawn(one, **design))


@given(ROWS, DESIGNS)
@settings(max_examples=100, deadline=None)
def test_weights_sum_to_the_population(rows, design):
    sample = drawn(rows, **design)
    assert sample.weights.sum() == pytest.approx(sample.counts.population)
    assert len(set(sample.records["id"].to_pylist())) == len(sample) == sample.counts.sampled
    total = sample.counts.population + sample.counts.empty + sample.counts.outside
    assert total == len(rows)


@pytest.mark.parametrize(("size", "minimum", "by"), [(50, 0, None), (50, 20, "predicted"), (3, 7, "segment.country")])
def test_equals_sorting_everything(monkeypatch, size, minimum, by):
    monkeypatch.setattr(sampling, "_PRUNE_ROWS", 16)
    rng = np.random.default_rng(3)
    shares = [0.7, 0.25, 0.045, 0.005]
    label = dict(enumerate(rng.choice(["a", "b", "c", "d"], size=3000, p=shares)))
    rows = [row(i, predicted=label[i], country=label[i]) for i in rng.integers(0, 3000, size=5000)]
    options = {"stratify": by.removeprefix("segment."), "minimum": minimum} if by else {}
    sketch = sketch_of([], size=size, **options)
    for start in range(0, len(rows), 97):
        sketch.add(batch(rows[start : start + 97]))
    sample = sketch.sample()
    ids, weights, repeats = naive(rows, size, minimum, by)
    assert sample.records["id"].to_pylist() == ids
    assert sample.weights.tolist() == pytest.approx(weights)
    assert sample.counts == Counts(population=5000, sampled=len(ids), repeats=repeats)


def test_every_record_is_drawn_equally_often():
    rows = [row(i) for i in range(40)]
    whole = batch(rows)
    times = defaultdict(int)
    for key in range(1000):
        for i in draw([whole], WINDOW, 10, key=str(key), segments=["country"]).records["id"].to_pylist():
            times[i] += 1
    assert sum(times.values()) == 10_000
    # 40 records, each in a quarter of the samples: variances 187.5 shrunk by 39/40 as the draws have a fixed sum.
    statistic = sum((times[str(i)] - 250) ** 2 for i in range(40)) / (187.5 * 40 / 39)
    assert 0.001 < stats.chi2.sf(statistic, 39) < 0.999


def test_weights_are_unbiased_in_every_stratum():
    sizes = {"a": 200, "b": 60, "c": 7}
    values = {f"{s}{i}": float(i % 5 + (s == "b")) for s, n in sizes.items() for i in range(n)}
    whole = batch([row(i, predicted=i[0]) for i in values])
    draws = 1500
    total, per = np.zeros(draws), {s: np.zeros(draws) for s in sizes}
    for key in range(draws):
        sample = draw([whole], WINDOW, 20, key=str(key), stratify="predicted", minimum=5, segments=["country"])
        for i, w in zip(sample.records["id"].to_pylist(), sample.weights, strict=True):
            total[key] += w * values[i]
            per[i[0]][key] += w * values[i]
    for estimates, want in [(total, sum(values.values()))] + [
        (per[s], sum(v for i, v in values.items() if i[0] == s)) for s in sizes
    ]:
        z = (estimates.mean() - want) / (estimates.std(ddof=1) / np.sqrt(draws))
        assert abs(z) < 4


def test_every_record_is_counted_once():
    rows = [row("a"), row("a"), row("a"), row("b", "  \n"), row("c", None), row("d", "x" * 21), row("e", vector=[1.0])]
    rows += [
        row("f", day=-0.001),
        row("g", day=7.0),
        row("h", day=None),
        row("i", "", day=8),
        row("j", None, vector=[]),
    ]
    sample = draw(
        [batch(rows, **{"no id": 2}), batch([], **{"no id": 1, "broken line": 4})],
        WINDOW,
        10,
        max_characters=20,
        segments=["country"],
    )
    assert sample.counts == Counts(
        population=5, sampled=3, repeats=2, empty=3, overlong=1, outside=4, rejected={"no id": 3, "broken line": 4}
    )
    texts = dict(zip(sample.records["id"].to_pylist(), sample.records["text"].to_pylist(), strict=True))
    assert texts == {"a": "hello", "d": "x" * 20, "e": "hello"}


def test_undated_records_count_where_no_window_is_given():
    assert drawn([row("a", day=None), row("b", day=400)], window=None).counts == Counts(population=2, sampled=2)


def test_the_window_is_half_open():
    edges = [row("in", day=0.0), row("out", day=7.0), row("last", day=7 - 1e-6 / 86400)]
    assert sorted(drawn(edges).records["id"].to_pylist()) == ["in", "last"]


def test_a_text_of_a_megabyte_is_cut_and_counted():
    sample = drawn([row("a", "é" * 1_000_000), row("b", "e" * 20_000)])
    assert sample.counts.overlong == 1
    assert {len(t) for t in sample.records["text"].to_pylist()} == {20_000}


def test_no_records_give_an_empty_sample():
    sample = draw([], WINDOW, 5, segments=["country"])
    assert len(sample) == 0
    assert sample.records.schema.names == SCHEMA.names
    assert sample.counts == Counts()
    assert sample.window == WINDOW


def test_records_of_one_id_keep_the_earliest_whatever_the_order():
    late, early = row("a", "second", day=3), row("a", "first", day=2)
    for rows in ([late, early], [early, late]):
        sample = drawn(rows)
        assert sample.records["text"].to_pylist() == ["first"]
        assert sample.counts.repeats == 1
        assert sample.weights.tolist() == [2.0]
    twins = [row("a", "one"), row("a", "two", probabilities=[("x", 0.5)]), row("a", "two")]
    same(drawn(twins), drawn(twins[::-1]))


def test_one_id_in_two_strata_stands_for_both():
    rows = [row("a", predicted="x"), row("a", predicted="y", day=2), row("b", predicted="x")]
    sample = drawn(rows, size=5, stratify="predicted", minimum=1)
    weights = dict(zip(sample.records["id"].to_pylist(), sample.weights, strict=True))
    assert weights == {"a": 2.0, "b": 1.0}
    assert sample.counts == Counts(population=3, sampled=2, repeats=1)


def test_null_is_a_stratum():
    rows = [row(i, country="DE") for i in range(50)] + [row("lone")]
    sample = drawn(rows, size=1, stratify="country", minimum=1)
    assert dict(zip(sample.records["segment.country"].to_pylist(), sample.weights, strict=True)) == {
        "DE": 50.0,
        None: 1.0,
    }


def test_no_stratum_goes_unseen():
    rows = [row(i, predicted=str(i % 30)) for i in range(300)]
    sample = drawn(rows, size=1, stratify="predicted")
    assert len(sample) == 30
    assert sample.weights.tolist() == [10.0] * 30


def test_another_key_draws_another_sample():
    rows = [row(i) for i in range(1000)]
    one, other = (set(drawn(rows, size=100, key=k).records["id"].to_pylist()) for k in ("", "b"))
    assert 0 < len(one & other) < 30


def test_the_columns_are_those_of_the_schema():
    extra = pa.RecordBatch.from_pylist([row("a") | {"more": 1}], schema=SCHEMA.append(pa.field("more", pa.int8())))
    assert draw([Batch(extra)], WINDOW, 5, segments=["country"]).records.schema == SCHEMA
    assert draw([Batch(extra)], WINDOW, 5).records.schema == record_schema()


def test_memory_stays_with_the_sample():
    sketch = sketch_of([], size=10)
    for start in range(0, 200_000, 20_000):
        sketch.add(batch([row(i) for i in range(start, start + 20_000)]))
    kept = sketch._kept.num_rows + sum(t.num_rows for t in sketch._new)
    assert kept < 5_000
    for _ in range(30):
        sketch.add(batch([row("one", "z" * 30)] * 1000))
    assert sketch._kept.num_rows + sum(t.num_rows for t in sketch._new) < 6_000


def test_more_than_a_thousand_strata_are_refused():
    rows = [row(i, country=str(i)) for i in range(1001)]
    options = {"size": 5, "stratify": "country", "minimum": 1}
    message = "'country' has more than 1,000 different values; stratify by a coarser field"
    with pytest.raises(SourceError, match=message):
        drawn(rows, **options)
    with pytest.raises(SourceError, match=message):
        sketch_of(rows, **options)
    halves = [drawn(rows[:1000], **options)]
    assert len(halves[0]) == 1000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "sample size 0 is below 1"),
        ({"max_characters": 0}, "max_characters 0 is below 1"),
        ({"minimum": -1}, "minimum -1 rows per stratum is below 0"),
        ({"stratify": "text", "minimum": 1}, "cannot stratify by 'text'; choose one of predicted, label, country"),
    ],
)
def test_a_wrong_design_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        sketch_of([], **options)


def test_different_designs_do_not_merge():
    with pytest.raises(ValueError, match="different designs cannot be merged"):
        sketch_of([]).merge(sketch_of([], size=6))


def test_a_missing_segment_is_named():
    with pytest.raises(ValueError, match="records lack the segments city"):
        drawn([row("a")], segments=["city"])
