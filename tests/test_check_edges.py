"""The conformance checks of embedders, tickets and exporters: our own parts pass, each promised fault is found."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from monitor.embedders.cache import CachedEmbedder
from monitor.embedders.hashing import HashingEmbedder
from monitor.embedders.precomputed import PrecomputedEmbedder
from monitor.embedders.sentence_transformer import SentenceTransformerEmbedder
from monitor.exporters.files import FilesExporter
from monitor.testing import check_embedder, check_exporter, check_tickets
from monitor.tickets.file import FileTickets
from monitor.values import Candidate, Draft, Export, Paragraph, Span, Window, record_schema

WINDOW = Window(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC))
DRAFT = Draft("0123456789abcdef", "shop", "shop: title", (Paragraph((Span("Body"),)),), WINDOW)
CANDIDATES = tuple(Candidate(n, f"r{n}", "herding", 0.5, 0.5, None, None, (), "Because.", text="x") for n in (1, 2, 3))
EXPORT = Export("shop|2026-01-05", "shop", "run", WINDOW, CANDIDATES, 1)
TEXTS = ["Where is my order?", "refund", "a much longer message about a lamp that flickers at night", "refund"]


def records():
    given = {"id": ["a", "b", "c", "d"], "text": TEXTS, "vector": np.eye(4, 8).tolist()}
    return pa.table([pa.array(given.get(f.name, [None] * 4), f.type) for f in record_schema()], schema=record_schema())


@pytest.mark.parametrize(
    "make", [HashingEmbedder, PrecomputedEmbedder, pytest.param(SentenceTransformerEmbedder, marks=pytest.mark.model)]
)
def test_our_embedders_conform(make):
    check_embedder(make(), records())


def test_the_cache_conforms_empty_and_full(tmp_path):
    for _ in range(2):
        check_embedder(CachedEmbedder(HashingEmbedder(), tmp_path / "cache.db"), records())


def test_our_tickets_and_exports_conform(tmp_path):
    check_tickets(FileTickets(str(tmp_path / "tickets")), DRAFT)
    check_exporter(FilesExporter(str(tmp_path / "exports"), ["parquet", "jsonl", "csv"]), EXPORT)


class Faulty(HashingEmbedder):
    def __init__(self, spoil):
        super().__init__()
        self._spoil, self._calls = spoil, 0

    def embed(self, records, progress=None):
        self._calls += 1
        return self._spoil(super().embed(records, progress), self._calls)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda v, calls: v.astype(np.float64), "vectors are float64, not float32"),
        (lambda v, calls: v[:-1], "for 4 records"),
        (lambda v, calls: v * np.float32(2), "length is not one"),
        (lambda v, calls: np.where(v > 0, np.float32(np.nan), v), "not finite"),
        (lambda v, calls: v if calls == 1 else -v, "embedding again gives other vectors"),
        (lambda v, calls: v[np.argsort(v[:, 0])], "depend on the order|embedding again|beside it"),
        (lambda v, calls: v if len(v) > 1 else -v, "depends on the records beside it"),
    ],
)
def test_a_faulty_embedder_is_found(spoil, message):
    with pytest.raises(AssertionError, match=message):
        check_embedder(Faulty(spoil), records())


class Forgetful(FileTickets):
    """Finds no ticket again, and writes an export anew each time."""

    def __init__(self, folder):
        super().__init__(folder)
        self._count = 0

    def find(self, draft, location):
        return None

    def write(self, export):
        self._count += 1
        return f"export-{self._count}"


class Mute(FileTickets):
    """Writes no comment."""

    def comment(self, seen, note):
        pass


class Stubborn(FileTickets):
    """Closes no ticket."""

    def update(self, seen, draft, *, open):  # noqa: A002
        super().update(seen, draft, open=True)


def test_forgetful_parts_are_found(tmp_path):
    forgetful = Forgetful(str(tmp_path / "forgetful"))
    with pytest.raises(AssertionError, match="not found"):
        check_tickets(forgetful, DRAFT)
    with pytest.raises(AssertionError, match="one comment was written"):
        check_tickets(Mute(str(tmp_path / "mute")), DRAFT)
    with pytest.raises(AssertionError, match="left closed is seen otherwise"):
        check_tickets(Stubborn(str(tmp_path / "stubborn")), DRAFT)
    with pytest.raises(AssertionError, match="the same key goes to another place"):
        check_exporter(forgetful, EXPORT)
    with pytest.raises(AssertionError, match="two candidates or more"):
        check_exporter(forgetful, replace(EXPORT, candidates=()))
