"""What every command shares: the settings file, how results are printed, progress, and how errors end."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from monitor import config
from monitor.settings import Settings
from monitor.store import Store
from monitor.values import Run
from monitor.wiring import open_store

__all__ = [
    "DEFAULT_CONFIG",
    "ConfigOption",
    "JsonOption",
    "MonitorOption",
    "counted",
    "errors",
    "open_current_store",
    "print_json",
    "progress_bar",
    "read_time",
    "settings_of",
    "stdout",
    "table",
    "without_texts",
    "worker_name",
]

stdout = Console(highlight=False, soft_wrap=False)
errors = Console(stderr=True, highlight=False)

DEFAULT_CONFIG = Path("drift-monitor.yaml")
ConfigOption = Annotated[Path, typer.Option("--config", "-c", envvar="DRIFT_MONITOR_CONFIG", help="The settings file.")]
MonitorOption = Annotated[
    str | None, typer.Option("--monitor", "-m", help="Which monitor; not needed when there is one.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def worker_name() -> str:
    """Who runs: host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def read_time(text: str, option: str) -> datetime:
    """An ISO 8601 time with a zone, or a bare date, which means midnight UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is not an ISO 8601 time such as 2026-01-05T00:00:00Z", param_hint=option
        ) from error
    if moment.tzinfo is None and len(text) > len("2026-01-05"):
        raise typer.BadParameter(f"{text!r} has no time zone; add one, for example {text}Z", param_hint=option)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def settings_of(path: Path) -> Settings:
    """The settings file, read."""
    return config.load(path)


@contextmanager
def open_current_store(settings: Settings) -> Iterator[Store]:
    """The store with its schema at the version this release needs, made on first use."""
    store = open_store(settings)
    try:
        store.upgrade()
        yield store
    finally:
        store.close()


def plain(value: Any) -> Any:
    """A value as JSON knows it."""
    if is_dataclass(value) and not isinstance(value, type):
        return {key: plain(item) for key, item in asdict(value).items()}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value.value if isinstance(value, Enum) else value


def counted(rejected: Mapping[str, int]) -> str:
    """``3 rejected (2 no id, 1 no time)``."""
    named = ", ".join(f"{number} {reason}" for reason, number in sorted(rejected.items()))
    return f"{sum(rejected.values())} rejected" + (f" ({named})" if named else "")


def without_texts(run: Run) -> Run:
    """The run as it may be printed and end in a log: whole records are in its export alone."""
    decision = run.decision
    if decision is not None:
        decision = replace(decision, findings=tuple(replace(cause, terms=()) for cause in decision.findings))
    candidates = tuple(replace(one, text=None, vector=None, cluster=None) for one in run.candidates)
    return replace(run, decision=decision, candidates=candidates)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on stdout; columns whose name starts with ``>`` stand right-aligned."""
    made = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        made.add_column(
            column.removeprefix(">"), justify="right" if column.startswith(">") else "left", overflow="fold"
        )
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text("" if cell is None else str(cell)) for cell in row))
    stdout.print(made)


class _Rate(ProgressColumn):
    """Texts a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "")


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal's stderr with rate and remaining time; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    columns = [TextColumn("embedding"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn()]
    with Progress(*columns, console=errors, transient=True) as bar:
        task = bar.add_task("embedding", total=None)

        def advance(done: int, total: int) -> None:
            if done == 0 or bar.tasks[0].completed > done:
                bar.reset(task)
            bar.update(task, completed=done, total=total)

        yield advance
