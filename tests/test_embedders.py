"""Embedders that need no model, unit rows, the cache and the canaries."""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import threading

import numpy as np
import pyarrow as pa
import pytest
from forked import in_processes
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from monitor.embedders.cache import CachedEmbedder
from monitor.embedders.canaries import CANARIES, TOLERANCE, canary_vectors, check_canaries
from monitor.embedders.hashing import HashingEmbedder
from monitor.embedders.precomputed import PrecomputedEmbedder
from monitor.embedders.unit_rows import to_dataset, unit_rows
from monitor.errors import CanaryError, EmbedError
from monitor.values import Counts, Sample, record_schema

NAN, INF = float("nan"), float("inf")


def records(texts=None, vectors=None):
    rows = len(texts if texts is not None else vectors)
    columns = {"id": [f"r{n}" for n in range(rows)], "text": texts, "vector": vectors}
    return pa.Table.from_arrays(
        [pa.array(columns.get(f.name) or [None] * rows, type=f.type) for f in record_schema()], schema=record_schema()
    )


def sample(table, weights=None):
    weights = np.ones(table.num_rows) if weights is None else np.array(weights, dtype=float)
    return Sample(None, table, weights, Counts(table.num_rows, table.num_rows))


def refusal(call, *args) -> str:
    with pytest.raises(EmbedError) as caught:
        call(*args)
    return str(caught.value)


class Counting:
    """An embedder that remembers what it was asked for."""

    reads = "text"

    def __init__(self, inner=None, fingerprint=None, software=""):
        self.inner = inner or HashingEmbedder()
        self.fingerprint = fingerprint or self.inner.fingerprint
        self.software = software
        self.asked = []

    def embed(self, table, progress=None):
        self.asked += [text or "" for text in table.column("text").to_pylist()]
        return self.inner.embed(table, progress)


class Given:
    """An embedder that gives these rows, whatever it is asked."""

    reads = "text"
    fingerprint = "given"

    def __init__(self, rows):
        self.rows = rows

    def embed(self, table, progress=None):
        return self.rows


# hashing


def test_hashing_is_the_same_everywhere():
    vectors = HashingEmbedder(dimension=4).embed(records(["abc", "the quick fox"]))
    again = HashingEmbedder(dimension=4).embed(records(["the quick fox", "abc"]))
    assert vectors.dtype == np.float32
    assert (vectors == again[::-1]).all()
    # Its word and its only trigram are one feature, so it lies on one axis.
    digest = int.from_bytes(hashlib.blake2b(b"abc", digest_size=8, salt=b"").digest(), "big")
    expected = np.zeros(4, dtype=np.float32)
    expected[(digest >> 1) % 4] = 1 if digest & 1 else -1
    assert (vectors[0] == expected).all()


@given(st.lists(st.none() | st.text(max_size=8), max_size=6), st.integers(1, 40), st.integers(0, 2**128 - 1))
def test_hashing_gives_unit_rows(texts, dimension, seed):
    vectors = HashingEmbedder(dimension, seed).embed(records(texts))
    assert vectors.shape == (len(texts), dimension)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_hashing_tells_texts_and_seeds_apart():
    one, other = HashingEmbedder(64, 0), HashingEmbedder(64, 300)
    assert (one.fingerprint, other.fingerprint) == ("hashing:64:0", "hashing:64:300")
    assert (one.embed(records(["where is my card"])) != other.embed(records(["where is my card"]))).any()
    texts = ["where is my card", "where is my new card", "prix du billet ?"]
    same, near, far = one.embed(records(texts)) @ one.embed(records(texts[:1]))[0]
    assert same > near > far


def test_hashing_reports_progress():
    seen = []
    HashingEmbedder().embed(records(["a", "b"]), lambda done, whole: seen.append((done, whole)))
    assert seen == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dimension": 0}, "dimension is 0; it must be at least 1"),
        ({"seed": -1}, "seed is -1; it must be at least 0 and have at most 128 bits"),
        ({"seed": 2**128}, f"seed is {2**128}; it must be at least 0 and have at most 128 bits"),
    ],
)
def test_hashing_refuses_options(options, message):
    with pytest.raises(ValueError, match=r"must be at least") as caught:
        HashingEmbedder(**options)
    assert str(caught.value) == message


