"""Records as they travel: windows of time, batches of a stream, samples, and data sets with vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = [
    "SEGMENT_PREFIX",
    "Batch",
    "Counts",
    "Dataset",
    "FloatArray",
    "Sample",
    "Vectors",
    "Window",
    "aware",
    "record_schema",
]

Vectors = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]

SEGMENT_PREFIX = "segment."
"""Segment ``country`` travels in the column ``segment.country``."""

_COLUMNS = [
    pa.field("id", pa.string(), nullable=False),
    pa.field("text", pa.string()),
    pa.field("observed_at", pa.timestamp("us", tz="UTC")),
    pa.field("predicted", pa.string()),
    pa.field("confidence", pa.float64()),
    pa.field("probabilities", pa.map_(pa.string(), pa.float64())),
    pa.field("label", pa.string()),
    pa.field("vector", pa.list_(pa.float32())),
    pa.field("block", pa.string()),
]


def record_schema(segments: Sequence[str] = ()) -> pa.Schema:
    """The columns every record travels with; ``segments`` adds one string column each.

    ``id`` is never null. ``observed_at`` is null only in training data without dates. ``vector`` carries an
    already-computed embedding in place of ``text``. ``block`` names the session, user or conversation a record belongs to.
    """
    return pa.schema(_COLUMNS + [pa.field(SEGMENT_PREFIX + name, pa.string()) for name in segments])


def aware(value: datetime, what: str) -> None:
    """``ValueError`` for a time without a zone."""
    if value.tzinfo is None or value.utcoffset() is None:
        raise ValueError(f"{what} {value.isoformat()} has no time zone; give an offset, for example +00:00")


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A half-open stretch of time ``[start, end)``; consecutive windows tile time."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        aware(self.start, "window start")
        aware(self.end, "window end")
        if not self.start < self.end:
            raise ValueError(f"window start {self.start.isoformat()} is not before its end {self.end.isoformat()}")

    @property
    def length(self) -> timedelta:
        """How long the window is."""
        return self.end - self.start

    def __str__(self) -> str:
        return f"{self.start.isoformat()}/{self.end.isoformat()}"


@dataclass(frozen=True, slots=True)
class Batch:
    """A piece of a stream of records, and the count of those that could not be read, by reason."""

    rows: pa.RecordBatch
    rejected: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_columns(self.rows.schema)


def _check_columns(schema: pa.Schema) -> None:
    for want in _COLUMNS:
        index = schema.get_field_index(want.name)
        if index < 0:
            raise ValueError(f"records lack the column {want.name!r}; they have {schema.names}")
        if schema.field(index).type != want.type:
            raise ValueError(f"column {want.name!r} is {schema.field(index).type}, not {want.type}")


@dataclass(frozen=True, slots=True)
class Counts:
    """What a stream held. Two counts add to the count of both streams.

    population  records of the window that could be used, repeats included
    sampled     records drawn
    repeats     further records with the id of a drawn one (exact for the sample, not for the stream)
    empty       records with neither text nor vector; never drawn
    overlong    drawn records whose text was cut to the configured length
    outside     records that lie outside the window; never drawn
    rejected    records that could not be read, by reason
    cached      drawn records whose vector was known from before
    """

    population: int = 0
    sampled: int = 0
    repeats: int = 0
    empty: int = 0
    overlong: int = 0
    outside: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    cached: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """Records drawn from one window, in an order that depends on their ids alone.

    ``weights`` (n,) float64: how many records of the population each stands for; they sum to the population.
    """

    window: Window | None
    records: pa.Table
    weights: FloatArray
    counts: Counts

    def __post_init__(self) -> None:
        _check_columns(self.records.schema)
        if self.weights.shape != (self.records.num_rows,):
            raise ValueError(f"{self.weights.shape} weights for {self.records.num_rows} records")

    def __len__(self) -> int:
        return int(self.records.num_rows)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Records with their embeddings; the same type for reference and current.

    records  Arrow table with the columns of :func:`record_schema`
    vectors  (n, d) float32, rows of length one
    weights  (n,) float64, how many records each row stands for
    embedder fingerprint of what made the vectors; data of different fingerprints are never compared
    """

    records: pa.Table
    vectors: Vectors
    weights: FloatArray
    embedder: str

    def __post_init__(self) -> None:
        _check_columns(self.records.schema)
        rows = self.records.num_rows
        if self.vectors.ndim != 2 or len(self.vectors) != rows:
            raise ValueError(f"vectors of shape {self.vectors.shape} for {rows} records")
        if self.vectors.dtype != np.float32:
            raise ValueError(f"vectors are {self.vectors.dtype}, not float32")
        if self.weights.shape != (rows,):
            raise ValueError(f"weights of shape {self.weights.shape} for {rows} records")

    def __len__(self) -> int:
        return int(self.records.num_rows)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it holds."""
        return int(self.records.nbytes + self.vectors.nbytes + self.weights.nbytes)

    def column(self, name: str) -> npt.NDArray[np.object_]:
        """One column as an object array, missing values as ``None``."""
        values = np.empty(len(self), dtype=object)
        values[:] = self.records.column(name).to_pylist()
        return values

    @property
    def ids(self) -> list[str]:
        """Record ids."""
        return list(self.records.column("id").to_pylist())

    @property
    def segments(self) -> tuple[str, ...]:
        """Names of the segment fields."""
        names: list[str] = self.records.schema.names
        return tuple(n.removeprefix(SEGMENT_PREFIX) for n in names if n.startswith(SEGMENT_PREFIX))

    @property
    def classes(self) -> npt.NDArray[np.object_]:
        """Predicted class of each record, the true label where no prediction is known, else ``None``."""
        values = np.empty(len(self), dtype=object)
        values[:] = pc.coalesce(self.records.column("predicted"), self.records.column("label")).to_pylist()
        return values

    def take(self, rows: npt.ArrayLike) -> Dataset:
        """The rows at these positions (or under this boolean mask), in that order."""
        index = np.asarray(rows)
        if index.dtype == bool and index.shape != (len(self),):
            raise ValueError(f"a mask of shape {index.shape} for {len(self)} records")
        index = np.flatnonzero(index) if index.dtype == bool else index.astype(np.int64)
        return replace(
            self,
            records=self.records.take(pa.array(index)),
            vectors=np.ascontiguousarray(self.vectors[index]),
            weights=self.weights[index],
        )

    def append(self, other: Dataset) -> Dataset:
        """These rows, then the other's. Both must come from the same embedder and have the same segments."""
        if self.embedder != other.embedder:
            raise ValueError(f"vectors of embedder {self.embedder} and {other.embedder} cannot be mixed")
        if self.segments != other.segments:
            raise ValueError(f"segments {self.segments} and {other.segments} differ")
        if self.vectors.shape[1] != other.vectors.shape[1]:
            raise ValueError(
                f"vectors of {self.vectors.shape[1]} and {other.vectors.shape[1]} dimensions cannot be mixed"
            )
        # What is never null on one side may be nullable on the other: the cast settles such differences.
        added = other.records.select(self.records.schema.names).cast(self.records.schema)
        return replace(
            self,
            records=pa.concat_tables([self.records, added]),
            vectors=np.concatenate([self.vectors, other.vectors]),
            weights=np.concatenate([self.weights, other.weights]),
        )
