"""Candidates on their way out once more."""

from __future__ import annotations

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
)
from monitor.cli.reading import WindowOption, find_run
from monitor.errors import ConfigError
from monitor.exporters import Exporter
from monitor.publish import export_of

__all__ = ["add_to"]


def export(
    folder: Annotated[str, typer.Argument(help="A folder, or a URL such as s3://bucket/path.")],
    config_path: ConfigOption = DEFAULT_CONFIG,
    monitor: MonitorOption = None,
    window: WindowOption = None,
    formats: Annotated[
        list[str] | None, typer.Option("--format", help="parquet, jsonl or csv (the default); several may be given.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written.")] = False,
) -> None:
    """Write the refresh candidates of a run, whole records, once more; the same run overwrites."""
    settings = settings_of(config_path)
    exporter: Exporter = plugins.build("exporters", "files", {"folder": folder, "formats": formats or ["csv"]})
    with open_current_store(settings) as store:
        run = find_run(settings, store, monitor, window)
    if not run.candidates:
        raise ConfigError(f"the run of {run.window} has no candidates; drift-monitor runs shows which have")
    if dry_run:
        stdout.print(f"{len(run.candidates)} candidates of {run.window} would be written to {folder}", soft_wrap=True)
        return
    stdout.print(f"{len(run.candidates)} candidates written to {exporter.write(export_of(run))}", soft_wrap=True)


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("export")(export)
