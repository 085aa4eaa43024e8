"""What the quality gate makes of a batch, as what is to be remembered of every single label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from monitor.errors import ConfigError
from monitor.intake.outcome import Case, Verdict
from monitor.intake.vectors import Located
from monitor.quality import annotators, judged, settled
from monitor.settings import MonitorSettings
from monitor.store import Annotation, Standing
from monitor.values import GateTerms, GivenLabel, LabelBatch, LabelVerdict, Reference, Returned, Vote

__all__ = ["Ruling", "ruling"]


@dataclass(frozen=True, slots=True)
class Ruling:
    """``labels`` come into force, ``returned`` go back; ``annotations`` is what each person said and what became of it."""

    verdict: Verdict
    labels: Mapping[str, str]
    returned: tuple[Returned, ...]
    annotations: tuple[Annotation, ...]
    judged: LabelVerdict | None

    @property
    def figures(self) -> dict[str, Any]:
        """What the gate measured, without texts."""
        if self.judged is None:
            return {}
        found = self.judged
        groups = {f"{one.field}={one.value}": one for one in (*found.classes, *found.segments)}
        return {
            "sentences": list(found.sentences),
            "alpha": found.agreement.alpha,
            "error": asdict(found.whole.error),
            "groups": {name: [one.labels, one.error.value, one.state, one.returned] for name, one in groups.items()},
        }


def ruling(
    case: Case,
    reference: Reference,
    fresh: Sequence[GivenLabel],
    said: Sequence[Annotation],
    places: Located,
    gold: Mapping[str, str],
    seed: int,
) -> Ruling:
    """Judge new labels together with what others ``said`` of the same records before.

    Records that everybody calls junk need no judgement: they are never trained on.
    """
    votes = _votes(fresh, said)
    junk = set(case.monitor.selection.junk)
    sound = {vote.record_id for vote in votes if vote.label not in junk}
    mine = list(dict.fromkeys(one.record_id for one in fresh))
    plain = {vote.record_id: vote.label for vote in votes if vote.record_id not in sound}
    ids = tuple(record for record in mine if record in sound)
    batch = LabelBatch(
        ids,
        np.stack([places.vectors[record] for record in ids]) if ids else reference.train.vectors[:0],
        tuple(vote for vote in votes if vote.record_id in sound),
        {name: [places.segments[record].get(name) for record in ids] for name in reference.train.segments},
        {record: label for record, label in gold.items() if record in sound},
        {record: label for record, label in _looks(case, fresh, said).items() if record in sound},
    )
    if not ids:
        return _of("accept", fresh, plain, (), None)
    if not (case.request.gate and case.monitor.labels.gate):
        labels, ties = _by_majority(batch)
        back = tuple(Returned(r, None, None, 0.5, ("tie",), ("The annotators are tied.",)) for r in ties)
        return _of("accept", fresh, plain | labels, back, None)
    found = _judged(case, batch, reference, seed)
    if found.verdict == "refuse":
        return _of("refuse", fresh, {}, found.returned, found)
    labels = {record: found.labels[record] for record in found.accepted}
    return _of(found.verdict, fresh, plain | labels, found.returned, found)


def _votes(fresh: Sequence[GivenLabel], said: Sequence[Annotation]) -> list[Vote]:
    """The last word of everyone on these records; those of refused imports do not count."""
    records = {one.record_id for one in fresh}
    told = [one for one in said if one.record_id in records and one.standing is not Standing.REFUSED]
    last = {(one.record_id, one.annotator): one.label for one in told}
    last |= {(one.record_id, one.annotator): one.label for one in fresh}
    return [Vote(record, annotator, label) for (record, annotator), label in last.items()]


def _looks(case: Case, fresh: Sequence[GivenLabel], said: Sequence[Annotation]) -> dict[str, str]:
    """Answers that overrule: ground truth, and second looks at what was sent back, where they do not contradict each other."""
    back = (
        {one.record_id for one in said if one.standing is not Standing.ACCEPTED} if case.request.second_look else set()
    )
    answers: dict[str, set[str]] = {}
    for one in fresh:
        if one.settled or one.record_id in back:
            answers.setdefault(one.record_id, set()).add(one.label)
    return {record: next(iter(labels)) for record, labels in answers.items() if len(labels) == 1}


def _by_majority(batch: LabelBatch) -> tuple[dict[str, str], tuple[str, ...]]:
    labels, ties = settled(batch.votes, annotators(batch.votes, batch.gold))
    return {**labels, **batch.second_look}, tuple(record for record in ties if record not in batch.second_look)


def _judged(case: Case, batch: LabelBatch, reference: Reference, seed: int) -> LabelVerdict:
    known = set(batch.ids)
    # A record is no witness to its own label.
    others = reference.train.take(np.array([record not in known for record in reference.train.ids], dtype=bool))
    # Every class has been checked: those it has not are declared, junk, in force already, or only predicted so far.
    batch = replace(batch, new_classes=frozenset(vote.label for vote in batch.votes) - set(others.column("label")))
    try:
        return judged(batch, others, _terms(case.monitor), np.random.default_rng(seed))
    except ValueError as error:
        raise ConfigError(
            f"{case.monitor.name}: the quality gate cannot judge: {error}; labels.gate: false takes labels as they come"
        ) from error


def _terms(monitor: MonitorSettings) -> GateTerms:
    said = monitor.labels
    return GateTerms(
        said.service_level,
        said.confidence,
        tuple(frozenset(group) for group in said.minor),
        said.minor_weight,
        said.keep_the_rest,
        said.neighbours,
    )


def _of(
    verdict: Verdict,
    fresh: Sequence[GivenLabel],
    labels: Mapping[str, str],
    returned: tuple[Returned, ...],
    found: LabelVerdict | None,
) -> Ruling:
    back = {one.record_id: one for one in returned}
    annotations = []
    for one in fresh:
        made = Annotation(one.record_id, one.annotator, one.label, one.settled, one.at, Standing.ACCEPTED)
        sent = back.get(one.record_id)
        if verdict == "refuse":
            made = replace(made, standing=Standing.REFUSED, reason="refused" if sent is None else ",".join(sent.why))
        elif sent is not None:
            standing = Standing.DISPUTED if "tie" in sent.why else Standing.RETURNED
            made = replace(made, standing=standing, reason=",".join(sent.why))
        annotations.append(made)
    return Ruling(verdict, labels, returned, tuple(annotations), found)
