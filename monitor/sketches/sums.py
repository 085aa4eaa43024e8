"""Block sums of windows and references: made in one pass with constant memory, merged in any order to the same bits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from monitor.detectors.blocks import Blocks, blocks_of
from monitor.detectors.segments import ordered
from monitor.errors import ComparisonError
from monitor.sketches.features import CHUNK, row_features
from monitor.sketches.plan import CONFIDENCE_UNIT, Plan, in_plan
from monitor.values import SEGMENT_PREFIX, BlockSums, Dataset, Reference

__all__ = ["Accumulator", "block_sums", "coarsened", "dealt", "reference_sums"]

Codes = npt.NDArray[np.int64]

_FEWEST = 20
_A_FEW = 4


def _hashes(keys: Iterable[str]) -> npt.NDArray[np.uint64]:
    digests = b"".join([blake2b(f"sketch {key}".encode(), digest_size=8).digest() for key in keys])
    return np.frombuffer(digests, dtype=">u8").astype(np.uint64)


def _check(plan: Plan, data: Dataset) -> None:
    if data.embedder != plan.embedder or data.vectors.shape[1] != len(plan.ruler.live):
        raise ComparisonError(
            f"vectors of {data.embedder} ({data.vectors.shape[1]} dimensions) do not fit the sketches of a reference "
            f"embedded by {plan.embedder} ({len(plan.ruler.live)} dimensions); use one embedder for both"
        )
    broken = int((~np.isfinite(data.vectors).all(axis=1)).sum())
    if broken:
        raise ComparisonError(f"{broken} of {len(data)} vectors hold NaN or infinity; embed these records again")


def _thinned(data: Dataset) -> Dataset:
    """Rows thinned to equal weights by a hash of their ids: a sum knows no weights."""
    most = data.weights.max(initial=0.0)
    if most <= 0 or np.all(data.weights == most):
        return data
    drawn = _hashes(f"weight {record}" for record in data.ids) / 2.0**64
    return data.take(drawn < data.weights / most)


def _other_columns(plan: Plan, data: Dataset) -> tuple[Codes, Codes, Codes]:
    """Class of each row as a number from 0 on; its confidence in units, 0 where missing; and whether that is known."""
    codes = np.full(len(data), len(plan.classes) + 1, dtype=np.int64)
    if any(data.records.column(name).null_count < len(data) for name in ("predicted", "label")):
        number = {name: code for code, name in enumerate(plan.classes)} | {None: len(plan.classes) + 1}
        codes[:] = [number.get(name, len(plan.classes)) for name in data.classes.tolist()]
    confidence = np.asarray(data.records.column("confidence").to_numpy(zero_copy_only=False), dtype=np.float64)
    known = np.isfinite(confidence)
    units = np.rint(np.clip(np.where(known, confidence, 0.0), 0.0, 1.0) * CONFIDENCE_UNIT)
    return codes, units.astype(np.int64), known.astype(np.int64)


def _add(plan: Plan, data: Dataset, targets: list[tuple[Codes, Codes, Codes]]) -> None:
    """Add each row to its block in each target: block numbers (-1 for none), (g,) rows and (g, f) sums."""
    places = plan.columns
    classes, confidence, known = _other_columns(plan, data)
    for start in range(0, len(data), CHUNK):
        part = slice(start, min(start + CHUNK, len(data)))
        features = row_features(plan, data.vectors[part])
        for codes, counts, sums in targets:
            mine = codes[part]
            inside = np.flatnonzero(mine >= 0)
            groups = mine[inside]
            chosen = csr_array(
                (np.ones(len(inside), dtype=np.float32), (groups, inside)), shape=(len(counts), len(features))
            )
            sums[:, : places["novel"].stop] += np.rint(chosen @ features).astype(np.int64)
            counts[:] += np.bincount(groups, minlength=len(counts))
            np.add.at(sums, (groups, places["classes"].start + classes[part][inside]), 1)
            np.add.at(sums, (groups, places["confidence"].start), confidence[part][inside])
            np.add.at(sums, (groups, places["confident"].start), known[part][inside])


def _finished(plan: Plan, segment: str, rows: Codes, sums: Codes) -> BlockSums:
    return BlockSums(plan.fingerprint, segment, rows[rows > 0], sums[rows > 0])


def _grouped(data: Dataset, blocks: Blocks, most: int) -> Codes:
    """Each row's group, in [0, most): whole blocks, neighbours in time together, else dealt out by a hash of their first id."""
    first: dict[int, str] = {}
    for code, record in zip(blocks.codes.tolist(), data.ids, strict=True):
        if code not in first or record < first[code]:
            first[code] = record
    if blocks.rule == "time":
        # Blocks of time are numbered in time order.
        return blocks.codes * min(most, blocks.count) // max(blocks.count, 1)
    names = [first[code] for code in range(blocks.count)]
    order = np.lexsort((np.array(names, dtype=object), _hashes(names)))
    group = np.empty(blocks.count, dtype=np.int64)
    group[order] = np.arange(blocks.count) % most
    return group[blocks.codes]


def block_sums(plan: Plan, data: Dataset, most_blocks: int = 16, segments: int = 20) -> dict[str, BlockSums]:
    """Sums of a window, of all traffic as ``""`` and of its largest segments as ``field=value``.

    Blocks are those of :func:`monitor.detectors.blocks.blocks_of`, put together without looking at their content into at
    most ``most_blocks`` groups of about equal size. Rows of unequal weight are thinned by a hash of their ids first.

    Parameters
    ----------
    data : with vectors of the plan's embedder
    most_blocks : blocks kept at most, >= 1
    segments : values of each segment field at most; those with the most rows, and at least 20

    Returns
    -------
    nothing under ``""`` when there is no row
    """
    _check(plan, data)
    data = _thinned(data)
    if not len(data):
        return {}
    groups = _grouped(data, blocks_of(data), most_blocks)
    return _summed(plan, data, [("", groups), *_by_segment(data, groups, segments)])


