"""What the settings say of a monitor that its numbers are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

__all__ = ["MonitorTerms"]


@dataclass(frozen=True, slots=True)
class MonitorTerms:
    """Shown beside a monitor's numbers, so that no alert rule repeats them.

    owner           who looks after it
    false_alarms    allowed in a year, on average at most
    minimum_sample  records without which there is no verdict
    limits          how long what may last before people are told, by name: ``lag``, ``failing``, ``insufficient``, ``drift``,
                    ``reference_age``, ``ticket_wait``, ``outbox_wait``
    pages           where people reach the pages of the service, without a slash at its end; empty when that is not known
    junk            labels that say nothing of accuracy
    """

    owner: str
    false_alarms: float
    minimum_sample: int
    limits: Mapping[str, timedelta] = field(default_factory=dict)
    pages: str = ""
    junk: frozenset[str] = frozenset()
