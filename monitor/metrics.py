"""Prometheus metrics: a view of the store at scrape time, so they survive restarts and any replica can serve them.

Labels hold names out of the settings, classes and segments, never record ids or text, and no more classes, segments and
subjects than asked for: the rest is ``other``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from monitor import __version__
from monitor.store import Overview, Store, StoreError
from monitor.values import Calibration, Counts, Measurement, Run, State

__all__ = ["CONTENT_TYPE", "METRICS", "Metric", "StoreCollector", "render"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

OTHER = "other"
_LONGEST_LABEL = 80
_CLASS = "class:"
_CHANGE = "change"
"""Compares with the accepted past, where the shares are those of the reference."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of :data:`METRICS`; every metric but the first two has the label ``monitor`` before these."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ("monitor",)


def _gauge(name: str, told: str, *labels: str) -> Metric:
    return Metric(f"drift_monitor_{name}", "gauge", told, ("monitor", *labels))


def _counter(name: str, told: str, *labels: str) -> Metric:
    return Metric(f"drift_monitor_{name}_total", "counter", told, ("monitor", *labels))


_MEASURED = ("detector", "subject", "segment")

METRICS: tuple[Metric, ...] = (
    Metric("drift_monitor_build_info", "gauge", "Version of drift-monitor; always 1.", ("version",)),
    Metric("drift_monitor_store_up", "gauge", "1 when the database answers with the schema this version needs.", ()),
    _gauge("period_seconds", "Length of a window."),
    _gauge("state", "1 for the verdict on the newest finished window, 0 for the other states.", "state"),
    _gauge("run_start_timestamp_seconds", "When the newest finished run began."),
    _gauge("run_finish_timestamp_seconds", "When the newest finished run ended."),
    _gauge("window_end_timestamp_seconds", "End of the window of the newest finished run."),
    _gauge("watermark_timestamp_seconds", "End of the newest window that is done; failed runs leave it where it was."),
    _gauge("watermark_lag_seconds", "How far the newest window that is done lies behind the clock."),
    _gauge("run_step_seconds", "Time the newest finished run spent in each step.", "step"),
    _counter("runs", "Attempts to run a window, by how they ended: done, failed or abandoned.", "status"),
    _gauge("runs_in_progress", "Windows that are claimed and not finished."),
    _gauge("records", "Records of the newest finished window, by what became of them.", "kind"),
    _gauge("rejected_records", "Records of the newest finished window that could not be read, by reason.", "reason"),
    _gauge("effect", "Size of the difference to the reference, in the detector's unit.", *_MEASURED),
    _gauge("effect_low", "Lower end of the 95 % interval of the effect.", *_MEASURED),
    _gauge("effect_high", "Upper end of the 95 % interval of the effect.", *_MEASURED),
    _gauge("p_value", "P-value of the difference, before correction for the number of tests.", *_MEASURED),
    _gauge("evidence", "Evidence that traffic has changed against the accepted past, over all it looked at."),
    _gauge("evidence_limit", "Evidence that raises an alarm: looks between two false alarms the budget allows."),
    _gauge("tolerance_ratio", "Share of traffic that may change without a ticket."),
    _gauge(
        "martingale", "Wealth of a bet on every look since the baseline; ever 20 by chance in 5 % of monitors at most."
    ),
    _gauge(
        "false_alarms_expected", "False alarms to be expected at most since the baseline began, were nothing to change."
    ),
    _gauge("alarms", "Alarms raised since the baseline began."),
    _gauge("alarm_start_timestamp_seconds", "End of the window that raised the alarm that is on."),
    _gauge(
        "calibrated_level_ratio",
        "Share of looks without drift with p <= 5 %, as calibrate measured it.",
        "data",
        "bound",
    ),
    _gauge("calibrated_timestamp_seconds", "When calibrate was last run."),
    _gauge("suggested_tolerance_ratio", "Tolerance that calibrate suggests."),
    _gauge("class_share_ratio", "Share of each predicted class in the reference and in the window.", "class", "data"),
    _gauge("candidates", "Records that the newest finished run proposes for labelling."),
    _gauge("labelled_candidates", "Records proposed by any run that have a label by now."),
    _gauge("tickets", "Tickets by destination and what became of them.", "destination", "status"),
    _gauge("exports", "Exports by destination and what became of them.", "destination", "status"),
    _counter("publish_failures", "Tickets and exports that could not be sent, each time.", "kind", "destination"),
    _gauge("reference_info", "The reference that runs are compared with; always 1.", "version", "fingerprint"),
    _gauge("reference_created_timestamp_seconds", "When the reference in use was built."),
    _gauge(
        "run_info", "What the newest finished run worked with; always 1.", "reference_version", "embedder", "settings"
    ),
)
"""Every metric that is exposed, in the order of the exposition."""