# precomputed


def test_precomputed_gives_the_vectors_as_they_are():
    seen = []
    rows = [[1.0, 2.0], [3.0, 4.0]]
    vectors = PrecomputedEmbedder("clip-1").embed(records(vectors=rows), lambda *n: seen.append(n))
    assert vectors.tolist() == rows
    assert vectors.dtype == np.float32
    assert seen == [(2, 2)]
    assert PrecomputedEmbedder("clip-1").fingerprint == "precomputed:clip-1"


def test_precomputed_of_a_slice_and_of_several_chunks():
    table = records(vectors=[[9.0, 9.0], [1.0, 2.0], None, [3.0, 4.0]])
    assert PrecomputedEmbedder().embed(table.slice(1, 1)).tolist() == [[1.0, 2.0]]
    both = pa.concat_tables([table.slice(3), table.slice(1, 1)])
    assert PrecomputedEmbedder().embed(both).tolist() == [[3.0, 4.0], [1.0, 2.0]]


def test_ragged_missing_and_broken_vectors_are_counted():
    good = [[3.0, 4.0], [0.0, 2.0], [1.0, 0.0], [-5.0, 0.0], [0.0, -1.0], [6.0, 8.0]]
    bad = [None, [], [1.0], [1.0, 2.0, 3.0], [NAN, 1.0], [INF, 1.0]]
    data, counted = to_dataset(PrecomputedEmbedder(), sample(records(vectors=[*good, *bad])))
    assert counted == {"unusable vector": 6}
    assert data.ids == [f"r{n}" for n in range(6)]
    assert np.allclose(data.vectors, [[0.6, 0.8], [0, 1], [1, 0], [-1, 0], [0, -1], [0.6, 0.8]])
    assert data.embedder == "precomputed:precomputed"
    nulls_inside, counted = to_dataset(PrecomputedEmbedder(), sample(records(vectors=[[1.0, None], [0.0, 0.0], *good])))
    assert counted == {"unusable vector": 2}
    assert len(nulls_inside) == 6


def test_precomputed_takes_the_dimension_that_most_have():
    rows = [[1.0], [1.0, 2.0], [1.0, 2.0]]
    assert PrecomputedEmbedder().embed(records(vectors=rows)).shape == (3, 2)
    assert PrecomputedEmbedder(dimension=1).embed(records(vectors=rows)).shape == (3, 1)
    even = [[1.0], [1.0, 2.0]]
    assert PrecomputedEmbedder().embed(records(vectors=even)).shape == (2, 2)
    assert PrecomputedEmbedder().embed(records(vectors=even[::-1])).shape == (2, 2)


def test_precomputed_refuses_what_has_no_such_vectors():
    assert refusal(PrecomputedEmbedder().embed, records(vectors=[None, []])) == (
        "none of 2 records has a vector; map the column that holds them with fields.vector, "
        "or choose an embedder that reads text"
    )
    rows = [[1.0] * 4] * 3 + [[1.0] * 5] * 3 + [[1.0]] * 2 + [[1.0, 2.0]]
    assert refusal(PrecomputedEmbedder(dimension=3).embed, records(vectors=rows)) == (
        "none of 9 records has a vector of 3 dimensions, there are 4 in 3, 5 in 3, 1 in 2 records; "
        "correct the embedder's dimension, or map another column with fields.vector"
    )
    with pytest.raises(ValueError, match=r"^dimension is 0; it must be at least 1$"):
        PrecomputedEmbedder(dimension=0)


def test_no_records_are_no_vectors():
    nothing = records(vectors=[])
    assert PrecomputedEmbedder().embed(nothing).shape == (0, 0)
    assert PrecomputedEmbedder(dimension=3).embed(nothing).shape == (0, 3)
    for embedder in (PrecomputedEmbedder(), HashingEmbedder()):
        data, counted = to_dataset(embedder, sample(nothing))
        assert len(data) == 0
        assert counted == {}


