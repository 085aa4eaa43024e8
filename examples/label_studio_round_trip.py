"""The whole way round with a Label Studio that runs: drift, export, label through its API, bring the labels back, new dataset version.

Start a server first, for example in a virtual environment of its own (about 800 MB, some minutes at its first start)::

    export LABEL_STUDIO_BASE_DATA_DIR=$PWD/data COLLECT_ANALYTICS=False LATEST_VERSION_CHECK=False SENTRY_DSN= FRONTEND_SENTRY_DSN=
    export LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN=true
    label-studio start --no-browser --internal-host 127.0.0.1 --port 18080 --username you@example.invalid --password ... --user-token ...

then ``LABEL_STUDIO_TOKEN=... python examples/label_studio_round_trip.py FOLDER [--url URL] [--results FILE]``. Each step is one
function that takes the :class:`Trip`, adds to it and says what it did; add further ones to ``STEPS``. A trip that was cut short
goes on in the same folder with the step it was at.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from monitor.demo.desk_model import DeskModel
from monitor.demo.story import NEW_TOPIC, WEEKS, Message, reference_messages, traffic, window_of
from monitor.whole_files import write_whole

BEFORE = 3
"""Calm weeks before the one with the new topic."""


@dataclass
class Trip:
    """Where it takes place, what later steps need of earlier ones, and the figures to keep."""

    folder: Path
    url: str
    token: str
    embedder: str
    project: int = 0
    done: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    messages: dict[str, Message] = field(default_factory=lambda: {m.id: m for week in traffic() for m in week})
    week: int = next(n for n, week in enumerate(WEEKS) if NEW_TOPIC in week.new)

    def keep(self) -> None:
        """Note how far it has come."""
        said = {"project": self.project, "done": self.done, "figures": self.figures}
        write_whole(self.folder / "trip.json", json.dumps(said).encode())

    def drift_monitor(self, *words: str, status: int = 0) -> str:
        """Run the command as a user would."""
        command = [sys.executable, "-m", "monitor", "-q", *words, "-c", str(self.folder / "drift-monitor.yaml")]
        print("$ drift-monitor", *words, flush=True)
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, encoding="utf-8", check=False)
        if done.returncode != status:
            raise SystemExit(f"drift-monitor {words[0]} ended with {done.returncode}:\n{done.stdout}")
        return done.stdout

    def label_studio(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the server."""
        headers = {"Authorization": f"Token {self.token}", "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, content, headers, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.loads(answer.read())


def open_the_desk(trip: Trip) -> None:
    """The demo's support desk: a model trained on its labelled messages, and the weeks up to the one with a new topic."""
    training, weeks = reference_messages(), traffic()
    model = DeskModel([m.text for m in training], [str(m.intent) for m in training])
    rows = [
        {"id": m.id, "text": m.text, "intent": m.intent, "predicted": p}
        for m, p in zip(training, model.held_out_predictions(), strict=True)
    ]
    _lines(trip.folder / "training.jsonl", rows)
    for number in range(trip.week - BEFORE, trip.week + 1):
        messages = weeks[number]
        rows = [
            {"id": m.id, "text": m.text, "sent_at": m.observed_at.isoformat(), "predicted": p, "confidence": sure}
            for m, (p, sure) in zip(messages, model.predict([m.text for m in messages]), strict=True)
        ]
        _lines(trip.folder / "traffic" / f"{number:02}.jsonl", rows)
    (trip.folder / "drift-monitor.yaml").write_text(yaml.safe_dump(_settings(trip)), encoding="utf-8")


def _lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def _settings(trip: Trip) -> dict[str, Any]:
    at = trip.folder
    return {
        "store": f"sqlite:///{at}/drift-monitor.db",
        "artifacts": f"{at}/artifacts",
        "cache": f"{at}/embeddings.db",
        "monitors": [
            {
                "name": "support-desk",
                "schedule": {"every": "1w"},
                "source": {"kind": "files", "path": f"{at}/traffic/*.jsonl"},
                "fields": {"timestamp": "sent_at", "predicted": "predicted", "confidence": "confidence"},
                "embedder": trip.embedder,
                "reference": {
                    "train": {"kind": "files", "path": f"{at}/training.jsonl"},
                    "fields": {"timestamp": None, "predicted": "predicted", "label": "intent"},
                },
                "tickets": [{"kind": "file", "folder": f"{at}/tickets"}],
            }
        ],
    }


def find_the_drift(trip: Trip) -> None:
    """Judge the weeks; the last one drifted and has candidates."""
    trip.drift_monitor("reference", "build")
    first, last = window_of(trip.week - BEFORE), window_of(trip.week)
    trip.drift_monitor("backfill", "--from", f"{first.start:%Y-%m-%d}", "--to", f"{last.end:%Y-%m-%d}")
    run = json.loads(trip.drift_monitor("runs", "--json"))[0]
    trip.figures |= {"state": run["decision"]["state"], "candidates": len(run["candidates"])}


def send_to_label_studio(trip: Trip) -> None:
    """Export tasks with predictions and the labelling interface, open a project with them."""
    trip.drift_monitor("export", str(trip.folder / "out"), "--format", "label_studio")
    (tasks,) = (trip.folder / "out").rglob("tasks.json")
    (config,) = (trip.folder / "out").rglob("config.xml")
    # People may call things by names that the model does not know yet.
    interface = config.read_text(encoding="utf-8")
    offered = "".join(f'<Choice value="{name}"/>' for name in (NEW_TOPIC, "junk") if f'"{name}"' not in interface)
    interface = interface.replace("</Choices>", f"{offered}</Choices>")
    version = trip.label_studio("GET", "/api/version")
    project = trip.label_studio("POST", "/api/projects/", {"title": "drift-monitor", "label_config": interface})
    trip.project = project["id"]
    done = trip.label_studio(
        "POST", f"/api/projects/{trip.project}/import", json.loads(tasks.read_text(encoding="utf-8"))
    )
    trip.figures |= {
        "label_studio": version["release"],
        "tasks": done["task_count"],
        "predictions": done["prediction_count"],
    }


def label(trip: Trip) -> None:
    """Answer every task through the API, as a person would who knows; the last one is skipped."""
    tasks = trip.label_studio("GET", f"/api/projects/{trip.project}/tasks?page_size=1000")
    for number, task in enumerate(tasks, 1):
        intent = trip.messages[task["data"]["record_id"]].intent or "junk"
        choice = {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [intent]}}
        skipped = number == len(tasks)
        answer = {"result": [] if skipped else [choice], "was_cancelled": skipped, "lead_time": 5}
        trip.label_studio("POST", f"/api/tasks/{task['id']}/annotations/", answer)
    trip.figures["answered"] = len(tasks) - 1


