"""Commands that run windows: run, backfill, serve."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from types import FrameType
from typing import Annotated

import typer

from monitor.cli.console import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    MonitorOption,
    errors,
    open_current_store,
    print_json,
    progress_bar,
    read_time,
    settings_of,
    stdout,
    table,
    without_texts,
    worker_name,
)
from monitor.cli.reading import verdict
from monitor.errors import ConfigError
from monitor.pipeline import Desk, publish_pending, run_window
from monitor.push import push_metrics
from monitor.report import summary_line
from monitor.retention import forget_in_time
from monitor.settings import MonitorSettings, Settings
from monitor.store import Store
from monitor.values import Run, RunStatus, State, Window
from monitor.windows import due_windows
from monitor.wiring import Shared, wire

__all__ = ["add_to"]

_DRIFT = 3
FailOption = Annotated[bool, typer.Option("--fail-on-drift", help="Exit with 3 when a window drifted.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say which windows would run; read and send nothing.")]


@contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does, at once and with its window given back: so does a CronJob's or a supervisor's wish to stop."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run_all(
    settings: Settings,
    monitor: MonitorSettings,
    store: Store,
    windows: Sequence[Window],
    *,
    send: bool = True,
    shared: Shared | None = None,
) -> list[Run]:
    wired = wire(settings, monitor, store, shared)
    if not send:
        wired = replace(wired, tickets={}, exports={}, notifiers={})
    done = []
    with progress_bar() as progress:
        desk = Desk(store, store.now, worker_name(), settings.serve.lease, progress=progress)
        for window in windows:
            run = run_window(wired, window, desk, retry_failed=True)
            run = run or store.run(monitor.name, window.start)
            if run is None or run.status is RunStatus.RUNNING:
                # Later ones rest on it.
                errors.print(_busy(monitor.name, window), soft_wrap=True)
                break
            done.append(run)
        publish_pending({monitor.name: wired}, desk)
    push_metrics(settings, store)
    return done


def _busy(name: str, window: Window) -> str:
    return (
        f"{name}: the window {window} and later ones are not run: another process runs a window of this monitor, or left an earlier "
        "one unfinished, which drift-monitor run takes up once the lease has ended; run again then"
    )


def _ended(windows: Iterable[Window], at: datetime) -> list[Window]:
    """The windows, all of which must be over: a run is never repeated, and the newest one hides those before it."""
    found = []
    for window in windows:
        if window.end > at:
            raise ConfigError(f"window {window} has not ended yet, it is {at:%Y-%m-%dT%H:%M:%SZ}; run it when it has")
        found.append(window)
    return found


def _announce(planned: Mapping[str, Sequence[Window]], *, as_json: bool) -> None:
    """The windows that would run, by monitor."""
    rows = [(name, w.start.isoformat(), w.end.isoformat()) for name, windows in planned.items() for w in windows]
    if as_json:
        print_json([dict(zip(("monitor", "start", "end"), row, strict=True)) for row in rows])
    else:
        table("Windows that would run", ["monitor", "start", "end"], rows)


def _due(one: MonitorSettings, store: Store) -> Sequence[Window]:
    """The windows of a monitor that are due, with those a dead process left behind."""
    schedule, now_there = one.schedule, store.now()
    due = due_windows(now_there, schedule.tiling, schedule.delay, store.watermark(one.name), schedule.catch_up)
    if due.skipped:
        errors.print(
            f"{one.name}: {due.skipped} windows since {due.skipped_from} skipped (catch_up is {schedule.catch_up})",
            soft_wrap=True,
        )
    return sorted({*due.windows, *store.unfinished(one.name, now_there)})


def _finish(runs: Sequence[Run], *, as_json: bool, fail_on_drift: bool) -> None:
    if as_json:
        print_json([without_texts(run) for run in runs])
    else:
        for run in runs:
            stdout.print(summary_line(run), style=verdict(run).style, soft_wrap=True, markup=False)
    if any(run.status is RunStatus.FAILED for run in runs):
        raise typer.Exit(1)
    if fail_on_drift and any(run.decision and run.decision.state is State.DRIFTED for run in runs):
        raise typer.Exit(_DRIFT)


def run(
    config_path: ConfigOption = DEFAULT_CONFIG,
    monitor: Annotated[
        list[str] | None, typer.Option("--monitor", "-m", help="Only this one; may be given several times.")
    ] = None,
    window: Annotated[
        str | None, typer.Option("--window", help="Any time inside the window; default: the windows that are due.")
    ] = None,
    fail_on_drift: FailOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run the windows that are due, or one that is named, and send out what they ask for."""
    settings = settings_of(config_path)
    if monitor:
        chosen = [settings.monitor(name) for name in dict.fromkeys(monitor)]
    else:
        chosen = [settings.monitor(None)] if window else list(settings.monitors)
    with open_current_store(settings) as store:
        if window is None:
            planned = {one.name: _due(one, store) for one in chosen}
        else:
            moment = read_time(window, "--window")
            planned = {one.name: _ended([one.schedule.tiling.at(moment)], store.now()) for one in chosen}
        if dry_run:
            _announce(planned, as_json=as_json)
            return
        shared = Shared()
        with _stoppable():
            runs = [run for one in chosen for run in _run_all(settings, one, store, planned[one.name], shared=shared)]
            forget_in_time(settings, store, store.now())
    _finish(runs, as_json=as_json, fail_on_drift=fail_on_drift)


