"""New topics: balls of records that production has and the reference hardly has, chosen on one half and counted on the other."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from monitor.causes.shares import Change, share_change
from monitor.causes.sides import Side
from monitor.values import FloatArray, Vectors

__all__ = ["Ball", "Topic", "new_topics", "scan"]

Mask = npt.NDArray[np.bool_]

_NEAREST = 64
_ROUNDS = 6
_TIMES = 4.0
_FEWEST = 3
_KNOWN = 0.5


@dataclass(frozen=True, slots=True)
class Ball:
    """Rows that lie near a centre and far from what is known: ``cosine to the centre - known / 2 >= least``."""

    centre: Vectors
    least: float

    def scores(self, side: Side) -> FloatArray:
        """How deep each row lies inside, (n,) float64."""
        return np.asarray(side.vectors @ self.centre - _KNOWN * side.known)


@dataclass(frozen=True, slots=True)
class Topic:
    """A ball that holds more of production than of the reference.

    change   share of the half that did not choose the ball, with its interval
    members  (m,) bool, current rows inside, all of them
    scores   (m,) float64, how deep current rows lie inside
    near     of as many records deepest inside as members in that half, how many are production, and how many those are
    spread   mean cosine of members to the centre
    """

    ball: Ball
    change: Change
    members: Mask
    scores: FloatArray
    near: tuple[int, int]
    spread: float


def _likelihood(inside: FloatArray, current: FloatArray, m: int, n: int) -> FloatArray:
    """Log likelihood ratio of Bernoulli scan: of ``inside`` rows ``current`` are production, of m + n in all m are.

    Kulldorff, "A spatial scan statistic", Commun. Stat. Theory Methods 26, 1997. 0 where production is not denser inside.
    """

    def entropy(hits: FloatArray, total: FloatArray) -> FloatArray:
        share = np.clip(hits / np.maximum(total, 1e-12), 1e-12, 1 - 1e-12)
        return np.asarray(hits * np.log(share) + (total - hits) * np.log1p(-share))

    total = float(n + m)
    whole = m * np.log(m / total) + n * np.log(n / total)
    ratio = entropy(current, inside) + entropy(m - current, total - inside) - whole
    denser = current / inside > m / total
    return np.where(denser & (current >= _FEWEST), ratio, 0.0)


def scan(reference: Side, current: Side) -> Ball | None:
    """The ball in which production exceeds the reference by the largest likelihood ratio; ``None`` when there is none.

    Every current row is tried as a centre with each of its 64 smallest neighbourhoods; the best is then centred on its
    production rows and sized anew a few times, without what a row itself adds to the centre.
    """
    n, m = len(reference), len(current)
    if n < _FEWEST or m < _FEWEST + 1:
        return None
    pooled = np.concatenate([reference.vectors, current.vectors])
    cosines = current.vectors @ pooled.T
    cosines[np.arange(m), n + np.arange(m)] = -np.inf
    k = min(_NEAREST, n + m - 1)
    found = np.argpartition(cosines, n + m - k, axis=1)[:, -k:]
    order = np.argsort(-np.take_along_axis(cosines, found, axis=1), axis=1, kind="stable")
    found = np.take_along_axis(found, order, axis=1)
    ours = np.cumsum(found >= n, axis=1).astype(np.float64)
    ratios = _likelihood(np.arange(1.0, k + 1)[None, :], ours, m - 1, n)
    seed, size = np.unravel_index(int(ratios.argmax()), ratios.shape)
    if ratios[seed, size] <= 0:
        return None
    chosen = found[seed, : size + 1]
    inside = np.zeros(m, dtype=bool)
    inside[chosen[chosen >= n] - n] = True
    inside[seed] = True
    return _grown(reference, current, inside)


def _to_centre(vectors: Vectors, total: FloatArray, added: Mask | None = None) -> FloatArray:
    """Cosine of each row to the sum ``total``, less the row itself where it is one of those summed."""
    products = vectors @ total.astype(np.float32)
    own = np.zeros(len(vectors)) if added is None else added.astype(np.float64)
    return np.asarray((products - own) / np.sqrt(np.maximum(total @ total - 2 * own * products + own, 1e-12)))


def _grown(reference: Side, current: Side, inside: Mask) -> Ball:
    n, m = len(reference), len(current)
    known = _KNOWN * np.concatenate([reference.known, current.known])
    least = np.inf
    for _ in range(_ROUNDS):
        total = current.vectors[inside].sum(axis=0, dtype=np.float64)
        depths = (
            np.concatenate([_to_centre(reference.vectors, total), _to_centre(current.vectors, total, inside)]) - known
        )
        order = np.argsort(-depths, kind="stable")
        ours = np.cumsum(order >= n).astype(np.float64)
        size = int(_likelihood(np.arange(1.0, n + m + 1), ours, m, n)[: n + m - 1].argmax())
        least = float(depths[order[size]] + depths[order[size + 1]]) / 2
        now = depths[n:] >= least
        if now.sum() < _FEWEST or (now == inside).all():
            break
        inside = now
    total = current.vectors[inside].sum(axis=0, dtype=np.float64)
    return Ball((total / max(float(np.linalg.norm(total)), 1e-12)).astype(np.float32), least)


def _known_class(reference: Side, current: Side, theirs: Mask, ours: Mask) -> bool:
    """Whether the ball is a known class that grew: at least half as much of it lies in there in the reference."""
    named = [c for c in current.classes[ours] if c is not None]
    if len(named) < ours.sum() / 2 or not named:
        return False
    values, counts = np.unique(np.array(named, dtype=str), return_counts=True)
    top = str(values[counts.argmax()])
    of_reference, of_current = reference.classes == top, current.classes == top
    if of_reference.sum() < _FEWEST or counts.max() < len(named) / 2:
        return False
    return bool(theirs[of_reference].mean() >= ours[of_current].mean() / 2)


def _examined(reference: Side, current: Side, second: Mask, second_ours: Mask, ball: Ball) -> Topic | None:
    """The ball counted on the second halves; ``None`` unless production is surely and several times denser there."""
    if not second.any() or not second_ours.any():
        # The groups found before have taken the rows that were to count.
        return None
    right, scores = reference.take(second), ball.scores(current)
    theirs, ours = ball.scores(right), scores[second_ours]
    inside, inside_ours = theirs >= ball.least, ours >= ball.least
    change = share_change(inside, right.codes, inside_ours, current.codes[second_ours])
    hits = int(inside_ours.sum())
    rare = change.reference + 0.5 / max(len(right), 1) <= change.current / _TIMES
    if change.low <= 0 or hits < _FEWEST or not rare:
        return None
    if _known_class(right, current.take(second_ours), inside, inside_ours):
        return None
    nearest = np.argsort(-np.concatenate([theirs, ours]), kind="stable")[:hits]
    near = int((nearest >= len(right)).sum())
    members = scores >= ball.least
    return Topic(ball, change, members, scores, (near, hits), _tightness(current, ball, members))


def _tightness(current: Side, ball: Ball, members: Mask) -> float:
    return float((current.vectors[members] @ ball.centre).mean())


def new_topics(reference: Side, current: Side, most: int = 3) -> list[Topic]:
    """Tight groups of current rows that the reference hardly has, at most ``most``, the clearest first.

    One half of both sides chooses the ball, the other half says how much of either side lies in it, so the interval is not
    selected for being large; what one half misses the other may find. A further ball is looked for only after one was
    confirmed, which keeps the chance of any false one at that of the first (two tries at 2.5 % each). A confirmed ball is
    then fitted once more to all rows to list its members.

    Parameters
    ----------
    reference : rows that are not the ruler's, so that ``known`` means the same on both sides
    """
    found: list[Topic] = []
    theirs, ours = np.ones(len(reference), dtype=bool), np.ones(len(current), dtype=bool)
    while len(found) < most:
        topic = _either_way(reference, current, theirs, ours)
        if topic is None:
            break
        topic = _fitted(reference, current, topic)
        found.append(topic)
        theirs &= topic.ball.scores(reference) < topic.ball.least
        ours &= ~topic.members
    return found


def _either_way(reference: Side, current: Side, theirs: Mask, ours: Mask) -> Topic | None:
    """Chosen on the first halves and counted on the second; where that fails, the other way round."""
    for swapped in (False, True):
        left, right = reference.first != swapped, current.first != swapped
        ball = scan(reference.take(left & theirs), current.take(right & ours))
        topic = None if ball is None else _examined(reference, current, ~left & theirs, ~right & ours, ball)
        if topic is not None:
            return topic
    return None


def _fitted(reference: Side, current: Side, topic: Topic) -> Topic:
    """The topic with centre and members from all rows; what was counted stays as it was."""
    ball = _grown(reference, current, topic.members)
    scores = ball.scores(current)
    members = scores >= ball.least
    if (members & topic.members).sum() < topic.members.sum() / 2:
        return topic
    return replace(topic, ball=ball, members=members, scores=scores, spread=_tightness(current, ball, members))
