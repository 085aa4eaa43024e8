"""Labels that have come in and that the reference does not hold yet: what the next batch can learn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from monitor.desk import Desk, Monitor
from monitor.selection import Answers
from monitor.values import SEGMENT_PREFIX, Candidate, Dataset, Estimate, Reference, record_schema
from monitor.verification import running_accuracy

__all__ = ["Audit", "answers_of", "as_dataset", "audit_of"]


def answers_of(monitor: Monitor, reference: Reference, desk: Desk) -> Answers | None:
    """Labelled candidates of this monitor, with the vectors they were proposed with; ``None`` when there are none."""
    size = 4 * reference.train.vectors.shape[1]
    known = set(reference.everything.ids)
    labelled = desk.store.labelled_candidates(monitor.name, embedder=reference.embedder)
    found = [c for c in labelled if c.record_id not in known and c.vector is not None and len(c.vector) == size]
    return Answers(as_dataset(found, reference), monitor.junk) if found else None


@dataclass(frozen=True, slots=True)
class Audit:
    """How the model in production did on records drawn at random: an unbiased view of it on the traffic of their windows.

    right     of ``told``, those whose label is what the model had predicted
    junk      further ones that were called junk
    accuracy  share of traffic that was right, with its 95 % interval: windows weigh by their records
    """

    right: int
    told: int
    junk: int
    accuracy: Estimate


def audit_of(monitor: Monitor, reference: Reference, desk: Desk) -> Audit | None:
    """Labels of random records that the reference does not hold yet, since the model went live; ``None`` when there are none."""
    known = set(reference.everything.ids)
    models = desk.store.deployments(monitor.name)
    drawn = [
        one
        for one in desk.store.checked(monitor.name)
        if one.record_id not in known and (not models or one.at >= models[0].live_at)
    ]
    if not drawn:
        return None
    accuracy, told = running_accuracy(drawn, monitor.junk)
    right = sum(one.label == one.predicted for one in drawn if one.label not in monitor.junk)
    return Audit(right, told, len(drawn) - told, accuracy or Estimate(0.0, 0.0, 1.0))


def as_dataset(found: list[Candidate], reference: Reference) -> Dataset:
    """Candidates with vectors as records of the reference's kind."""
    segments = reference.train.segments
    columns = {
        "id": [c.record_id for c in found],
        "text": [c.text for c in found],
        "observed_at": [c.observed_at for c in found],
        "predicted": [c.predicted for c in found],
        "confidence": [c.confidence for c in found],
        "label": [c.label for c in found],
        **{SEGMENT_PREFIX + name: [c.segments.get(name) for c in found] for name in segments},
    }
    schema = record_schema(segments)
    arrays = [pa.array(columns.get(f.name, [None] * len(found)), type=f.type) for f in schema]
    vectors = np.stack([np.frombuffer(c.vector or b"", dtype="<f4") for c in found]).astype(np.float32)
    return Dataset(pa.Table.from_arrays(arrays, schema=schema), vectors, np.ones(len(found)), reference.embedder)
