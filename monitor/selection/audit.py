"""Records of a calm window to be labelled for one reason: to know how the model does."""

from __future__ import annotations

import numpy as np

from monitor.selection.mixture import RANDOM
from monitor.values import SEGMENT_PREFIX, Candidate, Dataset

__all__ = ["audited"]

_REASON = "Drawn at random, to know how well the model does on production."


def audited(window: Dataset, count: int, rng: np.random.Generator) -> tuple[Candidate, ...]:
    """At most ``count`` records, each as likely as any record of production it stands for, in the order drawn.

    Drawn one after another with chances in proportion to weight (Efraimidis & Spirakis, "Weighted random sampling with a reservoir",
    Information Processing Letters 97, 2006), like the random share of a ticket, so that both are one sample.
    """
    lots = rng.exponential(size=len(window)) / np.maximum(window.weights, np.finfo(np.float64).tiny)
    rows = np.argsort(lots, kind="stable")[:count]
    return tuple(
        Candidate(
            rank=rank,
            record_id=record["id"],
            strategy=RANDOM,
            need=0.0,
            gain=0.0,
            risk=None,
            suggested_label=None,
            neighbours=(),
            reason=_REASON,
            text=record["text"],
            observed_at=record["observed_at"],
            predicted=record["predicted"],
            confidence=record["confidence"],
            segments={
                name: record[SEGMENT_PREFIX + name]
                for name in window.segments
                if record[SEGMENT_PREFIX + name] is not None
            },
        )
        for rank, record in enumerate(window.records.take(rows).to_pylist(), start=1)
    )
