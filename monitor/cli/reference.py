"""Commands around the reference: build, show, list, use."""

from __future__ import annotations

from typing import Annotated

import typer

from monitor.cli.console import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    MonitorOption,
    counted,
    errors,
    open_current_store,
    print_json,
    progress_bar,
    settings_of,
    stdout,
    table,
)
from monitor.errors import ConfigError, MonitorError
from monitor.settings import MonitorSettings, Settings
from monitor.store import Store
from monitor.values import Reference
from monitor.wiring import build_reference, labelled_sample, labels_in_force, open_shelf

__all__ = ["add_to", "load_reference"]


def load_reference(settings: Settings, store: Store, monitor: str, version: int | None) -> Reference:
    """One version of a monitor's reference, the one in use when none is named."""
    chosen = version if version is not None else store.active_reference(monitor)
    if chosen is None:
        raise ConfigError(f"{monitor} has no reference; drift-monitor reference build --monitor {monitor}")
    return open_shelf(settings).load(monitor, chosen)


def _missing(settings: Settings, monitor: str | None) -> list[MonitorSettings]:
    """The monitors, or the one that is named, that compare with no reference yet."""
    asked = settings.monitors if monitor is None else [settings.monitor(monitor)]
    with open_current_store(settings) as store:
        return [one for one in asked if store.active_reference(one.name) is None]


def build(
    config_path: ConfigOption = DEFAULT_CONFIG,
    monitor: MonitorOption = None,
    add_labels: Annotated[
        bool, typer.Option("--add-labels", help="Add the candidates whose labels have been imported.")
    ] = False,
    use_it: Annotated[bool, typer.Option("--use/--no-use", help="Compare with it from now on.")] = True,
    missing: Annotated[
        bool, typer.Option("--missing", help="Only where there is none yet; without --monitor, for all monitors.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Build a new version of the reference from training data and save it."""
    settings = settings_of(config_path)
    if missing:
        failed = 0
        for one in _missing(settings, monitor):
            try:
                build(config_path, one.name, add_labels=add_labels, use_it=use_it, as_json=as_json)
            except MonitorError as error:
                failed += 1
                errors.print(f"error: {one.name}: {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1 if failed else 0)
    one = settings.monitor(monitor)
    with open_current_store(settings) as store:
        labelled = labelled_sample(store, settings, one) if add_labels else None
        relabels = labels_in_force(store, one) if add_labels else None
        with progress_bar() as progress:
            reference, rejected = build_reference(
                settings, one, now=store.now(), labelled=labelled, relabels=relabels, progress=progress
            )
        entry = open_shelf(settings).save(reference)
        store.register_reference(one.name, entry.version, entry.fingerprint, entry.uri, entry.created_at)
        if use_it:
            store.use_reference(one.name, entry.version)
    if as_json:
        print_json({"entry": entry, "rejected": rejected, "used": use_it})
        return
    stdout.print(
        f"reference {entry.name} version {entry.version}: {entry.rows['train']} training and {entry.rows['protected']} "
        f"protected records, {counted(rejected)}, saved in {entry.uri}"
        + ("" if use_it else f"; drift-monitor reference use {entry.version} makes runs compare with it"),
        soft_wrap=True,
    )


VersionOption = Annotated[int | None, typer.Option("--version", min=1, help="Default: the one in use.")]


def show(
    config_path: ConfigOption = DEFAULT_CONFIG,
    monitor: MonitorOption = None,
    version: VersionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one version, every file held against its checksum."""
    settings = settings_of(config_path)
    one = settings.monitor(monitor)
    with open_current_store(settings) as store:
        reference = load_reference(settings, store, one.name, version)
        entry = open_shelf(settings).entry(one.name, reference.version)
    if as_json:
        print_json(entry)
        return
    classes = [str(c) for c in reference.everything.classes if c is not None]
    shares = sorted(((classes.count(name) / len(classes), name) for name in set(classes)), reverse=True)
    weights: dict[str, str] = entry.settings.get("weights", {})
    rows = [
        ("version", f"{entry.version}, built {entry.created_at.isoformat()}"),
        ("records", f"{entry.rows['train']} training, {entry.rows['protected']} protected"),
        ("embedder", entry.embedder),
        ("fingerprint", entry.fingerprint),
        ("where", entry.uri),
        ("checksums", "all files as saved"),
        *((f"weights {name}", digest) for name, digest in weights.items() if name.endswith(".safetensors")),
        ("fitted", ", ".join(f"{key} {value:.4g}" for key, value in entry.fitted.items())),
        ("classes", ", ".join(f"{name} {share:.1%}" for share, name in shares[:20])),
    ]
    table(f"Reference {entry.name}", ["what", "value"], rows)


def list_versions(
    config_path: ConfigOption = DEFAULT_CONFIG, monitor: MonitorOption = None, as_json: JsonOption = False
) -> None:
    """List the versions, the one in use marked."""
    settings = settings_of(config_path)
    one = settings.monitor(monitor)
    shelf = open_shelf(settings)
    with open_current_store(settings) as store:
        used = store.active_reference(one.name)
    entries = [shelf.entry(one.name, version) for version in shelf.versions(one.name)]
    if as_json:
        print_json([{"used": entry.version == used, "entry": entry} for entry in entries])
        return
    rows = [
        (
            "*" if e.version == used else "",
            e.version,
            f"{e.created_at:%Y-%m-%d %H:%M}",
            e.rows["train"],
            e.rows["protected"],
            e.fingerprint[:12],
        )
        for e in entries
    ]
    table(
        f"References of {one.name}", ["used", ">version", "built (UTC)", ">training", ">protected", "fingerprint"], rows
    )


def use(
    version: Annotated[int, typer.Argument(min=1, help="Version to compare with from now on.")],
    config_path: ConfigOption = DEFAULT_CONFIG,
    monitor: MonitorOption = None,
) -> None:
    """Compare with this version from now on; runs that are saved keep theirs."""
    settings = settings_of(config_path)
    one = settings.monitor(monitor)
    entry = open_shelf(settings).entry(one.name, version)
    with open_current_store(settings) as store:
        store.register_reference(one.name, entry.version, entry.fingerprint, entry.uri, entry.created_at)
        store.use_reference(one.name, version)
    stdout.print(f"{one.name} compares with version {version} from now on", soft_wrap=True)


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    room = typer.Typer(help="The training reference.", no_args_is_help=True)
    room.command("build")(build)
    room.command("show")(show)
    room.command("list")(list_versions)
    room.command("use")(use)
    app.add_typer(room, name="reference")
