"""Metrics as text: over HTTP, into a file, and to a Pushgateway."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.error import URLError

from prometheus_client import CollectorRegistry, generate_latest, push_to_gateway
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.utils import floatToGoString

from monitor.errors import PublishError
from monitor.metrics.collector import Sample, StoreCollector, families
from monitor.metrics.table import METRICS, Metric
from monitor.reach import refuse_behind_proxy
from monitor.store import Store
from monitor.values import MonitorTerms, Run

__all__ = ["Exposition", "push", "render", "write_textfile"]

_JOB = "drift-monitor"
_PREFIX = "drift_monitor_"
_PATIENCE = 10.0
_OPENMETRICS = "application/openmetrics-text"


class Exposition:
    """The metrics as a scraper wants them.

    What was measured in a run is written once and kept while it is the newest of its monitor: of many monitors, that is most of the
    text.
    """

    def __init__(self, collector: StoreCollector) -> None:
        self._collector = collector
        self._written: Mapping[str, Mapping[str, str]] = {}
        self._heads: dict[str, Mapping[str, _Family]] = {}

    def prepare(self) -> None:
        """Write all once in both formats, so that the first scrapes need not."""
        for accept in ("", _OPENMETRICS):
            self.answer(accept)

    def answer(self, accept: str) -> tuple[bytes, str]:
        """The metrics and their content type, for the formats that an ``Accept`` header names.

        OpenMetrics carries exemplars: the run behind each count of runs.
        """
        encode, content_type = choose_encoder(accept)
        if content_type not in self._heads:
            gauges = [metric for metric in METRICS if metric.kind == "gauge"]
            one_each = [(metric.name.removeprefix(_PREFIX), metric.labels, 0.0) for metric in gauges]
            self._heads[content_type] = _split(encode(_Samples(one_each, {})))
        seen, known = self._collector.read(), self._written
        kept = {key: known[key] if key in known else _lines(samples) for key, samples in seen.measured.items()}
        self._written = kept
        found = _split(encode(_Samples(seen.changing, seen.runs)))
        for name, head in self._heads[content_type].items():
            if lines := [part[name] for part in kept.values() if name in part]:
                before = found[name].lines if name in found else ""
                found[name] = _Family(head.head, before + "".join(lines))
        ordered = (found.get(metric.name.removesuffix("_total")) for metric in METRICS)
        body = "".join(one.head + one.lines for one in ordered if one is not None)
        return (body + ("# EOF\n" if content_type.startswith(_OPENMETRICS) else "")).encode(), content_type


@dataclass(frozen=True, slots=True)
class _Family:
    head: str
    lines: str


@dataclass(frozen=True, slots=True)
class _Samples:
    """Looks like a registry to an encoder."""

    samples: Sequence[Sample]
    runs: Mapping[str, Run]

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        yield from families(self.samples, self.runs)


def _split(text: bytes) -> dict[str, _Family]:
    """Families by name: their HELP and TYPE lines, and their samples."""
    found = {}
    for block in text.decode().removesuffix("# EOF\n").split("# HELP ")[1:]:
        told, kind, lines = block.split("\n", 2)
        found[told.split(" ", 1)[0].removesuffix("_total")] = _Family(f"# HELP {told}\n{kind}\n", lines)
    return found


def _shape(metric: Metric) -> tuple[str, list[int]]:
    """A line of this metric with a place for each label, and which label comes in which place."""
    order = sorted(range(len(metric.labels)), key=metric.labels.__getitem__)
    places = ",".join(f'{metric.labels[i]}="%s"' for i in order)
    return f"{metric.name}{{{places}}} %s\n", order


_SHAPES = {metric.name: _shape(metric) for metric in METRICS if metric.kind == "gauge"}


@lru_cache(maxsize=10_000)
def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _lines(samples: Sequence[Sample]) -> dict[str, str]:
    """What the library's encoders write of gauges in either format. They look at every name in every line anew; here all are ours."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, labels, value in samples:
        line, order = _SHAPES[_PREFIX + name]
        told = [_escaped(labels[i]) for i in order]
        number = floatToGoString(value)  # type: ignore[no-untyped-call]
        found[_PREFIX + name].append(line % (*told, number))
    return {name: "".join(lines) for name, lines in found.items()}


def render(
    store: Store,
    *,
    terms: Mapping[str, MonitorTerms] | None = None,
    top_classes: int = 20,
    top_segments: int = 20,
) -> bytes:
    """The metrics in Prometheus' text format."""
    return generate_latest(StoreCollector(store, terms=terms, top_classes=top_classes, top_segments=top_segments))


def write_textfile(store: Store, path: Path, terms: Mapping[str, MonitorTerms] | None = None) -> None:
    """Write the metrics where the node exporter's textfile collector reads them; whole or not at all.

    Raises
    ------
    PublishError
        when the file cannot be written, or its name does not end in ``.prom``, which the node exporter would not read
    """
    if path.suffix != ".prom":
        raise PublishError(
            f"metrics.textfile {path} must end in .prom for the node exporter to read it", permanent=True
        )
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(render(store, terms=terms))
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise PublishError(f"metrics.textfile {path} cannot be written: {error.strerror or error}") from error


def push(store: Store, gateway: str, terms: Mapping[str, MonitorTerms] | None = None) -> None:
    """Replace what the Pushgateway holds of the job ``drift-monitor``.

    Raises
    ------
    PublishError
        when it does not answer, or refuses
    """
    registry = CollectorRegistry()
    registry.register(StoreCollector(store, terms=terms))
    try:
        refuse_behind_proxy(gateway)
        push_to_gateway(gateway, job=_JOB, registry=registry, timeout=_PATIENCE)
    except (URLError, OSError, ValueError) as error:
        said = getattr(error, "reason", None) or error
        raise PublishError(
            f"metrics.pushgateway does not take the metrics: {said}; is it running at that address?"
        ) from None
