"""The gate's findings in sentences; none holds any text of a record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from monitor.quality.groups import Standing
from monitor.values import Agreement, Annotator, GateTerms

__all__ = ["annotator_sentences", "confusion_sentence", "group_name", "group_sentence", "percent"]

_LOW_ALPHA = 0.667


def percent(share: float) -> str:
    """A share as people read it."""
    if 0.0 < share < 0.0005:
        return "less than 0.1 %"
    if 0.9995 <= share < 1.0:
        return "more than 99.9 %"
    return f"{100 * share:.1f} %" if 0.0 < share < 0.0995 or 0.9 < share < 1.0 else f"{100 * share:.0f} %"


def group_name(field: str, value: str) -> str:
    """What to call a group."""
    if not field:
        return "the batch"
    return f"class {value}" if field == "label" else f"{field} {value}"


def group_sentence(standing: Standing, labels: int, look: int, terms: GateTerms) -> str:
    """One finished sentence on a group."""
    group, error = standing.group, standing.error
    name = group_name(group.field, group.value)
    of = f"the {labels} labels of {name}"
    if group.lost.any():
        of = f"the labels that say {group.value} ({labels}) or should"
    wrong = f"{percent(error.value)} of {of} are wrong ({percent(error.low)} to {percent(error.high)})"
    allowed = percent(1.0 - terms.service_level)
    if standing.state == "bad":
        return f"{name[0].upper()}{name[1:]} is bad: {wrong}, where {allowed} are allowed."
    if standing.state == "unclear":
        return (
            f"{name[0].upper()}{name[1:]} has too few sure labels to tell: {wrong}, where {allowed} are allowed. A second look at "
            f"{look} named records would settle it."
        )
    return f"{name[0].upper()}{name[1:]} keeps the service level: {wrong}, where {allowed} are allowed."


def confusion_sentence(pairs: Counter[tuple[str, str]]) -> str | None:
    """The commonest probable mistake, when there are three of it."""
    if not pairs:
        return None
    (given, better), count = max(pairs.items(), key=lambda item: (item[1], item[0]))
    return f"{count} labels say {given} where {better} is likelier." if count > 2 else None


def annotator_sentences(agreed: Agreement, people: Sequence[Annotator]) -> list[str]:
    """On agreement, and on annotators whose gold questions went wrong."""
    found = []
    if agreed.alpha is not None:
        usual = "" if agreed.alpha >= _LOW_ALPHA else "; below 0.667 no conclusion should rest on labels"
        found.append(
            f"Annotators agree on {agreed.agreed} of {agreed.records} records that two or more labelled "
            f"(Krippendorff's alpha {agreed.alpha:.2f}{usual})."
        )
    for one in people:
        if one.right is not None:
            who = one.name or "an unnamed annotator"
            found.append(
                f"{who[0].upper() + who[1:]} answered {percent(one.right.value)} of {one.gold} seeded questions right "
                f"({percent(one.right.low)} to {percent(one.right.high)})."
            )
    return found
