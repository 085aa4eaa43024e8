"""Causes told apart on real requests with the real model."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import worlds

from monitor.causes import causes, production_shares
from monitor.embedders.sentence_transformer import SentenceTransformerEmbedder
from monitor.values import Counts, Dataset, record_schema

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "clinc150.csv.gz"
pytestmark = [
    pytest.mark.replay,
    pytest.mark.model,
    pytest.mark.skipif(not DATA.exists(), reason="the shared data sets are not beside this checkout"),
]
NEW, TRAIN, WINDOW, INJECTED = "calories", 800, 240, 16


def records(rows, prefix):
    schema = record_schema()
    columns = {
        "id": [f"{prefix}{i:05d}" for i in range(len(rows))],
        "text": [text for text, _ in rows],
        "predicted": [group for _, group in rows],
    }
    arrays = [pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(len(rows), f.type) for f in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


@pytest.fixture(scope="module")
def sides():
    with gzip.open(DATA, "rt", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    rng = np.random.default_rng(0)
    rows = [rows[i] for i in rng.permutation(len(rows))]
    known = [(r["text"], r["group"]) for r in rows if r["label"] not in {NEW, "oos"}]
    topic = [(r["text"], r["group"]) for r in rows if r["label"] == NEW][:INJECTED]
    calm = known[TRAIN : TRAIN + WINDOW]
    strange = [r["text"] for r in rows if r["label"] == "oos"]
    # A classifier that must name a class spreads them over all.
    unseen = [(text, group) for text, (_, group) in zip(strange, calm[: 2 * INJECTED], strict=False)]
    polite = [(f"please {text}, thanks", group) if i % 2 else (text, group) for i, (text, group) in enumerate(calm)]
    embedder = SentenceTransformerEmbedder()

    def embedded(part, prefix):
        table = records(part, prefix)
        return Dataset(table, embedder.embed(table), np.ones(len(part)), embedder.fingerprint)

    train = embedded(known[:TRAIN], "t")
    windows = {
        "calm": calm,
        "new topic": topic + calm[INJECTED:],
        "unseen content": unseen + calm[2 * INJECTED :],
        "wording or format": polite,
    }
    return worlds.reference(train, train.take(np.arange(50))), {n: embedded(w, "c") for n, w in windows.items()}


@pytest.mark.parametrize("name", ["new topic", "unseen content", "wording or format"])
def test_what_was_done_to_the_window_is_named_first(sides, name):
    reference, windows = sides
    found = causes(reference, windows[name], Counts(), (), np.random.default_rng(0))
    assert [cause.name for cause in found[:1]] == [name]


def test_the_calm_window_has_no_cause(sides):
    reference, windows = sides
    assert causes(reference, windows["calm"], Counts(), (), np.random.default_rng(0)) == ()


def test_the_new_intent_is_ranked_first_and_told_by_its_words(sides):
    reference, windows = sides
    current = windows["new topic"]
    order = np.argsort(-production_shares(reference.train.vectors, current.vectors), kind="stable")
    assert (order[:INJECTED] < INJECTED).sum() >= 0.9 * INJECTED
    (cause, *_) = causes(reference, current, Counts(), (), np.random.default_rng(0))
    assert "calories" in cause.terms
    assert sum(i < f"c{INJECTED:05d}" for i in cause.examples) >= 9
