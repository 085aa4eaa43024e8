"""Parquet, JSON-lines and CSV files, local or in an object store."""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import fsspec
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from monitor.errors import MonitorError, SourceError
from monitor.secrets import redact_url
from monitor.sources.fields import Fields, Translator, missing_column
from monitor.sources.lines import NotJsonLinesError, csv_columns, csv_rows, json_columns, json_rows
from monitor.sources.parquet import parquet_columns, parquet_rows
from monitor.values import Batch, Window

__all__ = ["FilesSource", "Format"]

Format = Literal["auto", "parquet", "jsonl", "csv"]

_FORMATS: dict[str, Format] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
}
_COMPRESSED = {".gz", ".bz2", ".xz"}
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "abfs": "azure", "abfss": "azure", "az": "azure"}


@dataclass(frozen=True)
class _File:
    store: Any
    path: str
    name: str
    format: Format


class FilesSource:
    """Reads files that match a path or pattern, in the order of their names.

    path       a file or pattern (``data/2026-*/*.parquet``, ``s3://bucket/logs/**/*.jsonl.gz``), or a list of them
    format     ``auto`` goes by the name: .parquet .pq .jsonl .ndjson .json .csv, also with .gz .bz2 .xz
    storage    options of the object store, as fsspec's file system takes them
    delimiter  between the fields of a CSV file

    A column that only some files have is null in the others. Of Parquet, only the wanted columns are read, and with a
    window only the row groups that may hold rows of it; other files are read whole each time. CSV values are strings,
    empty ones are null. A line that is no row is counted as ``malformed line``; in JSON lines, a column must occur in
    the first 4 MB of some file.
    """

    def __init__(
        self,
        fields: Fields,
        path: str | list[str],
        format: Format = "auto",  # noqa: A002 - the option's name in the settings
        storage: dict[str, Any] | None = None,
        delimiter: str = ",",
    ) -> None:
        self._fields = fields
        self._patterns = [path] if isinstance(path, str) else list(path)
        self._format = format
        self._storage = storage or {}
        self._delimiter = delimiter

    def read(self, window: Window | None) -> Iterator[Batch]:
        """See :class:`monitor.sources.Source`; ``SourceError`` names the file or pattern that cannot be read."""
        translate = Translator(self._fields, dated=window is not None, window=window)
        files = [file for pattern in self._patterns for file in self._matching(pattern)]
        files = list({file.name: file for file in files}.values())
        if not self._check_columns(files):
            return
        columns = list(dict.fromkeys(self._fields.columns.values()))
        for file in files:
            translate.origin = f"{file.name}: "
            with closing(self._rows(file, columns, window)) as tables:
                for table, broken in tables:
                    batch = translate(_filled(table, columns))
                    rejected = {**batch.rejected, "malformed line": broken} if broken else batch.rejected
                    yield Batch(batch.rows, rejected)

    def _matching(self, pattern: str) -> list[_File]:
        shown = redact_url(pattern) if "://" in pattern else pattern
        with _reaching(pattern, shown):
            store, path = fsspec.core.url_to_fs(pattern, **self._storage)
            # Listings are cached by process, and a server lives long.
            store.invalidate_cache()
            found = store.glob(path, detail=True)
            files = sorted(p for p, about in found.items() if about["type"] != "directory")
        local = isinstance(store, LocalFileSystem)
        if not files:
            relative = local and "://" not in pattern and not Path(pattern).is_absolute()
            place = f" from the working directory {Path.cwd()}" if relative else ""
            hint = f"; it is a folder, write {shown.rstrip('/')}/* to read what is in it" if found else ""
            raise SourceError(f"no file matches {shown!r}{place}{hint}. Check source.path")
        return [self._file(store, p if local else store.unstrip_protocol(p), p) for p in files]

    def _file(self, store: Any, name: str, path: str) -> _File:
        suffixes = [s.lower() for s in Path(path).suffixes]
        last = [s for s in suffixes[-2:] if s not in _COMPRESSED][-1:]
        found = self._format if self._format != "auto" else _FORMATS.get(last[0] if last else "")
        if found is None:
            known = " ".join(_FORMATS)
            raise SourceError(f"{name}: the format is not clear from the name ({known}); set source.format")
        return _File(store, path, name, found)

    def _check_columns(self, files: Sequence[_File]) -> bool:
        """Whether there is anything to read; ``SourceError`` when no file has a wanted column."""
        there: dict[str, None] = {}
        for file in files:
            with _reading(file):
                there |= dict.fromkeys(self._columns(file))
            if there and missing_column(self._fields, list(there)) is None:
                return True
        if there:
            origin = f"{files[0].name}: " if len(files) == 1 else f"{files[0].name} and {len(files) - 1} more: "
            headed = any(file.format == "csv" for file in files)
            missing = missing_column(self._fields, list(there), origin, may_be_data=headed)
            raise missing or AssertionError
        return False

    def _columns(self, file: _File) -> list[str]:
        with _opened(file) as handle:
            if file.format == "parquet":
                return parquet_columns(handle)
            return csv_columns(handle, self._delimiter) if file.format == "csv" else json_columns(handle)

    def _rows(self, file: _File, columns: Sequence[str], window: Window | None) -> Generator[tuple[pa.Table, int]]:
        with _reading(file), _opened(file) as handle:
            if file.format == "parquet":
                for table in parquet_rows(handle, columns, self._fields.timestamp, window):
                    yield table, 0
            elif file.format == "csv":
                yield from csv_rows(handle, columns, self._delimiter)
            else:
                yield from json_rows(handle, columns)


