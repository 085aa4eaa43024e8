"""One label a record where annotators disagree: weighted majority, ties handed back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from monitor.values import Annotator, Vote

__all__ = ["settled"]


def settled(votes: Sequence[Vote], judged_by: Sequence[Annotator]) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """The label with the greatest weight of votes for each record, by id, and the ids of ties, which have none."""
    raise NotImplementedError
