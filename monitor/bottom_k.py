"""The tables behind a bottom-k sketch: which rows count, the keyed hash of an id, one entry per (id, stratum).

An entry table is sorted by hash, then id, so that the records of one id are neighbours.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from monitor.values import SEGMENT_PREFIX, Window

__all__ = [
    "BOOKKEEPING",
    "COPIES",
    "CUT",
    "HASH",
    "STRATUM",
    "Hashes",
    "changes",
    "combine",
    "cut_texts",
    "filled",
    "hash_ids",
    "inside",
    "numbers",
    "rank_within",
    "record_table",
    "representatives",
]

HASH, STRATUM, COPIES, CUT = "#hash", "#stratum", "#copies", "#cut"
BOOKKEEPING = ((HASH, pa.uint64()), (STRATUM, pa.int32()), (COPIES, pa.int64()), (CUT, pa.bool_()))
"""Columns that entries carry beside those of the record: hash, stratum as a number, rows it stands for, text cut."""

Hashes = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]


def numbers(table: pa.Table, name: str) -> npt.NDArray[Any]:
    """One bookkeeping column."""
    values: npt.NDArray[Any] = table.column(name).to_numpy()
    return values


def inside(rows: pa.RecordBatch, window: Window | None) -> Mask:
    """Rows whose time lies in the window; undated ones do not."""
    if window is None:
        return np.ones(rows.num_rows, dtype=bool)
    time = rows.column("observed_at")
    start, end = (pa.scalar(t, time.type) for t in (window.start, window.end))
    found: Mask = pc.and_(pc.greater_equal(time, start), pc.less(time, end)).fill_null(False).to_numpy(False)
    return found


def filled(rows: pa.RecordBatch) -> Mask:
    """Rows with text that is not only white space, or with a vector."""
    text = pc.utf8_trim_whitespace(rows.column("text"))
    found: Mask = pc.greater(pc.binary_length(text), 0).fill_null(False).to_numpy(False)
    vector = rows.column("vector")
    if vector.null_count < len(vector):
        found = found | pc.greater(pc.list_value_length(vector), 0).fill_null(False).to_numpy(False)
    return found


def cut_texts(table: pa.Table, max_characters: int) -> tuple[pa.Table, Mask]:
    """The table with its texts cut, and which of them were."""
    text = table.column("text")
    too_long: Mask = pc.greater(pc.utf8_length(text), max_characters).fill_null(False).to_numpy()
    if too_long.any():
        position = table.schema.get_field_index("text")
        text = pc.utf8_slice_codeunits(text, 0, max_characters)
        table = table.set_column(position, table.schema.field(position), text)
    return table, too_long


def record_table(rows: pa.RecordBatch, schema: pa.Schema) -> pa.Table:
    """The columns of the schema alone; ``ValueError`` when a segment is missing."""
    missing = [n.removeprefix(SEGMENT_PREFIX) for n in schema.names if n not in rows.schema.names]
    if missing:
        raise ValueError(f"records lack the segments {', '.join(missing)}")
    return pa.Table.from_batches([rows]).select(schema.names).cast(schema)


def hash_ids(ids: pa.ChunkedArray, key: str) -> Hashes:
    """Keyed BLAKE2b of each id, 64 bits."""
    start = hashlib.blake2b(digest_size=8, key=hashlib.blake2b(key.encode(), digest_size=32).digest()).copy
    digests = []
    for value in ids.cast(pa.binary()).to_pylist():
        state = start()
        state.update(value)
        digests.append(state.digest())
    return np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)


def combine(rows: pa.Table, stratum: str | None) -> pa.Table:
    """One row per (id, stratum) by rising hash, its copies counted."""
    groups = ["id"] if stratum is None else ["id", stratum]
    rows = rows.take(pc.sort_indices(rows, sort_keys=[(name, "ascending") for name in (HASH, *groups)]))
    starts = np.flatnonzero(changes(rows, *groups))
    copies = np.add.reduceat(numbers(rows, COPIES), starts)
    entries = rows.take(pa.array(representatives(rows, starts)))
    return entries.set_column(entries.schema.get_field_index(COPIES), COPIES, pa.array(copies, pa.int64()))


def representatives(rows: pa.Table, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The row that stands for each group: the earliest (undated last), then uncut before cut, then by digest."""
    sizes = np.diff(np.append(starts, rows.num_rows))
    chosen = starts.copy()
    for group in np.flatnonzero(sizes > 1):
        members = rows.slice(starts[group], sizes[group])
        times = members.column("observed_at").cast(pa.int64()).fill_null(np.iinfo(np.int64).max).to_numpy()
        cuts = numbers(members, CUT)
        best = np.lexsort((cuts, times))[0]
        tied = np.flatnonzero((times == times[best]) & (cuts == cuts[best]))
        chosen[group] += best if len(tied) == 1 else min(tied, key=lambda row: _digest(members, int(row)))
    return chosen


def _digest(rows: pa.Table, row: int) -> bytes:
    content = rows.slice(row, 1).drop_columns([COPIES, STRATUM]).to_pylist()
    return hashlib.blake2b(repr(content).encode(), digest_size=16).digest()


def changes(table: pa.Table, *columns: str) -> Mask:
    """Where a sorted table's value of any of these columns changes; the first row included."""
    first = np.ones(table.num_rows, dtype=bool)
    if len(first) > 1:
        first[1:] = False
        for name in columns:
            values = table.column(name)
            same = pc.equal(values.slice(1), values.slice(0, len(values) - 1))
            both_null = pc.and_(pc.is_null(values.slice(1)), pc.is_null(values.slice(0, len(values) - 1)))
            first[1:] |= ~pc.if_else(both_null, True, same).fill_null(False).to_numpy()
    return first


def rank_within(codes: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """How many earlier rows have the same code."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(codes) else np.zeros(0, np.int64)
    rank = np.empty(len(codes), dtype=np.int64)
    rank[order] = np.arange(len(codes)) - np.repeat(starts, np.diff(np.append(starts, len(codes))))
    return rank
