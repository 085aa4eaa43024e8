"""PromQL: every query about a monitor, once for all replicas that serve it."""

from __future__ import annotations

__all__ = [
    "CODE",
    "STATES",
    "left_of_budget",
    "limit",
    "newest",
    "owner",
    "raised",
    "since",
    "state_code",
    "verdict_code",
]

STATES = {
    "stable": "green",
    "watch": "yellow",
    "recovering": "blue",
    "insufficient": "#8e8e8e",
    "drifted": "red",
    "failed": "purple",
}
"""States and their colours, the one that asks most of people last: its number is what panels draw."""

CODE = {state: number for number, state in enumerate(STATES)}


def newest(metric: str, *by: str, where: str = "", ago: str = "") -> str:
    """The metric of the chosen monitors, once, however many replicas serve it."""
    chosen = ",".join(filter(None, ['monitor=~"$monitor"', where]))
    kept = ", ".join(("monitor", *by))
    return f"max by ({kept}) (drift_monitor_{metric}{{{chosen}}}{ago})"


def limit(name: str) -> str:
    """How long something may last, by the settings of each monitor."""
    return newest("limit_seconds", where=f'limit="{name}"')


def since(metric: str, *by: str) -> str:
    """Seconds that have passed since the time that the metric says."""
    return f"time() - {newest(f'{metric}_timestamp_seconds', *by)}"


def state_code() -> str:
    """The state of each monitor as its number in ``CODE``."""
    each = {n: newest("state", where=f'state="{state}"') for state, n in CODE.items()}
    coded = " or ".join(f'label_replace({held} * {n}, "state", "{n}", "", "")' for n, held in each.items())
    return f"max by (monitor) ({coded})"


def verdict_code() -> str:
    """Verdict on the newest refresh as a number: 0 passed, 1 not shown, 2 failed."""
    each = (newest("verification_verdict", where=f'verdict="{name}"') for name in ("not shown", "failed"))
    undecided, failed = each
    return f"{undecided} + 2 * {failed}"


def owner() -> str:
    """1 for each monitor, its owner as a label; one owner where replicas disagree in the middle of an update."""
    return f"topk by (monitor) (1, {newest('info', 'owner')})"


def left_of_budget() -> str:
    """Share of a year's false alarms that the looks of the last year, or since the baseline, have not used."""
    spent, allowed = newest("false_alarms_expected"), newest("false_alarms_allowed_per_year")
    before = newest("false_alarms_expected", ago=" offset 1y")
    return f"clamp_min(1 - ({spent} - (({before} <= {spent}) or {spent} * 0)) / {allowed}, 0)"


def raised(metric: str, *by: str, where: str = "", over: str = "$__rate_interval") -> str:
    """How much a counter rose; every replica counts the same, so the largest is taken."""
    chosen = ",".join(filter(None, ['monitor=~"$monitor"', where]))
    return f"max by ({', '.join(('monitor', *by))}) (increase(drift_monitor_{metric}_total{{{chosen}}}[{over}]))"
