"""What an owner sets: how often the monitor may be wrong, and how small a change is none."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Policy"]


@dataclass(frozen=True, slots=True)
class Policy:
    """When a difference is drift.

    run_length      looks between two false alarms, on average at least; ``1 per year`` of daily looks is 365
    tolerance       share of traffic that may change without a ticket, in [0, 1)
    minimum_sample  with fewer sampled records there is no verdict
    calm            looks in a row without a difference, at least, before drift counts as over
    """

    run_length: float = 365.0
    tolerance: float = 0.02
    minimum_sample: int = 50
    calm: int = 3

    def __post_init__(self) -> None:
        if not self.run_length >= 2:
            raise ValueError(
                f"a false alarm every {self.run_length:.3g} looks leaves no calm ones; allow fewer false alarms, "
                "or look more often"
            )
        if not 0 <= self.tolerance < 1:
            raise ValueError(f"tolerance is {self.tolerance}; it is a share of traffic, from 0 to below 1")
        if self.minimum_sample < 1:
            raise ValueError(f"minimum_sample is {self.minimum_sample}; it must be at least 1")
        if self.calm < 1:
            raise ValueError(f"calm is {self.calm}; it must be at least 1")
