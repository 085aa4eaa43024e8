"""The next version of a reference out of the one before it and labels that have come back: no source is read again."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from monitor.values import Dataset

__all__ = ["Difference", "class_counts", "difference", "labels_fingerprint", "with_labels"]


@dataclass(frozen=True, slots=True)
class Difference:
    """Ids of records that one training set has and the other lacks, and of those under another label, each in order."""

    added: tuple[str, ...]
    dropped: tuple[str, ...]
    relabelled: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.dropped or self.relabelled)


def with_labels(
    train: Dataset, protected: AbstractSet[str], labels: Mapping[str, str], junk: AbstractSet[str], new: Dataset | None
) -> Dataset:
    """Training records under these labels: known ones relabelled, dropped where the label is junk, ``new`` ones appended.

    Protected records and junk are never appended.
    """
    if not set(train.ids).isdisjoint(labels):
        said = [labels.get(record, label) for record, label in zip(train.ids, train.column("label"), strict=True)]
        index = train.records.schema.get_field_index("label")
        train = replace(
            train,
            records=train.records.set_column(index, train.records.schema.field(index), pa.array(said, pa.string())),
        )
        kept = [not (record in labels and label in junk) for record, label in zip(train.ids, said, strict=True)]
        train = train.take(np.array(kept, dtype=bool))
    if new is None:
        return train
    known = {*train.ids, *protected}
    wanted = [
        record not in known and label not in junk for record, label in zip(new.ids, new.column("label"), strict=True)
    ]
    return train.append(new.take(np.array(wanted, dtype=bool)))


def difference(before: Dataset, after: Dataset) -> Difference:
    """What became of the training records from one version to another."""
    old, new = (dict(zip(data.ids, data.column("label"), strict=True)) for data in (before, after))
    return Difference(
        tuple(sorted(new.keys() - old.keys())),
        tuple(sorted(old.keys() - new.keys())),
        tuple(sorted(record for record in old.keys() & new.keys() if old[record] != new[record])),
    )


def labels_fingerprint(train: Dataset) -> str:
    """SHA-256 over ids and labels, in the order of ids."""
    digest = hashlib.sha256()
    for pair in sorted(zip(train.ids, train.column("label"), strict=True), key=lambda pair: pair[0]):
        digest.update(json.dumps(pair).encode())
    return digest.hexdigest()


def class_counts(train: Dataset) -> dict[str, int]:
    """Records by label, most frequent first; those without one are left out."""
    counts = Counter(label for label in train.column("label") if label is not None)
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))
