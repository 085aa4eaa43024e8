"""The picture that is kept with a run. One that cannot be drawn costs no verdict."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np

from monitor.desk import Monitor
from monitor.logs import fields, unforeseen
from monitor.picture import draw_picture, to_bytes
from monitor.values import Dataset, Reference, Run

__all__ = ["illustrate"]

_log = logging.getLogger("monitor.run")


def illustrate(
    monitor: Monitor, run: Run, reference: Reference, current: Dataset, rng: np.random.Generator
) -> tuple[bytes | None, Mapping[str, int]]:
    """The packed picture of a run's records, and what was masked in it; ``None``, and a line in the log, when it cannot be drawn."""
    try:
        made = draw_picture(
            reference, current, run.candidates, monitor.bandwidth, monitor.excerpts, rng, monitor.redactor
        )
        return to_bytes(made), made.masked
    except Exception as error:  # noqa: BLE001 - the verdict is there already
        said = unforeseen(error, _log)
        _log.warning("no picture", extra=fields(monitor=run.monitor, window=str(run.window), error=said))
        return None, {}
