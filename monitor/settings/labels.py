"""What labels that come back must keep before they enter training."""

from __future__ import annotations

from pydantic import Field

from monitor.settings.model import Model

__all__ = ["LabelSettings"]


class LabelSettings(Model):
    """The quality gate of ``labels import``."""

    gate: bool = Field(True, description="false takes labels as they come, conflicts settled by majority")
    service_level: float = Field(
        0.95,
        gt=0,
        lt=1,
        description="weighted share of labels that must be right, overall and in every class and segment",
    )
    confidence: float = Field(0.95, gt=0.5, lt=1, description="with which that must be shown")
    minor: list[list[str]] = Field(
        default_factory=list,
        description="groups of classes that are easily taken for each other: an error within one is minor",
    )
    minor_weight: float = Field(0.2, ge=0, le=1, description="what a minor error counts; a critical one counts 1")
    keep_the_rest: bool = Field(
        False, description="a bad class or segment goes back alone, instead of the whole batch being refused"
    )
    neighbours: int = Field(10, ge=1, description="nearest labelled records that a label is compared with")
