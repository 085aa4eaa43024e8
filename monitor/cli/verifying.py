"""The command that holds a refreshed model against the one it replaces, for people and for pipelines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from monitor.cli.console import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    MonitorOption,
    open_current_store,
    plain,
    print_json,
    read_time,
    settings_of,
    stdout,
    table,
)
from monitor.cli.reference import load_reference
from monitor.documents.markdown import markdown
from monitor.errors import ConfigError, SourceError
from monitor.remarks import about_verification, remark
from monitor.report.verified import (
    FLIPPED,
    GROUPED,
    flip_rows,
    group_rows,
    set_table,
    verification_document,
    verification_sentences,
)
from monitor.secrets import redact_url
from monitor.settings import MonitorSettings, Part, Settings
from monitor.sources import Source
from monitor.store import Store
from monitor.values import Reference, Run, Verdict, Verification
from monitor.verifying import Predictions, episode, known_records, read_ids, read_predictions
from monitor.verifying import verify as compare
from monitor.whole_files import write_whole
from monitor.wiring import classes_source

__all__ = ["verify"]

_LISTED = 20
_FAILED = 3
_LOOKED_AT = 1_000


def verify(
    old: Annotated[
        str,
        typer.Option("--old", help="Predictions of the model in production: a name of refresh.predictions, or a file."),
    ] = "old",
    new: Annotated[str, typer.Option("--new", help="The same of the refreshed model.")] = "new",
    config_path: ConfigOption = DEFAULT_CONFIG,
    monitor: MonitorOption = None,
    window: Annotated[
        list[str] | None,
        typer.Option(
            "--window", help="Any time inside a drifted window; can be repeated. Default: those of the newest drift."
        ),
    ] = None,
    id_column: Annotated[str | None, typer.Option("--id-column", help="Column of the id; default: refresh.id.")] = None,
    prediction_column: Annotated[
        str | None, typer.Option("--prediction-column", help="Column of the class; default: refresh.predicted.")
    ] = None,
    trained_on: Annotated[
        str | None,
        typer.Option("--trained-on", help="File with the ids that the new model learnt from; they prove nothing."),
    ] = None,
    gated: Annotated[
        bool,
        typer.Option(
            "--gated", help="The new model is behind the gate of refresh export: count where that was not tuned."
        ),
    ] = False,
    dataset: Annotated[
        int | None,
        typer.Option("--dataset", min=1, help="Version of the training set it learnt from, to be remembered."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit status 3 also when nothing is shown.")] = False,
    ids_only: Annotated[bool, typer.Option("--ids-only", help="No texts, not even redacted.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the JSON to this file too.")] = None,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown, for the summary of a pipeline.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Hold a refreshed model against the one it replaces, on protected and drifted records; exit status 3 over the budget."""
    settings = settings_of(config_path)
    one = settings.monitor(monitor)
    columns = id_column or one.refresh.id, prediction_column or one.refresh.predicted
    with open_current_store(settings) as store:
        reference = load_reference(settings, store, one.name, None)
        runs = _runs(store, one, window)
        known = known_records(reference, runs, one.selection.junk, gated=gated)
        wanted = {record.record_id for records in known.values() for record in records}
        found = compare(
            reference,
            runs,
            known,
            (_predictions(one, old, columns, wanted), _predictions(one, new, columns, wanted)),
            budget=one.selection.negative_flips,
            made_at=store.now(),
            trained_on=_learnt(settings, store, one, dataset, trained_on, columns[0]),
            dataset_version=dataset,
        )
        store.save_verification(found)
        remark(store, one.name, "verified", about_verification(found), store.now())
    told = _told(found)
    if out is not None:
        _write(out, told)
    texts = {} if ids_only else _texts(reference, runs)
    if as_json:
        print_json(told)
    elif as_markdown:
        typer.echo(markdown(verification_document(found, texts)), nl=False)
    else:
        _show(found, texts)
    if found.verdict is Verdict.FAILED or (strict and found.verdict is not Verdict.PASSED):
        raise typer.Exit(_FAILED)


