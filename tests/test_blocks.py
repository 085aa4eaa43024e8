"""Blocks: how they are found, and what they are for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from worlds import allowed_rejections, around, dataset, intents, reference

from monitor.detectors.blocks import Blocks, blocks_of, dependence_length, few_blocks
from monitor.detectors.mmd import MmdDetector

TOPICS = intents(30, 16)


def with_blocks(data, blocks):
    place = data.records.schema.get_field_index("block")
    column = pa.array(blocks, pa.string())
    return replace(data, records=data.records.set_column(place, data.records.schema.field("block"), column))


def bursts(count, size, rng):
    """Sessions of one topic each, a little of everything mixed in."""
    topics = np.repeat(rng.integers(0, 30, count), size)
    return np.where(rng.random(count * size) < 0.6, topics, rng.integers(0, 30, count * size))


def in_sessions(count, size, rng, prefix):
    data = dataset(around(TOPICS, bursts(count, size, rng), rng), prefix=prefix)
    return with_blocks(data, [f"{prefix}{i // size}" for i in range(count * size)])


def without_times(data):
    place = data.records.schema.get_field_index("observed_at")
    field = data.records.schema.field("observed_at")
    return replace(data, records=data.records.set_column(place, field, pa.nulls(len(data), field.type)))


def p_value(detector, known, window, rng):
    return next(m for m in detector.measure(known, window, rng) if m.subject == "embeddings").p_value


def test_the_field_is_taken_and_records_without_one_stand_alone():
    data = with_blocks(dataset(TOPICS[:6]), ["a", "b", None, "a", None, "b"])
    blocks = blocks_of(data)
    assert (blocks.count, blocks.rule) == (4, "field")
    assert blocks.codes[0] == blocks.codes[3]
    assert len({blocks.codes[2], blocks.codes[4], blocks.codes[0], blocks.codes[1]}) == 4
    assert sorted(blocks.sizes.tolist()) == [1, 1, 2, 2]
    order = np.array([5, 3, 1, 0, 2, 4])
    assert (blocks_of(data.take(order)).codes == blocks.codes[order]).all()
    some = blocks.of(np.array([3, 2]))
    assert (some.count, some.rule, sorted(some.codes.tolist())) == (2, "field", [0, 1])


@pytest.mark.parametrize("size", [4, 10, 16])
def test_the_length_follows_the_bursts_and_calm_traffic_has_none(size):
    rng = np.random.default_rng(size)
    lively = around(TOPICS, bursts(1_600 // size, size, rng), rng)
    assert size / 2 <= dependence_length(lively) <= 4 * size
    calm = [dependence_length(around(TOPICS, rng.integers(0, 30, 800), rng)) for _ in range(20)]
    assert sum(length > 1 for length in calm) <= 1


def test_time_makes_blocks_whatever_the_order_and_never_so_long_that_the_test_falls_silent():
    rng = np.random.default_rng(0)
    data = dataset(around(TOPICS, bursts(60, 8, rng), rng))
    blocks = blocks_of(data)
    assert blocks.rule == "time"
    assert blocks.count >= 20
    order = rng.permutation(len(data))
    turned = blocks_of(data.take(order))
    assert (turned.codes == blocks.codes[order]).all()
    trend = dataset(around(TOPICS, np.repeat(np.arange(10), 30), rng))
    assert 20 <= blocks_of(trend).count < 300
    assert few_blocks(blocks_of(trend), blocks_of(trend)) is None
    assert blocks_of(without_times(data)).rule == "record"
    assert blocks_of(data.take([])).count == 0
    same = dataset(np.tile(TOPICS[:1], (100, 1)))
    assert blocks_of(same).rule == "record"


def test_few_blocks_say_how_to_get_more():
    few = Blocks(np.repeat(np.arange(12), 5), 12, "field")
    many = Blocks(np.arange(60), 60, "record")
    assert few_blocks(many, many) is None
    assert few_blocks(many, few) == (
        "60 window records lie in 12 sessions; a test needs 20. "
        "Use longer windows, a larger sample, or a finer fields.block"
    )
    assert few_blocks(few, many).startswith("60 reference records lie in 12 sessions")


def test_with_few_blocks_there_is_an_effect_and_no_p_value():
    rng = np.random.default_rng(0)
    known = reference(in_sessions(40, 5, rng, "t"), in_sessions(40, 5, rng, "p"))
    (found,) = (m for m in MmdDetector(99, 99).measure(known, in_sessions(12, 5, rng, "c"), rng))
    assert found.p_value is None
    assert found.detail["blocks_current"] == 12
    assert found.low < found.effect < found.high
    assert "detectable_share" not in found.detail
    one = with_blocks(dataset(TOPICS[:25], prefix="c"), ["same"] * 25)
    assert MmdDetector(99, 99).measure(known, one, rng) == []


@pytest.mark.parametrize("size", [5, 10])
def test_bursts_without_drift_are_no_drift_unless_blocks_are_ignored(size):
    rng = np.random.default_rng(size)
    detector = MmdDetector(permutations=199, refined=199)
    kept = ignored = 0
    repetitions = 40
    for _ in range(repetitions):
        known = reference(in_sessions(250 // size, size, rng, "t"), in_sessions(250 // size, size, rng, "p"))
        window = in_sessions(300 // size, size, rng, "c")
        kept += p_value(detector, known, window, rng) <= 0.05
        loose = reference(*(without_times(with_blocks(d, [None] * len(d))) for d in (known.train, known.protected)))
        ignored += p_value(detector, loose, without_times(with_blocks(window, [None] * 300)), rng) <= 0.05
    assert kept <= allowed_rejections(repetitions)[1]
    assert ignored >= 0.5 * repetitions


def test_a_calm_reference_beside_bursts_of_the_same_content_is_no_drift():
    rng = np.random.default_rng(3)
    detector = MmdDetector(permutations=199, refined=199)
    rejected = 0
    for _ in range(40):
        calm = [without_times(dataset(around(TOPICS, rng.integers(0, 30, 400), rng), prefix=side)) for side in "tp"]
        rejected += p_value(detector, reference(*calm), in_sessions(40, 8, rng, "c"), rng) <= 0.05
    assert rejected <= allowed_rejections(40)[1]


def test_drift_in_sessions_is_found():
    rng = np.random.default_rng(4)
    known = reference(in_sessions(100, 5, rng, "t"), in_sessions(60, 5, rng, "p"))
    which = bursts(50, 5, rng)
    which[:100] = rng.integers(0, 5, 100)
    data = dataset(around(TOPICS, which, rng), prefix="c")
    window = with_blocks(data, [f"c{i // 5}" for i in range(250)])
    assert p_value(MmdDetector(999, 999), known, window, rng) <= 0.01


def test_row_order_changes_nothing_with_sessions():
    rng = np.random.default_rng(5)
    known = reference(in_sessions(60, 5, rng, "t"), in_sessions(40, 5, rng, "p"))
    window = in_sessions(40, 5, rng, "c")
    first = MmdDetector(99, 99).measure(known, window, np.random.default_rng(1))
    turned = reference(known.train.take(rng.permutation(300)), known.protected.take(rng.permutation(200)))
    assert MmdDetector(99, 99).measure(turned, window.take(rng.permutation(200)), np.random.default_rng(1)) == first
