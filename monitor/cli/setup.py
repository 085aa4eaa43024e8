"""Commands before the first run: init, check, plugins, schema, db, demo."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer

from monitor import config, plugins
from monitor.cli.backup import backup
from monitor.cli.console import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    print_json,
    settings_of,
    stdout,
    table,
)
from monitor.door import end_of_certificate, open_to_others, users_of
from monitor.embedders import Embedder
from monitor.errors import ConfigError, MonitorError
from monitor.settings import FieldSettings, MonitorSettings, Part, Settings
from monitor.wiring import open_shelf, open_store, source_of, wire

__all__ = ["add_to"]


def init(path: Annotated[Path, typer.Argument(help="Where to write it.")] = DEFAULT_CONFIG) -> None:
    """Write a commented starter of the settings file; an existing file is never overwritten."""
    text = (files("monitor.cli") / "starter.yaml").read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise ConfigError(f"{path} exists already; move it away or name another file") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
    stdout.print(f"{path} written. Fill in your columns, then: drift-monitor check", soft_wrap=True)


def _first_record(part: Part, fields: FieldSettings) -> str:
    batches = source_of(part, fields).read(None)
    rejected = 0
    for batch in batches:
        rejected += sum(batch.rejected.values())
        if batch.rows.num_rows:
            row = batch.rows.slice(0, 1).to_pylist()[0]
            given = [name for name, value in row.items() if value is not None]
            return f"one record read, with {', '.join(given)}" + (
                f"; {rejected} rejected before it" if rejected else ""
            )
    raise ConfigError(f"no usable record ({rejected} rejected); check the path or query and the field mapping")


def _examine(settings: Settings, monitor: MonitorSettings) -> list[tuple[str, str, str]]:
    """(what, ok or the error, detail) of everything one monitor needs."""
    found: list[tuple[str, str, str]] = []

    def look(what: str, how: Any) -> None:
        try:
            found.append((what, "ok", how() or ""))
        except MonitorError as error:
            found.append((what, "error", str(error)))

    store = open_store(settings)
    try:
        wired: list[Any] = []
        look("parts", lambda: wired.append(wire(settings, monitor, store)))
        look("source", lambda: _first_record(monitor.source, monitor.fields))
        fields = monitor.reference.fields or monitor.fields
        look("training data", lambda: _first_record(monitor.reference.train, fields))
        if monitor.reference.protected is not None:
            protected = monitor.reference.protected
            look("protected data", lambda: _first_record(protected, fields))
        if wired:
            embedder: Embedder = wired[0].embedder
            look("embedder", lambda: embedder.fingerprint)
        look("artifacts", lambda: f"{len(open_shelf(settings).versions(monitor.name))} reference versions")
    finally:
        store.close()
    return found


def _doors(settings: Settings) -> list[tuple[str, str, str, str]]:
    """The files that ``serve`` reads before it begins, as rows of the check."""
    of, found = settings.serve, []

    def look(what: str, how: Callable[[], str]) -> None:
        try:
            found.append(("all", what, "ok", how()))
        except MonitorError as error:
            found.append(("all", what, "error", str(error)))

    if of.auth_file is not None:
        users = of.auth_file
        look("users of the pages", lambda: f"{len(users_of(users))} in {users}")
    if of.tls_certificate is not None and of.tls_key is not None:
        pair = of.tls_certificate, of.tls_key
        look("certificate", lambda: f"valid until {end_of_certificate(*pair):%Y-%m-%d}")
    if to_see := open_to_others(of.host, users=of.auth_file is not None, tls=of.tls_certificate is not None):
        found.append(("all", "pages", "warning", to_see))
    return found


def check(config_path: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Wire every part and read one record of each source; nothing is written."""
    settings = settings_of(config_path)
    rows = [(monitor.name, *row) for monitor in settings.monitors for row in _examine(settings, monitor)]
    rows += _doors(settings)
    store = open_store(settings)
    try:
        rows.append(("all", "store", "ok", store.describe()))
    except MonitorError as error:
        rows.append(("all", "store", "error", str(error)))
    finally:
        store.close()
    if as_json:
        print_json([dict(zip(("monitor", "what", "result", "detail"), row, strict=True)) for row in rows])
    else:
        table(str(config_path), ["monitor", "what", "result", "detail"], rows)
    if any(row[2] == "error" for row in rows):
        raise typer.Exit(2)


def list_plugins(as_json: JsonOption = False) -> None:
    """List every installed part with its options."""
    rows = []
    for kind in plugins.BUILT_IN:
        for name, where in sorted(plugins.names(kind).items()):
            options = ", ".join(plugins.options_model(kind, name).model_fields)
            rows.append(
                (kind, name, options, where if as_json or where not in plugins.BUILT_IN[kind].values() else "built in")
            )
    if as_json:
        print_json([dict(zip(("kind", "name", "options", "where"), row, strict=True)) for row in rows])
    else:
        table("Installed parts", ["kind", "name", "options", "where"], rows)


def print_schema() -> None:
    """Print the JSON Schema of the settings file, for editors."""
    print_json(config.schema())


def upgrade(config_path: ConfigOption = DEFAULT_CONFIG) -> None:
    """Bring the database to the schema this release needs."""
    with open_store(settings_of(config_path)) as store:
        before = store.upgrade()
        after = store.describe()
    done = "made" if before is None else "nothing to do" if f"schema {before}" in after else f"upgraded from {before}"
    stdout.print(f"{after}: {done}", soft_wrap=True)


def demo(
    folder: Annotated[Path, typer.Option("--folder", help="Where the demo keeps its files.")] = Path("demo-output"),
) -> None:
    """Play sixteen weeks of a support desk with the real embedding model, and show what the monitor says."""
    from monitor.demo.play import Play  # noqa: PLC0415 - brings the desk's own model, which no other command here needs

    play = Play(folder, stdout)
    play.perform()
    as_scripted = play.review()
    play.look_further()
    if not as_scripted:
        raise MonitorError("the verdicts are not those of the script; the table above marks where")


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("init")(init)
    app.command("check")(check)
    app.command("plugins")(list_plugins)
    app.command("schema")(print_schema)
    app.command("demo")(demo)
    database = typer.Typer(help="The database.", no_args_is_help=True)
    database.command("upgrade")(upgrade)
    database.command("backup")(backup)
    app.add_typer(database, name="db")
