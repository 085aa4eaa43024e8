"""What comes back from labelling, and what the quality gate says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from monitor.values.records import Vectors
from monitor.values.refresh import Estimate

__all__ = [
    "Agreement",
    "Annotator",
    "GateTerms",
    "GroupQuality",
    "LabelBatch",
    "LabelVerdict",
    "Returned",
    "Vote",
]


@dataclass(frozen=True, slots=True, order=True)
class Vote:
    """One annotator's label of one record. ``annotator`` is empty where the tool does not say who."""

    record_id: str
    annotator: str
    label: str


@dataclass(frozen=True, slots=True)
class LabelBatch:
    """Labels to judge.

    ids          of the records, none twice, each with at least one vote
    vectors      (n, d) float32, rows of length one, in the order of ``ids``, from the reference's embedder
    votes        one or more a record; an annotator who labels a record twice contradicts themself, and neither counts
    segments     values of segment fields by name, in the order of ``ids``
    gold         known answers of questions that were seeded among the records, by id
    second_look  answers of a person who looked at labels again, by id; they overrule all votes
    new_classes  classes that the reference lacks and that are declared to be meant
    """

    ids: tuple[str, ...]
    vectors: Vectors
    votes: tuple[Vote, ...]
    segments: Mapping[str, Sequence[str | None]] = field(default_factory=dict)
    gold: Mapping[str, str] = field(default_factory=dict)
    second_look: Mapping[str, str] = field(default_factory=dict)
    new_classes: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        n, known = len(self.ids), set(self.ids)
        if len(known) != n:
            raise ValueError(f"{n - len(known)} of {n} record ids are there twice")
        if self.vectors.ndim != 2 or len(self.vectors) != n or self.vectors.dtype != np.float32:
            raise ValueError(f"vectors are {self.vectors.dtype} of shape {self.vectors.shape} for {n} records")
        if not np.isfinite(self.vectors).all():
            raise ValueError("vectors hold NaN or infinity")
        voted = {vote.record_id for vote in self.votes}
        if voted != known:
            raise ValueError(f"{len(known - voted)} records have no vote, {len(voted - known)} votes have no record")
        for name, values in self.segments.items():
            if len(values) != n:
                raise ValueError(f"segment {name} has {len(values)} values for {n} records")
        for name, answers in (("gold", self.gold), ("second_look", self.second_look)):
            if set(answers) - known:
                raise ValueError(f"{name} answers {len(set(answers) - known)} records that are not in the batch")


@dataclass(frozen=True, slots=True)
class GateTerms:
    """What a batch of labels must keep.

    service_level  weighted share of labels that must be right, in (0, 1), overall and in every class and segment
    confidence     with which that must be shown before labels enter training, in (0.5, 1)
    minor          groups of classes that are easily taken for each other; an error within a group is minor, any other critical
    minor_weight   what a minor error counts, in [0, 1]; a critical one counts 1
    keep_the_rest  take the records outside a bad class or segment, rather than refuse the batch for it, where the batch as a whole
                   keeps the service level
    neighbours     k, nearest labelled records that a label is compared with
    """

    service_level: float = 0.95
    confidence: float = 0.95
    minor: tuple[frozenset[str], ...] = ()
    minor_weight: float = 0.2
    keep_the_rest: bool = False
    neighbours: int = 10

    def __post_init__(self) -> None:
        if not 0.0 < self.service_level < 1.0:
            raise ValueError(f"service_level is {self.service_level}; give a share between 0 and 1, for example 0.95")
        if not 0.5 < self.confidence < 1.0:
            raise ValueError(f"confidence is {self.confidence}; give a number between 0.5 and 1, for example 0.95")
        if not 0.0 <= self.minor_weight <= 1.0:
            raise ValueError(f"minor_weight is {self.minor_weight}; give a number from 0 to 1, for example 0.2")
        if self.neighbours < 1:
            raise ValueError(f"neighbours is {self.neighbours}; give a whole number above 0, for example 10")


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far annotators agree beyond chance.

    alpha    Krippendorff's alpha for nominal labels, at most 1; ``None`` when no record has labels of two annotators
    records  that two or more annotators labelled
    agreed   of these, those on which all agree
    """

    alpha: float | None
    records: int
    agreed: int


@dataclass(frozen=True, slots=True)
class Annotator:
    """One annotator's labels.

    right   share of gold questions answered right, with its 95 % Jeffreys interval; ``None`` without any
    gold    gold questions answered
    peers   share of other annotators' labels of the same records that are the same; ``None`` without any
    weight  of a vote where annotators disagree: the log-odds of being right, at least a little above 0
    """

    name: str
    labels: int
    gold: int
    right: Estimate | None
    peers: float | None
    weight: float


@dataclass(frozen=True, slots=True)
class GroupQuality:
    """A class, a segment's value or the whole batch.

    field     ``""`` for the whole batch, ``label`` for classes, else the segment's field
    value     class or segment value; empty for the whole batch
    labels    in the group; a class has the labels that say so and those that it is likely missing
    error     weighted share of wrong labels as they came, with its interval at the terms' confidence
    state     ``good``: keeps the service level once what is returned is out; ``bad``: shown to break it;
              ``unclear``: neither can be shown, so nothing of it enters before a second look
    returned  of its labels, those that do not enter
    look      ids whose second look would settle it, most telling first; empty unless unclear
    sentence  the same in words
    """

    field: str
    value: str
    labels: int
    error: Estimate
    state: Literal["good", "bad", "unclear"]
    returned: int
    look: tuple[str, ...]
    sentence: str


@dataclass(frozen=True, slots=True)
class Returned:
    """A record that goes back to be labelled again.

    label      as it came; ``None`` for a tie
    suggested  what it more likely is, ``None`` when nothing is
    wrong      chance that the label is wrong, in [0, 1]
    why        short names of the reasons: ``gold``, ``tie``, ``label_error``, ``confident``, ``neighbours``,
               ``doubtful``, ``unclear_group``, ``bad_group``, ``refused``
    reasons    the same in finished sentences, without any text of the record
    """

    record_id: str
    label: str | None
    suggested: str | None
    wrong: float
    why: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LabelVerdict:
    """What the gate says of a batch.

    verdict     ``accept``: all but single labels enter; ``part``: whole groups go back, the rest enters; ``refuse``: nothing enters
    sentences   why, most important first
    labels      the label each record has after conflicts are settled, by id; ties have none
    accepted    ids that may enter training, in the batch's order
    returned    the re-label list, likeliest error first; with ``accepted`` it is the whole batch
    whole       the batch as one group
    classes     by name
    segments    by field and value
    agreement   between annotators
    annotators  by name
    """

    verdict: Literal["accept", "part", "refuse"]
    sentences: tuple[str, ...]
    labels: Mapping[str, str]
    accepted: tuple[str, ...]
    returned: tuple[Returned, ...]
    whole: GroupQuality
    classes: tuple[GroupQuality, ...]
    segments: tuple[GroupQuality, ...]
    agreement: Agreement
    annotators: tuple[Annotator, ...]
