"""How often the monitor may be wrong, and how much change is no news."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from monitor.settings.model import Model
from monitor.settings.schedule import YEAR, Duration, Schedule

__all__ = ["PolicySettings"]

_BUDGET = re.compile(r"(\d+(?:\.\d+)?) per (?:(\d+) )?(day|week|month|quarter|year)s?")
_PERIODS = {
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    "month": YEAR / 12,
    "quarter": YEAR / 4,
    "year": YEAR,
}


def _budget(value: Any) -> str:
    """A rate of false alarms."""
    match = _BUDGET.fullmatch(str(value).strip())
    if not match or not float(match[1]) or match[2] == "0":
        raise ValueError(
            "wanted a number of alarms and a period, for example 1 per year, 2 per quarter or 1 per 5 years"
        )
    return match[0]


class PolicySettings(Model):
    """When a difference is drift: how often the monitor may be wrong, and how much change is no news."""

    false_alarms: Annotated[str, BeforeValidator(_budget)] = Field(
        "1 per year", description="how many false alarms are bearable, on average at most"
    )
    tolerance: float = Field(0.02, ge=0, lt=1, description="share of traffic that may change without a ticket")
    minimum_sample: int = Field(50, ge=1, description="with fewer records there is no verdict")
    calm: int = Field(3, ge=1, description="looks in a row without a difference, at least, before drift counts as over")
    season: Duration | None = Field(
        None,
        description="compare only with windows of the same place in this period: 1w for hours of the week, 1d, ...",
    )
    reopen: Duration | None = Field(
        None,
        description="drift for the same causes, against the same reference, that comes back within this time goes on in its old ticket; default two periods",
    )
    silence: Duration = Field(
        timedelta(days=30), description="how long the label wont-fix on a ticket silences the monitor's drift"
    )
    keep: int = Field(1_000, ge=64, description="windows whose block sums are kept to compare with")

    @property
    def false_alarms_per_year(self) -> float:
        """The budget as a rate."""
        number, count, unit = _BUDGET.findall(self.false_alarms)[0]
        return float(number) * YEAR / (int(count or 1) * _PERIODS[unit])

    def run_length(self, schedule: Schedule) -> float:
        """Looks between two false alarms that the budget allows."""
        return YEAR / schedule.mean_length / self.false_alarms_per_year
