"""Worlds to choose candidates in: a reference, production with drift of a known kind, an annotator, and records nobody else has touched.

Real text with real labels throughout; drift is made by holding classes, clusters or years back from the reference, or by
slips of the keyboard. After the protocol of ``docs/selection.md``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import pyarrow as pa
from real_data import Embedded, embed, embedded
from sklearn.cluster import KMeans

from monitor.selection.heads import Head, fit_head
from monitor.values import SEGMENT_PREFIX, Dataset, Reference, Vectors, record_schema

__all__ = ["JUNK", "SCENARIOS", "World", "made", "worlds"]

JUNK = "junk"
INTENTS, NEW, TAUGHT, FEW = 40, 8, 24, 5
VISIBLE, HIDDEN = 0.22, 0.42
MOST_DRIFTED, JUNK_SHARE, DOUBLED = 0.45, 0.25, 0.10
WRONG_LABELS, JUNK_AS_REAL = 0.07, 0.15
EDITED = 4_000
SCENARIOS = ("new", "balance", "cluster and junk", "combined", "noisy")
TIME = "time"

Rows = np.ndarray
Strings = np.ndarray


@dataclass(frozen=True)
class World:
    """One reference and one window.

    pool     production, in the order of ids; ``truth`` its true labels, ``junk`` and ``drifted`` its kinds (n,)
    hidden   vectors and labels like the reference's that neither selection nor the gate may see
    drifted_test  vectors and labels like the drifted part of the pool
    """

    data: str
    scenario: str
    seed: int
    reference: Reference
    pool: Dataset
    truth: Strings
    junk: Rows
    drifted: Rows
    hidden: tuple[Vectors, Strings]
    drifted_test: tuple[Vectors, Strings]
    old: Head

    def old_predicts(self, texts: list[str]) -> list[str]:
        """What the model in service answers to texts."""
        return [str(name) for name in self.old.predict(embed(texts))]

    def annotated(self, rows: Sequence[int], rng: np.random.Generator) -> Strings:
        """What a person answers: the true label, ``junk`` for most junk, and some labels wrong in the combined scenario."""
        places = np.asarray(rows, dtype=int)
        labels = self.truth[places].copy()
        said = self.old.predict(self.pool.vectors[places])
        taken_in = rng.random(len(places)) < JUNK_AS_REAL
        wrong = rng.random(len(places)) < (WRONG_LABELS if self.scenario == "combined" else 0.0)
        other = rng.choice(np.array(self.old.classes, dtype=object), len(places))
        labels = np.where(wrong & ~self.junk[places], other, labels)
        return np.where(self.junk[places], np.where(taken_in, said, JUNK), labels)


def slipped(text: str, rng: np.random.Generator) -> str:
    """A text as thumbs write it: letters swapped, dropped and doubled, slang, no capitals or full stops."""
    words = []
    for word in text.lower().replace(".", "").replace("?", "").split():
        short = SLANG.get(word, word)
        if len(short) > 3 and rng.random() < 0.45:
            at = int(rng.integers(1, len(short) - 1))
            short = (
                short[:at] + short[at + 1] + short[at] + short[at + 2 :],
                short[:at] + short[at + 1 :],
                short[:at] + short[at] + short[at:],
            )[rng.integers(3)]
        words.append(short)
    return re.sub(r"\s+", " ", " ".join(words)) or text


SLANG = {
    "you": "u", "your": "ur", "please": "pls", "are": "r", "to": "2", "for": "4", "because": "cuz", "what": "wat",
    "going": "goin", "want": "wanna", "have": "hav", "with": "w", "and": "n", "my": "me", "the": "da", "about": "abt",
    "tomorrow": "tmrw", "today": "2day", "know": "kno", "through": "thru", "something": "smth", "thanks": "thx",
}  # fmt: skip


@cache
def slips(name: str) -> tuple[Rows, Strings, Vectors]:
    """Rows of a data set that have a slipped copy, in order, with the copies and their vectors."""
    data, rng = embedded(name), np.random.default_rng(11)
    rows = np.sort(rng.choice(np.flatnonzero(data.label != "oos"), min(EDITED, len(data.label) // 2), replace=False))
    texts = [slipped(str(data.texts[row]), rng) for row in rows]
    return rows, np.array(texts), embed(texts)


def as_data(
    vectors: Vectors,
    prefix: str,
    labels: Strings | None,
    texts: Sequence[str | None],
    old: Head | None,
    others: Mapping[str, Strings] | None = None,
) -> Dataset:
    """Vectors as records with ids, texts, what the old model says of them, and what ``others`` say, as segment fields."""
    n, start = len(vectors), datetime(2026, 1, 5, tzinfo=UTC)
    columns: dict[str, Sequence[object]] = {
        "id": [f"{prefix}{i:06d}" for i in range(n)],
        "text": list(texts),
        "observed_at": [start + timedelta(seconds=i) for i in range(n)],
    }
    if labels is not None:
        columns["label"] = labels.tolist()
    if old is not None and n:
        chances = np.exp(old.log_chances(vectors))
        columns["predicted"] = np.array(old.classes, dtype=object)[chances.argmax(axis=1)].tolist()
        columns["confidence"] = chances.max(axis=1).tolist()
    for name, said in (others or {}).items():
        columns[f"{SEGMENT_PREFIX}{name}"] = said.tolist()
    schema = record_schema(list(others or {}))
    arrays = [
        pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(n, f.type)  # one column each
        for f in schema
    ]
    return Dataset(pa.Table.from_arrays(arrays, schema=schema), np.ascontiguousarray(vectors), np.ones(n), "minilm")


def thirds(rows: Rows, vectors: Vectors, seed: int) -> Rows:
    """(n,) bool: members of one of three clusters of these rows, the one nearest a third of them."""
    found = KMeans(3, n_init=3, random_state=seed).fit_predict(vectors[rows])
    sizes = np.bincount(found, minlength=3)
    return np.asarray(found == np.abs(sizes - len(rows) / 3).argmin())


class Drawing:
    """Draws the parts of a world without taking any row twice."""

    def __init__(self, data: Embedded, seed: int) -> None:
        self.data, self.rng = data, np.random.default_rng(seed)

    def split(self, rows: Rows, *sizes: int) -> list[Rows]:
        """Disjoint draws of these sizes, and the rest."""
        return np.split(self.rng.permutation(rows), np.cumsum(sizes))


def intents(name: str, scenario: str, seed: int) -> World:
    """A world of 40 intents of BANKING77 or CLINC150."""
    data = embedded(name)
    draw = Drawing(data, [hash_of(name, scenario), seed])
    rng = draw.rng
    usable = np.array(sorted(set(data.label) - {"oos"}))
    chosen = rng.choice(usable, INTENTS, replace=False)
    new = chosen[:NEW] if scenario in {"new", "combined"} else chosen[:0]
    flooded = chosen[NEW : 2 * NEW] if scenario in {"balance", "combined"} else chosen[:0]
    clustered = scenario in {"cluster and junk", "combined"}
    train, calm, drifted = [], [], []
    for intent in chosen:
        rows = np.flatnonzero(data.label == intent)
        if intent in new:
            drifted.append(rows)
            continue
        if intent in flooded:
            few, rest = draw.split(rows, FEW)
            train.append(few)
            drifted.append(rest)
            continue
        if clustered:
            held = thirds(rows, data.vectors, seed)
            drifted.append(rows[held])
            rows = rows[~held]
        taught, rest = draw.split(rows, TAUGHT)
        train.append(taught)
        calm.append(rest)
    taught, stationary = np.concatenate(train), np.concatenate(calm)
    visible, hidden, flowing = draw.split(stationary, int(VISIBLE * len(stationary)), int(HIDDEN * len(stationary)))
    vectors, texts = data.vectors, data.texts
    if scenario == "noisy":
        return noisy(name, seed, data, draw, taught, visible, hidden, flowing)
    moved = rng.permutation(np.concatenate(drifted))
    most = len(flowing) if scenario in {"balance", "combined"} else int(MOST_DRIFTED * len(flowing))
    here, there = moved[: min(len(moved) // 2, most)], moved[len(moved) // 2 :]
    junk_texts = embedded("clinc150")
    strange = np.flatnonzero(junk_texts.label == "oos")
    junk = (
        rng.choice(strange, int(JUNK_SHARE * (len(flowing) + len(here))), replace=False) if clustered else strange[:0]
    )
    pooled = np.concatenate([flowing, here])
    doubled = rng.choice(pooled, int(DOUBLED * len(pooled)), replace=False) if scenario == "combined" else pooled[:0]
    close = vectors[doubled] + rng.normal(scale=0.02 / np.sqrt(384), size=(len(doubled), 384)).astype(np.float32)
    close /= np.maximum(np.linalg.norm(close, axis=1, keepdims=True), 1e-9)
    return made(
        (name, scenario, seed),
        (vectors[taught], data.label[taught], texts[taught]),
        (vectors[visible], data.label[visible], texts[visible]),
        (vectors[hidden], data.label[hidden]),
        (vectors[there], data.label[there]),
        np.concatenate([vectors[pooled], close, junk_texts.vectors[junk]]),
        np.concatenate([data.label[pooled], data.label[doubled], np.full(len(junk), JUNK)]),
        np.concatenate([texts[pooled], texts[doubled], junk_texts.texts[junk]]),
        np.concatenate([np.isin(pooled, here), np.isin(doubled, here), np.zeros(len(junk), dtype=bool)]),
        rng,
    )


def noisy(
    name: str, seed: int, data: Embedded, draw: Drawing, taught: Rows, visible: Rows, hidden: Rows, flowing: Rows
) -> World:
    """Known intents, written badly: no label helps much."""
    rows, written_badly, copies = slips(name)
    place = {int(row): i for i, row in enumerate(rows)}
    slippable = np.array([row for row in flowing if int(row) in place], dtype=int)
    more = np.setdiff1d(np.array(sorted(place)), np.concatenate([taught, visible, hidden, flowing]))
    more = more[np.isin(data.label[more], data.label[taught])]
    test = np.array([row for row in hidden if int(row) in place], dtype=int)
    here = draw.rng.permutation(np.concatenate([slippable, more]))
    plain = np.setdiff1d(flowing, here)
    written = np.array([place[int(row)] for row in here], dtype=int)
    badly = np.array([place[int(row)] for row in test], dtype=int)
    return made(
        (name, "noisy", seed),
        (data.vectors[taught], data.label[taught], data.texts[taught]),
        (data.vectors[visible], data.label[visible], data.texts[visible]),
        (data.vectors[hidden], data.label[hidden]),
        (copies[badly], data.label[test]),
        np.concatenate([data.vectors[plain], copies[written]]),
        np.concatenate([data.label[plain], data.label[here]]),
        np.concatenate([data.texts[plain], written_badly[written]]),
        np.concatenate([np.zeros(len(plain), dtype=bool), np.ones(len(here), dtype=bool)]),
        draw.rng,
    )


def years(name: str, scenario: str, seed: int) -> World:
    """arXiv abstracts: the reference ends in 2013, production is 2014 to 2019."""
    data = embedded(name)
    draw = Drawing(data, [hash_of(name, scenario), seed])
    year = data.group.astype(int)
    taught, visible, hidden, _ = draw.split(np.flatnonzero(year <= 2013), 1_500, 1_000, 2_000)
    pooled, test, _ = draw.split(np.flatnonzero(year >= 2014), 2_500, 2_500)
    return made(
        (name, scenario, seed),
        (data.vectors[taught], data.label[taught], data.texts[taught]),
        (data.vectors[visible], data.label[visible], data.texts[visible]),
        (data.vectors[hidden], data.label[hidden]),
        (data.vectors[test], data.label[test]),
        data.vectors[pooled],
        data.label[pooled],
        data.texts[pooled],
        np.ones(len(pooled), dtype=bool),
        draw.rng,
    )


Part = tuple[Vectors, Strings, Strings]


def made(
    what: tuple[str, str, int],
    train: Part,
    visible: Part,
    hidden: tuple[Vectors, Strings],
    test: tuple[Vectors, Strings],
    pool: Vectors,
    truth: Strings,
    texts: Strings,
    drifted: Rows,
    rng: np.random.Generator,
) -> World:
    """The parts as a world, the pool shuffled."""
    old = fit_head(train[0], train[1].astype(object))
    parts = [
        as_data(vectors, prefix, labels, [str(t) for t in words], old)
        for prefix, (vectors, labels, words) in (("t", train), ("p", visible))
    ]
    known = Reference("world", 1, datetime(2026, 1, 1, tzinfo=UTC), *parts, "f" * 64, np.zeros((0, 384), np.float32))
    order = rng.permutation(len(pool))
    others = {"neighbours": by_neighbours(*train[:2], pool[order]), "centres": by_centres(*train[:2], pool[order])}
    truth = truth[order].astype(object)
    return World(
        *what,
        known,
        as_data(pool[order], "w", None, [str(t) for t in texts[order]], old, others),
        truth,
        truth == JUNK,
        drifted[order],
        (hidden[0], hidden[1].astype(object)),
        (test[0], test[1].astype(object)),
        old,
    )


def by_neighbours(known: Vectors, labels: Strings, rows: Vectors) -> Strings:
    """A second model: the label most of the five nearest training records have."""
    near = np.argpartition(-(rows @ known.T), 5, axis=1)[:, :5]
    names, codes = np.unique(labels.astype(str), return_inverse=True)
    votes = np.apply_along_axis(np.bincount, 1, codes[near], minlength=len(names))
    return names[votes.argmax(axis=1)].astype(object)


def by_centres(known: Vectors, labels: Strings, rows: Vectors) -> Strings:
    """A third model: the class whose mean is nearest."""
    names = np.unique(labels.astype(str))
    centres = np.stack([known[labels.astype(str) == name].mean(axis=0) for name in names])
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    return names[(rows @ centres.T).argmax(axis=1)].astype(object)


def hash_of(*words: str) -> int:
    """A number that stays the same for these words."""
    return sum(ord(letter) * (i + 1) for i, letter in enumerate(" ".join(words)))


def worlds(seeds: Sequence[int]) -> list[tuple[Callable[[str, str, int], World], str, str, int]]:
    """What makes each world, and its name: two data sets by five scenarios, and arXiv by years."""
    found: list[tuple[Callable[[str, str, int], World], str, str, int]] = []
    for seed in seeds:
        found += [(intents, name, scenario, seed) for name in ("banking77", "clinc150") for scenario in SCENARIOS]
        found.append((years, "arxiv_cs", TIME, seed))
    return found