def backfill(
    start: Annotated[str, typer.Option("--from", help="First window start, ISO 8601.")],
    end: Annotated[str, typer.Option("--to", help="End of the last window, ISO 8601.")],
    config_path: ConfigOption = DEFAULT_CONFIG,
    monitor: MonitorOption = None,
    send: Annotated[
        bool,
        typer.Option("--send/--no-send", help="Open tickets and write exports, or only see what would have alarmed."),
    ] = True,
    fail_on_drift: FailOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run every whole window of a stretch of history; windows that were run before stay as they are."""
    settings = settings_of(config_path)
    one = settings.monitor(monitor)
    wanted = one.schedule.tiling.between(read_time(start, "--from"), read_time(end, "--to"))
    with open_current_store(settings) as store:
        windows = _ended(wanted, store.now())
        if not windows:
            raise ConfigError(f"no whole window of {one.schedule.every} lies between {start} and {end}")
        if dry_run:
            _announce({one.name: windows}, as_json=as_json)
            return
        with _stoppable():
            runs = _run_all(settings, one, store, windows, send=send)
    if not as_json:
        _say_alarms(one, runs)
    _finish(runs, as_json=as_json, fail_on_drift=fail_on_drift)
    if len(runs) < len(windows):
        raise typer.Exit(1)


def _say_alarms(one: MonitorSettings, runs: Sequence[Run]) -> None:
    """What alarmed, and how much of it chance could explain."""
    raised = [
        run for run in runs if run.decision and run.decision.evidence.get("alarm_since") == run.window.end.timestamp()
    ]
    named = ", ".join(run.window.start.date().isoformat() for run in raised)
    stdout.print(
        f"{len(raised)} {'alarm' if len(raised) == 1 else 'alarms'} in {len(runs)} looks{f' ({named})' if named else ''}; the budget of "
        f"{one.policy.false_alarms} allows {len(runs) / one.policy.run_length(one.schedule):.2g} false ones.",
        soft_wrap=True,
    )


def serve(
    config_path: ConfigOption = DEFAULT_CONFIG,
    schedule: Annotated[
        bool, typer.Option("--schedule/--no-schedule", help="Run windows, or only show what others ran.")
    ] = True,
    host: Annotated[
        str | None, typer.Option("--host", envvar="DRIFT_MONITOR_HOST", help="Listen here, not at serve.host.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", envvar="DRIFT_MONITOR_PORT", min=0, max=65535, help="Listen here, not at serve.port."),
    ] = None,
) -> None:
    """Run as a service: windows on schedule, /metrics, /healthz and /readyz."""
    from monitor.serve import serve as serve_forever  # noqa: PLC0415 - brings the web server, which no other command needs

    settings = settings_of(config_path)
    given = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    listening = settings.model_copy(update={"serve": settings.serve.model_copy(update=given)})
    serve_forever(listening, worker=worker_name(), schedule=schedule)


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("run")(run)
    app.command("backfill")(backfill)
    app.command("serve")(serve)