Sample = tuple[str, tuple[str, ...], float]


class StoreCollector(Collector):
    """Reads the store at each scrape.

    monitors      those to show, all that the store knows when not given
    top_classes   classes and other subjects shown by name, the largest by share; at least 1
    top_segments  segments shown by name, those with most rows; at least 1
    clock         what the lag is measured against; the database's clock when not given
    """

    def __init__(
        self,
        store: Store,
        *,
        monitors: Collection[str] | None = None,
        top_classes: int = 20,
        top_segments: int = 20,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self._store = store
        self._monitors = monitors
        self._top = (top_classes, top_segments)
        self._clock = clock or store.now

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """Every metric family that has samples. A dead store shows as ``drift_monitor_store_up 0``, never as an error."""
        found: dict[str, list[tuple[tuple[str, ...], float]]] = defaultdict(list)
        for name, labels, value in self._samples():
            found[f"drift_monitor_{name}"].append((labels, value))
        for metric in METRICS:
            if metric.name in found:
                make = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
                family = make(metric.name, metric.help, labels=metric.labels)
                for labels, value in found[metric.name]:
                    family.add_metric(labels, value)
                yield family

    def _samples(self) -> Iterator[Sample]:
        yield "build_info", (__version__,), 1
        try:
            self._store.check()
            known, now = self._store.overview(), self._clock()
        except StoreError:
            yield "store_up", (), 0
            return
        yield "store_up", (), 1
        for one in known:
            if self._monitors is not None and one.monitor not in self._monitors:
                continue
            for name, labels, value in _of_monitor(one, now, *self._top):
                yield name, (one.monitor, *labels), value


def render(
    store: Store, *, monitors: Collection[str] | None = None, top_classes: int = 20, top_segments: int = 20
) -> bytes:
    """The metrics in Prometheus' text format; serve it as :data:`CONTENT_TYPE`."""
    return generate_latest(StoreCollector(store, monitors=monitors, top_classes=top_classes, top_segments=top_segments))


def _of_monitor(one: Overview, now: datetime, classes: int, segments: int) -> Iterator[Sample]:
    yield "period_seconds", (), one.period.total_seconds()
    if one.latest is not None:
        yield from _of_run(one.latest)
        yield from _of_counts(one.latest.counts, classes)
        yield from _of_measurements(one.latest.measurements, classes, segments)
        yield "candidates", (), one.candidates
    if one.latest is not None and one.latest.decision is not None:
        yield from _of_evidence(one.latest.decision.evidence)
    if one.calibration is not None:
        yield from _of_calibration(one.calibration)
    if one.watermark is not None:
        yield "watermark_timestamp_seconds", (), one.watermark.timestamp()
        yield "watermark_lag_seconds", (), (now - one.watermark).total_seconds()
    yield "runs_in_progress", (), one.running
    yield "labelled_candidates", (), one.labelled
    for status, number in one.runs.items():
        yield "runs_total", (status,), number
    for name, table in (("tickets", one.tickets), ("exports", one.exports), ("publish_failures_total", one.failures)):
        for labels, number in sorted(table.items()):
            yield name, labels, number
    if one.reference is not None:
        yield "reference_info", (str(one.reference.version), one.reference.fingerprint[:12]), 1
        yield "reference_created_timestamp_seconds", (), one.reference.created_at.timestamp()


def _of_run(run: Run) -> Iterator[Sample]:
    for state in State:
        yield "state", (state.value,), int(run.decision is not None and run.decision.state is state)
    yield "run_start_timestamp_seconds", (), run.started_at.timestamp()
    if run.finished_at is not None:
        yield "run_finish_timestamp_seconds", (), run.finished_at.timestamp()
    yield "window_end_timestamp_seconds", (), run.window.end.timestamp()
    for step, seconds in run.seconds.items():
        yield "run_step_seconds", (step,), seconds
    yield "run_info", (str(run.reference_version or ""), _short(run.embedder), _short(run.settings)), 1


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
    for reason, number in _summed(counts.rejected, most).items():
        yield "rejected_records", (reason,), number


def _of_measurements(measurements: Sequence[Measurement], classes: int, segments: int) -> Iterator[Sample]:
    shares = {
        m.subject.removeprefix(_CLASS): (m.detail["share_reference"], m.detail["share_current"])
        for m in measurements
        if m.subject.startswith(_CLASS)
        and m.detector != _CHANGE
        and not m.segment
        and {"share_reference", "share_current"} <= m.detail.keys()
    }
    every = {m.subject.removeprefix(_CLASS) for m in measurements if m.subject.startswith(_CLASS)}
    named = _largest({name: max(shares.get(name, (0.0,))) for name in every}, classes)
    for side, data in enumerate(("reference", "current")):
        for name, share in _summed({name: both[side] for name, both in shares.items()}, named).items():
            yield "class_share_ratio", (name, data), share
    for labels, m in _shown(measurements, named, classes, segments).items():
        for name, value in (("effect", m.effect), ("effect_low", m.low), ("effect_high", m.high)):
            yield name, labels, value
        if m.p_value is not None:
            yield "p_value", labels, m.p_value


def _shown(
    measurements: Sequence[Measurement], named: set[str], subjects: int, segments: int
) -> dict[tuple[str, ...], Measurement]:
    """Measurements by detector, subject and segment; of those that fall together as ``other`` the most striking one."""
    rows: dict[str, float] = {}
    for m in measurements:
        if m.segment:
            rows[m.segment] = max(rows.get(m.segment, 0), m.n_current)
    kept = _largest(rows, segments) | {""}
    first: dict[str, list[str]] = defaultdict(list)
    for m in measurements:
        if not m.subject.startswith(_CLASS) and m.subject not in first[m.detector]:
            first[m.detector].append(m.subject)
    found: dict[tuple[str, ...], Measurement] = {}
    for m in measurements:
        if m.subject.startswith(_CLASS):
            name = m.subject.removeprefix(_CLASS)
            subject = _CLASS + (_short(name) if name in named else OTHER)
        else:
            subject = _short(m.subject) if m.subject in first[m.detector][:subjects] else OTHER
        labels = (m.detector, subject, _short(m.segment) if m.segment in kept else OTHER)
        found[labels] = max(found.get(labels, m), m, key=_striking)
    return found


def _striking(m: Measurement) -> tuple[bool, float, float]:
    return m.p_value is not None, -(m.p_value or 0.0), abs(m.effect)


def _largest(sizes: Mapping[str, float], most: int) -> set[str]:
    return set(sorted(sizes, key=lambda name: (-sizes[name], name))[:most])


def _summed(sizes: Mapping[str, float], most: int | set[str]) -> dict[str, float]:
    """The named or largest ones by label, largest first, the sum of the rest as ``other``."""
    named = _largest(sizes, most) if isinstance(most, int) else most
    found: dict[str, float] = {}
    for name in sorted(sizes, key=lambda name: (name not in named, -sizes[name], name)):
        label = _short(name) if name in named else OTHER
        found[label] = found.get(label, 0) + sizes[name]
    return found


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_LABEL else name[: _LONGEST_LABEL - 1] + "…"
