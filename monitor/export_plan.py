"""When an export destination gets candidates, which ones, and what is said of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor.windows import Tiling

__all__ = ["ExportPlan"]


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """What the settings say of one destination.

    at_ticket   the candidates of a drifted run go there with its ticket
    tiling      slots of its schedule, ``None`` without one
    delay       how long after a slot has begun it is due
    everything  each slot holds the candidates of all runs so far, else of those that no earlier slot held
    note        goes into the manifest
    """

    at_ticket: bool = True
    tiling: Tiling | None = None
    delay: timedelta = timedelta(0)
    everything: bool = False
    note: str = ""

    def slot(self, now: datetime) -> datetime | None:
        """The newest slot that is due: it holds what ended by then."""
        return None if self.tiling is None else self.tiling.at(now - self.delay).start + self.delay
