"""The collector: the store, read at each scrape, as samples of the metrics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, Exemplar, GaugeMetricFamily
from prometheus_client.registry import Collector

from monitor import __version__
from monitor.metrics.labels import short, summed
from monitor.metrics.measured import of_measurements
from monitor.metrics.refreshed import of_outcome, of_verification
from monitor.metrics.table import METRICS
from monitor.store import Overview, Store, StoreError
from monitor.values import Calibration, Counts, Decision, Estimate, MonitorTerms, Run, State

__all__ = ["Sample", "Seen", "StoreCollector", "families"]

Sample = tuple[str, tuple[str, ...], float]

_CAUSES = ("content", "class balance")
_KINDS = ("class mix", "new topic", "unseen content", "wording or format", "embedder", "pipeline")


@dataclass(frozen=True, slots=True)
class Seen:
    """Samples by name without prefix, the monitor first among the labels.

    changing  what may differ from one scrape to the next
    measured  what was measured in the newest run of each monitor, by a key of the run: it never changes
    runs      the newest run of each monitor
    """

    changing: Sequence[Sample]
    measured: Mapping[str, Sequence[Sample]]
    runs: Mapping[str, Run]


class StoreCollector(Collector):
    """Reads the store at each scrape; what was measured in a run only once, for it never changes.

    terms         what the settings say of each monitor that is shown; all that the store knows when not given
    top_classes   classes and other subjects shown by name, the largest by share; at least 1
    top_segments  segments shown by name, those with most rows; at least 1
    clock         what the lag is measured against; the database's clock when not given
    """

    def __init__(
        self,
        store: Store,
        *,
        terms: Mapping[str, MonitorTerms] | None = None,
        top_classes: int = 20,
        top_segments: int = 20,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self._store = store
        self._terms = terms
        self._top = (top_classes, top_segments)
        self._clock = clock or store.now
        self._measured: Mapping[str, Sequence[Sample]] = {}
        self._outcomes: Mapping[object, Sequence[Sample]] = {}

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """Every metric family that has samples. A dead store shows as ``drift_monitor_store_up 0``, never as an error."""
        seen = self.read()
        yield from families(
            [*seen.changing, *(sample for part in seen.measured.values() for sample in part)], seen.runs
        )

    def read(self) -> Seen:
        """What the store holds now."""
        try:
            self._store.check()
            known, now = self._store.overview(), self._clock()
            shown = [one for one in known if self._terms is None or one.monitor in self._terms]
            self._remember([one.latest for one in shown if one.latest is not None])
            self._follow(shown)
        except StoreError:
            return Seen((("build_info", (__version__,), 1), ("store_up", (), 0)), {}, {})
        runs = {one.monitor: one.latest for one in shown if one.latest is not None}
        return Seen(
            tuple(self._changing(shown, now)), {_key(run): self._measured[_key(run)] for run in runs.values()}, runs
        )

    def _remember(self, runs: Sequence[Run]) -> None:
        """Samples of what was measured in these runs and in no others; scrapes at the same time do the same work twice."""
        known = self._measured
        missing = [run for run in runs if _key(run) not in known]
        found = self._store.measured([run.id for run in missing]) if missing else {}
        fresh = {
            _key(run): tuple(
                (name, (run.monitor, *labels), value)
                for name, labels, value in of_measurements(found.get(run.id, ()), *self._top)
            )
            for run in missing
        }
        self._measured = {key: known[key] if key in known else fresh[key] for key in map(_key, runs)}

    def _follow(self, shown: Sequence[Overview]) -> None:
        """What became of the models of these monitors; looked up again only after a run, a label or a declaration."""
        known, terms = self._outcomes, self._terms or {}
        self._outcomes = {
            key: known[key]
            if key in known
            else tuple(
                (name, (one.monitor, *labels), value)
                for name, labels, value in of_outcome(
                    self._store, one, terms[one.monitor].junk if one.monitor in terms else ()
                )
            )
            for one in shown
            for key in [_followed(one)]
        }

    def _changing(self, shown: Sequence[Overview], now: datetime) -> Iterator[Sample]:
        yield "build_info", (__version__,), 1
        yield "store_up", (), 1
        for one in shown:
            if self._terms is not None:
                for name, labels, value in _of_terms(self._terms[one.monitor]):
                    yield name, (one.monitor, *labels), value
            for name, labels, value in _of_monitor(one, now, self._top[0]):
                yield name, (one.monitor, *labels), value
        for found in self._outcomes.values():
            yield from found


def families(samples: Iterable[Sample], runs: Mapping[str, Run]) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
    """Samples by metric, in the order of the table; counts of runs lead to the newest of ``runs``, by monitor."""
    found: dict[str, list[tuple[tuple[str, ...], float]]] = defaultdict(list)
    for name, labels, value in samples:
        found[f"drift_monitor_{name}"].append((labels, value))
    for metric in METRICS:
        if metric.name not in found:
            continue
        if metric.kind == "counter":
            counter = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, value in found[metric.name]:
                exemplar = _exemplar(metric.name, labels, runs.get(labels[0])) if value else None
                counter.add_metric(labels, value, exemplar=exemplar)
            yield counter
        else:
            gauge = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, value in found[metric.name]:
                gauge.add_metric(labels, value)
            yield gauge


def _key(run: Run) -> str:
    return f"{run.id} {run.attempt}"


def _followed(one: Overview) -> tuple[object, ...]:
    """Whatever the outcome of the newest model depends on."""
    told = one.deployment, one.deployments, one.labelled, one.labelled_at
    return one.monitor, *told, None if one.latest is None else _key(one.latest)


def _exemplar(name: str, labels: tuple[str, ...], run: Run | None) -> Exemplar | None:
    """The newest run of this status, for the counter of runs; an exemplar leads from a graph to ``show RUN``."""
    if name != "drift_monitor_runs_total" or run is None or run.finished_at is None or labels[-1] != run.status.value:
        return None
    return Exemplar({"run_id": run.id}, 1.0, run.finished_at.timestamp())


def _of_terms(terms: MonitorTerms) -> Iterator[Sample]:
    yield "info", (terms.owner, terms.pages), 1
    yield "sample_minimum_records", (), terms.minimum_sample
    yield "false_alarms_allowed_per_year", (), terms.false_alarms
    for name, limit in terms.limits.items():
        yield "limit_seconds", (name,), limit.total_seconds()


def _of_monitor(one: Overview, now: datetime, most: int) -> Iterator[Sample]:
    yield "period_seconds", (), one.period.total_seconds()
    yield "first_seen_timestamp_seconds", (), one.first_seen.timestamp()
    if one.verdict is not None:
        yield from _of_verdict(one.verdict)
    if one.latest is not None:
        yield from _of_run(one.latest)
        yield from _of_counts(one.latest.counts, most)
        yield "candidates", (), one.candidates
    yield from _of_progress(one, now)
    yield "runs_in_progress", (), one.running
    yield "labelled_candidates", (), one.labelled
    for status, number in one.runs.items():
        yield "runs_total", (status,), number
    if one.verification is not None:
        yield from of_verification(one.verification)
    yield from _of_outbox(one)
    if one.calibration is not None:
        yield from _of_calibration(one.calibration)
    if one.reference is not None:
        yield "reference_info", (str(one.reference.version), one.reference.fingerprint[:12]), 1
        yield "reference_created_timestamp_seconds", (), one.reference.created_at.timestamp()


def _of_progress(one: Overview, now: datetime) -> Iterator[Sample]:
    """How far it has come, and since when it does not."""
    if one.last_success is not None:
        yield "last_success_timestamp_seconds", (), one.last_success.timestamp()
    if one.watermark is not None:
        yield "watermark_timestamp_seconds", (), one.watermark.timestamp()
        yield "watermark_lag_seconds", (), (now - one.watermark).total_seconds()
    if one.latest is None or one.latest.decision is None:
        return
    state = one.latest.decision.state
    for name, since, which in (
        ("failing", one.failing_since, State.FAILED),
        ("insufficient", one.same_since, State.INSUFFICIENT),
        ("drifted", one.same_since, State.DRIFTED),
    ):
        if state is which and since is not None:
            yield f"{name}_since_timestamp_seconds", (), since.timestamp()


def _of_outbox(one: Overview) -> Iterator[Sample]:
    for name, table in (("tickets", one.tickets), ("exports", one.exports), ("publish_failures_total", one.failures)):
        for labels, number in sorted(table.items()):
            yield name, labels, number
    for masked, times in sorted(one.redactions.items()):
        yield "redactions_total", masked, times
    for labels, since in sorted(one.waiting.items()):
        yield "outbox_oldest_timestamp_seconds", labels, since.timestamp()
    for destination, since in sorted(one.open_tickets.items()):
        yield "ticket_open_since_timestamp_seconds", (destination,), since.timestamp()
    if one.silenced is not None:
        yield "silenced_until_timestamp_seconds", (), one.silenced.timestamp()


def _of_verdict(verdict: Decision) -> Iterator[Sample]:
    """A run that fails or lacks records ends no drift."""
    for cause in sorted({*_CAUSES, *verdict.causes}):
        yield "drift", (cause,), int(verdict.state is State.DRIFTED and cause in verdict.causes)
    yield from _of_evidence(verdict.evidence)


def _of_run(run: Run) -> Iterator[Sample]:
    decision = run.decision
    for state in State:
        yield "state", (state.value,), int(decision is not None and decision.state is state)
    if decision is not None:
        kinds = [finding.name for finding in decision.findings]
        for kind in sorted({*_KINDS, *kinds}):
            yield "findings", (kind,), kinds.count(kind)
    yield "run_start_timestamp_seconds", (), run.started_at.timestamp()
    if run.finished_at is not None:
        yield "run_finish_timestamp_seconds", (), run.finished_at.timestamp()
    yield "window_end_timestamp_seconds", (), run.window.end.timestamp()
    for step, seconds in run.seconds.items():
        yield "run_step_seconds", (step,), seconds
    if run.refresh is not None:
        yield from _of_estimate("expected_gain_ratio", run.refresh.gain)
        yield from _of_estimate("expected_negative_flips_ratio", run.refresh.guarded or run.refresh.flips)
    yield "run_info", (str(run.reference_version or ""), short(run.embedder), short(run.settings)), 1


def _of_estimate(name: str, estimate: Estimate | None) -> Iterator[Sample]:
    if estimate is not None:
        for bound in ("value", "low", "high"):
            yield name, (bound,), getattr(estimate, bound)


_EVIDENCE = {
    "evidence": "evidence",
    "evidence_limit": "run_length",
    "tolerance_ratio": "tolerance",
    "martingale": "martingale",
    "false_alarms_expected": "budget_spent",
    "alarms": "alarms",
}


def _of_evidence(evidence: Mapping[str, float]) -> Iterator[Sample]:
    for name, key in _EVIDENCE.items():
        if key in evidence:
            yield name, (), evidence[key]
    if evidence.get("alarm_since", 0) > 0:
        yield "alarm_start_timestamp_seconds", (), evidence["alarm_since"]


def _of_calibration(found: Calibration) -> Iterator[Sample]:
    for data, level in (("reference", found.reference), ("past", found.past)):
        if level is not None:
            for bound, value in (("measured", level.share), ("low", level.low), ("high", level.high)):
                yield "calibrated_level_ratio", (data, bound), value
    yield "calibrated_timestamp_seconds", (), found.calibrated_at.timestamp()
    yield "suggested_tolerance_ratio", (), found.tolerance


def _of_counts(counts: Counts, most: int) -> Iterator[Sample]:
    for kind in ("population", "sampled", "repeats", "empty", "overlong", "outside"):
        yield "records", (kind,), getattr(counts, kind)
    yield "embedded_records", ("model",), max(0, counts.sampled - counts.cached)
    yield "embedded_records", ("cache",), counts.cached
    for reason, number in summed(counts.rejected, most).items():
        yield "rejected_records", (reason,), number
