"""The whole way round with a Label Studio that runs: drift, ticket, export, labels through its API, retraining, proof, ticket closed.

Start a server first, for example in a virtual environment of its own (about 800 MB, some minutes at its first start)::

    export LABEL_STUDIO_BASE_DATA_DIR=$PWD/data COLLECT_ANALYTICS=False LATEST_VERSION_CHECK=False SENTRY_DSN= FRONTEND_SENTRY_DSN=
    export LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN=true
    label-studio start --no-browser --internal-host 127.0.0.1 --port 18080 --username you@example.invalid --password ... --user-token ...

then ``LABEL_STUDIO_TOKEN=... python examples/label_studio_round_trip.py FOLDER [--url URL] [--table FILE] [--results FILE]``. Without a
table it is the demo's support desk; with one, a CSV with the columns ``id``, ``text``, ``label``, ``split`` and ``group``, some of whose
classes come as a wave that nobody trained on. Each step is one function that takes the :class:`Trip`, adds to it and says what it did.
A trip that was cut short goes on in the same folder with the step it was at.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import yaml

from monitor.demo.desk_model import DeskModel
from monitor.demo.story import FIRST_WEEK, NEW_TOPIC, WEEKS, Message, reference_messages, traffic
from monitor.whole_files import write_whole


@dataclass
class Desk:
    """Labelled training messages, and weeks of messages of which the one numbered ``drifts`` brings classes nobody trained on."""

    training: list[Message]
    weeks: list[list[Message]]
    drifts: int
    new: list[str]

    @property
    def windows(self) -> list[tuple[datetime, datetime]]:
        """Start and end of every week."""
        return [(FIRST_WEEK + timedelta(weeks=n), FIRST_WEEK + timedelta(weeks=n + 1)) for n in range(len(self.weeks))]


def support_desk() -> Desk:
    """The demo's, from three calm weeks before its new topic on."""
    drifts = next(n for n, week in enumerate(WEEKS) if NEW_TOPIC in week.new)
    ends = next(n for n, week in enumerate(WEEKS) if week.chapter == "voice channel opens")
    weeks = traffic()
    # Then it is as calm as in the beginning.
    calm = [[_again(m, ends) for m in week] for week in weeks[:_CALM]]
    return Desk(reference_messages(), [*weeks[:ends], *calm], drifts, [NEW_TOPIC])


def _again(message: Message, weeks: int) -> Message:
    return replace(message, id=f"again-{message.id}", observed_at=message.observed_at + timedelta(weeks=weeks))


_CALM = 6
_WAVE = (0.0, 0.0, 0.0, 0.3, 0.3, 0.05, 0.05, 0.05, 0.05)
"""Share of messages of the new classes, week by week."""
_A_WEEK, _KNOWN, _TAUGHT = 140, 25, 24


def desk_of(table: Path) -> Desk:
    """A desk of real labelled text: 25 classes are known, three others come as a wave."""
    with gzip.open(table, "rt", encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["label"] != "oos"]
    rng = np.random.default_rng(20_261_121)
    names = sorted({row["label"] for row in rows})
    chosen = [str(name) for name in rng.choice(names, _KNOWN + 3, replace=False)]
    known, new = chosen[3:], chosen[:3]
    waiting = {name: [row for row in rows if row["label"] == name] for name in chosen}
    for of_class in waiting.values():
        rng.shuffle(of_class)  # type: ignore[arg-type]
    early = FIRST_WEEK - timedelta(days=30)
    training = [_message(waiting[name].pop(), early) for name in known for _ in range(_TAUGHT)]
    weeks = []
    for number, share in enumerate(_WAVE):
        start = FIRST_WEEK + timedelta(weeks=number)
        picked = [str(rng.choice(new if rng.random() < share else known)) for _ in range(_A_WEEK)]
        weeks.append(
            [_message(waiting[n].pop(), start + timedelta(seconds=int(rng.integers(0, 7 * 86_400)))) for n in picked]
        )
    return Desk(training, weeks, next(n for n, share in enumerate(_WAVE) if share), new)


