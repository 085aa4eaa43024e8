"""From embedded records to one version of the reference, with its fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from monitor.errors import ArtifactError
from monitor.secrets import Secret, Url
from monitor.values import Dataset, Reference, Vectors

__all__ = ["assemble", "fingerprint_of", "split_protected"]

_SALT = b"drift-monitor protected split"
_HASHED_AT_ONCE = 1 << 16


def split_protected(data: Dataset, share: float) -> tuple[Dataset, Dataset]:
    """(train, protected) by a keyed hash of the record id: a record stays on its side when data are added.

    ``share`` in (0, 1) is the expected share of the protected part.
    """
    if not 0 < share < 1:
        raise ValueError(f"protected share is {share}; it must lie between 0 and 1")
    limit = share * 2.0**64
    protected = np.array(
        [
            int.from_bytes(hashlib.blake2b(i.encode(), digest_size=8, key=_SALT).digest(), "big") < limit
            for i in data.ids
        ],
        dtype=bool,
    )
    return data.take(~protected), data.take(protected)


def fingerprint_of(train: Dataset, protected: Dataset, settings: Mapping[str, Any]) -> str:
    """SHA-256 over both sets (ids, texts, labels, vectors), the embedder and the settings.

    It sees values alone: neither how Arrow lays them out nor the version that does changes it.
    """
    digest = hashlib.sha256()
    for data in (train, protected):
        digest.update(f"{len(data)} {data.vectors.shape[1]} {data.embedder}\n".encode())
        for name in data.records.schema.names:
            column = data.records.column(name)
            for start in range(0, len(column), _HASHED_AT_ONCE):
                values = column.slice(start, _HASHED_AT_ONCE).to_pylist()
                digest.update(json.dumps([name, values], default=datetime.isoformat).encode())
        digest.update(np.ascontiguousarray(data.vectors, dtype="<f4").tobytes())
        digest.update(np.ascontiguousarray(data.weights, dtype="<f8").tobytes())
    digest.update(json.dumps(_plain(settings), sort_keys=True).encode())
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    """What JSON can hold of a value; secrets are hidden."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in (sorted(value, key=str) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, Secret | Url):
        return repr(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _without_vector_column(data: Dataset) -> Dataset:
    """The source's own vector column emptied: the vectors live in ``Dataset.vectors``."""
    empty = pa.nulls(len(data), pa.list_(pa.float32()))
    index = data.records.schema.get_field_index("vector")
    return replace(data, records=data.records.set_column(index, pa.field("vector", empty.type), empty))


def assemble(
    name: str,
    version: int,
    created_at: datetime,
    train: Dataset,
    protected: Dataset,
    canaries: Vectors,
    fitted: Mapping[str, float],
    settings: Mapping[str, Any],
) -> Reference:
    """A new version out of its parts; records in both sets stay in the protected one alone."""
    held_out = set(protected.ids)
    train = train.take(np.array([i not in held_out for i in train.ids], dtype=bool))
    for part, data in (("training", train), ("protected", protected)):
        if not len(data):
            raise ArtifactError(f"reference {name} would have no {part} records; check its sources and protected_share")
    train, protected = _without_vector_column(train), _without_vector_column(protected)
    settings, fitted = _plain(settings), {key: float(value) for key, value in fitted.items()}
    fingerprint = fingerprint_of(train, protected, settings)
    return Reference(name, version, created_at, train, protected, fingerprint, canaries, fitted, settings)
