"""Chosen rows as candidates: what a person who labels them wants to see beside the text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from monitor.selection.drift_mass import kernel_block
from monitor.selection.heads import Labels
from monitor.selection.pool import Pool
from monitor.values import SEGMENT_PREFIX, Candidate, Dataset, FloatArray, Neighbour

__all__ = ["candidates", "gains", "suggested_label"]

_SHOWN = 3
_VOTERS = 5
_CLOSE = 0.5


def candidates(pool: Pool, chosen: Sequence[tuple[int, str]]) -> tuple[Candidate, ...]:
    """Candidates of the chosen ``(row, strategy)``, best first."""
    records = pool.window.records.take([row for row, _ in chosen]).to_pylist() if chosen else []
    labels, ids = pool.train.column("label"), pool.train.ids
    gained = gains(pool, [row for row, _ in chosen])
    similarities = (pool.vectors[[row for row, _ in chosen]] @ pool.train.vectors.T).astype(np.float64)
    found = []
    each = zip(chosen, records, gained, similarities, strict=True)
    for rank, ((row, strategy), record, gain, similarity) in enumerate(each, start=1):
        nearest = _largest(similarity, _SHOWN)
        found.append(
            Candidate(
                rank=rank,
                record_id=record["id"],
                strategy=strategy,
                need=float(pool.need[row]),
                gain=float(gain),
                risk=None,
                suggested_label=suggested_label(similarity, labels),
                neighbours=tuple(
                    Neighbour(ids[i], labels[i], float(np.clip(similarity[i], -1.0, 1.0))) for i in nearest
                ),
                reason=_reason(strategy, float(pool.mass.ratio[row])),
                duplicates=pool.duplicates(row),
                text=record["text"],
                observed_at=record["observed_at"],
                predicted=record["predicted"],
                confidence=record["confidence"],
                segments=_segments(pool.window, record),
                vector=np.ascontiguousarray(pool.vectors[row], dtype="<f4").tobytes(),
            )
        )
    return tuple(found)


def gains(pool: Pool, rows: Sequence[int]) -> FloatArray:
    """What each row adds to the need that the rows before it cover, as a share of all need in the pool.

    A record's need is covered as far as the kernel reaches: sum_z w(z) need(z) max over rows of k(row, z), the facility location
    function, so that gains sum to at most one and a second of a kind adds little.

    Returns
    -------
    (k,) float64 in [0, 1]
    """
    wanted = pool.window.weights * pool.need
    total, covered, found = float(wanted.sum()), np.zeros(len(wanted)), []
    for row in rows:
        reach = np.maximum(covered, kernel_block(pool.vectors, pool.vectors[row : row + 1], pool.bandwidth)[:, 0])
        found.append(float(wanted @ (reach - covered)) / total if total > 0 else 0.0)
        covered = reach
    return np.asarray(np.clip(found, 0.0, 1.0), dtype=np.float64)


def suggested_label(similarity: FloatArray, labels: Labels) -> str | None:
    """The label most of the near training records have, weighted by similarity; ``None`` when none is near.

    The five most similar labelled records vote, those with a cosine of at least 0.5. Where none is that near there is
    no suggestion: the model's own class stands beside it anyway, and on a new topic it would only mislead.
    """
    near = np.flatnonzero(similarity >= _CLOSE)
    near = near[[label is not None for label in labels[near]]]
    votes: dict[str, float] = defaultdict(float)
    for i in near[_largest(similarity[near], _VOTERS)]:
        votes[labels[i]] += float(similarity[i])
    return min(votes, key=lambda label: (-votes[label], label)) if votes else None


def _largest(values: FloatArray, count: int) -> npt.NDArray[np.int64]:
    """Where the largest values are, largest first; ties by position."""
    if len(values) > count:
        among = np.flatnonzero(values >= np.partition(values, -count)[-count])
    else:
        among = np.arange(len(values))
    return among[np.argsort(-values[among], kind="stable")[:count]]


def _reason(strategy: str, ratio: float) -> str:
    if strategy == "random":
        return "Drawn at random, so that labels also tell how well the model does on the rest of the traffic."
    times = f"{ratio:.1f}" if ratio <= 100 else "over 100"
    return f"Its neighbourhood holds {times} times the traffic that the training data explain."


def _segments(window: Dataset, record: dict[str, object]) -> dict[str, str]:
    values = {name: record[SEGMENT_PREFIX + name] for name in window.segments}
    return {name: str(value) for name, value in values.items() if value is not None}