def _runs(store: Store, one: MonitorSettings, windows: list[str] | None) -> list[Run]:
    """Drifted runs with their candidates, oldest first."""
    if windows:
        starts = sorted({one.schedule.tiling.at(read_time(text, "--window")).start for text in windows})
    else:
        starts = [r.window.start for r in episode(store.runs(one.name, limit=_LOOKED_AT, with_candidates=False))]
    found = []
    for start in starts:
        run = store.run(one.name, start)
        if run is None:
            raise ConfigError(
                f"{one.name} has no run for the window that starts {start.isoformat()}; drift-monitor runs lists them"
            )
        found.append(run)
    return found


def _predictions(one: MonitorSettings, name: str, columns: tuple[str, str], wanted: set[str]) -> Predictions:
    named = {part.name: part for part in one.refresh.predictions}
    if name in ("old", "new") and name not in named and not Path(name).exists():
        raise ConfigError(
            f"--{name}: where are the predictions of the {name} model? Give a file, or a part named {name} under refresh.predictions"
        )
    part = named.get(name) or Part("files", {"path": name})
    with_names = redact_url(name) if "://" in name else name
    try:
        return read_predictions(_source(part, *columns), with_names, wanted)
    except SourceError as error:
        raise SourceError(_in_our_words(str(error))) from error


def _learnt(
    settings: Settings, store: Store, one: MonitorSettings, dataset: int | None, path: str | None, column: str
) -> set[str] | None:
    """Ids of what the new model learnt from: of the named file, else of the named training set."""
    if path is not None or dataset is None:
        return _trained_on(one, path, column)
    found = next((each for each in store.training_sets(one.name) if each.version == dataset), None)
    if found is None:
        raise ConfigError(
            f"--dataset: {one.name} has no training set of version {dataset}; drift-monitor datasets list"
        )
    return set(load_reference(settings, store, one.name, found.reference_version).train.ids)


def _trained_on(one: MonitorSettings, path: str | None, column: str) -> set[str] | None:
    part = Part("files", {"path": path}) if path is not None else one.refresh.trained_on
    if part is None:
        return None
    try:
        return read_ids(_source(part, column, None))
    except SourceError as error:
        raise SourceError(_in_our_words(str(error))) from error


def _source(part: Part, record_id: str, predicted: str | None) -> Source:
    return classes_source(part, record_id, predicted)


def _in_our_words(message: str) -> str:
    """A source's message with the names that these columns have here."""
    named = {"fields.id": "--id-column (refresh.id)", "fields.predicted": "--prediction-column (refresh.predicted)"}
    for theirs, ours in named.items():
        message = message.replace(theirs, ours)
    return message


def _told(found: Verification) -> dict[str, Any]:
    """What may be printed and kept beside a pipeline: ids, classes and numbers, no texts."""
    whole: dict[str, Any] = plain(found)
    return {**whole, "sentences": verification_sentences(found)}


def _write(path: Path, told: dict[str, Any]) -> None:
    try:
        write_whole(path, json.dumps(told, indent=2, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or type(error).__name__}") from error


def _texts(reference: Reference, runs: list[Run]) -> dict[str, str | None]:
    protected = dict(zip(reference.protected.ids, reference.protected.column("text"), strict=True))
    return protected | {one.record_id: one.text for run in runs for one in run.candidates}


def _show(found: Verification, texts: dict[str, str | None]) -> None:
    for sentence in verification_sentences(found):
        stdout.print(sentence, soft_wrap=True, markup=False)
    table(f"{found.monitor}: {found.old} against {found.new}", *set_table(found))
    for one in found.sets[:2]:
        for what, groups in (("classes", one.classes), ("segments", one.segments)):
            if rows := group_rows(groups, _LISTED):
                table(f"{one.name}: {what} that moved", GROUPED, rows)
        if rows := flip_rows(one.flips, texts, _LISTED):
            table(f"{one.name}: flipped records, {len(rows)} of {len(one.flips)}, broken ones first", FLIPPED, rows)
