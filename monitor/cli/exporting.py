"""The command that writes candidates for labelling, by hand or to the destinations of the settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Annotated

import typer

from monitor import plugins
from monitor.cli.console import (
    DEFAULT_CONFIG,
    ConfigOption,
    MonitorOption,
    open_current_store,
    settings_of,
    stdout,
    worker_name,
)
from monitor.cli.reading import WindowOption, find_run
from monitor.errors import ConfigError
from monitor.exporters import Exporter
from monitor.exporters.formats import FORMATS
from monitor.exporting import export_of, prepared
from monitor.pipeline import Desk, Monitor
from monitor.publish import publish_exports
from monitor.settings import ExportTerms, Settings
from monitor.store import DeliveryStatus, Store
from monitor.store.slots import key_of
from monitor.wiring import plan_of, wire

__all__ = ["add_to"]


def export(
    folder: Annotated[
        str | None,
        typer.Argument(help="A folder, or a URL such as s3://bucket/path; default: the destinations of the settings."),
    ] = None,
    config_path: ConfigOption = DEFAULT_CONFIG,
    monitor: MonitorOption = None,
    window: WindowOption = None,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help=f"{', '.join(FORMATS)}; csv is the default, several may be given."),
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", help="The destination's name; default: those that have a schedule.")
    ] = None,
    everything: Annotated[
        bool | None, typer.Option("--all/--new", help="Candidates of all runs, or of those not exported before.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written.")] = False,
) -> None:
    """Write refresh candidates, whole records: of one run to FOLDER, or of runs not exported before as the settings say."""
    settings = settings_of(config_path)
    if folder is None:
        if window or formats:
            raise ConfigError("--window and --format are for an export to a FOLDER; name one, or leave them out")
        _to_destinations(settings, monitor, to, everything, dry_run=dry_run)
        return
    if to is not None or everything is not None:
        raise ConfigError("--to, --all and --new are for destinations of the settings; leave FOLDER out")
    exporter: Exporter = plugins.build("exporters", "files", {"folder": folder, "formats": formats or ["csv"]})
    one = settings.monitor(monitor)
    with open_current_store(settings) as store:
        run = find_run(settings, store, monitor, window)
        if not run.candidates:
            raise ConfigError(f"the run of {run.window} has no candidates; drift-monitor runs shows which have")
        if dry_run:
            stdout.print(
                f"{len(run.candidates)} candidates of {run.window} would be written to {folder}", soft_wrap=True
            )
            return
        wired = wire(settings, one, store)
        made = prepared(wired, plan_of(ExportTerms()), "", export_of(run), Desk(store, store.now, worker_name()))
    stdout.print(f"{len(run.candidates)} candidates written to {exporter.write(made)}", soft_wrap=True)


def _to_destinations(
    settings: Settings, monitor: str | None, to: str | None, everything: bool | None, *, dry_run: bool
) -> None:
    chosen = [settings.monitor(monitor)] if monitor else list(settings.monitors)
    with open_current_store(settings) as store:
        wired = {one.name: wire(settings, one, store) for one in chosen}
        # A slot is named by the second; what ended within this one is in it.
        slot = store.now().replace(microsecond=0) + timedelta(seconds=1)
        found = list(_destinations(wired.values(), to))
        if not found:
            what = f"called {to!r}" if to else "with a schedule"
            raise ConfigError(f"the settings name no export destination {what}; add one to exports, or name a FOLDER")
        asked = []
        for one, name in found:
            wanted = one.export_plans[name].everything if everything is None else everything
            runs = len(store.to_export(one.name, name, slot, everything=wanted))
            if not runs:
                stdout.print(f"{one.name}: nothing new for {name}", soft_wrap=True)
            elif dry_run:
                stdout.print(f"{one.name}: candidates of {_runs(runs)} would be written to {name}", soft_wrap=True)
            else:
                store.ask_export(one.name, name, slot, store.now(), everything=wanted)
                asked.append((one.name, name))
        if asked:
            publish_exports(wired, Desk(store, store.now, worker_name()))
            _tell(store, asked, slot)


def _destinations(monitors: Iterable[Monitor], to: str | None) -> Iterator[tuple[Monitor, str]]:
    for one in monitors:
        for name, plan in one.export_plans.items():
            if name == to if to else plan.tiling is not None:
                yield one, name


def _tell(store: Store, asked: Sequence[tuple[str, str]], slot: datetime) -> None:
    """Where each went, or why it did not; the latter goes on being tried."""
    failed = False
    for monitor, name in asked:
        (one,) = (x for x in store.exports(monitor) if (x.key, x.destination) == (key_of(monitor, slot), name))
        sent = one.status is DeliveryStatus.SENT
        failed |= not sent
        said = f"written to {one.location}" if sent else f"not written: {one.error}"
        stdout.print(f"{monitor}: {name} {said}", soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def _runs(number: int) -> str:
    return "1 run" if number == 1 else f"{number} runs"


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("export")(export)
