"""The report of a run: a page to open in a browser, or the words of its ticket."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.console import DEFAULT_CONFIG, ConfigOption, MonitorOption, open_current_store, settings_of, stdout
from monitor.cli.reading import WindowOption, find_run
from monitor.documents.markdown import escaped, markdown
from monitor.errors import ConfigError
from monitor.report import Episode, ticket_document, ticket_title
from monitor.reporting import report_of
from monitor.settings import Settings
from monitor.store import Store
from monitor.values import Run
from monitor.whole_files import write_whole

__all__ = ["add_to"]

_LATEST = "latest"


def _found(settings: Settings, store: Store, run: str, monitor: str | None, window: str | None) -> Run:
    if run == _LATEST:
        return find_run(settings, store, monitor, window)
    if window is not None:
        raise ConfigError(f"--window: the run is named already, {run}; leave one of them out")
    found = store.run_by_id(run)
    if found is None:
        raise ConfigError(f"there is no run {run}; drift-monitor runs --json lists them with their ids")
    return found


def report(
    run: Annotated[str, typer.Argument(help="Id of a run, or latest for the newest finished one.")] = _LATEST,
    config_path: ConfigOption = DEFAULT_CONFIG,
    monitor: MonitorOption = None,
    window: WindowOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", "--output", "-o", help="The file to write; - for stdout.")
    ] = None,
    markdown: Annotated[
        bool,
        typer.Option(
            "--markdown", help="The words of the ticket in Markdown instead, on stdout unless --out is given."
        ),
    ] = False,
) -> None:
    """Write a run's report as one HTML file that needs nothing else, or as its ticket has it."""
    settings = settings_of(config_path)
    with open_current_store(settings) as store:
        one = _found(settings, store, run, monitor, window)
        text = _markdown(settings, store, one) if markdown else report_of(store, one)
    if out == Path("-") or (out is None and markdown):
        sys.stdout.write(text)
        return
    path = out or Path(f"{one.monitor}-{one.window.start:%Y%m%dT%H%MZ}.html")
    try:
        write_whole(path, text.encode("utf-8", "replace"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or type(error).__name__}") from error
    stdout.print(f"{path}: {len(text.encode()) / 1000:,.0f} kB", soft_wrap=True, markup=False)


def _markdown(settings: Settings, store: Store, run: Run) -> str:
    if run.reference_version is None or run.decision is None:
        raise ConfigError(f"the run of {run.window} has nothing to report: {run.error or run.status}")
    title = ticket_title(run.monitor, run.decision, run.window.start.date().isoformat())
    redactor = settings.privacy.redactor()
    none = any(one.name == run.monitor and one.report.excerpts == "none" for one in settings.monitors)
    body = ticket_document(
        run, Episode(since=run.window.start.isoformat()), lambda text: "" if none else redactor.excerpt(text)[0]
    )
    return f"# {escaped(title)}\n\n{markdown(body)}"


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(report)
