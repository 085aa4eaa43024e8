"""Metrics for those whom nobody scrapes: into a file and to a Pushgateway, after windows have run."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

from monitor.errors import MonitorError
from monitor.logs import fields
from monitor.metrics import push, write_textfile
from monitor.reach import only
from monitor.settings import Settings
from monitor.store import Store
from monitor.wiring import terms_of

__all__ = ["push_metrics"]

_log = logging.getLogger("monitor.push")


def push_metrics(settings: Settings, store: Store) -> None:
    """Write and push all metrics where the settings say; what fails is logged, for it must not fail a run that is saved."""
    told, terms = settings.metrics, terms_of(settings)
    sendings = []
    if told.textfile is not None:
        sendings.append(partial(write_textfile, store, Path(told.textfile), terms))
    if told.pushgateway is not None:
        sendings.append(partial(push, store, told.pushgateway, terms))
    for send in sendings:
        try:
            with only(settings.network.reach()):
                send()
        except MonitorError as error:
            _log.warning("metrics not sent", extra=fields(error=str(error)))