def _message(row: dict[str, str], at: datetime) -> Message:
    return Message(row["id"], row["text"], row["label"], row["label"], at)


@dataclass
class Trip:
    """Where it takes place, what later steps need of earlier ones, and the figures to keep."""

    folder: Path
    url: str
    token: str
    embedder: str
    desk: Desk
    project: int = 0
    done: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def messages(self) -> dict[str, Message]:
        """Everything that ever reaches the desk, by id."""
        return {m.id: m for week in self.desk.weeks for m in week}

    def keep(self) -> None:
        """Note how far it has come."""
        said = {"project": self.project, "done": self.done, "figures": self.figures}
        write_whole(self.folder / "trip.json", json.dumps(said).encode())

    def drift_monitor(self, *words: str, status: tuple[int, ...] = (0,)) -> str:
        """Run the command as a user would; it should end with one of these."""
        command = [sys.executable, "-m", "monitor", "-q", *words, "-c", str(self.folder / "drift-monitor.yaml")]
        print("$ drift-monitor", *words, flush=True)
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, encoding="utf-8", check=False)
        if done.returncode not in status:
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
    """A model trained on labelled messages, and the weeks up to the one with something new."""
    training = trip.desk.training
    model = DeskModel([m.text for m in training], [str(m.intent) for m in training])
    rows = [
        {"id": m.id, "text": m.text, "intent": m.intent, "predicted": p}
        for m, p in zip(training, model.held_out_predictions(), strict=True)
    ]
    _lines(trip.folder / "training.jsonl", rows)
    for number in range(trip.desk.drifts + 1):
        _serve(trip, model, number)
    (trip.folder / "drift-monitor.yaml").write_text(yaml.safe_dump(_settings(trip)), encoding="utf-8")


def _serve(trip: Trip, model: DeskModel, number: int) -> None:
    """A week in production: the messages with what the model made of them."""
    messages = trip.desk.weeks[number]
    rows = [
        {"id": m.id, "text": m.text, "sent_at": m.observed_at.isoformat(), "predicted": p, "confidence": sure}
        for m, (p, sure) in zip(messages, model.predict([m.text for m in messages]), strict=True)
    ]
    _lines(trip.folder / "traffic" / f"{number:02}.jsonl", rows)


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
    _judge(trip, 0, trip.desk.drifts)
    run = json.loads(trip.drift_monitor("runs", "--json"))[0]
    trip.figures |= {"state": run["decision"]["state"], "candidates": len(run["candidates"])}


def _judge(trip: Trip, first: int, last: int) -> None:
    start, end = trip.desk.windows[first][0], trip.desk.windows[last][1]
    trip.drift_monitor("backfill", "--from", f"{start:%Y-%m-%d}", "--to", f"{end:%Y-%m-%d}")


def send_to_label_studio(trip: Trip) -> None:
    """Export tasks with predictions and the labelling interface, open a project with them."""
    trip.drift_monitor("export", str(trip.folder / "out"), "--format", "label_studio")
    (tasks,) = (trip.folder / "out").rglob("tasks.json")
    (config,) = (trip.folder / "out").rglob("config.xml")
    # People may call things by names that the model does not know yet.
    interface = config.read_text(encoding="utf-8")
    offered = "".join(f'<Choice value="{name}"/>' for name in (*trip.desk.new, "junk") if f'"{name}"' not in interface)
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
    new = [word for name in trip.desk.new for word in ("--new-class", name)]
    take = ("labels", "import", str(returned), *new, "--json")
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
        "share_of_new_classes": [
            round(sum(changed["shares"].get(name, {}).get(side, 0.0) for name in trip.desk.new), 4)
            for side in ("before", "after")
        ],
    }


