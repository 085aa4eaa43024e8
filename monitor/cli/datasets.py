"""Versions of the training set: ``datasets list``, ``show`` and ``diff``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pyarrow.parquet as pq
import typer

from monitor.cli.console import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    MonitorOption,
    open_current_store,
    print_json,
    settings_of,
    stdout,
    table,
)
from monitor.errors import ConfigError
from monitor.reference import difference
from monitor.settings import Settings
from monitor.values import Reference, TrainingSet
from monitor.wiring import open_shelf

__all__ = ["add_to"]

_LISTED = 20


def _sets(settings: Settings, monitor: str) -> list[TrainingSet]:
    with open_current_store(settings) as store:
        found = list(store.training_sets(monitor))
    if not found:
        raise ConfigError(f"{monitor} has no dataset version yet; drift-monitor labels import makes them")
    return found


def _version(found: list[TrainingSet], version: int | None) -> TrainingSet:
    if version is None:
        return found[-1]
    for one in found:
        if one.version == version:
            return one
    raise ConfigError(
        f"{found[0].monitor} has no dataset version {version}; it has {', '.join(str(s.version) for s in found)}"
    )


def _reference(settings: Settings, one: TrainingSet) -> Reference:
    return open_shelf(settings).load(one.monitor, one.reference_version)


def list_versions(
    config_path: ConfigOption = DEFAULT_CONFIG, monitor: MonitorOption = None, as_json: JsonOption = False
) -> None:
    """List the versions, oldest first."""
    settings = settings_of(config_path)
    found = _sets(settings, settings.monitor(monitor).name)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            s.version,
            s.parent,
            f"{s.created_at:%Y-%m-%d %H:%M}",
            s.rows,
            s.added,
            s.dropped,
            s.relabelled,
            s.reference_version,
        )
        for s in found
    ]
    columns = [">version", ">parent", "made (UTC)", ">records", ">added", ">dropped", ">relabelled", ">reference"]
    table(f"Datasets of {found[0].monitor}", columns, rows)


def show(
    version: Annotated[int | None, typer.Argument(min=1, help="Default: the newest.")] = None,
    config_path: ConfigOption = DEFAULT_CONFIG,
    monitor: MonitorOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write its records to this Parquet file, texts and all, to train on.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show one version: its classes, what changed, and where the labels came from."""
    settings = settings_of(config_path)
    one = _version(_sets(settings, settings.monitor(monitor).name), version)
    if out is not None:
        _write(_reference(settings, one), out)
    if as_json:
        print_json(one)
        return
    lineage = one.lineage
    rows = [
        ("made", one.created_at.isoformat()),
        ("parent", one.parent),
        ("reference version", one.reference_version),
        ("fingerprint", one.fingerprint),
        ("records", one.rows),
        ("added, dropped, relabelled", f"{one.added}, {one.dropped}, {one.relabelled}"),
        ("tickets", ", ".join(lineage.tickets)),
        ("runs", ", ".join(lineage.runs)),
        ("exports", ", ".join(lineage.exports)),
        ("imports", ", ".join(lineage.imports)),
        ("annotators", ", ".join(lineage.annotators)),
        ("classes", _classes(one)),
    ]
    table(f"Dataset {one.monitor} version {one.version}", ["what", "value"], rows)
    if out is not None:
        stdout.print(f"{one.rows} records written to {out}", soft_wrap=True, markup=False)


def _classes(one: TrainingSet) -> str:
    total = sum(one.classes.values()) or 1
    shown = [f"{name} {count} ({count / total:.1%})" for name, count in list(one.classes.items())[:_LISTED]]
    return ", ".join(shown) + (", ..." if len(one.classes) > len(shown) else "")


def _write(reference: Reference, out: Path) -> None:
    records = reference.train.records
    kept = records.drop_columns(["vector"]).append_column("weight", [reference.train.weights])
    try:
        pq.write_table(kept, out)
    except OSError as error:
        raise ConfigError(f"--out {out} cannot be written: {error.strerror or type(error).__name__}") from error


def diff(
    before: Annotated[int, typer.Argument(min=1, help="The earlier version.")],
    after: Annotated[int | None, typer.Argument(min=1, help="The later one; default: the newest.")] = None,
    config_path: ConfigOption = DEFAULT_CONFIG,
    monitor: MonitorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what changed between two versions: ids added, dropped and relabelled, class shares side by side."""
    settings = settings_of(config_path)
    found = _sets(settings, settings.monitor(monitor).name)
    old, new = _version(found, before), _version(found, after)
    trains = _reference(settings, old).train, _reference(settings, new).train
    changed = difference(*trains)
    labels = [dict(zip(train.ids, train.column("label"), strict=True)) for train in trains]
    relabelled = [(record, labels[0][record], labels[1][record]) for record in changed.relabelled]
    shares = {
        name: tuple(s.classes.get(name, 0) / (sum(s.classes.values()) or 1) for s in (old, new))
        for name in sorted({*old.classes, *new.classes})
    }
    if as_json:
        print_json(
            {
                "before": old.version,
                "after": new.version,
                "added": [{"record_id": record, "label": labels[1][record]} for record in changed.added],
                "dropped": [{"record_id": record, "label": labels[0][record]} for record in changed.dropped],
                "relabelled": [{"record_id": r, "before": a, "after": b} for r, a, b in relabelled],
                "shares": {name: {"before": pair[0], "after": pair[1]} for name, pair in shares.items()},
            }
        )
        return
    stdout.print(
        f"dataset {old.monitor} version {old.version} to {new.version}: {len(changed.added)} added, "
        f"{len(changed.dropped)} dropped, {len(relabelled)} relabelled",
        soft_wrap=True,
    )
    rows = [("added", record, "", labels[1][record]) for record in changed.added[:_LISTED]]
    rows += [("dropped", record, labels[0][record], "") for record in changed.dropped[:_LISTED]]
    rows += [("relabelled", *one) for one in relabelled[:_LISTED]]
    if rows:
        table(f"Records, {_LISTED} of each kind (all with --json)", ["what", "record", "before", "after"], rows)
    table("Class shares", ["class", ">before", ">after"], [(n, f"{a:.2%}", f"{b:.2%}") for n, (a, b) in shares.items()])


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    room = typer.Typer(help="Versions of the training set.", no_args_is_help=True)
    room.command("list")(list_versions)
    room.command("show")(show)
    room.command("diff")(diff)
    app.add_typer(room, name="datasets")
