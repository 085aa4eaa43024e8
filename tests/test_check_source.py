"""The conformance check of sources must see each fault that it promises to see."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

import pyarrow as pa
import pytest

from monitor.testing import check_source
from monitor.values import Batch, Window, record_schema

START = datetime(2026, 1, 5, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(hours=10))


class Records:
    """Ten records, an hour apart, as a well-behaved source gives them."""

    def __init__(self):
        self.calls = count(1)

    def rows(self, window):
        hours = [START + timedelta(hours=h) for h in range(-2, 12)]
        return [{"id": str(t), "text": "hi", "observed_at": t} for t in hours if window.start <= t < window.end]

    def read(self, window):
        yield Batch(pa.RecordBatch.from_pylist(self.rows(window), schema=record_schema()), {})


class Closed(Records):
    def rows(self, window):
        return super().rows(Window(window.start, window.end + timedelta(microseconds=1)))


class Undated(Records):
    def rows(self, window):
        return [row | {"observed_at": None} for row in super().rows(window)]


class Nameless(Records):
    def rows(self, window):
        return [row | {"id": None} for row in super().rows(window)]


class Fickle(Records):
    def rows(self, window):
        return super().rows(window)[: next(self.calls)]


class FickleCounts(Records):
    def read(self, window):
        yield from (Batch(batch.rows, {"no id": next(self.calls)}) for batch in super().read(window))


class Whole(Records):
    def rows(self, window):
        return super().rows(WINDOW) if window == WINDOW else super().rows(window)[1:]


class Silent(Records):
    def rows(self, window):
        return []


class Tables(Records):
    def read(self, window):
        yield from (batch.rows for batch in super().read(window))


def test_a_good_source_passes():
    check_source(Records(), WINDOW)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Closed, r"there is a record of 2026-01-05T10:00:00\+00:00, outside"),
        (Undated, "there are records without time"),
        (Nameless, "there are records without id"),
        (Fickle, "reading the window again gives other records"),
        (FickleCounts, "reading the window again rejects another number"),
        (Whole, "are not the whole window"),
        (Silent, "the source has no record in"),
        (Tables, "the source yields RecordBatch, not Batch"),
    ],
)
def test_each_fault_is_seen(source, message):
    with pytest.raises(AssertionError, match=message):
        check_source(source(), WINDOW)
