"""Datasets and canary vectors as Parquet files."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from monitor.values import Dataset, Vectors

__all__ = ["canaries_from_parquet", "canaries_to_parquet", "dataset_from_parquet", "dataset_to_parquet"]


def dataset_to_parquet(data: Dataset) -> bytes:
    """Records with their vectors and weights, one row each."""
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(data.vectors.ravel()), data.vectors.shape[1])
    index = data.records.schema.get_field_index("vector")
    table = data.records.set_column(index, "vector", vectors).append_column("weight", pa.array(data.weights))
    return _write(table)


def dataset_from_parquet(content: bytes, embedder: str) -> Dataset:
    """The dataset that was written; what made its vectors is not in the file."""
    table = _read(content)
    column = table.column("vector").combine_chunks()
    vectors = column.flatten().to_numpy(zero_copy_only=False).reshape(len(table), column.type.list_size)
    weights = table.column("weight").to_numpy()
    index = table.schema.get_field_index("vector")
    empty = pa.nulls(len(table), pa.list_(pa.float32()))
    records = table.set_column(index, pa.field("vector", empty.type), empty).drop_columns(["weight"])
    return Dataset(records, np.asarray(vectors, dtype=np.float32), weights, embedder)


def _read(content: bytes) -> pa.Table:
    """On this thread alone: a worker of Arrow's that still holds a Python object when the process ends aborts it."""
    with pq.ParquetFile(pa.BufferReader(content), pre_buffer=False) as file:
        return file.read(use_threads=False)


def _write(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def canaries_to_parquet(canaries: Vectors) -> bytes:
    """One column per dimension, so that no vectors at all still have one."""
    columns = [pa.array(canaries[:, n]) for n in range(canaries.shape[1])]
    return _write(pa.Table.from_arrays(columns, names=[str(n) for n in range(canaries.shape[1])]))


def canaries_from_parquet(content: bytes) -> Vectors:
    """The (c, d) vectors that were written."""
    table = _read(content)
    if not table.num_rows:
        return np.zeros((0, table.num_columns), dtype=np.float32)
    return np.column_stack([column.to_numpy() for column in table.columns]).astype(np.float32)