# unit rows


@given(
    arrays.arrays(
        st.sampled_from([np.float64, np.float32, np.int32]),
        arrays.array_shapes(min_dims=2, max_dims=2, max_side=6),
    )
)
def test_rows_have_length_one_or_are_unusable(matrix):
    rows = unit_rows(matrix, len(matrix))
    assert rows.shape == matrix.shape
    assert rows.dtype == np.float32
    for before, after in zip(matrix, rows, strict=True):
        if np.isfinite(before).all() and before.any():
            assert np.linalg.norm(after.astype(np.float64)) == pytest.approx(1, abs=1e-6)
            assert (np.sign(after) * np.sign(before) >= 0).all()
        else:
            assert np.isnan(after).all()


def test_rows_at_the_edge_of_the_number_range():
    rows = unit_rows([[3e200, 4e200], [3e-200, 4e-200], [5e-324, 0], [1e39, 0]], 4)
    assert np.allclose(rows, [[0.6, 0.8], [0.6, 0.8], [1, 0], [1, 0]])


def test_unit_rows_leaves_its_argument_alone():
    matrix = np.array([[3.0, 4.0], [0.0, 0.0]])
    unit_rows(matrix, 2)
    assert matrix.tolist() == [[3.0, 4.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("matrix", "shape"),
    [
        (np.ones((2, 3)), "(2, 3)"),
        (np.ones(3), "(3,)"),
        (np.ones((3, 2, 2)), "(3, 2, 2)"),
        (np.ones((3, 0)), "(3, 0)"),
        ([], "(0,)"),
    ],
)
def test_unit_rows_names_both_shapes(matrix, shape):
    message = f"the embedder gave an array of shape {shape} for 3 records; wanted (3, d)"
    assert refusal(unit_rows, matrix, 3) == message
    assert refusal(to_dataset, Given(matrix), sample(records(["a", "b", "c"]))) == message


@pytest.mark.parametrize("matrix", [[[1.0], [1.0, 2.0]], [["private words"]], [object()]])
def test_unit_rows_refuses_what_is_no_array(matrix):
    assert refusal(unit_rows, matrix, 2) == "the embedder gave no array of numbers for 2 records; wanted shape (2, d)"


def test_kept_rows_stand_for_the_dropped_ones():
    rows = np.array([[1.0, 0.0], [NAN, 0.0], [0.0, 2.0], [0.0, 0.0]])
    data, counted = to_dataset(Given(rows), sample(records(list("abcd")), [1, 2, 3, 4]))
    assert data.ids == ["r0", "r2"]
    assert data.weights.tolist() == [2.5, 7.5]
    assert counted == {"unusable vector": 2}


def test_most_vectors_unusable_is_the_embedders_fault():
    rows = np.array([[1.0, 0.0], [NAN, 0.0], [0.0, 0.0]])
    assert refusal(to_dataset, Given(rows), sample(records(list("abc")))) == (
        "2 of 3 vectors hold NaN or infinity, are all zeros or have the wrong dimension; "
        "check the model, or the vector column the source maps"
    )


def test_a_dataset_of_good_vectors_is_the_sample():
    drawn = sample(records(["a", "b"]), [2, 5])
    data, counted = to_dataset(HashingEmbedder(), drawn)
    assert counted == {}
    assert data.records is drawn.records
    assert data.weights.tolist() == [2, 5]
    assert data.embedder == "hashing:64:0"


# cache


@pytest.fixture
def file(tmp_path):
    return tmp_path / "made" / "cache.db"


def rows_of(file):
    with sqlite3.connect(file) as database:
        found = database.execute("SELECT embedder, text_hash, vector FROM vectors ORDER BY text_hash").fetchall()
    database.close()
    return found


def change(file, statement, *values):
    with sqlite3.connect(file) as database:
        database.execute(statement, values)
    database.close()


def test_no_text_is_embedded_twice(file):
    inner = Counting()
    cached = CachedEmbedder(inner, file)
    first = cached.embed(records(["b", "a", "b", None, ""]))
    assert inner.asked == ["b", "a", ""]
    second = cached.embed(records(["c", "a", "b"]))
    assert inner.asked == ["b", "a", "", "c"]
    another_process = Counting()
    third = CachedEmbedder(another_process, file).embed(records(["c", "b", "a", ""]))
    assert another_process.asked == []
    plain = HashingEmbedder()
    assert (first == plain.embed(records(["b", "a", "b", "", ""]))).all()
    assert (second == plain.embed(records(["c", "a", "b"]))).all()
    assert (third == plain.embed(records(["c", "b", "a", ""]))).all()
    assert first.dtype == third.dtype == np.float32
    assert cached.fingerprint == inner.fingerprint
    assert cached.reads == "text"


@settings(max_examples=25, deadline=None)
@given(calls=st.lists(st.lists(st.none() | st.text(max_size=2), max_size=5), max_size=4))
def test_the_cache_changes_nothing(tmp_path_factory, calls):
    inner = Counting()
    cached = CachedEmbedder(inner, tmp_path_factory.mktemp("cache") / "c.db")
    for texts in calls:
        assert (cached.embed(records(texts)) == HashingEmbedder().embed(records(texts))).all()
    assert len(inner.asked) == len(set(inner.asked)) == len({text or "" for texts in calls for text in texts})


def test_more_texts_than_one_look_up_takes(file):
    texts = [f"text {n}" for n in range(1203)]
    cached = CachedEmbedder(Counting(), file)
    assert (cached.embed(records(texts)) == cached.embed(records(texts))).all()
    assert len(cached.inner.asked) == 1203
    assert (cached.embed(records(texts[::-1])) == HashingEmbedder().embed(records(texts[::-1]))).all()
    assert len(cached.inner.asked) == 1203


def test_records_known_from_before_are_counted(file):
    cached = CachedEmbedder(Counting(), file)
    reused = []
    for texts in (["a", "b", "a"], ["a", "c", "a"], [], ["a", "b", "c"]):
        cached.embed(records(texts))
        reused.append(cached.reused)
    assert reused == [0, 2, 0, 3]


def test_two_embedders_are_kept_apart(file):
    one, other = Counting(HashingEmbedder(8)), Counting(HashingEmbedder(8, seed=1))
    first = CachedEmbedder(one, file).embed(records(["a"]))
    second = CachedEmbedder(other, file).embed(records(["a"]))
    assert one.asked == other.asked == ["a"]
    assert (first != second).any()
    assert (CachedEmbedder(one, file).embed(records(["a"])) == first).all()
    assert one.asked == ["a"]


def test_vectors_of_other_library_versions_are_not_used(file):
    old, new = Counting(software="torch 1"), Counting(software="torch 2")
    CachedEmbedder(old, file).embed(records(["a"]))
    CachedEmbedder(new, file).embed(records(["a"]))
    assert new.asked == ["a"]
    assert sorted(row[0] for row in rows_of(file)) == ["hashing:64:0 torch 1", "hashing:64:0 torch 2"]
    assert CachedEmbedder(new, file).fingerprint == "hashing:64:0"


def test_stored_hashes_give_no_text_away(file, tmp_path):
    text = "I lost my card"
    plain = {hashlib.new(name, text.encode()).digest()[:16] for name in ("sha256", "sha1", "md5", "blake2b", "blake2s")}
    plain |= {hashlib.blake2b(text.encode(), digest_size=16).digest()}
    hashes = []
    for where in (file, tmp_path / "other.db"):
        CachedEmbedder(HashingEmbedder(), where).embed(records([text]))
        hashes += [row[1] for row in rows_of(where)]
        assert text.encode() not in where.read_bytes()
    assert len(hashes) == 2
    assert not set(hashes) & plain
    assert hashes[0] != hashes[1]


@pytest.mark.parametrize(
    "blob",
    [b"", b"x", b"\0" * 8, np.ones(3, "<f4").tobytes(), np.ones(64, "<f4").tobytes(), "text", 5],
    ids=["empty", "one byte", "check only", "short", "right size", "text", "number"],
)
def test_a_damaged_vector_is_embedded_again(file, caplog, blob):
    inner = Counting()
    cached = CachedEmbedder(inner, file)
    right = cached.embed(records(["a", "b"]))
    kept = {row[1] for row in rows_of(file)}
    change(file, "UPDATE vectors SET vector = ?", blob)
    assert (cached.embed(records(["a", "b"])) == right).all()
    assert inner.asked == ["a", "b", "a", "b"]
    assert caplog.messages == [f"embedding cache {file} holds 2 damaged vectors; embedding these texts again"]
    assert (cached.embed(records(["a", "b"])) == right).all()
    assert inner.asked == ["a", "b", "a", "b"]
    assert {row[1] for row in rows_of(file)} == kept


def test_a_vector_under_another_texts_key_is_embedded_again(file):
    cached = CachedEmbedder(Counting(), file)
    right = cached.embed(records(["a", "b"]))
    (_, one, first), (_, other, second) = rows_of(file)
    change(file, "UPDATE vectors SET vector = ? WHERE text_hash = ?", second, one)
    change(file, "UPDATE vectors SET vector = ? WHERE text_hash = ?", first, other)
    assert (cached.embed(records(["a", "b"])) == right).all()
    assert len(cached.inner.asked) == 4


def test_vectors_of_another_dimension_are_not_mixed(file, caplog):
    CachedEmbedder(Counting(HashingEmbedder(8), "same"), file).embed(records(["a"]))
    wider = CachedEmbedder(Counting(HashingEmbedder(16), "same"), file)
    assert (wider.embed(records(["a", "b"])) == HashingEmbedder(16).embed(records(["a", "b"]))).all()
    assert caplog.messages == [f"embedding cache {file} holds vectors of another dimension; embedding without it"]


def test_unusable_vectors_are_not_kept(file):
    rows = np.array([[1.0, 2.0], [NAN, 2.0], [1.0, INF]])
    vectors = CachedEmbedder(Given(rows), file).embed(records(["a", "b", "c"]))
    assert np.array_equal(vectors, rows.astype(np.float32), equal_nan=True)
    assert len(rows_of(file)) == 1


def test_what_comes_back_is_what_was_given_out_first(file):
    rows = np.array([[1 / 3, 2 / 3]])
    first = CachedEmbedder(Given(rows), file).embed(records(["a"]))
    assert (CachedEmbedder(Given(None), file).embed(records(["a"])) == first).all()


def test_a_wrong_shape_is_the_embedders_fault(file):
    assert refusal(CachedEmbedder(Given(np.ones((1, 2))), file).embed, records(["a", "b"])) == (
        "the embedder gave an array of shape (1, 2) for 2 records; wanted (2, d)"
    )


def test_no_more_than_the_bound_is_kept(file, caplog):
    cached = CachedEmbedder(Counting(), file, max_rows=3)
    cached.embed(records(["a", "b"]))
    assert caplog.messages == []
    assert len(cached.embed(records(["c", "d", "e"]))) == 3
    assert len(rows_of(file)) == 3
    assert caplog.messages == [f"embedding cache {file} is full (3 rows); delete it to start afresh"]
    cached.embed(records(["a", "b", "c", "e"]))
    assert cached.inner.asked == ["a", "b", "c", "d", "e", "e"]
    assert len(rows_of(file)) == 3


def test_progress_through_the_cache(file):
    seen = []
    cached = CachedEmbedder(HashingEmbedder(), file)
    cached.embed(records(["a", "b", "a"]), lambda *n: seen.append(n))
    assert seen == [(1, 2), (2, 2)]
    cached.embed(records(["a", "b", "a"]), lambda *n: seen.append(n))
    assert seen[2:] == [(3, 3)]


def spoil_as_text(file):
    file.write_text("this was a database once " * 100)


def spoil_pages(file):
    content = bytearray(file.read_bytes())
    content[100:] = b"\xff" * (len(content) - 100)
    file.write_bytes(content)


def spoil_tables(file):
    change(file, "DROP TABLE vectors")
    change(file, "CREATE TABLE vectors (something TEXT)")


def spoil_secret(file):
    change(file, "UPDATE secret SET value = 'short'")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (spoil_as_text, "file is not a database"),
        (spoil_pages, "malformed"),
        (spoil_tables, "no such column"),
        (spoil_secret, "its secret is damaged"),
    ],
)
def test_a_damaged_file_is_a_warning(file, caplog, spoil, reason):
    cached = CachedEmbedder(Counting(), file)
    right = cached.embed(records(["a", "b", "a"]))
    change(file, "PRAGMA wal_checkpoint(TRUNCATE)")
    spoil(file)
    assert (cached.embed(records(["a", "b", "a"])) == right).all()
    assert len(caplog.records) == 1
    assert caplog.records[0].levelno == logging.WARNING
    assert caplog.messages[0].startswith(f"embedding cache {file} cannot be read (")
    assert reason in caplog.messages[0]
    assert caplog.messages[0].endswith("); embedding without it")


