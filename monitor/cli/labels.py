"""Labels back: ``labels import``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from monitor.cli.console import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    MonitorOption,
    errors,
    open_current_store,
    print_json,
    progress_bar,
    settings_of,
    stdout,
    table,
)
from monitor.intake import Case, Outcome, Request, import_labels, write_relabel
from monitor.labels import READERS, Columns
from monitor.labels.checks import Problem
from monitor.remarks import about_labels, remark

__all__ = ["add_to"]

_LISTED = 20


def take_in(
    path: Annotated[Path, typer.Argument(help="What a labelling tool gave back, or a table of ids and labels.")],
    config_path: ConfigOption = DEFAULT_CONFIG,
    monitor: MonitorOption = None,
    kind: Annotated[
        str | None, typer.Option("--format", help=f"{', '.join(READERS)}; seen from the content when not given.")
    ] = None,
    by: Annotated[str, typer.Option("--by", help="Who labelled, where the file does not say.")] = "",
    new_class: Annotated[
        list[str] | None,
        typer.Option("--new-class", help="A class the training data lack and that is meant; several may be given."),
    ] = None,
    gold: Annotated[Path | None, typer.Option("--gold", help="A table of known answers, ids and labels.")] = None,
    second_look: Annotated[
        bool, typer.Option("--second-look", help="Records that were sent back, labelled again: these labels overrule.")
    ] = False,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Leave rows with problems out, rather than take none.")
    ] = False,
    relabel: Annotated[
        Path | None,
        typer.Option("--relabel", help="Write what is to be labelled again: a CSV, or Label Studio tasks to a .json."),
    ] = None,
    gate: Annotated[
        bool, typer.Option("--gate/--no-gate", help="Judge the labels; see labels in the settings.")
    ] = True,
    dataset: Annotated[
        bool, typer.Option("--dataset/--no-dataset", help="Make accepted labels a new version of the training set.")
    ] = True,
    use_it: Annotated[
        bool,
        typer.Option(
            "--use/--no-use", help="Compare with the new reference from now on: the model has learnt these labels."
        ),
    ] = False,
    id_column: Annotated[str, typer.Option("--id-column")] = "id",
    label_column: Annotated[str, typer.Option("--label-column")] = "label",
    annotator_column: Annotated[str, typer.Option("--annotator-column")] = "annotator",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; keep nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take labels back: checked, judged by the quality gate, then a new version of the training set, all or nothing.

    Ends with 1 when rows have problems and with 3 when the gate refuses the batch; nothing is changed then.
    """
    settings = settings_of(config_path)
    request = Request(
        path,
        kind,
        Columns(id_column, label_column, annotator_column),
        by,
        frozenset(new_class or ()),
        gold,
        second_look,
        skip_invalid,
        gate,
        dataset,
        use_it,
        dry_run,
    )
    with open_current_store(settings) as store:
        with progress_bar() as progress:
            case = Case(settings, settings.monitor(monitor), store, request, store.now(), progress)
            outcome = import_labels(case)
        if outcome.verdict in {"accept", "part"} and not dry_run:
            made = outcome.training_set
            versions = (None, None) if made is None else (made.version, made.reference_version)
            said = about_labels(outcome.new + outcome.changed, len(outcome.returned), *versions)
            remark(store, case.monitor.name, "labels", said, case.now)
        if relabel is not None and outcome.returned:
            write_relabel(case, outcome.returned, relabel)
    if as_json:
        print_json(_told(outcome))
    else:
        _tell(outcome, case, relabel)
    if outcome.verdict == "invalid":
        raise typer.Exit(1)
    if outcome.verdict == "refuse":
        raise typer.Exit(3)


