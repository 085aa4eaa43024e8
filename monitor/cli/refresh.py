"""Commands about a refresh: what the labels in hand would do, the files to retrain and serve with, and whether it kept its word."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from monitor.answers import Audit
from monitor.cli.console import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    MonitorOption,
    open_current_store,
    print_json,
    progress_bar,
    settings_of,
    stdout,
    table,
)
from monitor.cli.reading import WindowOption
from monitor.cli.reading import find_run as run_of_window
from monitor.cli.reference import load_reference
from monitor.cli.verifying import verify
from monitor.errors import ConfigError
from monitor.pipeline import Desk
from monitor.refreshing import Prospect, prospect, write_files
from monitor.settings import Settings
from monitor.store import Store
from monitor.values import Run, State
from monitor.wiring import wire

__all__ = ["add_to"]

_LISTED = 20


def _drifted(settings: Settings, store: Store, monitor: str | None, window: str | None) -> Run:
    """The run of the named window, else the newest that drifted."""
    if window is not None:
        return run_of_window(settings, store, monitor, window)
    name = settings.monitor(monitor).name
    for run in store.runs(name, limit=1_000):
        if run.decision is not None and run.decision.state is State.DRIFTED:
            return run
    raise ConfigError(f"{name} has no drifted window to refresh for; name one with --window")


def _found(settings: Settings, monitor: str | None, window: str | None) -> tuple[Run, Prospect]:
    one = settings.monitor(monitor)
    with open_current_store(settings) as store:
        run = _drifted(settings, store, monitor, window)
        reference = load_reference(settings, store, one.name, None)
        with progress_bar() as progress:
            found = prospect(wire(settings, one, store), run, reference, Desk(store, store.now, "refresh"), progress)
    return run, found


def verdict(
    config_path: ConfigOption = DEFAULT_CONFIG,
    monitor: MonitorOption = None,
    window: WindowOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a refresh with the labels in hand would gain and break, and which labels to have checked."""
    run, found = _found(settings_of(config_path), monitor, window)
    if as_json:
        print_json(_told(run, found))
        return
    expected = found.forecast
    for advice in expected.advice:
        stdout.print(advice.sentence, soft_wrap=True, markup=False)
    rows = [
        (
            "labels",
            f"{len(found.additions.ids)} useful of {0 if found.pool.answers is None else len(found.pool.answers.data)}",
        )
    ]
    if found.audit is not None:
        rows.append(("the model, by the random share", _audited(found.audit)))
    for name, one in (("plain refit", expected.plain), ("with the incumbent bonus", expected.guarded)):
        if one is not None:
            rows.append(
                (
                    f"{name}: turned wrong",
                    f"{one.flips} of {one.right} ({100 * one.predicted.low:.2f} to {100 * one.predicted.high:.2f} % expected)",
                )
            )
            rows.append((f"{name}: mended", str(one.mended)))
    if expected.gate is not None:
        rows.append(("bonus for the budget", "none keeps it" if expected.bonus is None else f"{expected.bonus:g}"))
    table(f"Refresh of {run.monitor} for {run.window.start:%Y-%m-%d %H:%M}", ["what", "value"], rows)
    second = [record for record, marked in zip(found.additions.ids, found.additions.second_look, strict=True) if marked]
    if second:
        table(
            "Labels for another person to check, riskiest first",
            ["record", ">might break"],
            [(r, f"{100 * found.risks[r]:.2f} %") for r in sorted(second, key=lambda r: -found.risks[r])[:_LISTED]],
        )


def _audited(audit: Audit) -> str:
    low, high = 100 * audit.accuracy.low, 100 * audit.accuracy.high
    junk = f", {audit.junk} junk" if audit.junk else ""
    return f"{audit.right} of {audit.told} right ({low:.0f} to {high:.0f} %){junk}"


def export(
    out: Annotated[Path, typer.Option("--out", help="Folder to write to.")],
    config_path: ConfigOption = DEFAULT_CONFIG,
    monitor: MonitorOption = None,
    window: WindowOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write labels with weights, what a single model should imitate, and the gate for those who can serve two."""
    run, found = _found(settings_of(config_path), monitor, window)
    try:
        names = write_files(found, out, _told(run, found))
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {error.strerror or type(error).__name__}") from error
    if as_json:
        print_json({"folder": str(out), "files": names})
        return
    stdout.print(f"{out}: {', '.join(names)}", soft_wrap=True, markup=False)


def _told(run: Run, found: Prospect) -> dict[str, object]:
    """What may be printed and written beside the files: ids and numbers, no texts."""
    expected = found.forecast
    verdicts = {
        name: None
        if one is None
        else {
            "flips": one.flips,
            "right": one.right,
            "mended": one.mended,
            "predicted": one.predicted,
            "broken": [flip.record_id for flip in one.broken],
        }
        for name, one in (("plain", expected.plain), ("guarded", expected.guarded))
    }
    return {
        "monitor": run.monitor,
        "window_start": run.window.start.isoformat(),
        "reference_version": run.reference_version,
        "labels": len(found.additions.ids),
        "audit": None if found.audit is None else asdict(found.audit),
        "gain": expected.gain,
        "bonus": expected.bonus,
        **verdicts,
        "advice": [{"name": one.name, "sentence": one.sentence} for one in expected.advice],
        "second_look": [
            record for record, marked in zip(found.additions.ids, found.additions.second_look, strict=True) if marked
        ],
    }


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    room = typer.Typer(help="A refresh of the model with the labels in hand.", no_args_is_help=True)
    room.command("verdict")(verdict)
    room.command("export")(export)
    room.command("verify")(verify)
    app.add_typer(room, name="refresh")
