"""No text is embedded twice: vectors kept in one SQLite file, keyed by (embedder fingerprint, text hash).

The hash is keyed with a secret of the file, so that a copied key table alone does not give short texts away. Each vector
carries a checksum: one that is damaged, cut or not its text's own is embedded again. The cache is an economy, never a
condition: when its file cannot be used, the texts are embedded again and a warning says so.
"""

from __future__ import annotations

import logging
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from monitor.embedders import Embedder, Progress
from monitor.errors import EmbedError, StoreError
from monitor.sqlite_files import use_wal
from monitor.values import Vectors

__all__ = ["CachedEmbedder", "forget_vectors"]

_log = logging.getLogger(__name__)
_LOOKUP = 500
_SECRET_BYTES = 32
_CHECK_BYTES = 8
# With a row id the index is small and the highest id tells the number of rows; without one a count reads the whole file.
_AT_ONCE = 5_000
# The oldest have the lowest rows: no need to read the whole file.
_FORGET = """
DELETE FROM vectors WHERE row IN (SELECT row FROM vectors ORDER BY row LIMIT :most)
AND (:before IS NULL OR CAST(kept_at AS INTEGER) < :before)
"""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS secret (only_one INTEGER PRIMARY KEY CHECK (only_one = 1), value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS vectors (row INTEGER PRIMARY KEY, embedder TEXT, text_hash BLOB, vector BLOB NOT NULL, kept_at INTEGER, UNIQUE (embedder, text_hash));
"""
_KEEP = """
INSERT INTO vectors (embedder, text_hash, vector, kept_at) VALUES (?, ?, ?, strftime('%s', 'now'))
ON CONFLICT (embedder, text_hash) DO UPDATE SET vector = excluded.vector, kept_at = excluded.kept_at
"""


def _packed(key: bytes, vector: Vectors) -> bytes:
    content = vector.astype("<f4").tobytes()
    return content + blake2b(key + content, digest_size=_CHECK_BYTES).digest()


def _unpacked(key: bytes, blob: object) -> Vectors | None:
    """The vector, or ``None`` when it is damaged or belongs to another text."""
    if not isinstance(blob, bytes):
        return None
    content, check = blob[:-_CHECK_BYTES], blob[-_CHECK_BYTES:]
    if blake2b(key + content, digest_size=_CHECK_BYTES).digest() != check:
        return None
    return np.frombuffer(content, dtype="<f4")


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as database:
        use_wal(database)
        database.execute("PRAGMA synchronous=NORMAL")
        # What is deleted is overwritten.
        database.execute("PRAGMA secure_delete=ON")
        database.executescript(_SCHEMA)
        if "kept_at" not in {row[1] for row in database.execute("PRAGMA table_info(vectors)")}:
            _date(database)
        yield database


def _date(database: sqlite3.Connection) -> None:
    """A file of a release that kept no dates: what it holds counts from now."""
    with suppress(sqlite3.OperationalError):  # another process was first
        database.execute("ALTER TABLE vectors ADD COLUMN kept_at INTEGER")
    database.execute("UPDATE vectors SET kept_at = strftime('%s', 'now') WHERE kept_at IS NULL")


def forget_vectors(path: str | Path, before: datetime | None, *, dry_run: bool = False) -> int:
    """Delete vectors kept before then, or all, a few at a time so that runs can go on; how many. A file that is not there holds none.

    ``StoreError`` when the file cannot be used.
    """
    if not Path(path).exists():
        return 0
    limit = None if before is None else int(before.timestamp())
    try:
        with _opened(Path(path)) as database:
            if dry_run:
                which = "" if limit is None else "WHERE CAST(kept_at AS INTEGER) < ?"
                found = database.execute(f"SELECT count(*) FROM vectors {which}", [] if limit is None else [limit])  # noqa: S608 - only a question mark is put in
                return int(found.fetchone()[0])
            gone = 0
            while some := database.execute(_FORGET, {"before": limit, "most": _AT_ONCE}).rowcount:
                gone += some
            if gone:
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return gone
    except (sqlite3.Error, OSError) as error:
        raise StoreError(
            f"embedding cache {path} cannot be cleared ({error}); delete the file, it is made anew"
        ) from error


class CachedEmbedder:
    """Wraps an embedder; ``max_rows`` bounds the file (384 dimensions: 1.7 kB a row), beyond it nothing new is kept.

    Where the embedder has an attribute ``software`` (the library versions its vectors depend on), vectors of other
    versions are not used: a rebuilt reference must not mix the vectors of two.
    """

    reads: Literal["text", "vector"] = "text"

    def __init__(self, inner: Embedder, path: str | Path, max_rows: int = 2_000_000) -> None:
        self.inner = inner
        self._path = Path(path)
        self._max_rows = max_rows
        self.reused = 0
        """Records of the last call whose vector was known from before."""

    @property
    def fingerprint(self) -> str:
        """That of the wrapped embedder."""
        return self.inner.fingerprint

    @property
    def _owner(self) -> str:
        return f"{self.fingerprint} {getattr(self.inner, 'software', '')}".strip()

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with _opened(self._path) as database:
            yield database

    @staticmethod
    def _secret(database: sqlite3.Connection) -> bytes:
        select = "SELECT value FROM secret"
        if not database.execute(select).fetchone():
            database.execute("INSERT OR IGNORE INTO secret VALUES (1, ?)", (secrets.token_bytes(_SECRET_BYTES),))
        found = database.execute(select).fetchone()[0]
        if not isinstance(found, bytes) or len(found) != _SECRET_BYTES:
            raise sqlite3.DatabaseError("its secret is damaged")
        return found

    def _find(self, texts: list[str]) -> tuple[list[bytes], dict[bytes, Vectors]]:
        """Every text's key, and the vectors found."""
        with self._open() as database:
            secret = self._secret(database)
            keys = [blake2b(text.encode(), digest_size=16, key=secret).digest() for text in texts]
            found: dict[bytes, Vectors | None] = {}
            for start in range(0, len(keys), _LOOKUP):
                some = keys[start : start + _LOOKUP]
                marks = ",".join("?" * len(some))
                rows = database.execute(
                    f"SELECT text_hash, vector FROM vectors WHERE embedder = ? AND text_hash IN ({marks})",  # noqa: S608 - only question marks are put in
                    [self._owner, *some],
                )
                found.update((key, _unpacked(key, blob)) for key, blob in rows)
        good = {key: vector for key, vector in found.items() if vector is not None}
        if len(good) < len(found):
            damaged = len(found) - len(good)
            _log.warning(
                "embedding cache %s holds %d damaged vectors; embedding these texts again", self._path, damaged
            )
        return keys, good

    def _keep(self, keys: list[bytes], vectors: Vectors) -> None:
        usable = np.flatnonzero(np.isfinite(vectors).all(axis=1))
        rows = [(self._owner, keys[n], _packed(keys[n], vectors[n])) for n in usable]
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            room = self._max_rows - int(
                database.execute("SELECT coalesce(max(row) - min(row) + 1, 0) FROM vectors").fetchone()[0]
            )
            database.executemany(_KEEP, rows[: max(room, 0)])
            database.execute("COMMIT")
        if len(rows) > room:
            _log.warning("embedding cache %s is full (%d rows); delete it to start afresh", self._path, self._max_rows)

    def _fresh(self, records: pa.Table, progress: Progress | None) -> Vectors:
        vectors = np.asarray(self.inner.embed(records, progress), dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != records.num_rows:
            raise EmbedError(
                f"the embedder gave an array of shape {vectors.shape} for {records.num_rows} records; "
                f"wanted ({records.num_rows}, d)"
            )
        return vectors

    def embed(self, records: pa.Table, progress: Progress | None = None) -> Vectors:
        """As the wrapped embedder, asking it only for texts not seen before."""
        texts = [text or "" for text in records.column("text").to_pylist()]
        self.reused = 0
        if not texts:
            return self._fresh(records, progress)
        try:
            keys, found = self._find(texts)
        except (sqlite3.Error, OSError) as error:
            _log.warning("embedding cache %s cannot be read (%s); embedding without it", self._path, error)
            return self._fresh(records, progress)
        known = sum(key in found for key in keys)
        first_row: dict[bytes, int] = {}
        for row, key in enumerate(keys):
            if key not in found:
                first_row.setdefault(key, row)
        if first_row:
            fresh = self._fresh(records.take(pa.array(list(first_row.values()))), progress)
            found.update(zip(first_row, fresh, strict=True))
            try:
                self._keep(list(first_row), fresh)
            except (sqlite3.Error, OSError) as error:
                _log.warning("embedding cache %s cannot be written (%s); its vectors are not kept", self._path, error)
        elif progress is not None:
            progress(len(texts), len(texts))
        vectors = [found[key] for key in keys]
        if len({len(vector) for vector in vectors}) > 1:
            _log.warning("embedding cache %s holds vectors of another dimension; embedding without it", self._path)
            return self._fresh(records, progress)
        self.reused = known
        return np.stack(vectors)