def retrain(trip: Trip) -> None:
    """Train on all there was and what came back; what the old and the new model make of every message, none of them learnt."""
    learnt = trip.folder / "learnt.parquet"
    trip.drift_monitor("datasets", "show", "--out", str(learnt))
    training, model = _retrained(trip)
    held_out = dict(zip((row["id"] for row in training), model.held_out_predictions(), strict=True))
    rows = {row["id"]: row for path in _written(trip) for row in _read(path)}
    others = [record for record in rows if record not in held_out]
    served = dict(zip(others, model.predict([rows[record]["text"] for record in others]), strict=True))
    new = {record: held_out[record] if record in held_out else served[record][0] for record in rows}
    for name, said in (("old", {record: row["predicted"] for record, row in rows.items()}), ("new", new)):
        lines = "".join(f"{record},{predicted}\n" for record, predicted in said.items())
        (trip.folder / f"{name}.csv").write_text(f"id,predicted\n{lines}", encoding="utf-8")


def _retrained(trip: Trip) -> tuple[list[dict[str, Any]], DeskModel]:
    """The desk trains on its protected messages too; held-out predictions make up for that, as they did for the old model."""
    training = [{**row, "label": row["intent"]} for row in _read(trip.folder / "training.jsonl")]
    known = {row["id"] for row in training}
    training += [row for row in pq.read_table(trip.folder / "learnt.parquet").to_pylist() if row["id"] not in known]
    return training, DeskModel([row["text"] for row in training], [row["label"] for row in training])


def _written(trip: Trip) -> list[Path]:
    return [trip.folder / "training.jsonl", *sorted((trip.folder / "traffic").glob("*.jsonl"))]


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def prove_it(trip: Trip) -> None:
    """Hold the new model against the old one, on records it has not learnt from."""
    old, new = (str(trip.folder / f"{name}.csv") for name in ("old", "new"))
    version = str(trip.figures["dataset"]["version"])
    words = ("refresh", "verify", "--old", old, "--new", new, "--dataset", version, "--markdown")
    told = trip.drift_monitor(*words, status=(0, 3))
    trip.figures["verify"] = [line.removeprefix("- ") for line in told.splitlines() if line.startswith("- ")]


def go_live(trip: Trip) -> None:
    """The new model is in production from the next week on; its reference comes into use."""
    version = str(trip.figures["dataset"]["version"])
    live = trip.desk.windows[trip.desk.drifts][1].isoformat()
    trip.drift_monitor("models", "deploy", f"desk-{version}", "--dataset", version, "--at", live)


def watch(trip: Trip) -> None:
    """The weeks after: the wave goes down, the drift ends, and the ticket closes itself with what the refresh brought."""
    _, model = _retrained(trip)
    after = range(trip.desk.drifts + 1, len(trip.desk.weeks))
    for number in after:
        _serve(trip, model, number)
    _judge(trip, after[0], after[-1])
    runs = json.loads(trip.drift_monitor("runs", "--json"))
    (path,) = (trip.folder / "tickets").glob("*.md")
    ticket = path.read_text(encoding="utf-8")
    comments = [part.partition("-->\n")[2].strip() for part in ticket.split("<!-- drift-monitor note ")[1:]]
    trip.figures |= {
        "states": [run["decision"]["state"] for run in reversed(runs)],
        "ticket": {
            "closed": "\nState: closed\n" in ticket,
            "comments": [one.removesuffix("---").strip() for one in comments],
        },
        "models": json.loads(trip.drift_monitor("models", "list", "--json"))[0]["sentences"],
    }


STEPS = (
    open_the_desk,
    find_the_drift,
    send_to_label_studio,
    label,
    bring_back,
    look_at_the_dataset,
    retrain,
    prove_it,
    go_live,
    watch,
)


def main() -> None:
    """Take every step, print and keep the figures."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("folder", type=Path, help="A folder of its own to work in.")
    options.add_argument("--url", default="http://127.0.0.1:18080")
    options.add_argument("--table", type=Path, help="Labelled text in a gzipped CSV, instead of the demo's desk.")
    options.add_argument("--embedder", default="sentence_transformer")
    options.add_argument("--results", type=Path)
    said = options.parse_args()
    desk = support_desk() if said.table is None else desk_of(said.table)
    trip = Trip(said.folder.resolve(), said.url, os.environ["LABEL_STUDIO_TOKEN"], said.embedder, desk)
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
