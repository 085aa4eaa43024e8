"""Commands that look at what was saved: runs, show, tickets."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from monitor.cli.console import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    MonitorOption,
    counted,
    open_current_store,
    plain,
    print_json,
    read_time,
    settings_of,
    stdout,
    table,
    without_texts,
    worker_name,
)
from monitor.errors import ConfigError
from monitor.pipeline import Desk, publish_pending
from monitor.settings import Settings
from monitor.store import Store
from monitor.values import Run, State
from monitor.wiring import wire

__all__ = ["add_to", "find_run", "verdict"]

_STYLES = {
    State.STABLE: "green",
    State.WATCH: "yellow",
    State.DRIFTED: "bold red",
    State.RECOVERING: "cyan",
    State.INSUFFICIENT: "dim",
    State.FAILED: "magenta",
}


def verdict(run: Run) -> Text:
    """The state of a run in its colour."""
    if run.decision is None:
        return Text(run.status.value, style="dim")
    return Text(run.decision.state.value, style=_STYLES[run.decision.state])


def find_run(settings: Settings, store: Store, monitor: str | None, window: str | None) -> Run:
    """The run of the named window, else the newest finished one."""
    one = settings.monitor(monitor)
    if window is None:
        runs = [run for run in store.runs(one.name, limit=50) if run.decision is not None]
        if not runs:
            raise ConfigError(f"{one.name} has no finished run yet; drift-monitor run --monitor {one.name}")
        return runs[0]
    start = one.schedule.tiling.at(read_time(window, "--window")).start
    run = store.run(one.name, start)
    if run is None:
        raise ConfigError(
            f"{one.name} has no run for the window that starts {start.isoformat()}; drift-monitor runs lists them"
        )
    return run


def _why(run: Run) -> str:
    """What moved, or why there is no calm verdict; ``show`` has the whole sentences."""
    if run.decision is None or run.decision.state is State.STABLE:
        return run.error
    return " and ".join(run.decision.causes) or next(iter(run.decision.reasons), "")


WindowOption = Annotated[
    str | None, typer.Option("--window", help="Any time inside the window; default: the newest run.")
]


def runs(
    config_path: ConfigOption = DEFAULT_CONFIG,
    monitor: MonitorOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many, newest first.")] = 30,
    as_json: JsonOption = False,
) -> None:
    """List the newest runs."""
    settings = settings_of(config_path)
    with open_current_store(settings) as store:
        found = store.runs(settings.monitor(monitor).name if monitor else None, limit=limit)
    if as_json:
        print_json([without_texts(run) for run in found])
        return
    rows = [
        (
            r.monitor,
            f"{r.window.start:%Y-%m-%d %H:%M}",
            verdict(r),
            r.counts.population,
            r.counts.sampled,
            len(r.candidates),
            _why(r),
        )
        for r in found
    ]
    table("Runs, newest first", ["monitor", "window (UTC)", "state", ">records", ">sampled", ">to label", "why"], rows)


def show(
    config_path: ConfigOption = DEFAULT_CONFIG,
    monitor: MonitorOption = None,
    window: WindowOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one run: verdict, reasons, counts and every measurement."""
    settings = settings_of(config_path)
    with open_current_store(settings) as store:
        run = find_run(settings, store, monitor, window)
    if as_json:
        print_json(without_texts(run))
        return
    stdout.print(Text.assemble(f"{run.monitor}  {run.window}  ", verdict(run)), soft_wrap=True)
    for reason in run.decision.reasons if run.decision else (run.error,):
        stdout.print(f"  {reason}", soft_wrap=True, markup=False)
    for cause in run.decision.findings if run.decision else ():
        stdout.print(f"  {cause.name}: {cause.sentence}", soft_wrap=True, markup=False)
    if run.decision and run.decision.segments:
        states = ", ".join(f"{segment} {state.value}" for segment, state in run.decision.segments.items())
        stdout.print(f"  segments: {states}", soft_wrap=True, markup=False)
    counts = run.counts
    stdout.print(
        f"  {counts.population} records, {counts.sampled} sampled, {counts.repeats} repeats, {counts.empty} empty, "
        f"{counts.overlong} cut, {counts.outside} outside, {counted(counts.rejected)}",
        soft_wrap=True,
    )
    stdout.print(
        f"  reference version {run.reference_version} ({run.reference_fingerprint[:12]}), embedder {run.embedder}",
        soft_wrap=True,
    )
    rows = [
        (
            m.detector,
            m.subject,
            m.segment,
            f"{m.effect:.4g}",
            f"{m.low:.4g} to {m.high:.4g}",
            "" if m.p_value is None else f"{m.p_value:.3g}",
        )
        for m in run.measurements
    ]
    table("Measurements", ["detector", "subject", "segment", ">effect", "95 % interval", ">p"], rows)


def tickets(
    config_path: ConfigOption = DEFAULT_CONFIG,
    monitor: MonitorOption = None,
    retry: Annotated[bool, typer.Option("--retry", help="Send again what could not be sent, parked ones too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --retry: say what would be sent.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List tickets and what became of them; exports that wait are listed with them."""
    settings = settings_of(config_path)
    with open_current_store(settings) as store:
        if retry and not dry_run:
            store.unpark()
            wired = {one.name: wire(settings, one, store) for one in settings.monitors}
            publish_pending(wired, Desk(store, store.now, worker_name(), settings.serve.lease))
        name = settings.monitor(monitor).name if monitor else None
        found = [("ticket", item) for item in store.tickets(name)] + [("export", item) for item in store.exports(name)]
    if as_json:
        print_json([{"kind": kind, **plain(item)} for kind, item in found])
        return
    rows = [(kind, i.monitor, i.destination, i.status, i.attempts, i.location or i.error) for kind, i in found]
    table("Tickets and exports", ["what", "monitor", "to", "status", ">tries", "where, or why not"], rows)


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("runs")(runs)
    app.command("show")(show)
    app.command("tickets")(tickets)
