"""The corridor: claim → sample → embed → detect → look back → decide → explain → select → draw → save → publish. READ THIS FIRST.

``run_window`` takes one window through every room and saves what came of it; ``monitor.publish`` sends out what was saved. A
failure of a run is a state of that run, recorded with its reason; only a broken store stops the process.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from monitor.answers import answers_of
from monitor.causes import causes
from monitor.decide import decide
from monitor.desk import Desk, Monitor, Steps, Stopped
from monitor.embedders.comparable import check_dimension, check_embedder, check_vectors
from monitor.embedders.unit_rows import to_dataset
from monitor.errors import CanaryError, ClaimLost, MonitorError, StoreError
from monitor.illustrate import illustrate
from monitor.logs import fields, unforeseen
from monitor.looks import counts_before, look, standing
from monitor.publish import publish_pending, wishes
from monitor.sampling import draw
from monitor.selection.audit import audited
from monitor.selection.batch import propose
from monitor.store import Claim, Past
from monitor.values import Candidate, Cause, Counts, Decision, Measurement, Run, RunStatus, State, Window
from monitor.windows import seed_of

__all__ = ["Desk", "Monitor", "Stopped", "fail_window", "publish_pending", "run_window"]

_log = logging.getLogger("monitor.run")


def run_window(monitor: Monitor, window: Window, desk: Desk, *, retry_failed: bool = False) -> Run | None:
    """Take one window through every room and save what came of it.

    ``None`` when it is done, when another process has it or another window of the monitor, and when this one was held up for
    so long that another took the window over.
    """
    desk.step("claim")
    claim = desk.store.claim(
        monitor.name, window, desk.worker, now=desk.clock(), lease=desk.lease, retry_failed=retry_failed
    )
    if claim is None:
        return None
    try:
        return _run_claimed(monitor, claim, desk)
    except ClaimLost as lost:
        _log.warning("run lost", extra=fields(monitor=monitor.name, window=window.start.isoformat(), why=str(lost)))
        return None


def _run_claimed(monitor: Monitor, claim: Claim, desk: Desk) -> Run:
    desk.claimed(claim)
    steps = Steps(desk, claim)
    run = _begun(monitor, claim, desk)
    try:
        judged, past, picture, masked = _judge(monitor, run, desk, steps)
        run = _saved(monitor, judged, past, picture, desk, steps, masked)
    except StoreError:
        raise
    except (Stopped, KeyboardInterrupt):
        desk.store.release(claim)
        raise
    except MonitorError as error:
        run = _saved(
            monitor, _failed(run, desk, str(error), changed=isinstance(error, CanaryError)), None, None, desk, steps
        )
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a bug in a part must leave a failed run behind, not a claim nobody explains
        run = _saved(monitor, _failed(run, desk, unforeseen(error, _log)), None, None, desk, steps)
    run = replace(run, seconds=dict(steps.seconds))
    _log.log(logging.WARNING if run.status is RunStatus.FAILED else logging.INFO, "run", extra=fields(**_line(run)))
    return run


def fail_window(monitor: Monitor, claim: Claim, error: str, desk: Desk) -> Run:
    """Save the run of a window whose process had to be stopped or died as failed; :class:`ClaimLost` when another has it by now."""
    run = _failed(_begun(monitor, claim, desk), desk, error)
    run = _saved(monitor, run, None, None, desk, Steps(desk, claim))
    _log.warning("run", extra=fields(**_line(run)))
    return run


def _begun(monitor: Monitor, claim: Claim, desk: Desk) -> Run:
    return Run(
        claim.run_id,
        monitor.name,
        claim.window,
        RunStatus.RUNNING,
        claim.attempt,
        claim.worker,
        desk.clock(),
        settings=monitor.settings,
    )


def _saved(
    monitor: Monitor,
    run: Run,
    past: Past | None,
    picture: bytes | None,
    desk: Desk,
    steps: Steps,
    masked: Mapping[str, int] | None = None,
) -> Run:
    run = replace(run, seconds=dict(steps.seconds))
    wanted = wishes(monitor, run, desk)
    with steps("save"):
        desk.store.save(
            steps.claim,
            run,
            tickets=wanted.tickets,
            exports=wanted.exports,
            notices=wanted.notices,
            past=past,
            picture=picture,
            masked=masked,
        )
    return run


def _judge(
    monitor: Monitor, run: Run, desk: Desk, steps: Steps
) -> tuple[Run, Past | None, bytes | None, Mapping[str, int]]:
    with steps("reference"):
        reference = monitor.load_reference()
        run = replace(
            run,
            reference_version=reference.version,
            reference_fingerprint=reference.fingerprint,
            embedder=reference.embedder,
        )
        rng = np.random.default_rng(seed_of(monitor.name, run.window))
    with steps("canary"):
        check_embedder(monitor.canary_embedder, reference)
    since = standing(monitor, run.window, reference, desk)
    with steps("sample"):
        sample = draw(monitor.source.read(run.window), run.window, **monitor.sampling)
        run = replace(run, counts=sample.counts)
    if not len(sample):
        check_vectors(run.counts)
        decision = decide(monitor.policy, run.counts, (), (), since.history, at=run.window.end, stamp=since.stamp)
        return replace(run, status=RunStatus.DONE, decision=decision, finished_at=desk.clock()), None, None, {}
    with steps("embed"):
        current, unusable = to_dataset(monitor.embedder, sample, steps.progress)
        check_dimension(current, reference)
        current = replace(current, embedder=reference.embedder)
        run = replace(run, counts=_without(run.counts, unusable, getattr(monitor.embedder, "reused", 0)))
    with steps("detect"):
        measurements: tuple[Measurement, ...] = ()
        if len(current) >= monitor.policy.minimum_sample:
            measurements = tuple(m for d in monitor.detectors.values() for m in d.measure(reference, current, rng))
    with steps("look back"):
        back = look(monitor, run.window, reference, current, since, desk, rng)
        measurements += back.measurements
    with steps("decide"):
        accepted = desk.store.baselines(monitor.name, run.window.end)
        decision = decide(
            monitor.policy, run.counts, measurements, accepted, since.history, at=run.window.end, stamp=since.stamp
        )
    # A stream for each step from here on: what one of them draws changes nothing of the others.
    explaining, choosing, drawing = rng.spawn(3)
    with steps("explain"):
        if decision.state in (State.WATCH, State.DRIFTED):
            before = counts_before(monitor, run.window, desk)
            found = causes(reference, current, run.counts, before, explaining)
            decision = replace(decision, findings=_shown(found, monitor))
        run = replace(run, measurements=measurements, decision=decision)
    with steps("select"):
        if decision.state is State.DRIFTED:
            answers = answers_of(monitor, reference, desk)
            pool = monitor.mixture.pool(reference, current, choosing, answers)
            candidates, refresh = propose(monitor.mixture, pool, monitor.budget, monitor.negative_flips, choosing)
            run = replace(run, candidates=tuple(_named(one, monitor) for one in candidates), refresh=refresh)
        elif monitor.audit:
            run = replace(run, candidates=audited(current, monitor.audit, choosing))
    with steps("draw"):
        picture, masked = illustrate(monitor, run, reference, current, drawing)
    return replace(run, status=RunStatus.DONE, finished_at=desk.clock()), back.past, picture, masked


def _failed(run: Run, desk: Desk, error: str, *, changed: bool = False) -> Run:
    """``changed`` when it is the embedder that is no longer what it was."""
    findings = (Cause("embedder", error),) if changed else ()
    decision = Decision(State.FAILED, (f"No verdict: {error}",), findings=findings)
    return replace(run, status=RunStatus.FAILED, decision=decision, error=error, finished_at=desk.clock())


def _shown(findings: tuple[Cause, ...], monitor: Monitor) -> tuple[Cause, ...]:
    """Findings with their words masked: they are production text."""
    return tuple(replace(one, terms=tuple(monitor.redactor.redact(term)[0] for term in one.terms)) for one in findings)


def _named(candidate: Candidate, monitor: Monitor) -> Candidate:
    """The candidate with the words of its group masked."""
    group = candidate.cluster
    return candidate if group is None else replace(candidate, cluster=monitor.redactor.redact(group)[0])


def _without(counts: Counts, unusable: Mapping[str, int], cached: int) -> Counts:
    rejected = {**counts.rejected, **{k: counts.rejected.get(k, 0) + n for k, n in unusable.items()}}
    return replace(counts, sampled=counts.sampled - sum(unusable.values()), rejected=rejected, cached=cached)


def _line(run: Run) -> dict[str, object]:
    """The canonical log line of a run."""
    return {
        "monitor": run.monitor,
        "window": run.window.start.isoformat(),
        "state": run.decision.state.value if run.decision else run.status.value,
        "attempt": run.attempt,
        "population": run.counts.population,
        "sampled": run.counts.sampled,
        "rejected": sum(run.counts.rejected.values()),
        "reference": run.reference_version,
        "candidates": len(run.candidates),
        "seconds": {name: round(value, 4) for name, value in run.seconds.items()},
        "error": run.error or None,
    }
