"""What the store can tell of a model that went live, and of the one in production."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from monitor.store import Store
from monitor.values import Decision, Deployment, Estimate, Outcome, Window
from monitor.verification import outcome, running_accuracy
from monitor.verification.accuracy import newest_windows
from monitor.verification.outcome import span_of

__all__ = ["RUNNING", "outcome_of", "production_accuracy"]

RUNNING = 12
"""Windows with labels of records drawn at random that the running accuracy is over, at most."""

_BEFORE = 1_000


def outcome_of(
    store: Store,
    deployment: Deployment,
    junk: Collection[str] = (),
    newest: tuple[Window, Decision] | None = None,
) -> Outcome:
    """What became of the last drift before this model went live; see :func:`monitor.verification.outcome.outcome`.

    ``newest`` is a verdict that is not saved yet.
    """
    name, live = deployment.monitor, deployment.live_at
    every = store.deployments(name)
    first, last = span_of(deployment, every)
    earlier = [one for one in store.history(name, before=live, limit=_BEFORE) if one[0].start >= first]
    later = [(window, Decision(state)) for window, state in store.states(name, live, last)]
    if newest is not None and live <= newest[0].start < last:
        later = [one for one in later if one[0] != newest[0]] + [newest]
    checked = [one for one in store.checked(name) if first <= one.at < last]
    former = next((one.live_at for one in every if one.live_at < live), None)
    labels = _learnt(store, deployment, every) or store.labels_given(name, former, live)
    verification = None if deployment.verification is None else store.verification(deployment.verification)
    return outcome(deployment, every, [*earlier, *later], checked, labels, verification, junk)


def _learnt(store: Store, deployment: Deployment, every: Sequence[Deployment]) -> int:
    """Labels that the model's training set has and that of the model before had not; 0 where nobody said what it learnt from."""
    if deployment.dataset_version is None:
        return 0
    former = (one.dataset_version for one in every if one.live_at < deployment.live_at and one.dataset_version)
    first = next(former, 1)
    versions = (
        one for one in store.training_sets(deployment.monitor) if first < one.version <= deployment.dataset_version
    )
    return sum(one.added + one.relabelled for one in versions)


def production_accuracy(store: Store, monitor: str, junk: Collection[str] = ()) -> tuple[Estimate | None, int]:
    """Running accuracy of the model in production, over its newest windows that tell, and how many records tell so."""
    models = store.deployments(monitor)
    found = [one for one in store.checked(monitor) if not models or one.at >= models[0].live_at]
    return running_accuracy(newest_windows(found, RUNNING), junk)
