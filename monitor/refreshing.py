"""What a refresh with the labels in hand would do, and the files that whoever retrains the model needs for it."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from monitor.answers import Audit, answers_of, audit_of
from monitor.desk import Desk, Monitor
from monitor.embedders import Progress
from monitor.embedders.comparable import check_dimension
from monitor.embedders.unit_rows import to_dataset
from monitor.errors import ConfigError
from monitor.sampling import draw
from monitor.selection import Pool
from monitor.selection.distillation import Additions, Targets, added_weights, imitation_targets
from monitor.selection.flips import parts
from monitor.selection.forecast import Forecast, forecast
from monitor.selection.risk import influence_on, label_risk
from monitor.values import Dataset, FloatArray, Reference, Run
from monitor.whole_files import write_whole

__all__ = ["Prospect", "prospect", "write_files"]


@dataclass(frozen=True)
class Prospect:
    """A refresh that has not happened yet.

    told       records with useful labels
    additions  their weights, and which of them another person should check
    risks      share of part A of the protected set that each label alone would break
    targets    what a single model should imitate; ``None`` without a head
    audit      how the model did on the random share; ``None`` before any of it is labelled
    """

    pool: Pool
    told: Dataset
    forecast: Forecast
    additions: Additions
    risks: Mapping[str, float]
    targets: Targets | None
    audit: Audit | None


def prospect(
    monitor: Monitor, run: Run, reference: Reference, desk: Desk, progress: Progress | None = None
) -> Prospect:
    """Draw the run's window again and judge a refresh with the labels that have come in.

    ``ConfigError`` when there are none, or the window has no usable record any more.
    """
    answers = answers_of(monitor, reference, desk)
    if answers is None or not answers.useful.any():
        raise ConfigError(
            f"{monitor.name} has no label that its reference does not hold; label the candidates of a ticket and "
            f"drift-monitor labels import FILE --monitor {monitor.name}"
        )
    sample = draw(monitor.source.read(run.window), run.window, **monitor.sampling)
    if not len(sample):
        raise ConfigError(f"{monitor.name} has no usable record in {run.window} any more")
    current, _ = to_dataset(monitor.embedder, sample, progress)
    check_dimension(current, reference)
    current = replace(current, embedder=reference.embedder)
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(run.id.encode()).digest()[:8], "big"))
    pool = monitor.mixture.pool(reference, current, rng, answers)
    told = answers.data.take(answers.useful)
    risks = _risks(pool, told)
    by_record = dict(zip(told.ids, risks.tolist(), strict=True))
    expected = forecast(pool, (), monitor.negative_flips, rng)
    additions, audit = added_weights(told.ids, risks), audit_of(monitor, reference, desk)
    return Prospect(pool, told, expected, additions, by_record, _targets(pool), audit)


def _risks(pool: Pool, told: Dataset) -> FloatArray:
    head = pool.old_head
    known = pool.protected.column("label")
    first = parts(pool.protected)[0] & np.array([label is not None for label in known], dtype=bool)
    if head is None or not first.any():
        return np.zeros(len(told))
    influence = influence_on(head, pool.train.vectors, pool.protected.vectors[first], known[first])
    return label_risk(influence, told.vectors, told.column("label"))


def _targets(pool: Pool) -> Targets | None:
    if pool.old_head is None:
        return None
    chances = np.exp(pool.old_head.log_chances(pool.vectors))
    return imitation_targets(pool.window.ids, pool.old_head.classes, chances, pool.mass.excess, [])


def write_files(found: Prospect, folder: Path, about: Mapping[str, Any]) -> list[str]:
    """Labels with weights, imitation targets, the gate, and a manifest with checksums, written last; file names."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {"labels.parquet": _labels(found)}
    if found.targets is not None:
        contents["imitation.parquet"] = _imitation(found, found.targets)
    if found.forecast.gate is not None:
        stream = io.BytesIO()
        found.forecast.gate.save(stream)
        contents["gate.npz"] = stream.getvalue()
    for name, content in contents.items():
        write_whole(folder / name, content)
    files = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    write_whole(
        folder / "manifest.json", json.dumps({**about, "files": files}, indent=2, default=asdict).encode() + b"\n"
    )
    return [*contents, "manifest.json"]


def _labels(found: Prospect) -> bytes:
    data = found.told
    table = pa.table(
        {
            "id": data.ids,
            "text": data.records.column("text"),
            "label": data.records.column("label"),
            "weight": found.additions.weights,
            "risk": [found.risks[record] for record in data.ids],
            "second_look": found.additions.second_look,
        }
    )
    return _parquet(table)


def _imitation(found: Prospect, targets: Targets) -> bytes:
    texts = dict(zip(found.pool.window.ids, found.pool.window.column("text"), strict=True))
    table = pa.table(
        {
            "id": list(targets.ids),
            "text": pa.array([texts[record] for record in targets.ids], pa.string()),
            "weight": targets.weights,
            **{f"chance.{name}": targets.chances[:, i] for i, name in enumerate(targets.classes)},
        }
    )
    return _parquet(table)


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()