def _tell(outcome: Outcome, case: Case, relabel: Path | None) -> None:
    read, found = outcome.checked, outcome.found
    if read.problems:
        _problems(outcome)
    if outcome.verdict == "invalid":
        return
    for sentence in outcome.judged.sentences if outcome.judged else ():
        stdout.print(sentence, soft_wrap=True, markup=False)
    if outcome.verdict == "before":
        stdout.print(f"nothing new: {outcome.as_before} labels had come in before", soft_wrap=True, markup=False)
    elif outcome.verdict == "refuse":
        stdout.print("refused: nothing was changed", soft_wrap=True, markup=False)
    else:
        as_before = outcome.as_before + len(outcome.labels) - outcome.new - outcome.changed
        stdout.print(
            f"{outcome.new} labels new, {outcome.changed} changed, {as_before} as before, {len(outcome.returned)} sent back",
            soft_wrap=True,
            markup=False,
        )
    none = f"{found.unlabelled} rows without a label, {found.skipped} skipped by people, {read.repeats} repeated"
    if found.unlabelled or found.skipped or read.repeats:
        stdout.print(none, soft_wrap=True, markup=False)
    _tell_returned(outcome, relabel)
    made = outcome.training_set
    if made is not None:
        use = (
            ""
            if case.request.use
            else f"; once the model has learnt it: drift-monitor reference use {made.reference_version}"
        )
        stdout.print(
            f"dataset version {made.version}: {made.rows} records, {made.added} added, {made.dropped} dropped, "
            f"{made.relabelled} relabelled; reference version {made.reference_version}{use}",
            soft_wrap=True,
            markup=False,
        )
    if case.request.dry_run:
        stdout.print("dry run: nothing was kept", soft_wrap=True)


def _tell_returned(outcome: Outcome, relabel: Path | None) -> None:
    if not outcome.returned:
        return
    if relabel is not None:
        stdout.print(
            f"{relabel}: {len(outcome.returned)} records to label again; bring them back with "
            "drift-monitor labels import FILE --second-look",
            soft_wrap=True,
            markup=False,
        )
        return
    rows = [(one.record_id, one.label, one.suggested, ", ".join(one.why)) for one in outcome.returned[:_LISTED]]
    table(
        "To label again, likeliest errors first (all with --relabel FILE)",
        ["record", "label", "suggested", "why"],
        rows,
    )


def _problems(outcome: Outcome) -> None:
    """On stderr: reasons with lines, never a text."""
    taken = "left out" if outcome.verdict != "invalid" else "nothing was changed; --skip-invalid takes the rest"
    problems = outcome.checked.problems
    errors.print(f"{len(problems)} rows with problems, {taken}:", markup=False, soft_wrap=True)
    for reason, number in Counter(one.reason for one in problems).most_common():
        some = [one for one in problems if one.reason == reason]
        errors.print(f"  {reason}: {number}, {_lines(some)}", markup=False, soft_wrap=True)
    unknown = sorted({one.label for one in problems if one.label})
    if unknown:
        options = " ".join(f"--new-class {name!r}" for name in unknown[:_LISTED])
        errors.print(f"  classes that are meant: {options}", markup=False, soft_wrap=True)


def _lines(problems: list[Problem]) -> str:
    shown = [f"{one.line} ({one.record_id})" if one.record_id else str(one.line) for one in problems[:_LISTED]]
    return f"line {', '.join(shown)}" + (", ..." if len(problems) > len(shown) else "")


def _told(outcome: Outcome) -> dict[str, Any]:
    """What may be printed: ids, classes and numbers, no texts."""
    read, found, made = outcome.checked, outcome.found, outcome.judged
    return {
        "verdict": outcome.verdict,
        "format": found.kind,
        "new": outcome.new,
        "changed": outcome.changed,
        "as_before": outcome.as_before + len(outcome.labels) - outcome.new - outcome.changed,
        "unlabelled": found.unlabelled,
        "skipped": found.skipped,
        "repeated": read.repeats,
        "problems": [
            {"line": one.line, "reason": one.reason, "record_id": one.record_id, "label": one.label}
            for one in read.problems
        ],
        "returned": outcome.returned,
        "gate": None
        if made is None
        else {
            "sentences": made.sentences,
            "agreement": made.agreement,
            "annotators": made.annotators,
            "whole": made.whole,
            "classes": made.classes,
            "segments": made.segments,
        },
        "dataset": outcome.training_set,
    }


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    room = typer.Typer(help="Labels that come back.", no_args_is_help=True)
    room.command("import")(take_in)
    room.callback()(lambda: None)
    app.add_typer(room, name="labels")
