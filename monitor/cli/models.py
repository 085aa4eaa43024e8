"""Commands about models in production: declare one live, list them and what became of their drift."""

from __future__ import annotations

import getpass
from datetime import datetime
from typing import Annotated

import typer

from monitor.cli.console import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    MonitorOption,
    errors,
    open_current_store,
    print_json,
    read_time,
    settings_of,
    stdout,
    table,
)
from monitor.errors import ConfigError
from monitor.outcomes import outcome_of
from monitor.remarks import about_model, remark
from monitor.report.verified import outcome_sentences
from monitor.store import Store
from monitor.values import Deployment, Outcome, Verdict, Verification

__all__ = ["add_to"]

_LONGEST = 200


def deploy(
    model: Annotated[str, typer.Argument(metavar="NAME", help="The model, as you call it: support-v3.")],
    config_path: ConfigOption = DEFAULT_CONFIG,
    monitor: MonitorOption = None,
    at: Annotated[str | None, typer.Option("--at", help="Since when it is live; default: now.")] = None,
    by: Annotated[str | None, typer.Option("--by", help="Who says so; default: the user.")] = None,
    verification: Annotated[
        str | None, typer.Option("--verification", help="Its verification; default: the newest since the model before.")
    ] = None,
    dataset: Annotated[
        int | None, typer.Option("--dataset", min=1, help="Version of the training set it learnt from.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Declare that a model is live: later windows tell whether the drift is over and how it does."""
    settings = settings_of(config_path)
    one = settings.monitor(monitor)
    if not model.strip() or len(model) > _LONGEST or not model.isprintable():
        raise ConfigError(f"the model's name should be 1 to {_LONGEST} printable characters")
    with open_current_store(settings) as store:
        present = store.now()
        live = read_time(at, "--at") if at is not None else present
        if live > present:
            raise ConfigError(f"--at {live.isoformat()} is in the future; declare the model once it is live")
        checked = _verification(store, one.name, verification, live)
        found = Deployment(
            one.name,
            model,
            live,
            by or _user(),
            present,
            None if checked is None else checked.id,
            store.active_reference(one.name),
            dataset or (None if checked is None else checked.dataset_version),
        )
        learnt = [each for each in store.training_sets(one.name) if each.version == found.dataset_version]
        if dataset is not None and not learnt:
            raise ConfigError(
                f"--dataset: {one.name} has no training set of version {dataset}; drift-monitor datasets list"
            )
        store.declare_live(found)
        if learnt and learnt[0].reference_version != found.reference_version:
            store.use_reference(one.name, learnt[0].reference_version)
            in_use = f"reference version {learnt[0].reference_version}, of dataset {learnt[0].version}, is in use from now on"
            errors.print(in_use, soft_wrap=True)
        remark(store, one.name, "live", about_model(found), present)
    if checked is not None and checked.verdict is Verdict.FAILED:
        errors.print(
            f"note: verification {checked.id} failed: this model breaks more than its budget",
            style="yellow",
            soft_wrap=True,
        )
    if as_json:
        print_json(found)
        return
    proof = "no verification" if checked is None else f"verification {checked.id} ({checked.verdict.value})"
    stdout.print(f"{one.name}: {model} is live since {live.isoformat()}, {proof}", soft_wrap=True, markup=False)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def _verification(store: Store, name: str, wanted: str | None, live: datetime) -> Verification | None:
    """The named one, else the newest that no earlier model has been declared with."""
    if wanted is not None:
        found = store.verification(wanted)
        if found is None or found.monitor != name:
            raise ConfigError(
                f"--verification: {name} has none with the id {wanted}; drift-monitor models list names them"
            )
        return found
    used = {one.verification for one in store.deployments(name) if one.live_at != live}
    newest = next(iter(store.verifications(name, limit=1)), None)
    return None if newest is None or newest.id in used else newest


def list_models(
    config_path: ConfigOption = DEFAULT_CONFIG, monitor: MonitorOption = None, as_json: JsonOption = False
) -> None:
    """List the models that were declared live, newest first, and what became of their drift."""
    settings = settings_of(config_path)
    one = settings.monitor(monitor)
    with open_current_store(settings) as store:
        found = [outcome_of(store, deployment, one.selection.junk) for deployment in store.deployments(one.name)]
    if as_json:
        print_json([{"outcome": each, "sentences": outcome_sentences(each)} for each in found])
        return
    table(
        f"Models of {one.name}",
        ["model", "live (UTC)", "by", "verified", ">labels", "drift over", "right before", "since"],
        [_row(each) for each in found],
    )
    for each in found[:1]:
        for sentence in outcome_sentences(each):
            stdout.print(sentence, soft_wrap=True, markup=False)


def _row(found: Outcome) -> tuple[object, ...]:
    one = found.deployment
    over = "-" if found.alarm_since is None else f"{found.recovered_at:%Y-%m-%d %H:%M}" if found.recovered_at else "no"
    right = ("-" if e is None else f"{e.value:.0%} ({e.low:.0%} to {e.high:.0%})" for e in (found.before, found.since))
    verified = "-" if found.verification is None else f"{found.verification.verdict.value} ({found.verification.id})"
    return (one.model, f"{one.live_at:%Y-%m-%d %H:%M}", one.declared_by, verified, found.labels, over, *right)


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    room = typer.Typer(help="The models in production.", no_args_is_help=True)
    room.command("deploy")(deploy)
    room.command("list")(list_models)
    app.add_typer(room, name="models")
