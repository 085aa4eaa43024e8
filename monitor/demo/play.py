"""Plays the story with the commands a user would type, each in its own process, and holds the verdicts against the script."""

from __future__ import annotations

import csv
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from monitor.demo.desk_model import DeskModel
from monitor.demo.story import NEW_TOPIC, WEEKS, Message, Week, reference_messages, traffic, window_of
from monitor.errors import ConfigError, MonitorError
from monitor.redaction import redacted

__all__ = ["Play"]

_MARK = "this folder belongs to drift-monitor demo and is replaced by the next one\n"
_COLOURS = {
    "stable": "green",
    "watch": "yellow",
    "drifted": "bold red",
    "recovering": "cyan",
    "insufficient": "dim",
    "failed": "magenta",
}


class Play:
    """One performance in one folder. A folder that holds anything but an earlier performance is left alone."""

    def __init__(self, folder: Path, stage: Console) -> None:
        self._folder = folder
        self._stage = stage
        self._weeks = traffic()
        self._training = reference_messages()
        self._config = folder / "drift-monitor.yaml"
        if folder.exists() and any(folder.iterdir()) and not (folder / ".demo").exists():
            raise ConfigError(f"--folder {folder}: holds files that are not the demo's; name an empty or new folder")
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "traffic").mkdir(parents=True)
        (folder / ".demo").write_text(_MARK, encoding="utf-8")

    def perform(self) -> None:
        """The whole story, command by command."""
        say = self._stage.print
        say(
            f"\n[bold]A support desk, {len(WEEKS)} weeks.[/] {len(self._training)} labelled messages of 14 intents train its model."
        )
        self._config.write_text(yaml.safe_dump(self._settings(), sort_keys=False), encoding="utf-8")
        model = self._train(self._training)
        relearnt = next(n for n, week in enumerate(WEEKS) if week.chapter == "labels added")
        self._serve_weeks(model, range(relearnt))
        self._drift_monitor("check")
        self._drift_monitor("reference", "build")
        say(f"\n[bold]The first {relearnt} weeks.[/]")
        self._backfill(range(relearnt))
        say("\n[bold]The ticket's records are labelled, the model is trained again, the reference learns them.[/]")
        added = self._label()
        new = {m.intent for m in added} - {m.intent for m in self._training}
        declared = [word for name in sorted(map(str, new)) for word in ("--new-class", name)]
        self._drift_monitor("labels", "import", str(self._folder / "labels.csv"), "--by", "support team", *declared)
        model = self._train([*self._training, *added])
        self._drift_monitor("reference", "use", "2")
        self._serve_weeks(model, range(relearnt, len(WEEKS)))
        say(f"\n[bold]The last {len(WEEKS) - relearnt} weeks.[/]")
        self._backfill(range(relearnt, len(WEEKS)))

    def _settings(self) -> dict[str, Any]:
        at = self._folder
        return {
            "store": f"sqlite:///{at}/drift-monitor.db",
            "artifacts": f"{at}/artifacts",
            "cache": f"{at}/embeddings.db",
            "monitors": [
                {
                    "name": "support-desk",
                    "schedule": {"every": "1w"},
                    "source": {"kind": "files", "path": f"{at}/traffic/*.jsonl"},
                    "fields": {"timestamp": "sent_at", "predicted": "predicted_intent", "confidence": "confidence"},
                    "reference": {
                        "train": {"kind": "files", "path": f"{at}/training.jsonl"},
                        "fields": {"timestamp": None, "predicted": "predicted_intent", "label": "intent"},
                    },
                    "tickets": [{"kind": "file", "folder": f"{at}/tickets"}],
                    "exports": [{"kind": "files", "folder": f"{at}/exports", "formats": ["parquet", "csv"]}],
                }
            ],
        }

    def _train(self, messages: Sequence[Message]) -> DeskModel:
        """The shop trains its model and notes, for the reference, what it predicts for texts it has not seen."""
        known = [message for message in messages if message.intent]
        model = DeskModel([m.text for m in known], [str(m.intent) for m in known])
        if not (self._folder / "training.jsonl").exists():
            predicted = model.held_out_predictions()
            rows = [
                {"id": m.id, "text": m.text, "intent": m.intent, "predicted_intent": p}
                for m, p in zip(known, predicted, strict=True)
            ]
            self._write("training.jsonl", rows)
        return model

    def _serve_weeks(self, model: DeskModel, weeks: range) -> None:
        """The shop's log: every message with what the model made of it."""
        for week in weeks:
            messages = self._weeks[week]
            rows = [
                {
                    "id": m.id,
                    "text": m.text,
                    "sent_at": m.observed_at.isoformat(),
                    "predicted_intent": intent,
                    "confidence": sure,
                }
                for m, (intent, sure) in zip(messages, model.predict([m.text for m in messages]), strict=True)
            ]
            self._write(f"traffic/{window_of(week).start:%Y-%m-%d}.jsonl", rows)

    def _write(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (self._folder / name).write_text(lines, encoding="utf-8")

    def _backfill(self, weeks: range) -> None:
        start, end = window_of(weeks[0]).start, window_of(weeks[-1]).end
        self._drift_monitor("backfill", "--from", f"{start:%Y-%m-%d}", "--to", f"{end:%Y-%m-%d}")

    def _drift_monitor(self, *words: str, quiet: bool = False) -> str:
        """Run the command as a user would; what it says on stdout is shown and returned."""
        if not quiet:
            self._stage.print(
                f"\n[dim]$[/] drift-monitor {shlex.join(words)} -c {self._config}", highlight=False, soft_wrap=True
            )
        command = [sys.executable, "-m", "monitor", *words, "-c", str(self._config)]
        colour = {"FORCE_COLOR": "1"} if self._stage.is_terminal and not quiet else {}
        environment = {**os.environ, **colour, "COLUMNS": str(self._stage.width), "DRIFT_MONITOR_QUIET": "1"}
        done = subprocess.run(  # noqa: S603 - our own command
            command, stdout=subprocess.PIPE, env=environment, text=True, encoding="utf-8", check=False
        )
        if not quiet:
            self._stage.out(done.stdout.rstrip(), highlight=False)
        if done.returncode:
            raise MonitorError(
                f"drift-monitor {shlex.join(words)} ended with status {done.returncode}; its message stands above"
            )
        return done.stdout

    def _label(self) -> list[Message]:
        """People read the exported records: each gets its intent, junk gets none."""
        known = {m.id: m for week in self._weeks for m in week}
        exported = {row["id"] for path in sorted(self._folder.glob("exports/**/candidates.csv")) for row in _rows(path)}
        labelled = [known[record] for record in sorted(exported) if known[record].intent]
        with (self._folder / "labels.csv").open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([("id", "label"), *((m.id, m.intent) for m in labelled)])
        self._stage.print(f"{len(exported)} records exported, {len(labelled)} of them labelled, the rest was junk.")
        return labelled

    def review(self) -> bool:
        """What was said, beside the script; whether every verdict is the scripted one, and the ticket holds what it should."""
        runs = sorted(
            json.loads(self._drift_monitor("runs", "--json", quiet=True)), key=lambda run: run["window"]["start"]
        )
        review = Table(title="What was said, week by week", title_justify="left", title_style="bold")
        for name, side in (
            ("week", "left"),
            ("chapter", "left"),
            ("messages", "right"),
            ("verdict", "left"),
            ("why", "left"),
            ("as scripted", "center"),
        ):
            review.add_column(name, justify=side)  # type: ignore[arg-type]
        good = len(runs) == len(WEEKS)
        for script, run in zip(WEEKS, runs, strict=False):
            right = _as_scripted(script, run)
            good &= right
            state = run["decision"]["state"]
            cause = " and ".join(run["decision"]["causes"])
            review.add_row(
                run["window"]["start"][:10],
                script.chapter,
                str(run["counts"]["population"]),
                f"[{_COLOURS[state]}]{state}[/]",
                cause,
                "yes" if right else "[bold red]NO[/]",
            )
        self._stage.print()
        self._stage.print(review)
        return good & self._candidates_are_right(runs)

    def _candidates_are_right(self, runs: Sequence[dict[str, Any]]) -> bool:
        """Of the ticket that announces the new topic: its examples are in, junk is not."""
        week = next(n for n, script in enumerate(WEEKS) if NEW_TOPIC in script.new)
        sources = {m.id: m.source for m in self._weeks[week]}
        chosen = [sources[c["record_id"]] for c in runs[week]["candidates"] if c["strategy"] != "random"]
        topic, junk = chosen.count(NEW_TOPIC), chosen.count("junk")
        self._show_ticket(week)
        self._stage.print(
            f"The ticket of {window_of(week).start:%Y-%m-%d} lists {len(runs[week]['candidates'])} records. Of the {len(chosen)} "
            f"chosen for the drift, {topic} are about the new topic and {junk} are junk.",
            highlight=False,
        )
        return topic > len(chosen) / 2 and junk <= len(chosen) / 10

    def _show_ticket(self, week: int) -> None:
        """What the ticket told in that week, and the first records of its export, texts redacted as the ticket has them."""
        start = window_of(week).start
        path = max(p for p in (self._folder / "tickets").glob("*.md") if p.name[:10] <= f"{start:%Y-%m-%d}")
        title, _, body = path.read_text(encoding="utf-8").partition("\n\n")
        comment = body.partition(f"<!-- drift-monitor note {start.isoformat()} changed -->")[2].partition("\n---")[0]
        self._stage.print(f"\n{title.removeprefix('# ')}", style="bold", highlight=False, markup=False)
        self._stage.print(f"{comment.strip()}\n", highlight=False, markup=False)
        first = Table(title="What to label and add: the first records", title_justify="left", title_style="bold")
        for name in ("#", "chosen by", "gain", "model said", "text"):
            first.add_column(name, justify="right" if name in {"#", "gain"} else "left")
        (export,) = self._folder.glob(f"exports/*/{window_of(week).start:%Y%m%d}*/*/candidates.csv")
        for row in _rows(export)[:8]:
            text = Text(redacted(row["text"]), overflow="ellipsis", no_wrap=True)
            first.add_row(row["rank"], row["strategy"], f"{float(row['gain']):.2f}", row["predicted"], text)
        self._stage.print(first)

    def look_further(self) -> None:
        """Where everything lies, and the commands that show it."""
        tickets = sorted((self._folder / "tickets").glob("*.md"))
        exports = sorted(self._folder.glob("exports/**/candidates.csv"))
        say = self._stage.print
        say("\n[bold]Look further[/]")
        for name, paths in (("ticket", tickets), ("export", exports)):
            for path in paths:
                say(f"  {name}  {path}", highlight=False, soft_wrap=True)
        topic = next(n for n, script in enumerate(WEEKS) if NEW_TOPIC in script.new)
        for words in (
            "runs",
            f"show --window {window_of(topic).start:%Y-%m-%d}",
            f"report --window {window_of(topic).start:%Y-%m-%d} --out report.html",
            "tickets",
            "serve",
        ):
            say(f"  drift-monitor {words} -c {self._config}", highlight=False, soft_wrap=True)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _as_scripted(script: Week, run: dict[str, Any]) -> bool:
    decision = run["decision"]
    return decision["state"] in script.expect and (script.cause is None or script.cause in decision["causes"])
