"""Causes told apart on CLINC150: how well one new intent is found, and which cause is named first for each kind of change.

2,000 reference rows against 500; the vectors are those of the packaged model, edited texts embedded again.

python benchmarks/explanation.py [--quick]
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import results_file
from real_data import Embedded, embed, embedded
from sklearn.cluster import KMeans
from sklearn.metrics import roc_auc_score

from monitor.causes import causes, production_shares
from monitor.causes.sides import sides_of
from monitor.causes.topics import new_topics
from monitor.detectors.proportions import newcombe
from monitor.values import Counts, Dataset, FloatArray, Reference, Vectors, record_schema

REFERENCE, WINDOW = 2_000, 500
Rows = np.ndarray
TYPED = 0.5
POLITE = 0.4
LIMIT = 30


@dataclass(frozen=True, slots=True)
class Scene:
    """Rows of one repetition; ``new`` (m,) bool marks injected ones."""

    reference: Rows
    current: Rows
    texts: list[str]
    vectors: Vectors
    new: np.ndarray


def dataset(vectors: Vectors, texts: list[str], predicted: list[str], prefix: str) -> Dataset:
    n, schema = len(texts), record_schema()
    columns = {"id": [f"{prefix}{i:05d}" for i in range(n)], "text": texts, "predicted": predicted}
    arrays = [pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(n, f.type) for f in schema]
    return Dataset(pa.Table.from_arrays(arrays, schema=schema), np.asarray(vectors, np.float32), np.ones(n), "minilm")


def drawn(data: Embedded, kind: str, seed: int, share: float = 0.05) -> Scene:
    """Reference and window rows of one repetition, texts edited but not embedded yet where the kind asks for it."""
    rng = np.random.default_rng(seed)
    known = np.flatnonzero(data.label != "oos")
    new_rows = np.flatnonzero(data.label == "oos")
    if kind == "new topic":
        names = np.unique(data.label[known])
        intent = names[rng.integers(len(names))]
        new_rows = np.flatnonzero(data.label == intent)
        known = known[data.label[known] != intent]
    pool = rng.permutation(known)
    reference, rest = pool[:REFERENCE], pool[REFERENCE:]
    new = np.zeros(WINDOW, dtype=bool)
    current = rest[:WINDOW].copy()
    if kind in {"new topic", "unseen content"}:
        new[: round(share * WINDOW)] = True
        current[new] = rng.permutation(new_rows)[: new.sum()]
    if kind == "class mix":
        inside = data.group[rest] == rng.choice(np.unique(data.group[known]))
        many = round(0.225 * WINDOW)
        current = np.concatenate([rest[inside][:many], rest[~inside][: WINDOW - many]])
        new = np.arange(WINDOW) < many
    if kind == "pipeline: duplicated":
        current[-WINDOW // 5 :] = current[: WINDOW // 5]
        new[-WINDOW // 5 :] = True
    texts = [str(t) for t in data.texts[current]]
    if kind in EDITS:
        rate, edit = EDITS[kind]
        new = rng.random(WINDOW) < rate
        texts = [edit(text, rng) if hit else text for text, hit in zip(texts, new, strict=True)]
    vectors = data.vectors[current]
    if kind == "embedder":
        turn = np.linalg.qr(rng.normal(size=(vectors.shape[1],) * 2))[0]
        vectors, new = np.asarray(vectors @ turn, np.float32), np.ones(WINDOW, dtype=bool)
    return Scene(reference, current, texts, vectors, new)


def typo(text: str, rng: np.random.Generator) -> str:
    """One slip in one word: a letter dropped, doubled, replaced, or swapped with the next."""
    words = text.split()
    long = [i for i, word in enumerate(words) if len(word) > 3]
    if not long:
        return text
    i = int(rng.choice(long))
    word, at = words[i], int(rng.integers(1, len(words[i]) - 1))
    other = "abcdefghijklmnopqrstuvwxyz"[rng.integers(26)]
    words[i] = (
        word[:at] + word[at + 1 :],
        word[:at] + word[at] + word[at:],
        word[:at] + other + word[at + 1 :],
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
    )[rng.integers(4)]
    return " ".join(words)


def polite(text: str, rng: np.random.Generator) -> str:
    """A polite phrase before or after."""
    return (f"please {text}", f"{text} please", f"{text} thanks", f"hi, {text}, thank you")[rng.integers(4)]


def cut(text: str, rng: np.random.Generator) -> str:
    """The first characters."""
    del rng
    return text[:LIMIT]


EDITS: dict[str, tuple[float, Callable[[str, np.random.Generator], str]]] = {
    "wording: typos in half": (TYPED, typo),
    "wording: polite 40 %": (POLITE, polite),
    "pipeline: cut off": (1.0, cut),
}
KINDS = (
    "none",
    "class mix",
    "new topic",
    "unseen content",
    "wording: typos in half",
    "wording: polite 40 %",
    "pipeline: cut off",
    "pipeline: duplicated",
    "embedder",
)
NAMES = ("class mix", "new topic", "unseen content", "wording or format", "pipeline", "embedder", "nothing")


def scenes(data: Embedded, kind: str, repetitions: int) -> Iterator[Scene]:
    """All repetitions of a kind; edited texts are embedded in one go."""
    found = [drawn(data, kind, seed) for seed in range(repetitions)]
    if kind not in EDITS:
        yield from found
        return
    vectors = embed([text for scene in found for text in scene.texts])
    for i, scene in enumerate(found):
        part = vectors[i * WINDOW : (i + 1) * WINDOW]
        yield Scene(scene.reference, scene.current, scene.texts, part, scene.new)


def compared(data: Embedded, scene: Scene) -> tuple[Reference, Dataset]:
    """The two sides with the domains that a nearest-neighbour classifier on the reference predicts."""
    known = data.vectors[scene.reference]
    domains = data.group[scene.reference]

    def predicted(vectors: Vectors, own: bool) -> list[str]:
        cosines = vectors @ known.T
        if own:
            np.fill_diagonal(cosines, -1)
        return [str(d) for d in domains[cosines.argmax(axis=1)]]

    texts = [str(t) for t in data.texts[scene.reference]]
    train = dataset(known, texts, predicted(known, own=True), "t")
    canaries = np.zeros((0, known.shape[1]), np.float32)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    reference = Reference("clinc150", 1, moment, train, train.take(np.arange(50)), "f" * 64, canaries)
    return reference, dataset(scene.vectors, scene.texts, predicted(scene.vectors, own=False), "c")


def k_means(reference: Vectors, current: Vectors, new: np.ndarray, seed: int) -> tuple[float, float]:
    """Coverage and purity of the one of 60 k-means clusters of the pooled rows whose share grew most surely."""
    pooled = np.concatenate([reference, current])
    codes = KMeans(60, n_init=1, random_state=seed).fit(pooled).labels_
    n, m = len(reference), len(current)
    theirs, ours = np.bincount(codes[:n], minlength=60), np.bincount(codes[n:], minlength=60)
    top = max(range(60), key=lambda c: newcombe(int(theirs[c]), n, int(ours[c]), m)[0])
    return float((codes[n:] == top)[new].mean()), float(new[codes[n:] == top].mean())


def one_intent(data: Embedded, share: float, repetitions: int) -> dict[str, float]:
    """How well the rows of one new intent are found."""
    rows: list[dict[str, float]] = []
    for seed in range(repetitions):
        scene = drawn(data, "new topic", seed, share)
        reference, current = compared(data, scene)
        start = time.process_time()
        shares = production_shares(reference.train.vectors, current.vectors)
        ranking = time.process_time() - start
        sides = sides_of(reference.train, current, np.random.default_rng(seed))
        assert sides is not None
        new = scene.new[[int(i[1:]) for i in sides.current.ids]]
        start = time.process_time()
        topics = new_topics(sides.reference, sides.current)
        grouping = time.process_time() - start
        members = topics[0].members if topics else np.zeros(WINDOW, dtype=bool)
        covers, pure = k_means(reference.train.vectors, current.vectors, scene.new, seed)
        rows.append(
            {
                "precision_at_20": float(scene.new[top(shares)].mean()),
                "auc": float(roc_auc_score(scene.new, shares)),
                "found": float(bool(topics)),
                "coverage": float(members[new].mean()),
                "coverage_when_found": float(members[new].mean()) if topics else np.nan,
                "purity_when_found": float(new[members].mean()) if topics else np.nan,
                "precision_at_20_of_group": float(new[top(topics[0].scores)].mean()) if topics else np.nan,
                "k_means_coverage": covers,
                "k_means_purity": pure,
                "ranking_cpu_ms": 1e3 * ranking,
                "grouping_cpu_ms": 1e3 * grouping,
            }
        )
    means = {name: float(np.nanmean([row[name] for row in rows])) for name in rows[0]}
    return {"share": share, "repetitions": repetitions} | {name: round(value, 4) for name, value in means.items()}


def top(scores: FloatArray, most: int = 20) -> Rows:
    return np.argsort(-scores, kind="stable")[:most]


def told_apart(data: Embedded, kind: str, repetitions: int) -> dict[str, float | str]:
    """How often each cause is named first, and how often the right one at all."""
    first: Counter[str] = Counter()
    named, cpu = 0, 0.0
    want = "wording or format" if kind.startswith("wording") else kind.partition(":")[0]
    for seed, scene in enumerate(scenes(data, kind, repetitions)):
        reference, current = compared(data, scene)
        start = time.process_time()
        found = causes(reference, current, Counts(), (), np.random.default_rng(seed))
        cpu += time.process_time() - start
        first[found[0].name if found else "nothing"] += 1
        named += any(cause.name == want for cause in found) or (kind == "none" and not found)
    table: dict[str, float | str] = {"injected": kind, "repetitions": repetitions}
    table |= {name: first[name] for name in NAMES}
    return table | {"named_at_all": round(named / repetitions, 3), "cpu_ms": round(1e3 * cpu / repetitions, 1)}


def right(row: dict[str, float | str]) -> float:
    """Share of repetitions in which the injected cause, or none when there is none, is named first."""
    kind = str(row["injected"])
    want = {"none": "nothing"}.get(kind, "wording or format" if kind.startswith("wording") else kind.partition(":")[0])
    return float(row[want]) / float(row["repetitions"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, no k-means beside")
    quick = parser.parse_args().quick
    data = embedded("clinc150")
    repetitions, often = (8, 8) if quick else (40, 200)
    found = [one_intent(data, share, repetitions) for share in (0.05, 0.02)]
    # Edited texts are embedded again, which takes long; of the others there are enough to tell 0.8 from 0.9.
    edited = 4 if quick else repetitions
    table = [told_apart(data, kind, edited if kind in EDITS else often) for kind in KINDS]
    at_five = found[0]
    cpu = max(float(row["cpu_ms"]) for row in table)
    marks = [right(row) for row in table]
    goals = [
        results_file.goal(
            "precision of the 20 rows of highest production share, 5 % of 500 from one new intent",
            ">= 0.95",
            at_five["precision_at_20"],
            at_five["precision_at_20"] >= 0.95,
        ),
        results_file.goal(
            "new rows covered by the top group, 5 % of 500 (not found counts 0)",
            ">= 0.85",
            at_five["coverage"],
            at_five["coverage"] >= 0.85,
        ),
        results_file.goal(
            "CPU ms to rank rows and group them, 500 against 2,000",
            "<= 50",
            round(at_five["ranking_cpu_ms"] + at_five["grouping_cpu_ms"], 1),
            at_five["ranking_cpu_ms"] + at_five["grouping_cpu_ms"] <= 50,
        ),
        results_file.goal("CPU ms of all causes, slowest kind", "<= 500", cpu, cpu <= 500),
        results_file.goal("no cause without drift, share of repetitions", ">= 0.9", marks[0], marks[0] >= 0.9),
        results_file.goal(
            "right cause named first, worst kind", ">= 0.8", round(min(marks[1:]), 3), min(marks[1:]) >= 0.8
        ),
    ]
    if quick:
        for one in goals:
            print(one)
        return
    results_file.write(
        "explanation", {"new_intent": found, "named_first": table}, goals, "python benchmarks/explanation.py"
    )


if __name__ == "__main__":
    main()
