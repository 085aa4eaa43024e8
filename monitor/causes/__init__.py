"""Causes told apart: what a difference between production and reference comes from, each with its evidence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor.causes.class_mix import class_mix
from monitor.causes.counted import counted_faults
from monitor.causes.embedder import embedder_changed
from monitor.causes.faults import text_faults
from monitor.causes.neighbours import production_shares
from monitor.causes.phrases import interval, percent
from monitor.causes.sides import FEWEST, Side, Sides, sides_of
from monitor.causes.terms import distinguishing_terms
from monitor.causes.topics import Topic, new_topics
from monitor.causes.unseen import unseen_content
from monitor.causes.wording import unexplained_shift, wording_change
from monitor.detectors.segments import check_comparable
from monitor.values import Cause, Counts, Dataset, Reference

__all__ = ["causes", "production_shares"]

_FIRST = {"pipeline": 0, "embedder": 1}
_SHOWN = 10


def causes(
    reference: Reference, current: Dataset, counts: Counts, past: Sequence[Counts], rng: np.random.Generator
) -> tuple[Cause, ...]:
    """What the difference between a window and the training reference comes from, most important first.

    Questions are asked in the order in which one answer would mislead the next, and each takes the rows it explains away from
    those after it: pipeline, embedder, new topics, wording, unseen content, class mix. Faults come first in the answer, the
    rest by the share of traffic they account for. Several can hold at once; nothing found is an empty tuple.

    Meant for a window that alarms, or nearly: no correction is made for looking at every window.

    Parameters
    ----------
    counts, past : what this window and earlier ones held; ``past`` may be empty

    Raises
    ------
    ComparisonError
        vectors of another embedder or of another dimension
    """
    found = counted_faults(counts, past)
    if len(current) and len(reference.train):
        check_comparable(reference.train, current, 1)
        sides = sides_of(reference.train, current, rng)
        if sides is not None:
            found += _of_records(sides, rng)
    return tuple(sorted(found, key=lambda c: (_FIRST.get(c.name, 2), -c.evidence.get("share", 0.0))))


def _enough(sides: Sides) -> bool:
    return min(len(sides.reference), len(sides.current)) >= FEWEST


def _of_records(sides: Sides, rng: np.random.Generator) -> list[Cause]:
    found = []
    for fault in text_faults(sides):
        found.append(fault.cause)
        sides = sides.take(fault.theirs, fault.ours)
    embedder = embedder_changed(sides) if _enough(sides) else None
    if embedder is not None:
        return [*found, embedder]
    if _enough(sides):
        content, sides = _topics(sides)
        found += content
    if _enough(sides):
        found += _rest(sides, bool(found), rng)
    return found


def _rest(sides: Sides, explained: bool, rng: np.random.Generator) -> list[Cause]:
    wording = wording_change(sides)
    plain = sides if wording is None else sides.take(~wording.theirs, ~wording.ours)
    unseen, beyond = unseen_content(plain) if _enough(plain) else (None, np.zeros(len(plain.current), dtype=bool))
    if unseen is not None:
        far = set(plain.current.ids[beyond])
        known = np.array([i not in far for i in sides.current.ids])
        sides = sides.take(np.ones(len(sides.reference), dtype=bool), known)
    mix = class_mix(sides, wording is not None, rng) if _enough(sides) else None
    found = [cause for cause in (None if wording is None else wording.cause, unseen, mix) if cause is not None]
    if not found and not explained:
        shift = unexplained_shift(sides)
        return [] if shift is None else [shift]
    return found


def _topics(sides: Sides) -> tuple[list[Cause], Sides]:
    """New topics as causes, and the rows they leave."""
    topics = new_topics(sides.reference, sides.current)
    if not topics:
        return [], sides
    shares = production_shares(sides.reference.vectors, sides.current.vectors)
    theirs = np.ones(len(sides.reference), dtype=bool)
    ours = np.ones(len(sides.current), dtype=bool)
    found = []
    for topic in topics:
        found.append(_told(topic, sides.reference, sides.current, float(shares[topic.members].mean())))
        theirs &= topic.ball.scores(sides.reference) < topic.ball.least
        ours &= ~topic.members
    return found, sides.take(theirs, ours)


def _told(topic: Topic, reference: Side, current: Side, share: float) -> Cause:
    new, near = topic.near
    sentence = (
        f"About {interval(topic.change)} of the traffic forms one tight group that the reference hardly has "
        f"({percent(topic.change.reference)} there); {new} of the {near} held-out records nearest to it are new."
    )
    evidence = {
        "share": topic.change.difference,
        "low": topic.change.low,
        "high": topic.change.high,
        "share_reference": topic.change.reference,
        "share_current": topic.change.current,
        "members": float(topic.members.sum()),
        "neighbour_share": share,
        "mean_cosine_to_centre": topic.spread,
    }
    members = np.flatnonzero(topic.members)
    terms = distinguishing_terms([current.words[i] for i in members], current.codes[members].tolist(), reference.words)
    deepest = members[np.argsort(-topic.scores[members], kind="stable")][:_SHOWN]
    return Cause("new topic", sentence, evidence, terms, tuple(current.ids[deepest]))
