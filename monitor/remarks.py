"""What people did about a drift, told on its ticket: labels that came in, a verified refresh, a model that went live, what it brought."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from monitor.outcomes import outcome_of
from monitor.report.verified import outcome_sentences, verification_sentences
from monitor.store import Store
from monitor.values import Decision, Deployment, Living, Said, Verification, Window

__all__ = ["about_labels", "about_model", "about_verification", "proof", "remark"]

_REMEMBERED = timedelta(days=90)
"""How long after its end something can still be said about a drift."""


def remark(store: Store, monitor: str, key: str, sentences: Sequence[str], now: datetime) -> bool:
    """Say something on the tickets of the newest drift; false when there is none to say it on, or it was said before.

    It is sent with the next run, or by ``serve``; a ticket that a person has closed is told too.
    """
    newest = next(iter(store.living(monitor, limit=1)), None)
    if newest is None or (newest.over_at is not None and now - newest.over_at > _REMEMBERED):
        return False
    return store.tell(newest.key, Said(f"{now.isoformat()} {key}", tuple(sentences), lasting=True), now)


def about_labels(taken: int, returned: int, version: int | None, reference: int | None) -> list[str]:
    """What became of labels that came back."""
    said = [f"{taken} {'label' if taken == 1 else 'labels'} came in and passed the quality gate."]
    if returned:
        said.append(f"{returned} went back to be labelled again.")
    if version is not None:
        said.append(f"They are in version {version} of the training set and version {reference} of the reference.")
    return said


def about_verification(found: Verification) -> list[str]:
    """What a refreshed model gains and breaks."""
    return [f"The refreshed model was held against the old one: {found.verdict.value}.", *verification_sentences(found)]


def about_model(found: Deployment) -> list[str]:
    """That a model went live."""
    live = f"{found.live_at:%Y-%m-%d %H:%M} UTC"
    return [f"Model {found.model} is live since {live}. Later windows tell whether the drift is over."]


def proof(
    store: Store, episode: Living, junk: Collection[str], newest: tuple[Window, Decision] | None = None
) -> list[str]:
    """What was done about this drift and what it brought, as far as it is known by now; ``newest`` is a verdict not saved yet."""
    deployment = next(iter(store.deployments(episode.monitor)), None)
    if deployment is not None and deployment.live_at >= episode.since:
        return outcome_sentences(outcome_of(store, deployment, junk, newest))
    verification = next(iter(store.verifications(episode.monitor, limit=1)), None)
    if verification is not None and verification.made_at >= episode.since:
        return about_verification(verification)
    return []
