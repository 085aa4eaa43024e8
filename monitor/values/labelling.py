"""Labels on their way back: what people said of records, and the versions of the training set that came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

__all__ = ["GivenLabel", "Lineage", "TrainingSet"]


@dataclass(frozen=True, slots=True)
class GivenLabel:
    """What one person said of one record.

    annotator  as the tool names the person, empty when the file does not say
    at         when it was said, if known
    settled    marked as ground truth: it decides whatever others say
    text       as it stands in the file, and ``text_sha256``, what it was when it left, where the file has them
    export     key of the export it came out of
    line       1 for the first row, task or line of the file
    """

    record_id: str
    label: str
    annotator: str = ""
    at: datetime | None = None
    settled: bool = False
    text: str | None = field(default=None, repr=False)
    text_sha256: str | None = None
    export: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where the labels of a training set came from. Keys of tickets and exports, ids of runs and imports, names of people."""

    tickets: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    annotators: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """One version of a monitor's training set: the training records of one version of its reference.

    parent       version it grew out of; ``None`` for the first
    fingerprint  SHA-256 over ids and labels
    classes      records by class, those without a label left out
    added, dropped, relabelled  records, compared with the parent
    """

    monitor: str
    version: int
    created_at: datetime
    parent: int | None
    reference_version: int
    fingerprint: str
    rows: int
    classes: Mapping[str, int]
    added: int = 0
    dropped: int = 0
    relabelled: int = 0
    lineage: Lineage = field(default_factory=Lineage)
