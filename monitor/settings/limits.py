"""How long what may last before people are told."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from monitor.settings.model import Model
from monitor.settings.schedule import Duration, Schedule

__all__ = ["LimitSettings"]


class LimitSettings(Model):
    """When alert rules are to speak; they compare with these and repeat none."""

    lag: Duration | None = Field(
        None, description="how far behind the clock the newest verdict may lie; default two periods and the delay"
    )
    failing: Duration = Field(timedelta(hours=1), description="how long runs may fail in a row")
    insufficient: Duration | None = Field(
        None, description="how long there may be too few records for a verdict; default two periods"
    )
    drift: Duration | None = Field(
        None, description="how long drift may last before someone is asked again; default four periods"
    )
    reference_age: Duration = Field(timedelta(days=180), description="how old the training reference may become")
    ticket_wait: Duration = Field(timedelta(days=7), description="how long a ticket may stay open while drift is on")
    outbox_wait: Duration = Field(timedelta(hours=1), description="how long a ticket or an export may wait to be sent")

    def of(self, schedule: Schedule) -> dict[str, timedelta]:
        """Every limit by name, those left out filled in."""
        period = schedule.tiling.length
        usual = {"lag": 2 * period + schedule.delay, "insufficient": 2 * period, "drift": 4 * period}
        return {
            name: usual[name] if (given := getattr(self, name)) is None else given for name in type(self).model_fields
        }
