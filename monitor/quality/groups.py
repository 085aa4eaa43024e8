"""Acceptance of the whole batch, of each class and of each segment, so that a bad one cannot hide in a good average."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from monitor.quality.evidence import Evidence
from monitor.quality.posterior import Draws
from monitor.values import Estimate, FloatArray, GateTerms

__all__ = ["Group", "Standing", "class_groups", "kept_back", "segment_groups", "stand", "whole_group"]

_MOST_HELD, _MOST_RETURNED, _MOST_UNBACKED = 0.2, 0.5, 0.5
_OF_WHAT_IS_ALLOWED = 0.5

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Group:
    """Labels that are judged together.

    field, value  as in :class:`monitor.values.GroupQuality`
    members       (n,) bool, labels that belong to it
    lost          (n,) bool, labels that say otherwise and would belong to it if they are wrong; a class alone has such
    """

    field: str
    value: str
    members: Mask
    lost: Mask


@dataclass(frozen=True, slots=True)
class Standing:
    """How a group stands. ``held`` are rows too doubtful to enter with the rest, most doubtful first."""

    group: Group
    error: Estimate
    state: Literal["good", "bad", "unclear"]
    held: tuple[int, ...]


def whole_group(rows: int) -> Group:
    """All labels."""
    return Group("", "", np.ones(rows, dtype=bool), np.zeros(rows, dtype=bool))


def class_groups(labels: npt.NDArray[np.object_], suggested: npt.NDArray[np.object_]) -> Iterator[Group]:
    """One group a class: labels that name it, and labels that should have if they are wrong."""
    for name in sorted(set(labels.tolist())):
        yield Group("label", name, labels == name, (labels != name) & (suggested == name))


def segment_groups(segments: Mapping[str, Sequence[str | None]], rows: Sequence[int]) -> Iterator[Group]:
    """One group a value of each segment field."""
    for field in sorted(segments):
        values = np.array([segments[field][row] for row in rows], dtype=object)
        for value in sorted({v for v in values.tolist() if v is not None}):
            yield Group(field, value, values == value, np.zeros(len(rows), dtype=bool))


def stand(group: Group, evidence: Evidence, out: Mask, terms: GateTerms, groups: int) -> Standing:
    """Judge one group.

    A class or segment is bad when the rate at which its labels go wrong is shown to be above what is allowed; the level is
    divided among all groups, so that a clean batch of many classes is not refused for the worst of them. The whole batch is bad
    when that rate cannot be shown to be within what is allowed and the error found is above half of it. What a second look has
    settled altogether is never bad. What is not bad enters but for the most doubtful labels, held back until the rest keeps the
    service level with the confidence asked for. When that is more than a fifth of the group, when more than half of it returns,
    or when for more than half nothing speaks but the rest of the batch, the group is unclear.

    Parameters
    ----------
    out : (n,) bool, labels that return anyway
    groups : how many classes and segments are judged
    """
    allowed, tail = 1.0 - terms.service_level, 1.0 - terms.confidence
    errors, total = _counted(group, evidence.draws)
    shares = errors / np.maximum(total, 1)
    low, high = np.quantile(shares, [tail, 1.0 - tail], method="closest_observation")
    error = Estimate(float(shares.mean()), float(low), float(high))
    size = int(group.members.sum())
    above = _above(errors, total, allowed)
    if group.field:
        bad = above >= 1.0 - tail / groups
    else:
        bad = above > tail and float(np.median(shares)) > _OF_WHAT_IS_ALLOWED * allowed
    if bad and (group.members & ~evidence.fixed).any():
        return Standing(group, error, "bad", ())
    unbacked = np.flatnonzero(group.members & evidence.unbacked & ~out)
    if len(unbacked) > _MOST_UNBACKED * size:
        order = np.lexsort((unbacked, -evidence.draws.wrong[unbacked]))
        return Standing(group, error, "unclear", tuple(unbacked[order].tolist()))
    held = _held(np.flatnonzero(group.members & ~out), evidence, allowed, terms.confidence)
    back = len(held) + int((group.members & out).sum())
    unclear = len(held) > max(1, _MOST_HELD * size) or back > max(1, _MOST_RETURNED * size)
    return Standing(group, error, "unclear" if unclear else "good", held)


def kept_back(one: Standing) -> npt.NDArray[np.int64]:
    """Rows of the batch's labels that do not enter for this group's sake."""
    if one.state == "good":
        return np.array(one.held, dtype=np.int64)
    return np.flatnonzero(one.group.members).astype(np.int64)


def _counted(group: Group, draws: Draws) -> tuple[FloatArray, FloatArray]:
    """Weighted errors and labels of a group in each draw, (s,) each."""
    errors = draws.weights[:, group.members].sum(axis=1, dtype=np.float64)
    total = np.full(len(errors), float(group.members.sum()))
    if group.lost.any():
        lost = draws.weights[:, group.lost]
        errors += lost.sum(axis=1)
        total += (lost > 0).sum(axis=1)
    return errors, total


def _above(errors: FloatArray, total: FloatArray, allowed: float) -> float:
    """Posterior chance that the share of errors behind these counts is above ``allowed``, under Jeffreys' prior."""
    pairs, counts = np.unique(np.stack([errors, total]), axis=1, return_counts=True)
    chances = beta.sf(allowed, 0.5 + pairs[0], 0.5 + pairs[1] - pairs[0])
    return float((chances * counts).sum() / counts.sum())


def _held(rows: npt.NDArray[np.intp], evidence: Evidence, allowed: float, confidence: float) -> tuple[int, ...]:
    """The most doubtful of these rows, as few as leave a rest that is shown to keep the service level.

    Labels that a person has settled enter corrected.
    """
    draws, fixed = evidence.draws, evidence.fixed
    open_rows = rows[~fixed[rows]]
    sums = draws.weights[:, open_rows].sum(axis=1, dtype=np.float64)
    doubtful = sorted(open_rows, key=lambda row: (-draws.wrong[row], row))
    held: list[int] = []
    left = len(rows)
    for row in doubtful:
        if np.quantile(sums, confidence, method="higher") <= allowed * left + 1e-9:
            break
        sums = sums - draws.weights[:, row]
        left -= 1
        held.append(int(row))
    return tuple(held)
