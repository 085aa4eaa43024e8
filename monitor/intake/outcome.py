"""What is asked of an import of labels, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from monitor.embedders import Progress
from monitor.labels import Columns, Found
from monitor.labels.checks import Checked
from monitor.settings import MonitorSettings, Settings
from monitor.store import Store
from monitor.values import LabelVerdict, Returned, TrainingSet

__all__ = ["Case", "Outcome", "Request", "Verdict"]

Verdict = Literal["invalid", "before", "accept", "part", "refuse"]


@dataclass(frozen=True, slots=True)
class Request:
    """A file of labels and how to take it.

    by            who labelled, where the file does not say
    new_classes   classes that the reference lacks and that are meant
    gold          a file of known answers
    second_look   the labels are a second look at records that were sent back; they overrule all others
    skip_invalid  take the rows without problems, rather than none
    gate          whether the quality gate judges
    dataset       whether accepted labels become a new version of the training set at once
    use           compare with the new reference from now on
    dry_run       say what would happen; keep nothing
    """

    path: Path
    kind: str | None = None
    columns: Columns = field(default_factory=Columns)
    by: str = ""
    new_classes: frozenset[str] = frozenset()
    gold: Path | None = None
    second_look: bool = False
    skip_invalid: bool = False
    gate: bool = True
    dataset: bool = True
    use: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """A request, and what it is worked on with."""

    settings: Settings
    monitor: MonitorSettings
    store: Store
    request: Request
    now: datetime
    progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it.

    verdict       ``invalid``: rows with problems, nothing was changed; ``before``: this file, or all it says, had been taken
                  already; else the gate's ``accept``, ``part`` or ``refuse``
    as_before     labels that had come in already
    labels        that came into force, by record
    new, changed  of these, those of records without a label so far and with another one
    returned      records to label again
    judged        the gate's measurements; ``None`` where it did not judge
    training_set  the new version, ``None`` where nothing changed
    """

    verdict: Verdict
    found: Found
    checked: Checked
    as_before: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    new: int = 0
    changed: int = 0
    returned: tuple[Returned, ...] = ()
    judged: LabelVerdict | None = None
    training_set: TrainingSet | None = None