@contextmanager
def _opened(file: _File) -> Iterator[Any]:
    if file.format == "parquet" and isinstance(file.store, LocalFileSystem):
        with pa.OSFile(file.path) as handle:
            yield handle
        return
    # Parquet is read at several places in turn, so reading ahead would fetch most bytes for nothing.
    how = {"cache_type": "none"} if file.format == "parquet" else {"compression": "infer"}
    with file.store.open(file.path, "rb", **how) as handle:
        yield handle


def _filled(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    absent: Mapping[str, pa.Array] = {n: pa.nulls(table.num_rows) for n in columns if n not in table.schema.names}
    for name, nothing in absent.items():
        table = table.append_column(name, nothing)
    return table


@contextmanager
def _reading(file: _File) -> Iterator[None]:
    """Turn what goes wrong while a file is read into a ``SourceError`` that names it, never its content."""
    try:
        yield
    except MonitorError:
        raise
    except NotJsonLinesError:
        raise SourceError(
            f"{file.name}: no line is a JSON object; is the file JSON lines? Check source.format"
        ) from None
    except (EOFError, zlib.error, pa.ArrowException) as error:
        kind = "Parquet" if file.format == "parquet" else "compressed"
        raise SourceError(
            f"{file.name}: not a whole {kind} file; it is truncated, damaged or still being written. Write files under "
            "another name and rename them when they are complete"
        ) from error
    except Exception as error:  # object stores raise errors of their client libraries
        raise SourceError(f"{file.name}: cannot be read: {type(error).__name__}{_reason(error)}") from error


@contextmanager
def _reaching(pattern: str, shown: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        extra = _EXTRAS.get(pattern.partition("://")[0])
        advice = f"pip install drift-monitor[{extra}]" if extra else "install the fsspec package for it"
        raise SourceError(f"source.path {shown!r} needs a driver that is not installed: {advice}") from error
    except Exception as error:  # object stores raise errors of their client libraries
        raise SourceError(
            f"source.path {shown!r} cannot be listed: {type(error).__name__}{_reason(error)}; check the address, the "
            "credentials and source.storage"
        ) from error


def _reason(error: Exception) -> str:
    """What the operating system says, which holds neither records nor secrets."""
    return f" ({error.strerror})" if isinstance(error, OSError) and error.errno and error.strerror else ""