def test_a_cut_file_is_still_right(file, caplog):
    texts = [f"text {n}" for n in range(300)]
    cached = CachedEmbedder(Counting(), file)
    right = cached.embed(records(texts))
    change(file, "PRAGMA wal_checkpoint(TRUNCATE)")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert (cached.embed(records(texts)) == right).all()
    assert caplog.records


@pytest.mark.parametrize("where", ["file/cache.db", "folder"])
def test_a_place_that_cannot_be_written_is_a_warning(tmp_path, caplog, where):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    cached = CachedEmbedder(Counting(), tmp_path / where)
    assert (cached.embed(records(["a"])) == HashingEmbedder().embed(records(["a"]))).all()
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"embedding cache {tmp_path / where} cannot be read (")


def test_vectors_that_cannot_be_kept_are_a_warning(file, caplog):
    cached = CachedEmbedder(Counting(), file)
    cached.embed(records(["a"]))
    change(file, "CREATE TRIGGER full BEFORE INSERT ON vectors BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    assert (cached.embed(records(["a", "b"])) == HashingEmbedder().embed(records(["a", "b"]))).all()
    assert caplog.messages == [f"embedding cache {file} cannot be written (disk full); its vectors are not kept"]
    assert len(rows_of(file)) == 1


def test_threads_share_one_file(file, caplog):
    texts = [f"text {n}" for n in range(40)]
    right = HashingEmbedder().embed(records(texts))
    wrong = []
    start = threading.Barrier(8)

    def work():
        start.wait()
        for first in range(0, 40, 10):
            part = CachedEmbedder(HashingEmbedder(), file).embed(records(texts[first:] + texts[:first]))
            wrong.append((part != np.roll(right, -first, axis=0)).any())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [False] * 32
    assert len(rows_of(file)) == 40
    assert caplog.messages == []


def embed_in_another_process(file, barrier, number, results):
    heard = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())
    logging.getLogger("monitor").addHandler(handler)
    texts = [f"text {n % 30}" for n in range(number, number + 45)]
    barrier.wait()
    vectors = CachedEmbedder(HashingEmbedder(), file).embed(records(texts))
    results.put(((vectors == HashingEmbedder().embed(records(texts))).all(), heard))


