"""Names as labels: bounded in number and length."""

from __future__ import annotations

from collections.abc import Mapping

from monitor.metrics.table import OTHER

__all__ = ["largest", "short", "summed"]

_LONGEST = 80


def largest(sizes: Mapping[str, float], most: int) -> set[str]:
    """The names of the largest; ties go to the first by name."""
    return set(sorted(sizes, key=lambda name: (-sizes[name], name))[:most])


def summed(sizes: Mapping[str, float], most: int | set[str]) -> dict[str, float]:
    """The named or largest ones by label, largest first, the sum of the rest as ``other``."""
    named = largest(sizes, most) if isinstance(most, int) else most
    found: dict[str, float] = {}
    for name in sorted(sizes, key=lambda name: (name not in named, -sizes[name], name)):
        label = short(name) if name in named else OTHER
        found[label] = found.get(label, 0) + sizes[name]
    return found


def short(name: str) -> str:
    """The name, cut to 80 characters."""
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
