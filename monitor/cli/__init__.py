"""The command line: parse, wire, call, print. Results go to stdout, everything else to stderr.

Exit status: 0 done, 1 failed, 2 wrong settings; drift is not an error, but ``--fail-on-drift`` makes it 3, and so do a batch
of labels that the quality gate refuses and a refresh that breaks its budget under ``refresh verify``.
"""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from monitor import __version__
from monitor.cli import (
    alarms,
    datasets,
    exporting,
    labels,
    models,
    privacy,
    reading,
    reference,
    refresh,
    reporting,
    running,
    setup,
)
from monitor.cli.console import errors
from monitor.errors import MonitorError
from monitor.logs import set_up, unforeseen

__all__ = ["app", "main"]

app = typer.Typer(
    name="drift-monitor",
    help="Drift and refresh monitor for models on text and anything else with embeddings.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"drift-monitor {__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", envvar="DRIFT_MONITOR_QUIET", help="Log warnings only.")
    ] = False,
) -> None:
    set_up(level=logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)


for room in (
    setup,
    reference,
    running,
    reading,
    reporting,
    alarms,
    refresh,
    models,
    exporting,
    labels,
    datasets,
    privacy,
):
    room.add_to(app)


def main() -> None:
    """The console command."""
    try:
        app()
    except MonitorError as error:
        for line in str(error).splitlines():
            errors.print(f"error: {line}", style="red", markup=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - what Python would print may quote a record
        said = unforeseen(error, logging.getLogger("monitor.cli"))
        errors.print(f"error: {said}", style="red", markup=False, soft_wrap=True)
        sys.exit(1)
