"""What of private texts is masked, and for how long they are kept."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from monitor.redaction import KINDS, REGIONS, Kind, Redactor
from monitor.settings.model import Model
from monitor.settings.schedule import Duration

__all__ = ["PrivacySettings"]


class PrivacySettings(Model):
    """Privacy of production texts."""

    kinds: list[Kind] = Field(list(KINDS), description="what is masked besides the patterns")
    patterns: dict[str, str] = Field(
        default_factory=dict,
        max_length=50,
        description="further ones by name, regular expressions in RE2's syntax: order_number: 'R-[0-9]{6}' masks R-118842 as [order_number]",
    )
    regions: list[Annotated[str, Field(pattern=r"^[A-Z]{2}$")]] = Field(
        list(REGIONS), description="countries whose phone numbers are known without a country code"
    )
    retention: Duration | None = Field(
        None,
        description="how long after their run texts, excerpts and vectors are kept; null for ever. Verdicts, numbers and labels stay",
    )

    @model_validator(mode="after")
    def _usable(self) -> PrivacySettings:
        self.redactor()
        return self

    def redactor(self) -> Redactor:
        """What masks texts by these settings."""
        return Redactor(tuple(self.kinds), dict(self.patterns), tuple(self.regions))
