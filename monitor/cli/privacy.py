"""Commands about private texts: what is older than it may be, and one person's records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from monitor import plugins
from monitor.cli.console import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    MonitorOption,
    errors,
    open_current_store,
    print_json,
    settings_of,
    stdout,
)
from monitor.errors import ConfigError
from monitor.purge import Places, Report
from monitor.purge import purge as purge_everywhere
from monitor.retention import forget_old
from monitor.settings import MonitorSettings, Settings
from monitor.wiring import open_shelf

__all__ = ["add_to"]


def retention(
    config_path: ConfigOption = DEFAULT_CONFIG,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count; forget nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Forget texts and vectors that are older than privacy.retention allows; run and serve do it by themselves."""
    settings = settings_of(config_path)
    if settings.privacy.retention is None:
        raise ConfigError("privacy.retention is not set, so everything is kept; set it, for example to 180d")
    with open_current_store(settings) as store:
        found = forget_old(settings, store, store.now(), dry_run=dry_run)
    if as_json:
        print_json({"forgotten": found, "dry_run": dry_run})
        return
    stdout.print(
        f"{'Would forget' if dry_run else 'Forgotten'}: {_listed(found)}", soft_wrap=True, markup=False, highlight=False
    )


def purge(
    ids: Annotated[list[str], typer.Option("--id", help="Record id; several may be given.")],
    config_path: ConfigOption = DEFAULT_CONFIG,
    monitor: MonitorOption = None,
    folders: Annotated[
        list[str] | None, typer.Option("--folder", help="Further folders or URLs that export has written to.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove records everywhere: store, cache, references, exports, file tickets; says what is out of reach."""
    settings = settings_of(config_path)
    if not all(ids):
        raise ConfigError("--id is empty; give the id of a record")
    chosen = list(settings.monitors) if monitor is None else [settings.monitor(monitor)]
    places, unreachable = _places(settings, chosen, folders or [])
    with open_current_store(settings) as store:
        done = purge_everywhere(ids, store, places, store.now(), everywhere=monitor is None, dry_run=dry_run)
    if as_json:
        print_json({"removed": done.counts, "out_of_reach": done.mentions, "references": done.references,
                    "cached_vectors": done.emptied, "left": done.left, "unknown_kinds": unreachable, "dry_run": dry_run})  # fmt: skip
    else:
        _say(done, unreachable, dry_run=dry_run)
    if done.left:
        raise typer.Exit(1)


def _places(settings: Settings, chosen: Sequence[MonitorSettings], more: Sequence[str]) -> tuple[Places, list[str]]:
    """Where exports and tickets of these monitors lie, and destinations of kinds that are not known from inside."""
    exports: dict[str, Mapping[str, Any]] = {folder: {} for folder in more}
    tickets: dict[str, None] = {}
    unknown = []
    for one in chosen:
        for part in one.exports:
            if part.kind == "files":
                options = plugins.validate("exporters", part.kind, part.options)
                exports[options["folder"]] = options["storage"] or {}
            else:
                unknown.append(f"{one.name} exports {part.name}")
        for part in one.tickets:
            if part.kind == "file":
                tickets[plugins.validate("tickets", part.kind, part.options)["folder"]] = None
    names = [one.name for one in chosen]
    return Places(names, open_shelf(settings), list(exports.items()), list(tickets), settings.cache), unknown


def _listed(found: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {place}" for place, number in sorted(found.items())) or "nothing"


def _say(done: Report, unreachable: Sequence[str], *, dry_run: bool) -> None:
    said = "Would be removed" if dry_run else "Removed"
    if done.counts:
        stdout.print(f"{said}: {_listed(done.counts)}", soft_wrap=True, markup=False)
    else:
        stdout.print("Known nowhere: nothing names this id.", soft_wrap=True, markup=False)
    for name, versions in done.references.items():
        for one in versions:
            new = f", new without {'it' if one.replaces else 'them'}" if one.replaces else ""
            stdout.print(f"  reference {name} version {one.version}: {one.records} records{new}", markup=False)
    if done.emptied:
        stdout.print(
            f"  embedding cache: {done.emptied} vectors, all of them, as it knows no ids; they are made anew when needed",
            soft_wrap=True,
        )
    for mention in done.mentions:
        stdout.print(
            f"Out of reach: ticket {mention.location} ({mention.destination}) may name it; remove it there by hand",
            soft_wrap=True,
            markup=False,
        )
    for where in unreachable:
        stdout.print(f"Out of reach: {where}, a kind of its own; remove it there by hand", markup=False)
    for path in done.left:
        errors.print(f"left: {path} still names it and is of no known kind", style="red", markup=False, soft_wrap=True)


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("retention")(retention)
    app.command("purge")(purge)
