"""Batches of labels as a refresh would bring them, with labels spoilt in known ways, and a trusted reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from real_data import Embedded, embedded
from sklearn.cluster import KMeans

from monitor.values import Dataset, LabelBatch, Vectors, Vote, record_schema

__all__ = ["SPOILT", "Labelled", "as_batch", "as_reference", "drawn_batch", "spoilt"]

SPOILT = ("clean", "5 % uniform", "half of a class, to one", "half of a class, to any", "half of a class, to its like")
NEW_SHARE, LEAST = 5, 8

Rows = np.ndarray
Strings = np.ndarray


@dataclass(frozen=True)
class Labelled:
    """One batch.

    given, truth  (n,) object
    bad           the class that was spoilt
    """

    vectors: Vectors
    given: Strings
    truth: Strings
    reference: Vectors
    trusted: Strings
    bad: str | None = None

    @property
    def wrong(self) -> Rows:
        return np.asarray(self.given != self.truth)


def drawn_batch(name: str, sort: str, size: int, classes: int, reference: int, seed: int) -> Labelled:
    """Records of some classes, and a reference of the rest.

    sort  ``plain``: like the reference; ``new classes``: the reference lacks a fifth of the classes; ``new wording``: half of the
          batch is of clusters, one of three in each class, that the reference lacks
    """
    data, rng = embedded(name), np.random.default_rng([len(name), len(sort), size, seed])
    usable = np.array(sorted(set(data.label) - {"oos"}))
    chosen = rng.choice(usable, classes, replace=False)
    every = rng.permutation(np.flatnonzero(data.label != "oos"))
    here = every[np.isin(data.label[every], chosen)]
    if sort == "new wording":
        held = np.concatenate([_a_third(data, str(name), seed) for name in chosen])
        here = np.concatenate([rng.permutation(held)[: size // 2], np.setdiff1d(here, held)])
        here = np.concatenate([here[: size // 2], rng.permutation(here[size // 2 :])])
    batch = here[:size]
    rest = np.setdiff1d(every, batch)
    if sort == "new wording":
        rest = np.setdiff1d(rest, held)
    if sort == "new classes":
        rest = rest[~np.isin(data.label[rest], chosen[: max(1, classes // NEW_SHARE)])]
    rest = rng.permutation(rest)[:reference]
    truth = data.label[batch].astype(object)
    return Labelled(data.vectors[batch], truth.copy(), truth, data.vectors[rest], data.label[rest].astype(object))


def _a_third(data: Embedded, name: str, seed: int) -> Rows:
    rows = np.flatnonzero(data.label == name)
    found = KMeans(3, n_init=2, random_state=seed).fit_predict(data.vectors[rows])
    return rows[found == np.abs(np.bincount(found, minlength=3) - len(rows) / 3).argmin()]


def spoilt(batch: Labelled, kind: str, seed: int, rate: float = 0.05) -> Labelled:
    """The batch with wrong labels of one kind; a bad class has at least eight records."""
    rng, given = np.random.default_rng([len(kind), seed]), batch.truth.copy()
    names, counts = np.unique(batch.truth.astype(str), return_counts=True)
    if kind == "5 % uniform":
        for row in rng.choice(len(given), round(rate * len(given)), replace=False):
            given[row] = str(rng.choice(names[names != batch.truth[row]]))
        return replace(batch, given=given)
    if kind == "clean":
        return batch
    bad = str(rng.choice(names[counts >= LEAST]))
    return replace(batch, given=half_flipped(batch, bad, kind, rng), bad=bad)


def half_flipped(batch: Labelled, bad: str, kind: str, rng: np.random.Generator) -> Strings:
    """Labels with half of one class called something else."""
    given, names = batch.truth.copy(), np.unique(batch.truth.astype(str))
    others = names[names != bad]
    rows = rng.permutation(np.flatnonzero(batch.truth == bad))
    rows = rows[: (len(rows) + 1) // 2]
    if kind == "half of a class, to any":
        given[rows] = [str(rng.choice(others)) for _ in rows]
    elif kind == "half of a class, to one":
        given[rows] = str(rng.choice(others))
    else:
        means = np.stack([batch.vectors[batch.truth == name].mean(axis=0) for name in others])
        given[rows] = str(others[(means @ batch.vectors[batch.truth == bad].mean(axis=0)).argmax()])
    return given


def as_reference(batch: Labelled) -> Dataset:
    """The trusted part as records."""
    n, schema = len(batch.trusted), record_schema()
    columns: dict[str, Sequence[object]] = {"id": [f"t{i:05d}" for i in range(n)], "label": batch.trusted.tolist()}
    arrays = [pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(n, f.type) for f in schema]
    return Dataset(pa.Table.from_arrays(arrays, schema=schema), batch.reference, np.ones(n), "minilm")


def as_batch(batch: Labelled) -> LabelBatch:
    """The labels to judge, each by one annotator."""
    ids = tuple(f"r{i:05d}" for i in range(len(batch.given)))
    votes = tuple(Vote(record, "one", str(label)) for record, label in zip(ids, batch.given, strict=True))
    return LabelBatch(
        ids, batch.vectors, votes, new_classes=frozenset(batch.given.tolist()) - set(batch.trusted.tolist())
    )
