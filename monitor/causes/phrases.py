"""Numbers as people read them."""

from __future__ import annotations

from monitor.causes.shares import Change

__all__ = ["gain", "interval", "percent"]


def percent(share: float) -> str:
    """A share in per cent, with a decimal below ten: ``0.5 %``, ``12 %``."""
    value = 100 * share
    return f"{value:.0f} %" if abs(value) >= 9.5 or abs(value - round(value)) < 0.05 else f"{value:.1f} %"


def interval(change: Change) -> str:
    """The gain of a share with its interval, none below 0: ``5 % (3 % to 8 %)``."""
    return f"{percent(max(change.difference, 0))} ({percent(max(change.low, 0))} to {percent(max(change.high, 0))})"


def gain(change: Change) -> str:
    """Both shares: ``from 1 % to 4.2 %``."""
    return f"from {percent(change.reference)} to {percent(change.current)}"