def bring_back(trip: Trip) -> None:
    """Export from Label Studio and import: the gate judges, a new dataset version is made; a second time nothing changes."""
    answers = trip.label_studio("GET", f"/api/projects/{trip.project}/export?exportType=JSON&download_all_tasks=true")
    returned = trip.folder / "project.json"
    returned.write_text(json.dumps(answers, ensure_ascii=False), encoding="utf-8")
    take = ("labels", "import", str(returned), "--new-class", NEW_TOPIC, "--json")
    told = json.loads(trip.drift_monitor(*take, "--relabel", str(trip.folder / "again.csv")))
    names = ("verdict", "format", "new", "unlabelled", "skipped", "problems")
    trip.figures["import"] = {name: told[name] for name in names} | {
        "sent_back": len(told["returned"]),
        "sentences": told["gate"]["sentences"],
    }
    trip.figures["second_import"] = json.loads(trip.drift_monitor(*take))["verdict"]


def look_at_the_dataset(trip: Trip) -> None:
    """What the new version holds, against what people answered."""
    shown = json.loads(trip.drift_monitor("datasets", "show", "--json"))
    changed = json.loads(trip.drift_monitor("datasets", "diff", "1", "--json"))
    right = sum((trip.messages[one["record_id"]].intent or "junk") == one["label"] for one in changed["added"])
    trip.figures["dataset"] = {
        **{
            name: shown[name]
            for name in ("version", "parent", "reference_version", "rows", "added", "dropped", "relabelled")
        },
        "added_with_the_label_given": right,
        "lineage": {name: len(keys) for name, keys in shown["lineage"].items()},
        "share_of_new_topic": [round(changed["shares"][NEW_TOPIC][side], 4) for side in ("before", "after")],
    }


STEPS = (open_the_desk, find_the_drift, send_to_label_studio, label, bring_back, look_at_the_dataset)


def main() -> None:
    """Take every step, print and keep the figures."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("folder", type=Path, help="A folder of its own to work in.")
    options.add_argument("--url", default="http://127.0.0.1:18080")
    options.add_argument("--embedder", default="sentence_transformer")
    options.add_argument("--results", type=Path)
    said = options.parse_args()
    trip = Trip(said.folder.resolve(), said.url, os.environ["LABEL_STUDIO_TOKEN"], said.embedder)
    trip.folder.mkdir(parents=True, exist_ok=True)
    if (trip.folder / "trip.json").exists():
        for name, value in json.loads((trip.folder / "trip.json").read_text(encoding="utf-8")).items():
            setattr(trip, name, value)
    for step in STEPS:
        if step.__name__ in trip.done:
            continue
        print(f"\n{step.__name__.replace('_', ' ')}: {(step.__doc__ or '').strip()}", flush=True)
        step(trip)
        trip.done.append(step.__name__)
        trip.keep()
    content = json.dumps(trip.figures, indent=2, ensure_ascii=False) + "\n"
    print(f"\n{content}")
    if said.results:
        write_whole(said.results, content.encode())


if __name__ == "__main__":
    main()
