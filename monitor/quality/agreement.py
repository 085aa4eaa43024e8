"""How far annotators agree with each other and with known answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from monitor.values import Agreement, Annotator, Vote

__all__ = ["agreement", "annotators"]


def agreement(votes: Sequence[Vote]) -> Agreement:
    """Krippendorff's alpha for nominal labels; records that not all annotators saw are allowed.

    Krippendorff, "Content Analysis", 4th ed., 2018, chapter 12.
    """
    raise NotImplementedError


def annotators(votes: Sequence[Vote], gold: Mapping[str, str]) -> tuple[Annotator, ...]:
    """Each annotator's share of right answers to gold questions and of agreement with others, in the order of names."""
    raise NotImplementedError
