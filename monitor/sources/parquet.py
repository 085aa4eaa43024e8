"""Rows of one Parquet file, streamed: wanted columns and row groups alone, memory of a few pages of each column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from monitor.values import Window

__all__ = ["parquet_columns", "parquet_rows"]

_ROWS = 32_768
_FEWEST = 256
_BYTES = 1 << 23
_BUFFER = 1 << 21


def parquet_columns(handle: Any) -> list[str]:
    """Names of the top-level columns."""
    names: list[str] = pq.read_schema(handle).names
    return names


def parquet_rows(handle: Any, columns: Sequence[str], time: str | None, window: Window | None) -> Iterator[pa.Table]:
    """The wanted columns that the file has, of rows that may lie in the window.

    Rows without time are given too, so that they can be counted. Strings as times cannot be compared before they are
    read, so all of such a file is given.
    """
    # Not a dataset scan: that decodes whole row groups, and a file may have one alone.
    # Nor with its chunks of columns fetched ahead, which hold a whole row group too.
    with pq.ParquetFile(handle, buffer_size=_BUFFER, pre_buffer=False) as file:
        present = [name for name in columns if name in file.schema_arrow.names]
        wanted = None
        if window is not None and time in present:
            wanted = _may_lie_in(window, str(time), file.schema_arrow.field(time).type)
        groups = list(range(file.num_row_groups))
        if wanted is not None:
            fragment = ds.ParquetFileFormat().make_fragment(handle)
            groups = [group.id for group in fragment.subset(wanted).row_groups]
        for group in groups:
            # One at a time: a reader of many keeps buffers of each until the last is read.
            rows = _rows_at_once(file.metadata.row_group(group))
            for batch in file.iter_batches(rows, row_groups=[group], columns=present, use_threads=False):
                table = pa.Table.from_batches([batch])
                yield table if wanted is None else table.filter(wanted)


def _rows_at_once(group: pq.RowGroupMetaData) -> int:
    """Fewer rows where they are long."""
    fitting: int = _BYTES * group.num_rows // max(group.total_byte_size, 1)
    return max(_FEWEST, min(_ROWS, fitting))


def _may_lie_in(window: Window, column: str, kind: pa.DataType) -> pc.Expression | None:
    """A filter that keeps every row of the window and every row without time, and few others."""
    time = pc.field(column)
    # Wall-clock times may be in any zone; of others, whole seconds can be said in any unit.
    wall_clock = pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and kind.tz is None)
    margin = timedelta(days=1) if wall_clock else timedelta(seconds=1)
    start, end = (t.astimezone(UTC).replace(microsecond=0) for t in (window.start - margin, window.end + margin))
    if pa.types.is_timestamp(kind):
        low, high = (pa.scalar(t if kind.tz else t.replace(tzinfo=None), kind) for t in (start, end))
        inside = (time >= low) & (time <= high)
    elif pa.types.is_date(kind):
        inside = (time >= pa.scalar(start.date(), kind)) & (time <= pa.scalar(end.date(), kind))
    elif pa.types.is_signed_integer(kind):
        first, last = int(start.timestamp()), int(end.timestamp())
        inside = pc.scalar(False)
        for per_second in (1, 10**3, 10**6, 10**9):
            inside = inside | ((time >= first * per_second) & (time <= last * per_second))
    else:
        return None
    return inside | time.is_null()
