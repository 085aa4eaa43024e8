"""The picture that is kept with a run. One that cannot be drawn costs no verdict."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta

import numpy as np

from monitor.desk import Monitor
from monitor.logs import fields, unforeseen
from monitor.picture import draw_picture, to_bytes
from monitor.values import Dataset, Reference, Run, State

__all__ = ["illustrate"]

_log = logging.getLogger("monitor.run")
_OFTEN_ENOUGH = timedelta(hours=1)
_CALM = (State.STABLE, State.INSUFFICIENT)


def _worth_drawing(run: Run) -> bool:
    calm = run.decision is not None and run.decision.state in _CALM and not run.candidates
    start, end = (moment.timestamp() // _OFTEN_ENOUGH.total_seconds() for moment in (run.window.start, run.window.end))
    return not calm or start != end


def illustrate(
    monitor: Monitor, run: Run, reference: Reference, current: Dataset, rng: np.random.Generator
) -> tuple[bytes | None, Mapping[str, int]]:
    """The packed picture of a run's records, and what was masked in it; ``None``, and a line in the log, when it cannot be drawn.

    Of calm windows shorter than an hour only the last of each hour is drawn: each would replace the one before.
    """
    if not _worth_drawing(run):
        return None, {}
    try:
        made = draw_picture(
            reference, current, run.candidates, monitor.bandwidth, monitor.excerpts, rng, monitor.redactor
        )
        return to_bytes(made), made.masked
    except Exception as error:  # noqa: BLE001 - the verdict is there already
        said = unforeseen(error, _log)
        _log.warning("no picture", extra=fields(monitor=run.monitor, window=str(run.window), error=said))
        return None, {}
