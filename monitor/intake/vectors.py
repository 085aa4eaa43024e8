"""Records that labels are for, with their vectors: as they were proposed, else embedded again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from monitor.embedders.unit_rows import to_dataset
from monitor.errors import ConfigError
from monitor.intake.outcome import Case
from monitor.store import Proposed
from monitor.values import SEGMENT_PREFIX, Candidate, Counts, Dataset, Reference, Sample, Vectors, record_schema
from monitor.wiring import embedder_of

__all__ = ["Located", "located"]


@dataclass(frozen=True, slots=True)
class Located:
    """``vectors`` of length one and ``segments`` by record; ``candidates`` those that a run proposed."""

    vectors: Mapping[str, Vectors]
    segments: Mapping[str, Mapping[str, str | None]]
    candidates: Mapping[str, Candidate]

    def dataset(self, labels: Mapping[str, str], reference: Reference) -> Dataset | None:
        """Candidates under these labels as records of the reference's kind, in the order of ids; ``None`` when there are none."""
        found = [
            self.candidates[record] for record in sorted(labels) if record in self.candidates and record in self.vectors
        ]
        if not found:
            return None
        table = _table(found, [labels[one.record_id] for one in found], reference.train.segments)
        vectors = np.stack([self.vectors[one.record_id] for one in found])
        return Dataset(table, vectors, np.ones(len(found)), reference.embedder)


def located(case: Case, reference: Reference, records: Sequence[str]) -> Located:
    """Those of these records that have a vector, or a text to make one of."""
    proposed = case.store.proposed(case.monitor.name, records)
    train = reference.train
    wanted = set(records)
    rows = {record: row for row, record in enumerate(train.ids) if record in wanted}
    vectors = {record: train.vectors[row] for record, row in rows.items()}
    missing = []
    for record, one in proposed.items():
        held = None if record in vectors else _held(one, reference)
        if held is not None:
            vectors[record] = held
        elif record not in vectors and one.candidate.text:
            missing.append(one.candidate)
    vectors |= _embedded(case, reference, missing)
    candidates = {record: one.candidate for record, one in proposed.items()}
    names = train.segments
    columns = {name: train.column(SEGMENT_PREFIX + name) for name in names}
    segments = {record: {name: columns[name][row] for name in names} for record, row in rows.items()}
    segments |= {
        record: {name: one.segments.get(name) for name in names}
        for record, one in candidates.items()
        if record not in segments
    }
    return Located(vectors, segments, candidates)


def _held(one: Proposed, reference: Reference) -> Vectors | None:
    """The vector it was proposed with, if it can stand beside the reference's."""
    vector = one.candidate.vector
    fits = (
        vector is not None
        and one.embedder == reference.embedder
        and len(vector) == 4 * reference.train.vectors.shape[1]
    )
    return np.frombuffer(vector or b"", dtype="<f4").astype(np.float32) if fits else None


def _embedded(case: Case, reference: Reference, found: Sequence[Candidate]) -> dict[str, Vectors]:
    embedder, bare = embedder_of(case.settings, case.monitor) if found else (None, None)
    if embedder is None or bare is None or bare.reads != "text":
        return {}
    if embedder.fingerprint != reference.embedder:
        raise ConfigError(
            f"{case.monitor.name}: texts are embedded by {embedder.fingerprint}, its newest training set by "
            f"{reference.embedder}; drift-monitor reference build first"
        )
    table = _table(found, [None] * len(found), reference.train.segments)
    sample = Sample(None, table, np.ones(len(found)), Counts(len(found), len(found)))
    data, _ = to_dataset(embedder, sample, case.progress)
    return dict(zip(data.ids, data.vectors, strict=True))


def _table(found: Sequence[Candidate], labels: Sequence[str | None], segments: Sequence[str]) -> pa.Table:
    schema = record_schema(segments)
    columns = {
        "id": [one.record_id for one in found],
        "text": [one.text for one in found],
        "observed_at": [one.observed_at for one in found],
        "label": list(labels),
        **{SEGMENT_PREFIX + name: [one.segments.get(name) for one in found] for name in segments},
    }
    return pa.Table.from_arrays(
        [pa.array(columns.get(f.name, [None] * len(found)), type=f.type) for f in schema], schema=schema
    )
