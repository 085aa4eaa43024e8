"""Samples of a stream of unknown length: deterministic, mergeable, uniform or stratified, in constant memory.

Every record id gets a keyed 64-bit hash; the sample is the ``size`` smallest hashes (bottom-k). As the hash knows
nothing of position, the same records give the same sample in any order and from any split of the stream: partial
sketches merge to exactly the sketch of the whole. Hashes of distinct ids behave like independent uniform numbers, so
the bottom-k is a simple random sample without replacement.

Stratified, the ``minimum`` smallest hashes of every stratum are kept too and the sample is the union. Within one
stratum that is again its smallest hashes, as many as either rule asks for. How many of them come from the overall
bottom-k depends on how the hashes of different strata interleave, which is independent of which records of the stratum
have its smallest ones; so, given its number, the draw of a stratum is a simple random sample of it, and weighting each
row by (records of the stratum) / (rows drawn from it) estimates every total without bias. At least one row is kept of
every stratum, so that none goes unseen.

References: E. Cohen and H. Kaplan, "Summarizing data using bottom-k sketches", PODC 2007; N. Duffield, C. Lund and
M. Thorup, "Priority sampling for estimation of arbitrary subset sums", J. ACM 54(6), 2007.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from monitor.bottom_k import (
    BOOKKEEPING,
    COPIES,
    CUT,
    HASH,
    STRATUM,
    Hashes,
    changes,
    combine,
    cut_texts,
    filled,
    hash_ids,
    inside,
    numbers,
    rank_within,
    record_table,
    representatives,
)
from monitor.errors import SourceError
from monitor.values import SEGMENT_PREFIX, Batch, Counts, FloatArray, Sample, Window, record_schema

__all__ = ["MAX_STRATA", "Sketch", "draw"]

MAX_STRATA = 1_000
"""More strata than this are refused: every one would need rows of its own."""

_EVERYTHING = np.uint64(np.iinfo(np.uint64).max)
_PRUNE_ROWS = 4_096
_PRUNE_BYTES = 1 << 26


@dataclass(frozen=True, slots=True)
class _Design:
    """What a sketch draws; only sketches of one design can be merged."""

    window: Window | None
    size: int
    key: str
    stratify: str | None
    minimum: int
    max_characters: int
    segments: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"sample size {self.size} is below 1")
        if self.max_characters < 1:
            raise ValueError(f"max_characters {self.max_characters} is below 1")
        if self.minimum < 0:
            raise ValueError(f"minimum {self.minimum} rows per stratum is below 0")
        known = ("predicted", "label", *self.segments)
        if self.stratify is not None and self.stratify not in known:
            raise ValueError(f"cannot stratify by {self.stratify!r}; choose one of {', '.join(known)}")

    @property
    def column(self) -> str | None:
        """The column that holds the stratum."""
        plain = self.stratify in ("predicted", "label", None)
        return self.stratify if plain else f"{SEGMENT_PREFIX}{self.stratify}"

    @property
    def schema(self) -> pa.Schema:
        """The columns of a sample."""
        return record_schema(self.segments)


class Sketch:
    """An accumulator of one sample. ``add`` changes it in place; ``merge`` and ``sample`` leave it as it is.

    Every record that was added is counted exactly once, as population, empty, outside or rejected. Records with one id
    are one record: if they differ, the earliest is kept, and among those of one time the one whose content has the
    smallest digest. If they even lie in different strata, the record stands for all of these.
    """

    __slots__ = (
        "_bytes",
        "_counts",
        "_design",
        "_kept",
        "_limit",
        "_limits",
        "_new",
        "_populations",
        "_rows",
        "_strata",
    )

    def __init__(self, design: _Design) -> None:
        self._design = design
        self._counts = Counts()
        self._strata: dict[str | None, int] = {}
        self._populations: list[int] = []
        schema = design.schema
        for name, kind in BOOKKEEPING:
            schema = schema.append(pa.field(name, kind))
        self._kept: pa.Table = schema.empty_table()
        self._new: list[pa.Table] = []
        self._rows = self._bytes = 0
        self._limit = _EVERYTHING
        self._limits: Hashes = np.zeros(0, dtype=np.uint64)

    @classmethod
    def empty(
        cls,
        window: Window | None,
        size: int,
        *,
        key: str = "",
        stratify: str | None = None,
        minimum: int = 0,
        max_characters: int = 20_000,
        segments: Sequence[str] = (),
    ) -> Sketch:
        """A sketch of no records.

        Parameters
        ----------
        window
            Records outside it, and undated ones, are counted and never drawn; ``None`` takes all.
        size
            Records to draw overall, at least 1.
        key
            Another key draws another, independent sample.
        stratify, minimum
            ``predicted``, ``label`` or a segment, and how many records each of its values gets at least (null is a
            value; 0 counts as 1). The sample has then up to ``minimum`` more records per stratum than ``size``.
        max_characters
            Longer texts of drawn records are cut to this many Unicode code points.
        segments
            Names of the segment columns that the records carry.

        Raises
        ------
        ValueError
            A number is out of range, or ``stratify`` is no field.
        """
        least = minimum if stratify is None else max(minimum, 1)
        return cls(_Design(window, size, key, stratify, least, max_characters, tuple(segments)))

    def add(self, batch: Batch) -> None:
        """Take in one batch; ``ValueError`` when it lacks a segment, ``SourceError`` beyond 1,000 strata."""
        rejected = Counter(batch.rejected)
        rows = batch.rows
        if rows.column("id").null_count:
            rejected["no id"] += rows.column("id").null_count
            rows = rows.filter(pc.is_valid(rows.column("id")))
        timely = inside(rows, self._design.window)
        told = filled(rows)
        usable = timely & told
        self._counts = _plus(
            self._counts,
            Counts(
                population=int(usable.sum()),
                empty=int((timely & ~told).sum()),
                outside=int((~timely).sum()),
                rejected=rejected,
            ),
        )
        self._offer(rows if usable.all() else rows.filter(pa.array(usable)))

    def merge(self, other: Sketch) -> Sketch:
        """The sketch of both streams; associative and commutative. ``ValueError`` when they draw differently."""
        if self._design != other._design:
            raise ValueError(f"sketches of different designs cannot be merged: {self._design} and {other._design}")
        merged = Sketch(self._design)
        merged._absorb(self)
        merged._absorb(other)
        merged._prune()
        return merged

    def sample(self) -> Sample:
        """The sample of what was added so far, rows by rising hash of their id."""
        self._prune()
        entries = self._kept
        first = changes(entries, "id")
        weights = self._weights(entries)
        starts = np.flatnonzero(first)
        choice = representatives(entries, starts)
        copies = numbers(entries, COPIES)
        drawn = entries.take(pa.array(choice))
        return Sample(
            window=self._design.window,
            records=drawn.select(self._design.schema.names).combine_chunks(),
            weights=np.add.reduceat(weights, starts) if len(starts) else np.zeros(0),
            counts=replace(
                self._counts,
                sampled=len(starts),
                repeats=int(copies.sum()) - len(starts),
                overlong=int(numbers(drawn, CUT).sum()),
            ),
        )

    def _absorb(self, other: Sketch) -> None:
        self._counts = _plus(self._counts, other._counts)
        codes = np.array([self._code(stratum) for stratum in other._strata], dtype=np.int32)
        for code, population in zip(codes, other._populations, strict=True):
            self._populations[code] += population
        rows = pa.concat_tables([other._kept, *other._new])
        if rows.num_rows:
            position = rows.schema.get_field_index(STRATUM)
            self._new.append(rows.set_column(position, STRATUM, pa.array(codes[numbers(rows, STRATUM)])))

    def _offer(self, rows: pa.RecordBatch) -> None:
        """Keep the rows that could be drawn, going by what is known so far."""
        table = record_table(rows, self._design.schema)
        codes = self._codes(table)
        hashes = hash_ids(table.column("id"), self._design.key)
        low = hashes <= self._limit
        if self._design.stratify is not None:
            low |= hashes <= self._limits[codes]
        if not low.any():
            return
        chosen = np.flatnonzero(low)
        table, cut = cut_texts(table.take(pa.array(chosen)), self._design.max_characters)
        values = (hashes[chosen], codes[chosen], np.ones(len(chosen)), cut)
        for (name, kind), value in zip(BOOKKEEPING, values, strict=True):
            table = table.append_column(name, pa.array(value).cast(kind))
        self._new.append(table)
        self._rows += table.num_rows
        self._bytes += table.nbytes
        if self._rows > max(_PRUNE_ROWS, self._kept.num_rows) or self._bytes > max(_PRUNE_BYTES, self._kept.nbytes):
            self._prune()

    def _codes(self, rows: pa.Table) -> npt.NDArray[np.int32]:
        """The stratum of each row as a small number, its population counted."""
        if self._design.column is None:
            self._code(None)
            self._populations[0] += rows.num_rows
            return np.zeros(rows.num_rows, dtype=np.int32)
        found = rows.column(self._design.column).combine_chunks().dictionary_encode(null_encoding="encode")
        if len(found.dictionary) > MAX_STRATA:
            self._refuse()
        codes = np.array([self._code(s) for s in found.dictionary.to_pylist()], dtype=np.int32)
        local = found.indices.to_numpy(zero_copy_only=False)
        for code, number in zip(codes, np.bincount(local, minlength=len(codes)), strict=True):
            self._populations[code] += int(number)
        new = len(self._populations) - len(self._limits)
        self._limits = np.append(self._limits, np.full(new, _EVERYTHING))
        coded: npt.NDArray[np.int32] = codes[local]
        return coded

    def _code(self, stratum: str | None) -> int:
        code = self._strata.setdefault(stratum, len(self._strata))
        if code == len(self._populations):
            if code == MAX_STRATA:
                self._refuse()
            self._populations.append(0)
        return code

    def _refuse(self) -> None:
        raise SourceError(
            f"{self._design.stratify!r} has more than {MAX_STRATA:,} different values; stratify by a coarser field"
        )

    def _prune(self) -> None:
        """Drop what can no longer be drawn, and learn from what limit on no row can be."""
        if not self._new:
            return
        entries = combine(pa.concat_tables([self._kept, *self._new]), self._design.column)
        hashes, codes = numbers(entries, HASH), numbers(entries, STRATUM)
        first = changes(entries, "id")
        keep = np.cumsum(first) <= self._design.size
        self._limit = hashes[keep][-1] if first.sum() >= self._design.size else _EVERYTHING
        if self._design.stratify is not None:
            rank = rank_within(codes)
            keep |= rank < self._design.minimum
            self._limits = np.full(len(self._populations), _EVERYTHING)
            last = rank == self._design.minimum - 1
            self._limits[codes[last]] = hashes[last]
        self._kept, self._new = entries.take(pa.array(np.flatnonzero(keep))), []
        self._rows = self._bytes = 0

    def _weights(self, entries: pa.Table) -> FloatArray:
        """Each entry's share of its stratum: (records of the stratum) / (entries drawn from it)."""
        codes = numbers(entries, STRATUM)
        drawn = np.bincount(codes, minlength=len(self._populations))
        weights: FloatArray = (np.array(self._populations, dtype=np.float64) / np.maximum(drawn, 1))[codes]
        return weights


def draw(batches: Iterable[Batch], window: Window | None, size: int, **options: Any) -> Sample:
    """The sample of a whole stream; ``options`` are those of :meth:`Sketch.empty`."""
    sketch = Sketch.empty(window, size, **options)
    for batch in batches:
        sketch.add(batch)
    return sketch.sample()


def _plus(one: Counts, other: Counts) -> Counts:
    return Counts(
        population=one.population + other.population,
        empty=one.empty + other.empty,
        outside=one.outside + other.outside,
        rejected=dict(Counter(one.rejected) + Counter(other.rejected)),
    )
