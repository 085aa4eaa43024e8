"""A verified refresh, the model that is live and what became of the drift, as samples."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from monitor.metrics.labels import short
from monitor.outcomes import outcome_of, production_accuracy
from monitor.store import Overview, Store
from monitor.values import Estimate, Verdict, Verification

__all__ = ["of_outcome", "of_verification"]

Sample = tuple[str, tuple[str, ...], float]


def of_verification(found: Verification) -> Iterator[Sample]:
    """Its verdict, and accuracy, gain and flips by set."""
    yield "verification_timestamp_seconds", (), found.made_at.timestamp()
    yield "negative_flips_budget_ratio", (), found.budget
    for verdict in Verdict:
        yield "verification_verdict", (verdict.value,), int(found.verdict is verdict)
    for one in found.sets:
        if one.overall is not None:
            yield "verified_accuracy_ratio", (one.name, "old"), one.overall.old.value
            yield "verified_accuracy_ratio", (one.name, "new"), one.overall.new.value
            yield from _bounds("verified_gain_ratio", one.overall.gain, one.name)
            yield from _bounds("negative_flips_ratio", one.overall.negative_rate, one.name)
            yield from _bounds("positive_flips_ratio", one.overall.positive_rate, one.name)


def of_outcome(store: Store, one: Overview, junk: Collection[str]) -> Iterator[Sample]:
    """The model that is live, what its refresh brought, and how production does."""
    if one.deployment is not None:
        found = outcome_of(store, one.deployment, junk)
        yield "model_info", (short(one.deployment.model),), 1
        yield "model_live_timestamp_seconds", (), one.deployment.live_at.timestamp()
        yield "refresh_labels", (), found.labels
        if found.seconds_to_recovery is not None:
            yield "refresh_recovery_seconds", (), found.seconds_to_recovery
        yield from _bounds("refresh_accuracy_ratio", found.before, "before")
        yield from _bounds("refresh_accuracy_ratio", found.since, "since")
    if one.labelled:
        accuracy, records = production_accuracy(store, one.monitor, junk)
        yield from _bounds("production_accuracy_ratio", accuracy)
        yield "production_accuracy_records", (), records


def _bounds(name: str, estimate: Estimate | None, *labels: str) -> Iterator[Sample]:
    if estimate is not None:
        for bound in ("value", "low", "high"):
            yield name, (*labels, bound), getattr(estimate, bound)
