"""A refresh verified: predictions read, matched with the records whose true labels are known, compared."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from monitor.errors import ConfigError
from monitor.selection.flips import parts
from monitor.selection.mixture import RANDOM
from monitor.sources import Source
from monitor.values import (
    SEGMENT_PREFIX,
    Candidate,
    Checked,
    FloatArray,
    Reference,
    Run,
    State,
    Verification,
    VerifiedSet,
)
from monitor.verification import judge, verified_set
from monitor.verification.accuracy import weights_of

__all__ = ["Known", "Predictions", "episode", "known_records", "read_ids", "read_predictions", "verify"]

_NO_NEW, _NO_OLD = "without a new prediction", "without an old prediction"


@dataclass(frozen=True, slots=True)
class Known:
    """A record that both models are asked about.

    label    ``None`` while nobody has told
    drawn    for one drawn at random, its window and how many records that had
    skipped  why it is left out, if it is
    """

    record_id: str
    label: str | None
    segments: Mapping[str, str | None]
    drawn: Checked | None = None
    skipped: str = ""


@dataclass(frozen=True)
class Predictions:
    """One model's classes by record id, and what else the file held, by reason."""

    name: str
    classes: Mapping[str, str]
    ignored: Mapping[str, int] = field(default_factory=dict)


def episode(runs: Sequence[Run]) -> list[Run]:
    """The newest drifted run and those before it since the alarm went on that drifted too, oldest first."""
    drifted = [run for run in runs if run.decision is not None and run.decision.state is State.DRIFTED]
    if not drifted:
        return []
    newest = max(drifted, key=lambda run: run.window.start)
    evidence = newest.decision.evidence if newest.decision is not None else {}
    since = evidence.get("alarm_since", 0.0) or newest.window.end.timestamp()
    found = [run for run in drifted if since <= run.window.end.timestamp() <= newest.window.end.timestamp()]
    return sorted(found, key=lambda run: run.window.start)


def known_records(
    reference: Reference, runs: Sequence[Run], junk: Collection[str], *, gated: bool = False
) -> dict[str, list[Known]]:
    """Protected records of the reference and candidates of the runs.

    With ``gated`` only those protected records that the gate of ``refresh export`` was not tuned on.
    """
    protected = reference.protected.take(parts(reference.protected)[1]) if gated else reference.protected
    labels = protected.column("label")
    segments = {name: protected.column(SEGMENT_PREFIX + name) for name in protected.segments}
    held = [
        Known(record, labels[row], {name: values[row] for name, values in segments.items()})
        for row, record in enumerate(protected.ids)
    ]
    drifted: dict[str, Known] = {}
    for run in runs:
        for one in run.candidates:
            drifted.setdefault(one.record_id, _candidate(run, one, junk))
    return {"protected": held, "drifted": list(drifted.values())}


def _candidate(run: Run, one: Candidate, junk: Collection[str]) -> Known:
    drawn = None
    if one.strategy == RANDOM and one.label is not None:
        said = one.predicted or ""
        drawn = Checked(run.window, run.counts.population, one.record_id, said, one.label, one.observed_at)
    return Known(one.record_id, one.label, one.segments, drawn, "junk" if one.label in junk else "")


def read_ids(source: Source) -> set[str]:
    """Ids of a source."""
    return {record for batch in source.read(None) for record in batch.rows.column("id").to_pylist()}


def read_predictions(source: Source, name: str, wanted: Collection[str]) -> Predictions:
    """The class of each wanted record; a record with two different ones has none.

    Raises
    ------
    ConfigError
        when no wanted record has a prediction, for then the ids must be other ones
    SourceError
        when the source cannot be read
    """
    found: dict[str, str | None] = {}
    ignored: Counter[str] = Counter()
    contradicting: set[str] = set()
    for batch in source.read(None):
        ignored.update(batch.rejected)
        columns = (batch.rows.column(column).to_pylist() for column in ("id", "predicted"))
        for record, predicted in zip(*columns, strict=True):
            if record not in wanted:
                ignored["of other records"] += 1
            elif predicted is None or predicted == "":
                ignored["without a class"] += 1
            elif record in found:
                ignored["given again"] += 1
                if found[record] != predicted:
                    contradicting.add(record)
            else:
                found[record] = predicted
    kept = {record: said for record, said in found.items() if said is not None and record not in contradicting}
    if contradicting:
        ignored["contradicting each other"] += len(contradicting)
    if not kept:
        rows = sum(ignored.values())
        raise ConfigError(
            f"{name}: none of its {rows:,} rows is a prediction for one of the {len(wanted):,} protected and labelled records; "
            "are these the ids of the reference? Check --id-column and --prediction-column (refresh.id, refresh.predicted)"
        )
    return Predictions(name, kept, dict(ignored))


