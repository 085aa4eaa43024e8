"""Commands that close the loop: import the labels of candidates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from monitor import plugins
from monitor.cli.console import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    MonitorOption,
    now,
    open_current_store,
    print_json,
    settings_of,
    stdout,
)
from monitor.sources.fields import Fields

__all__ = ["add_to"]


def _labels(path: Path, id_column: str, label_column: str) -> Iterator[tuple[str, str]]:
    fields = Fields(id=id_column, text=label_column, timestamp=None, label=label_column)
    source = plugins.build("sources", "files", {"path": str(path)}, fields=fields)
    for batch in source.read(None):
        for row in batch.rows.select(["id", "label"]).to_pylist():
            if row["label"]:
                yield row["id"], row["label"]


def import_labels(
    path: Annotated[Path, typer.Argument(help="CSV, JSON lines or Parquet with an id and a label column.")],
    config_path: ConfigOption = DEFAULT_CONFIG,
    monitor: MonitorOption = None,
    by: Annotated[str, typer.Option("--by", help="Who labelled.")] = "",
    id_column: Annotated[str, typer.Option("--id-column")] = "id",
    label_column: Annotated[str, typer.Option("--label-column")] = "label",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count the labels; keep nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take labels back: they are kept with the candidates and can be added to the next reference."""
    settings = settings_of(config_path)
    one = settings.monitor(monitor)
    found = dict(_labels(path, id_column, label_column))
    if dry_run:
        stdout.print(f"{len(found)} labels in {path}", soft_wrap=True)
        return
    with open_current_store(settings) as store:
        done = store.import_labels(one.name, found, by=by, now=now())
    if as_json:
        print_json(done)
    else:
        stdout.print(
            f"{done.new} labels new, {done.changed} changed, {done.unchanged} as before, {done.unknown} for records that were no candidates",
            soft_wrap=True,
        )


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    labels = typer.Typer(help="Labels that come back.", no_args_is_help=True)
    labels.command("import")(import_labels)
    labels.callback()(lambda: None)
    app.add_typer(labels, name="labels")
