"""What to label next, and what goes out to people about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from monitor.values.records import Window

__all__ = [
    "Advice",
    "Candidate",
    "Estimate",
    "Export",
    "ExportedRun",
    "Neighbour",
    "Notice",
    "Refresh",
]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A training example close to a candidate; ``similarity`` is a cosine in [-1, 1]."""

    record_id: str
    label: str | None
    similarity: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A production record proposed for labelling.

    rank        1 for the first to label
    strategy    what chose it, for example ``herding`` or ``random``
    need        what its label is worth for the new traffic, in [0, 1]: the share of the traffic around it that is new, less
                where the model is sure and knows its like
    gain        share of all need in the window that it answers and those before it do not, in [0, 1]; a batch's sum is what it covers
    risk        expected protected samples that it alone would break, as a share of them in [0, 1]; ``None`` when not estimated
    cluster     words that its group within the batch has in common, ``None`` for a group without
    duplicates  near-identical records of the window that it stands for, itself not counted
    vector      its embedding, float32 little-endian
    label       the true label once a person has given it
    """

    rank: int
    record_id: str
    strategy: str
    need: float
    gain: float
    risk: float | None
    suggested_label: str | None
    neighbours: tuple[Neighbour, ...]
    reason: str
    duplicates: int = 0
    text: str | None = None
    observed_at: datetime | None = None
    predicted: str | None = None
    confidence: float | None = None
    segments: Mapping[str, str] = field(default_factory=dict)
    cluster: str | None = None
    vector: bytes | None = field(default=None, repr=False)
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do, by a name that does not change, and why, in finished sentences."""

    name: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Refresh:
    """What a batch of candidates is expected to do.

    round        1 until labels of the same drift have come in, then 2
    budget       candidates allowed; what the batch leaves of it is given back
    answers      labels of the same drift that were in hand
    covered      share of all need in the window that the batch answers, in [0, 1]
    junk         expected share of the batch that is none of the model's business
    gain         expected change of accuracy on the new traffic
    flips        predicted negative flip rate of a plain refit: protected samples the model had right and gets wrong, of those it had right
    guarded      the same with the incumbent bonus
    bonus        the bonus that keeps the rate within the budget; ``None`` when none does, or nobody can tell
    flips_budget negative flip rate the owner allows
    advice       what to do, most important first
    notes        what strategies could not do
    """

    round: int
    budget: int
    answers: int
    covered: float
    flips_budget: float
    junk: Estimate | None = None
    gain: Estimate | None = None
    flips: Estimate | None = None
    guarded: Estimate | None = None
    bonus: float | None = None
    advice: tuple[Advice, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Notice:
    """A message on a change of state. One key, one message, however often a window is run again.

    event  ``drift``, ``over``, ``blind`` (no verdict) or ``sees`` (verdicts again)
    quiet  no second message on the same event within this time
    """

    key: str
    monitor: str
    event: str
    title: str
    body: str
    window: Window
    quiet: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class ExportedRun:
    """Where exported candidates come from, and what that run worked with.

    records  ids of its candidates in the export
    """

    run_id: str
    window: Window
    reference_version: int = 0
    reference_fingerprint: str = ""
    embedder: str = ""
    settings: str = ""
    records: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Export:
    """Refresh candidates on their way out. The same ``key`` overwrites, it never appends.

    run_id, window, reference_version  of the run, the newest one when there are several
    report   the run's HTML report, empty when there is none
    runs     where the candidates come from; empty stands for the one run
    slot     when it was due, for exports on a schedule, which have candidates of several runs
    classes  labels that people may choose from; empty when that is not known
    note     what may be done with the records, for whoever finds them
    texts    what became of the texts: ``whole``, ``redacted`` or ``ids``
    redacted how much of them was masked, by kind
    """

    key: str
    monitor: str
    run_id: str
    window: Window
    candidates: tuple[Candidate, ...]
    reference_version: int
    refresh: Refresh | None = None
    report: str = ""
    runs: tuple[ExportedRun, ...] = ()
    slot: datetime | None = None
    classes: tuple[str, ...] = ()
    note: str = ""
    texts: str = "whole"
    redacted: Mapping[str, int] = field(default_factory=dict)