def test_processes_share_one_file(file):
    assert in_processes(6, embed_in_another_process, file) == [(True, [])] * 6
    assert len(rows_of(file)) == 30
    late = Counting()
    CachedEmbedder(late, file).embed(records([f"text {n}" for n in range(30)]))
    assert late.asked == []


# canaries

ADVICE = (
    "the embedder changed, not the data: restore the model and library versions the reference was built with, "
    "or build a new reference (drift-monitor reference build)"
)


class Turned:
    """An embedder whose vectors are turned by an angle."""

    reads = "text"
    fingerprint = "turned"

    def __init__(self, angle=0.0, length=1.0):
        self.angle, self.length = angle, length

    def embed(self, table, progress=None):
        n = table.num_rows
        angles = np.linspace(0, 1, n) + self.angle * (np.arange(n) == n // 2)
        return (self.length * np.column_stack([np.cos(angles), np.sin(angles)])).astype(np.float32)


def test_the_canary_texts_never_change():
    assert hashlib.sha256("\0".join(CANARIES).encode()).hexdigest() == (
        "554bca03a851f4ac2135f46fc70480d6b0add2909053328d9ac33483e92f5c75"
    )
    assert len(set(CANARIES)) == len(CANARIES) == 21
    assert max(map(len, CANARIES)) > 3000


def test_canaries_of_the_same_embedder_stay():
    stored = canary_vectors(HashingEmbedder())
    assert stored.shape == (21, 64)
    assert stored.dtype == np.float32
    assert np.allclose(np.linalg.norm(stored, axis=1), 1)
    assert 0 <= check_canaries(HashingEmbedder(), stored) < 1e-6


def test_canaries_do_not_mind_the_length_of_vectors():
    assert check_canaries(Turned(length=7.0), canary_vectors(Turned())) < 1e-6


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_canaries_measure_the_largest_move(share):
    distance = share * TOLERANCE
    angle = np.arccos(1 - distance)
    assert check_canaries(Turned(angle), canary_vectors(Turned())) == pytest.approx(distance, rel=0.01)


def test_canaries_that_moved_too_far():
    stored = canary_vectors(Turned())
    assert check_canaries(Turned(np.arccos(1 - 0.9 * TOLERANCE)), stored) < TOLERANCE
    with pytest.raises(CanaryError) as caught:
        check_canaries(Turned(np.arccos(1 - 0.002)), stored)
    assert str(caught.value) == f"canary texts moved by 0.002 in cosine distance (tolerance 0.0005); {ADVICE}"


def test_canaries_of_another_model():
    with pytest.raises(
        CanaryError, match=r"^canary texts moved by [01]\.\d+ in cosine distance \(tolerance 0\.0005\); the"
    ):
        check_canaries(HashingEmbedder(seed=1), canary_vectors(HashingEmbedder()))


def test_canaries_of_another_dimension():
    with pytest.raises(CanaryError) as caught:
        check_canaries(HashingEmbedder(32), canary_vectors(HashingEmbedder(64)))
    assert str(caught.value) == f"canary vectors have shape (21, 32), the reference's (21, 64); {ADVICE}"
    with pytest.raises(CanaryError, match=r"\(21, 64\), the reference's \(0, 64\)"):
        check_canaries(HashingEmbedder(64), np.zeros((0, 64), dtype=np.float32))


def test_canaries_that_are_no_numbers():
    rows = np.ones((21, 2))
    stored = canary_vectors(Given(rows))
    broken = rows.copy()
    broken[3], broken[5] = NAN, 0
    wrong = "2 of 21 canary texts get a vector with NaN or infinity, or of zeros alone"
    with pytest.raises(CanaryError) as caught:
        check_canaries(Given(broken), stored)
    assert str(caught.value) == f"{wrong}; {ADVICE}"
    with pytest.raises(EmbedError) as caught:
        canary_vectors(Given(broken))
    assert str(caught.value) == f"{wrong}; check the model"
    with pytest.raises(CanaryError, match=r"^canary texts moved by nan"):
        check_canaries(Given(rows), np.full((21, 2), NAN, dtype=np.float32))


def test_canaries_never_come_from_the_cache(file):
    stored = canary_vectors(Turned())
    embedder = Turned()
    cached = CachedEmbedder(embedder, file)
    canary_texts = records(list(CANARIES))
    cached.embed(canary_texts)
    embedder.angle = 1.0
    assert (cached.embed(canary_texts) == Turned().embed(canary_texts)).all()
    with pytest.raises(CanaryError, match=r"^canary texts moved by 0\.46"):
        check_canaries(CachedEmbedder(cached, file), stored)


def test_a_dataset_knows_its_embedder_through_the_cache(file):
    data, _ = to_dataset(CachedEmbedder(HashingEmbedder(), file), sample(records(["a", "b"])))
    assert data.embedder == "hashing:64:0"
