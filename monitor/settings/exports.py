"""What is said of an export destination besides the options of its exporter."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field, model_validator

from monitor.settings.model import Model
from monitor.settings.schedule import Duration, Every, tiling_of
from monitor.windows import Tiling

__all__ = ["ExportTerms"]

_NOTE = (
    "Production records. They may hold personal data and what others own: use them to label and train this model, keep them where "
    "only those who do that can read them, and delete them when you are done."
)


class ExportTerms(Model):
    """When candidates go there, and which."""

    when: Literal["ticket", "schedule", "both"] = Field(
        "ticket", description="with the ticket of each drifted window, on a schedule, or both"
    )
    every: Every | None = Field(None, description="the schedule's slots: 1d, 1w, 1mo, ... from Monday, 00:00 UTC, on")
    delay: Duration = Field(timedelta(0), description="how long after a slot has begun it is exported")
    what: Literal["new", "all"] = Field(
        "new", description="on a schedule: candidates of runs that no earlier slot had, or of all runs"
    )
    note: str = Field(_NOTE, description="licence or privacy note in the manifest and the dataset card")

    @model_validator(mode="after")
    def _schedule_is_whole(self) -> ExportTerms:
        if self.scheduled and self.every is None:
            raise ValueError(f"when: {self.when} needs every, for example every: 1w")
        if not self.scheduled and {"every", "delay", "what"} & self.model_fields_set:
            raise ValueError("every, delay and what are for exports on a schedule; add when: schedule or when: both")
        if self.every is not None and self.delay >= tiling_of(self.every).length:
            raise ValueError(f"delay: {self.delay} is no shorter than a slot of {self.every}")
        return self

    @property
    def scheduled(self) -> bool:
        """Whether there is a schedule."""
        return self.when != "ticket"

    @property
    def tiling(self) -> Tiling | None:
        """The slots of the schedule."""
        return None if self.every is None else tiling_of(self.every)
