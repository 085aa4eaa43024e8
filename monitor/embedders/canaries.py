"""Fixed texts whose vectors are stored with the reference: when they move, the embedder changed, not the data."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from monitor.embedders import Embedder
from monitor.embedders.cache import CachedEmbedder
from monitor.embedders.unit_rows import unit_rows
from monitor.errors import CanaryError, EmbedError
from monitor.values import Vectors, record_schema

__all__ = ["CANARIES", "canary_vectors", "check_canaries"]

TOLERANCE = 5e-4
"""Largest accepted cosine distance. Other processors and thread counts stay below 1e-5; int8 backends reach 2e-3."""

_SENTENCE = "The quick brown fox jumps over the lazy dog while nine wizards box and five jugglers watch. "

CANARIES: tuple[str, ...] = (
    "hello",
    "Where is my order? It should have arrived on Monday.",
    "WHERE IS MY ORDER??? it shoud of arived monday",
    "Please cancel my subscription and refund the last payment.",
    "The patient reports chest pain and shortness of breath.",
    "def add(a, b):\n    return a + b",
    "SELECT name FROM users WHERE id = 42;",
    "0123456789 3.14159 -17 1e-9",
    "Wo bleibt meine Bestellung? Sie sollte am Montag ankommen.",
    "¿Dónde está mi pedido? Debía llegar el lunes.",
    "Où est ma commande ? Elle devait arriver lundi.",
    "注文した商品はどこですか。月曜日に届くはずでした。",
    "我的订单在哪里?本应星期一送到。",
    "Где мой заказ? Он должен был прийти в понедельник.",
    "أين طلبي؟ كان من المفترض أن يصل يوم الاثنين.",
    "🙂👍 thx!!! 🚚",
    "a",
    "supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis",
    "  spaces \t tabs \n and   line breaks  ",
    # Two long texts: a changed maximum length shows only where texts are cut.
    _SENTENCE * 12,
    _SENTENCE * 40 + "The end differs.",
)


_ADVICE = (
    "the embedder changed, not the data: restore the model and library versions the reference was built with, "
    "or build a new reference (drift-monitor reference build)"
)


def _embed_canaries(embedder: Embedder) -> Vectors:
    while isinstance(embedder, CachedEmbedder):
        embedder = embedder.inner  # vectors from the cache say nothing about the embedder of today
    fields = {"id": [f"canary-{n}" for n in range(len(CANARIES))], "text": list(CANARIES)}
    columns = [pa.array(fields.get(f.name, [None] * len(CANARIES)), type=f.type) for f in record_schema()]
    return unit_rows(embedder.embed(pa.Table.from_arrays(columns, schema=record_schema())), len(CANARIES))


def _unusable(vectors: Vectors) -> str:
    """What is wrong with canary vectors, if anything."""
    bad = int((~np.isfinite(vectors).all(axis=1)).sum())
    return f"{bad} of {len(vectors)} canary texts get a vector with NaN or infinity, or of zeros alone" if bad else ""


def canary_vectors(embedder: Embedder) -> Vectors:
    """(c, d) unit vectors of :data:`CANARIES`, never from a cache; ``EmbedError`` when one of them is unusable."""
    vectors = _embed_canaries(embedder)
    if problem := _unusable(vectors):
        raise EmbedError(f"{problem}; check the model")
    return vectors


def check_canaries(embedder: Embedder, stored: Vectors) -> float:
    """The largest cosine distance of a canary from its stored vector; ``CanaryError`` beyond :data:`TOLERANCE`."""
    now = _embed_canaries(embedder)
    if now.shape != stored.shape:
        raise CanaryError(f"canary vectors have shape {now.shape}, the reference's {stored.shape}; {_ADVICE}")
    if problem := _unusable(now):
        raise CanaryError(f"{problem}; {_ADVICE}")
    distance = float(np.max(1.0 - np.sum(now.astype(np.float64) * stored, axis=1)))
    if not distance <= TOLERANCE:  # also true for NaN
        raise CanaryError(
            f"canary texts moved by {distance:.2g} in cosine distance (tolerance {TOLERANCE:g}); {_ADVICE}"
        )
    return max(distance, 0.0)
