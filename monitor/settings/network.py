"""Who may be called when something is sent."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from monitor.reach import Reach
from monitor.settings.model import Model

__all__ = ["NetworkSettings"]


def _usable(entry: str) -> str:
    Reach([entry])
    return entry


class NetworkSettings(Model):
    """The hosts of trackers, mail servers, notifiers and the Pushgateway."""

    allow: list[Annotated[str, Field(max_length=255), AfterValidator(_usable)]] | None = Field(
        None,
        max_length=500,
        description="hosts that tickets, notices and metrics may be sent to: names, *.example.org, addresses, 10.0.0.0/8; null for all",
    )

    def reach(self) -> Reach | None:
        """The list; ``None`` when everyone may be called."""
        return None if self.allow is None else Reach(self.allow)
