"""Metrics as text: over HTTP, into a file, and to a Pushgateway."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.error import URLError

from prometheus_client import CollectorRegistry, generate_latest, push_to_gateway
from prometheus_client.exposition import choose_encoder

from monitor.errors import PublishError
from monitor.metrics.collector import StoreCollector
from monitor.store import Store
from monitor.values import MonitorTerms

__all__ = ["answer", "push", "render", "write_textfile"]

_JOB = "drift-monitor"
_PATIENCE = 10.0


def answer(store: Store, accept: str, terms: Mapping[str, MonitorTerms] | None = None) -> tuple[bytes, str]:
    """The metrics and their content type, for the formats a scraper's ``Accept`` header names.

    OpenMetrics carries exemplars: the run behind each count of runs.
    """
    encode, content_type = choose_encoder(accept)
    return encode(StoreCollector(store, terms=terms)), content_type


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
        push_to_gateway(gateway, job=_JOB, registry=registry, timeout=_PATIENCE)
    except (URLError, OSError, ValueError) as error:
        said = getattr(error, "reason", None) or error
        raise PublishError(
            f"metrics.pushgateway does not take the metrics: {said}; is it running at that address?"
        ) from None
