"""Everything known of each label of a batch that has one: chances, draws of what is wrong, confident errors, neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.quality.chances import OutOfSample, likelihoods, out_of_sample, sharpness
from monitor.quality.confident import confident_places, normalised_margin, thresholds
from monitor.quality.neighbours import nearest_labels
from monitor.quality.posterior import Draws, drawn
from monitor.selection.heads import Labels
from monitor.values import Dataset, FloatArray, GateTerms, LabelBatch

__all__ = ["Evidence", "weighed"]

_WRONG, _LEAST_RATIO = 0.5, 3.0

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Of each labelled row of the batch.

    rows        its place in the batch, (n,)
    labels      as annotators gave them, (n,) object
    truth       what a person or a known answer says, (n,) object, ``None`` where nobody does
    suggested   likeliest other class, (n,) object; what is known where it is
    own, other  chances of the label and of ``suggested``, (n,)
    margin      normalised margin, (n,)
    confident   confident learning counts the label as an error, (n,) bool
    out         probable and known errors, (n,) bool
    fixed       labels that a second look has settled, (n,) bool: they enter, corrected where they were wrong
    unbacked    labels for which nothing speaks but that others of the batch are right, (n,) bool
    nearest     labels of the nearest records, (n, k) object
    draws       which labels are wrong
    """

    rows: npt.NDArray[np.int64]
    labels: Labels
    truth: Labels
    suggested: Labels
    own: FloatArray
    other: FloatArray
    margin: FloatArray
    confident: Mask
    out: Mask
    fixed: Mask
    unbacked: Mask
    nearest: Labels
    draws: Draws


def weighed(
    batch: LabelBatch, labels: Mapping[str, str], reference: Dataset, terms: GateTerms, rng: np.random.Generator
) -> Evidence:
    """Weigh the labels that conflicts have left, ``labels`` by id, against the reference."""
    rows = np.array([i for i, record in enumerate(batch.ids) if record in labels], dtype=np.int64)
    ids = [batch.ids[row] for row in rows]
    said, truth = (np.empty(len(ids), dtype=object) for _ in range(2))
    said[:] = [labels[record] for record in ids]
    truth[:] = [batch.second_look.get(record, batch.gold.get(record)) for record in ids]
    trusted = reference.column("label")
    usable = np.array([label is not None for label in trusted], dtype=bool)
    known, trusted = reference.vectors[usable], trusted[usable]
    vectors = batch.vectors[rows]
    found = out_of_sample(vectors, said, known, trusted, rng)
    usual, floor = sharpness(found.reference, found.trusted)
    temperature, _ = sharpness(found.batch, found.given, usual)
    chances, right, wrong = likelihoods(found.batch, found.given, temperature)
    every = np.arange(len(rows))
    others = chances.copy()
    others[every, found.given] = -1.0
    best = others.argmax(axis=1)
    suggested = np.array(found.classes, dtype=object)[best]
    suggested[[t is not None for t in truth]] = [t for t in truth if t is not None]
    severity = _minor_share(chances, found, terms), terms.minor_weight
    backed = (1.0 - floor) * right + floor * wrong
    draws = drawn(backed, wrong, found.given, best, severity, _known(said, truth, terms), rng)
    known_wrong = np.array([t is not None and t != s for s, t in zip(said, truth, strict=True)], dtype=bool)
    fixed = np.array([record in batch.second_look for record in ids], dtype=bool)
    return Evidence(
        rows=rows,
        labels=said,
        truth=truth,
        suggested=suggested,
        own=right,
        other=chances[every, best],
        margin=normalised_margin(chances, found.given),
        confident=_contradicted(found, chances, usual),
        out=((draws.wrong >= _WRONG) | known_wrong) & ~fixed,
        fixed=fixed,
        unbacked=(backed < _LEAST_RATIO * wrong) & ~fixed,
        nearest=nearest_labels(vectors, said, known, trusted, terms.neighbours),
        draws=draws,
    )


def _contradicted(found: OutOfSample, chances: FloatArray, usual: float) -> Mask:
    """Labels against which another class reaches its threshold, (n,) bool."""
    before, _, _ = likelihoods(found.reference, found.trusted, usual)
    bars = thresholds(np.concatenate([before, chances]), np.concatenate([found.trusted, found.given]))
    sure = confident_places(chances, bars)
    return np.asarray((sure >= 0) & (sure != found.given))


def _minor_share(chances: FloatArray, found: OutOfSample, terms: GateTerms) -> FloatArray:
    """Chance that an error in each row is a minor one, (n,)."""
    if not terms.minor:
        return np.zeros(len(chances))
    alike = np.array([[_minor(a, b, terms) for b in found.classes] for a in found.classes])
    np.fill_diagonal(alike, val=False)
    every = np.arange(len(chances))
    elsewhere = 1.0 - chances[every, found.given]
    return np.asarray((chances * alike[found.given]).sum(axis=1) / np.maximum(elsewhere, 1e-12))


def _minor(one: str, other: str, terms: GateTerms) -> bool:
    return any(one in group and other in group for group in terms.minor)


def _known(said: Labels, truth: Labels, terms: GateTerms) -> FloatArray:
    """What the error that a person found counts, NaN where nobody looked, (n,)."""
    weights = [
        np.nan if t is None else 0.0 if s == t else terms.minor_weight if _minor(s, t, terms) else 1.0
        for s, t in zip(said, truth, strict=True)
    ]
    return np.array(weights, dtype=np.float64)