def verify(
    reference: Reference,
    runs: Sequence[Run],
    known: Mapping[str, Sequence[Known]],
    predictions: tuple[Predictions, Predictions],
    *,
    budget: float,
    made_at: datetime,
    trained_on: Collection[str] | None = None,
    dataset_version: int | None = None,
) -> Verification:
    """Both models on the protected and on the drifted records, and whether the new one keeps the budget.

    ``trained_on`` are ids that the new model learnt from, ``None`` when nobody said.

    Raises
    ------
    ConfigError
        when hardly any predicted class is one that the reference or a label knows
    """
    old, new = predictions
    classes = _classes(reference, known)
    ignored = {
        f"{side}: {reason}": number
        for side, one in (("old", old), ("new", new))
        for reason, number in {**one.ignored, **_unheard_of(one, classes)}.items()
    }
    learnt = trained_on or ()
    held = _compared("protected", known["protected"], predictions, learnt)
    told = _compared("drifted", known["drifted"], predictions, learnt)
    drawn = [one for one in known["drifted"] if one.drawn is not None]
    weights = dict(
        zip((one.record_id for one in drawn), weights_of([d for one in drawn if (d := one.drawn)]), strict=True)
    )
    random = _compared("random", drawn, predictions, learnt, weights)
    missing = held.left_out.get(_NO_NEW, 0)
    says = f"{reference.name}|{made_at.isoformat()}|{old.name}|{new.name}"
    return Verification(
        id=hashlib.sha256(says.encode("utf-8", "replace")).hexdigest()[:16],
        monitor=reference.name,
        made_at=made_at,
        reference_version=reference.version,
        old=old.name,
        new=new.name,
        windows=tuple(run.window.start for run in runs),
        budget=budget,
        verdict=judge(held.overall, budget, missing),
        sets=(held, told, random),
        ignored=ignored,
        held_out=trained_on is not None,
        dataset_version=dataset_version,
    )


def _classes(reference: Reference, known: Mapping[str, Sequence[Known]]) -> set[str]:
    everything = reference.everything
    there = {*everything.column("label"), *everything.column("predicted")}
    return {str(one) for one in there | {k.label for some in known.values() for k in some} if one is not None}


def _unheard_of(one: Predictions, classes: Collection[str]) -> dict[str, int]:
    strange = Counter(said for said in one.classes.values() if said not in classes)
    number = sum(strange.values())
    if 2 * number > len(one.classes):
        # The strange ones are not quoted: they may be another column, with texts.
        there = ", ".join(sorted(classes)[:5])
        raise ConfigError(
            f"{one.name}: {number:,} of {len(one.classes):,} predictions are classes that no label knows; the reference has "
            f"{there[:300]}. Check --prediction-column (refresh.predicted), and write classes as the labels do"
        )
    return {"of a class that no label knows": number} if number else {}


def _compared(
    name: str,
    records: Sequence[Known],
    predictions: tuple[Predictions, Predictions],
    trained_on: Collection[str],
    weights: Mapping[str, float] | None = None,
) -> VerifiedSet:
    old, new = predictions[0].classes, predictions[1].classes
    reasons = [_reason(one, old, new, trained_on) for one in records]
    kept = [one for one, reason in zip(records, reasons, strict=True) if not reason]
    ids = [one.record_id for one in kept]
    labels = (
        _objects(one.label for one in kept),
        _objects(old[record] for record in ids),
        _objects(new[record] for record in ids),
    )
    segments = {name: _objects(one.segments.get(name) for one in kept) for name in _segments(kept)}
    heavy: FloatArray | None = None if weights is None else np.array([weights[record] for record in ids])
    return verified_set(name, ids, labels, segments, heavy, Counter(reason for reason in reasons if reason))


def _reason(one: Known, old: Mapping[str, str], new: Mapping[str, str], trained_on: Collection[str]) -> str:
    """Why a record is not compared."""
    if one.label is None:
        return "without a label"
    if one.skipped:
        return one.skipped
    if one.record_id in trained_on:
        return "that it was trained on"
    if one.record_id not in new:
        return _NO_NEW
    return _NO_OLD if one.record_id not in old else ""


def _segments(records: Iterable[Known]) -> list[str]:
    return list(dict.fromkeys(name for one in records for name in one.segments))


def _objects(values: Iterable[object]) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    listed = list(values)
    found = np.empty(len(listed), dtype=object)
    found[:] = listed
    return found
