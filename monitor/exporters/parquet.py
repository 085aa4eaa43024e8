"""Parquet: every field with its type."""

from __future__ import annotations

import io

import pyarrow.parquet as pq

from monitor.exporters.rows import candidate_table
from monitor.values import Export

__all__ = ["parquet"]


def parquet(export: Export) -> dict[str, bytes]:
    """``candidates.parquet``."""
    sink = io.BytesIO()
    pq.write_table(candidate_table(export), sink)
    return {"candidates.parquet": sink.getvalue()}
