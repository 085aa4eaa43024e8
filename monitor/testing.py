"""Conformance checks for parts, for those who write them: each raises ``AssertionError`` and says what is wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa

from monitor.detectors import Detector
from monitor.embedders import Embedder
from monitor.exporters import Exporter
from monitor.notifiers import Notifier
from monitor.selection import Answers, Rows, Strategy, pool_of
from monitor.sources import Source
from monitor.tickets import Seen, Tickets
from monitor.values import (
    SEGMENT_PREFIX,
    Batch,
    Dataset,
    Draft,
    Export,
    Measurement,
    Note,
    Notice,
    Reference,
    Window,
    record_schema,
)

__all__ = [
    "check_detector",
    "check_embedder",
    "check_exporter",
    "check_notifier",
    "check_source",
    "check_strategy",
    "check_tickets",
    "require",
]

_NEAR_DUPLICATE, _BANDWIDTH = 0.97, 0.1


def check_source(source: Source, window: Window) -> None:
    """Hold a source against :class:`monitor.sources.Source`; ``window`` should hold a few records.

    The columns and types are those of records, every id is there, all times lie in the half-open window, reading again
    gives the same records and counts, and the windows' two halves together are the whole.
    """
    whole = _read(source, window)
    table = _table(whole)
    require(table.num_rows, f"the source has no record in {window}; check it with a window that has some")
    segments = [n.removeprefix(SEGMENT_PREFIX) for n in table.schema.names if n.startswith(SEGMENT_PREFIX)]
    wanted = record_schema(segments)
    for name in wanted.names:
        require(table.schema.field(name).type == wanted.field(name).type, f"column {name!r} is of another type")
    require(not table.column("id").null_count, "there are records without id")
    for time in table.column("observed_at").to_pylist():
        require(time is not None, f"there are records without time, in {window}")
        require(window.start <= time < window.end, f"there is a record of {time.isoformat()}, outside {window}")
    again = _read(source, window)
    require(_rows(again) == _rows(whole), "reading the window again gives other records")
    require(_rejected(again) == _rejected(whole), "reading the window again rejects another number of records")
    middle = window.start + max(window.length / 2, timedelta(microseconds=1))
    halves = [*_read(source, Window(window.start, middle)), *_read(source, Window(middle, window.end))]
    require(_rows(halves) == _rows(whole), f"the windows before and from {middle.isoformat()} are not the whole window")


def check_embedder(embedder: Embedder, records: pa.Table) -> None:
    """Hold an embedder against :class:`monitor.embedders.Embedder`; ``records`` should be a few that differ.

    One finite float32 row of length one for each record, in their order whatever the order, the same again, and the same for
    a record alone as among others, to rounding; the fingerprint stays; progress ends at the whole.
    """
    before = embedder.fingerprint
    told: list[tuple[int, int]] = []
    vectors = embedder.embed(records, lambda done, total: told.append((done, total)))
    n = records.num_rows
    require(n > 1, "check an embedder with two records or more")
    require(vectors.dtype == np.float32, f"vectors are {vectors.dtype}, not float32")
    require(vectors.ndim == 2 and len(vectors) == n, f"vectors of shape {vectors.shape} for {n} records")
    require(np.isfinite(vectors).all(), "there are vectors that are not finite")
    require(np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-4), "there are vectors whose length is not one")
    require(not told or told[-1][0] == told[-1][1], f"progress ends at {told[-1:]}")
    require(np.allclose(embedder.embed(records), vectors, atol=1e-5), "embedding again gives other vectors")
    turned = embedder.embed(records.take(pa.array(np.arange(n)[::-1].copy())))
    require(np.allclose(turned[::-1], vectors, atol=1e-4), "vectors depend on the order of the records")
    alone = embedder.embed(records.slice(n - 1, 1))
    require(np.allclose(alone[0], vectors[-1], atol=1e-4), "a vector depends on the records beside it")
    require(embedder.fingerprint == before, "the fingerprint changed by embedding")


def check_tickets(tickets: Tickets, draft: Draft) -> None:
    """Hold a ticket backend against :class:`monitor.tickets.Tickets`; it opens two tickets, of ``draft`` and of another key.

    A ticket is found by its key alone, as after a crash, and by where it was; it keeps its place whatever becomes of it;
    closing, reopening and comments can be seen by the next look; another key is another ticket. What a service cannot tell
    (``open`` or ``notes`` of ``None``) is not asked of it.
    """
    draft = replace(draft, open=True, notes=())
    require(tickets.find(draft, "") is None, "a ticket is found before it is opened; check with a key of its own")
    made = tickets.create(draft)
    require(isinstance(made.location, str) and made.location, "create does not say where the ticket is")
    found = _found(tickets, draft, "", made.location)
    require(found.open is not False, "a new ticket is closed")
    tickets.update(found, draft, open=True)

    note = Note(f"{draft.key}-1", draft.body[:1])
    noted = replace(draft, notes=(note, Note(f"{draft.key}-2", draft.body[:1])))
    seen = _found(tickets, noted, made.location, made.location)
    require(not seen.notes, "a comment is seen that nobody wrote")
    tickets.comment(seen, note)
    later = replace(noted, title=f"{draft.title}, later", body=(*draft.body, *draft.body[:1]))
    for is_open in (True, False, False, True):
        tickets.update(_found(tickets, later, made.location, made.location), later, open=is_open)
        seen = _found(tickets, later, made.location, made.location)
        require(seen.open in (is_open, None), f"a ticket left {'open' if is_open else 'closed'} is seen otherwise")
        require(seen.notes in ({note.key}, None), f"one comment was written, seen are those with keys {seen.notes}")
        require(all(label == label.lower() for label in seen.labels), "labels are not in lower case")

    other = replace(draft, key=f"{draft.key}0")
    require(tickets.find(other, "") is None, "another key finds this ticket")
    require(tickets.create(other).location != made.location, "another key is no other ticket")
    _found(tickets, later, "", made.location)


def _found(tickets: Tickets, draft: Draft, location: str, wanted: str) -> Seen:
    seen = tickets.find(draft, location)
    if seen is None:
        raise AssertionError(f"the ticket is not found {'where it was' if location else 'by its key'}")
    require(seen.location == wanted, f"the ticket was opened at {wanted} and is found at {seen.location}")
    return seen


def check_exporter(exporter: Exporter, export: Export) -> None:
    """Hold an exporter against :class:`monitor.exporters.Exporter`; ``export`` should hold two candidates or more.

    The same key goes to the same place, with fewer candidates too, and a batch without candidates can be written.
    """
    require(len(export.candidates) > 1, "check an exporter with two candidates or more")
    where = exporter.write(export)
    require(isinstance(where, str) and where, "write does not say where the export is")
    require(exporter.write(export) == where, "the same key goes to another place")
    for fewer in (export.candidates[:1], ()):
        require(exporter.write(replace(export, candidates=fewer)) == where, "fewer candidates go to another place")


def check_notifier(notifier: Notifier, notice: Notice) -> None:
    """Hold a notifier against :class:`monitor.notifiers.Notifier`; it really sends the notice twice.

    Every event can be sent, and the same notice again, as after a crash; where it went holds no password of an address.
    """
    for event in ("drift", "over", "blind", "sees", "drift"):
        where = notifier.send(replace(notice, event=event))
        require(isinstance(where, str) and where, "send does not say where the message went")
        require("@" not in where, f"where the message went looks like an address: {where}")


def check_detector(detector: Detector, reference: Reference, current: Dataset) -> None:
    """Hold a detector against :class:`monitor.detectors.Detector`; both sides should hold a hundred records or more.

    It changes no input, gives the same answer for the same generator and in any order of rows, measures a subject of a
    segment once, calls the protected set no drift from its own reference, and refuses a single row with a number.
    """
    for name, value in detector.fit(reference.train).items():
        require(np.isfinite(value), f"fit gives {name} = {value}")
    before = _copied(current), _copied(reference.everything)
    first = list(detector.measure(reference, current, np.random.default_rng(1)))
    require(first, "there is no measurement; check the detector with data that it can measure")
    require(_same(before[0], current), "measure changes the window")
    require(_same(before[1], reference.everything), "measure changes the reference")
    for m in first:
        _check_measurement(m, len(reference.everything), len(current))
    keys = [(m.detector, m.subject, m.segment) for m in first]
    require(len(set(keys)) == len(keys), "a subject of a segment is measured twice")
    again = list(detector.measure(reference, current, np.random.default_rng(1)))
    require(again == first, "the same generator gives another answer")
    reordered = replace(reference, train=_reordered(reference.train), protected=_reordered(reference.protected))
    turned = list(detector.measure(reordered, _reordered(current), np.random.default_rng(1)))
    require(turned == first, "another order of rows gives another answer")
    for m in detector.measure(reference, reference.protected, np.random.default_rng(1)):
        calm = m.p_value is None or m.p_value > 0.001
        require(calm, f"the protected set itself is called drift: {m.subject} {m.segment} has p = {m.p_value}")
    _check_refusal(detector, reference, current)


def _check_measurement(m: Measurement, n: int, k: int) -> None:
    require(isinstance(m, Measurement), f"measure gives {type(m).__name__}, not Measurement")
    require(m.low <= m.effect <= m.high, f"{m.subject}: the effect {m.effect} is outside {m.low} to {m.high}")
    require(0 < m.n_reference <= n, f"{m.subject}: {m.n_reference} reference rows of {n}")
    require(0 < m.n_current <= k, f"{m.subject}: {m.n_current} current rows of {k}")


def _check_refusal(detector: Detector, reference: Reference, current: Dataset) -> None:
    try:
        detector.measure(reference, current.take([0]), np.random.default_rng(1))
    except ValueError as error:
        require(any(c.isdigit() for c in str(error)), f"the refusal of one row names no minimum: {error}")
    else:
        require(False, "one row is measured; a ValueError should name the minimum")


def check_strategy(
    strategy: Strategy, reference: Reference, current: Dataset, budget: int = 10, answers: Answers | None = None
) -> None:
    """Hold a strategy against :class:`monitor.selection.Strategy`; the window should hold more rows than the budget.

    It changes no input, picks each row once, only rows that may be proposed and none that is taken, picks the same records
    for the same generator in any order of rows, and nothing for no budget or an empty window.
    """
    before = _copied(current), _copied(reference.everything)
    nothing_taken = np.zeros(0, dtype=np.int64)

    def picked(window: Dataset, count: int, taken: Rows = nothing_taken) -> list[str]:
        pool = pool_of(reference, window, _NEAR_DUPLICATE, _BANDWIDTH, answers)
        rows = list(strategy.pick(pool, count, taken, np.random.default_rng(1)))
        require(all(isinstance(row, int) for row in rows), "a pick is not a whole number (int)")
        require(set(rows) <= set(pool.rows.tolist()), "a row is picked that may not be proposed")
        require(not set(rows) & set(taken.tolist()), "a row is picked that is taken already")
        require(len(set(rows)) == len(rows), "a row is picked twice")
        require(len(rows) <= count, f"{len(rows)} rows picked for a budget of {count}")
        return [pool.window.ids[row] for row in rows]

    first = picked(current, budget)
    require(first, "nothing is picked; check the strategy with a window that holds something to label")
    require(_same(before[0], current), "pick changes the window")
    require(_same(before[1], reference.everything), "pick changes the reference")
    require(picked(current, budget) == first, "the same generator gives another batch")
    require(picked(_reordered(current), budget) == first, "another order of rows gives another batch")
    pool = pool_of(reference, current, _NEAR_DUPLICATE, _BANDWIDTH, answers)
    taken = np.array(sorted(pool.window.ids.index(record) for record in first[: budget // 2]), dtype=np.int64)
    picked(current, budget, taken)
    require(not picked(current, 0), "a budget of 0 picks something")
    require(not picked(current.take(nothing_taken), budget), "an empty window has something picked")


def _copied(data: Dataset) -> Dataset:
    return replace(data, vectors=data.vectors.copy(), weights=data.weights.copy())


def _same(a: Dataset, b: Dataset) -> bool:
    equal = np.array_equal(a.vectors, b.vectors) and np.array_equal(a.weights, b.weights)
    return equal and bool(a.records.equals(b.records))


def _reordered(data: Dataset) -> Dataset:
    return data.take(np.random.default_rng(2).permutation(len(data)))


def require(holds: object, message: str) -> None:
    """An assertion that stays when Python runs without them."""
    if not holds:
        raise AssertionError(message)


def _read(source: Source, window: Window | None) -> list[Batch]:
    batches = list(source.read(window))
    for batch in batches:
        require(isinstance(batch, Batch), f"the source yields {type(batch).__name__}, not Batch")
    return batches


def _table(batches: list[Batch]) -> pa.Table:
    return pa.Table.from_batches([batch.rows for batch in batches]) if batches else record_schema().empty_table()


def _rows(batches: list[Batch]) -> list[str]:
    return sorted(repr(row) for batch in batches for row in batch.rows.to_pylist())


def _rejected(batches: list[Batch]) -> dict[str, int]:
    total: dict[str, int] = {}
    for batch in batches:
        for reason, count in batch.rejected.items():
            total[reason] = total.get(reason, 0) + count
    return total
