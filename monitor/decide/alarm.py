"""From evidence to a state: two keys for an alarm, and no way out of one but several calm looks in a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.decide.evidence import bet_on, e_bh
from monitor.decide.findings import CHANGE, key_of
from monitor.decide.ledger import Ledger, opened, scale_of, what_of
from monitor.decide.policy import Policy
from monitor.values import Decision, Measurement, State

__all__ = ["LATELY", "Alarm", "carried", "judge", "near", "surely"]

LATELY = " lately"
"""Subjects that end so span the looks since the evidence began to rise; they are shown, and measure the effect, not tested."""

_STILL = 0.01
_NEAR = 0.1
_LEAST_NEAR = 3.0
_FADED = 1 / 30


@dataclass(frozen=True, slots=True)
class Alarm:
    """Where the alarm stands after a look.

    since    end of the window that raised it, in seconds since 1970; 0 when there is none
    calm     looks in a row without a difference since it was last seen; in a stable one, those that ended it
    hold     what is left of the alarm: the bet on every look since, never above 1; 0 when there is none
    raised   alarms since the baseline began
    p        smallest p-value of this look over all streams, corrected for their number
    named    keys of the streams that changed, the most certain first; while an alarm is on, of those that differ now
    effect   the comparison that says how large the change is, if there is one
    """

    state: State
    since: float
    calm: int
    hold: float
    raised: int
    p: float
    named: tuple[str, ...]
    effect: Measurement | None
    goes_on: bool = False
    """Raised by an earlier look."""

    def as_evidence(self) -> dict[str, float]:
        """For the next verdict to carry on."""
        sizes = {"effect": self.effect.effect, "effect_low": surely(self.effect)} if self.effect else {}
        counts = {"alarm_since": self.since, "calm": float(self.calm), "alarms": float(self.raised)}
        return {**counts, "hold": self.hold, "p": self.p, **sizes}


def near(policy: Policy) -> float:
    """Evidence from which on traffic is worth watching; calm traffic rarely reaches it."""
    return max(_LEAST_NEAR, _NEAR * policy.run_length)


def surely(measurement: Measurement) -> float:
    """The smallest size of a change in its interval, whichever way it goes; 0 when that holds no change too."""
    return max(measurement.low, -measurement.high, 0.0)


def carried(last: Decision | None) -> dict[str, float]:
    """What a verdict without a look takes over of the alarm."""
    kept = ("alarm_since", "calm", "hold", "alarms")
    return {name: last.evidence[name] for name in kept if name in last.evidence} if last is not None else {}


def judge(
    policy: Policy, ledger: Ledger, looked: Sequence[Measurement], last: Decision | None, at: float
) -> tuple[Alarm, Ledger]:
    """The alarm after a look, and the evidence to carry on.

    An alarm takes two keys: the evidence over all streams reaches ``policy.run_length``, and the change of one of the streams
    that are named surely exceeds ``policy.tolerance``. It then stays until ``policy.calm`` looks in a row show
    nothing at 1 % and a bet against calm has lost 29 of its 30 parts, so that a small drift that stays is one alarm and not
    many. The first calm look makes it ``recovering``, and evidence begins anew once it is over.
    """
    before = carried(last)
    raised, since = int(before.get("alarms", 0)), before.get("alarm_since", 0.0)
    tested = [m for m in looked if m.p_value is not None]
    p = min(1.0, len(tested) * min((m.p_value or 1.0 for m in tested), default=1.0))
    shares = ledger.shares(policy.run_length)
    named = e_bh(shares)
    leading = sorted((k for k in shares if shares[k] > 0), key=lambda k: (-shares[k], k))
    effect = _largest(looked, named or tuple(leading[:1]))
    if opened(last):
        still = p <= _STILL
        calm = 0 if still else int(before.get("calm", 0)) + (1 if tested else 0)
        hold = min(1.0, before.get("hold", 1.0) * (bet_on(p) if tested else 1.0))
        if calm >= policy.calm and hold <= _FADED:
            return Alarm(State.STABLE, 0.0, calm, 0.0, raised, p, (), effect), ledger.forgotten()
        state = State.DRIFTED if still else State.RECOVERING
        # What differs now, not what raised the alarm.
        now = sorted((m for m in tested if len(tested) * (m.p_value or 1.0) <= _STILL), key=lambda m: m.p_value or 1.0)
        named = tuple(key_of(m) for m in now)
        effect = _largest(tested, named) or effect
        return Alarm(state, since, calm, hold, raised, p, named, effect, goes_on=True), ledger
    if named and effect is not None and surely(effect) > policy.tolerance:
        return Alarm(State.DRIFTED, at, 0, 1.0, raised + 1, p, named, effect), ledger
    watched = ledger.evidence >= near(policy)
    return Alarm(State.WATCH if watched else State.STABLE, 0.0, 0, 0.0, raised, p, named, effect), ledger


def _largest(looked: Sequence[Measurement], named: Sequence[str]) -> Measurement | None:
    """Of the changes of the named streams, at any scale, the one that is surely largest."""
    wanted = {what_of(key) for key in named}
    ours = [
        m
        for m in looked
        if m.detector == CHANGE and (m.segment, m.subject.removesuffix(LATELY).partition(" over ")[0]) in wanted
    ]
    return max(ours, key=lambda m: (surely(m), abs(m.effect), -scale_of(m.subject)), default=None)