def _by_segment(data: Dataset, groups: Codes, segments: int) -> list[tuple[str, Codes]]:
    """Each row's group in the largest segments, -1 outside."""
    targets = []
    for field in data.segments:
        values = data.column(SEGMENT_PREFIX + field)
        named, counts = np.unique([value or "" for value in values], return_counts=True)
        by_size = sorted(zip(named.tolist(), counts.tolist(), strict=True), key=lambda pair: (-pair[1], pair[0]))
        large = [value for value, count in by_size if value and count >= _FEWEST][:segments]
        targets += [(f"{field}={value}", np.where(values == value, groups, -1)) for value in large]
    return targets


def _summed(plan: Plan, data: Dataset, targets: list[tuple[str, Codes]]) -> dict[str, BlockSums]:
    room = [
        (codes, np.zeros(int(codes.max()) + 1, np.int64), np.zeros((int(codes.max()) + 1, plan.width), np.int64))
        for _, codes in targets
    ]
    _add(plan, data, room)
    return {
        segment: _finished(plan, segment, rows, sums)
        for (segment, _), (_, rows, sums) in zip(targets, room, strict=True)
    }


def reference_sums(
    plan: Plan, reference: Reference, most_blocks: int = 512, segments: int = 20
) -> dict[str, BlockSums]:
    """Sums of the reference rows that the plan was not made from, by segment as :func:`block_sums` gives them."""
    data = ordered(reference.everything)
    _check(plan, data)
    blocks = blocks_of(data)
    kept = ~in_plan(data, blocks)
    _, codes = np.unique(blocks.codes[kept], return_inverse=True)
    rest = Blocks(codes.astype(np.int64), int(codes.max(initial=-1)) + 1, blocks.rule)
    part = data.take(kept)
    groups = _grouped(part, rest, most_blocks)
    return _summed(plan, part, [("", groups), *_by_segment(part, groups, segments)])


def dealt(reference: BlockSums, like: BlockSums) -> list[BlockSums]:
    """Sums of a reference as windows of the size of another: as many blocks each, with about as many records.

    Blocks change places in a test, so those of a large reference must not be larger than those of a window.
    """
    size = like.rows.sum() / max(len(like.rows), 1)
    whole = coarsened(reference, max(1, round(float(reference.rows.sum() / max(size, 1.0)))))
    starts = range(0, len(whole.rows), max(len(like.rows), 1))
    return [
        BlockSums(whole.plan, whole.segment, whole.rows[i : i + len(like.rows)], whole.sums[i : i + len(like.rows)])
        for i in starts
    ]


@lru_cache(maxsize=256)
def _starts(count: int, most_blocks: int) -> Codes:
    """The first of the blocks that are added up to each of ``most_blocks``."""
    return np.unique(-(-np.arange(most_blocks) * count // most_blocks))


def coarsened(window: BlockSums, most_blocks: int) -> BlockSums:
    """Neighbouring blocks added up until at most ``most_blocks`` are left."""
    count = len(window.rows)
    if count <= most_blocks:
        return window
    starts = _starts(count, most_blocks)
    return BlockSums(window.plan, window.segment, _added(window.rows, starts), _added(window.sums, starts))


def _added(values: Codes, starts: Codes) -> Codes:
    """Neighbours added up from each start to before the next, as ``np.add.reduceat`` does, which is slow for a few at a time."""
    sizes = np.diff(starts, append=len(values))
    largest = int(sizes.max())
    if largest > _A_FEW:
        return np.add.reduceat(values, starts, axis=0)
    found = values[starts]
    for step in range(1, largest):
        more = np.flatnonzero(sizes > step)
        found[more] += values[starts[more] + step]
    return found


@dataclass(slots=True)
class Accumulator:
    """Sums of a stream in constant memory. A record's block is a hash of its ``block``, else of its id.

    Parts made by different workers, in any order and cut anywhere, merge to the same bits.

    plan    how features are made
    rows    (g,) int64
    sums    (g, f) int64
    """

    plan: Plan
    rows: Codes
    sums: Codes

    @classmethod
    def empty(cls, plan: Plan, blocks: int = 16) -> Accumulator:
        """Nothing yet, for this many blocks."""
        return cls(plan, np.zeros(blocks, dtype=np.int64), np.zeros((blocks, plan.width), dtype=np.int64))

    def add(self, data: Dataset) -> None:
        """Add records; their weights do not count."""
        _check(self.plan, data)
        given = data.records.column("block").to_pylist()
        keys = [f"b{b}" if b is not None else f"r{i}" for b, i in zip(given, data.ids, strict=True)]
        codes = (_hashes(keys) % np.uint64(len(self.rows))).astype(np.int64)
        _add(self.plan, data, [(codes, self.rows, self.sums)])

    def merge(self, other: Accumulator) -> None:
        """Add what another has summed; ``ValueError`` for another plan or number of blocks."""
        if other.plan.fingerprint != self.plan.fingerprint or len(other.rows) != len(self.rows):
            raise ValueError("sums of different plans or numbers of blocks cannot be merged")
        self.rows += other.rows
        self.sums += other.sums

    def finished(self, segment: str = "") -> BlockSums:
        """The blocks that have records."""
        return _finished(self.plan, segment, self.rows, self.sums)
