"""Reads an export with the tools' own libraries, in an interpreter that has them; prints what each found as JSON.

``python labelling_tools.py FOLDER``: label-studio-sdk, datasets and argilla. It knows nothing of drift-monitor.
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def label_studio(folder: Path) -> dict[str, Any]:
    """Errors of every prediction against the labelling interface, and that there would be some for a wrong one."""
    from label_studio_sdk.label_interface import LabelInterface  # noqa: PLC0415

    interface = LabelInterface((folder / "config.xml").read_text(encoding="utf-8"))
    tasks = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
    found = [
        error
        for task in tasks
        for prediction in task["predictions"]
        for error in interface.validate_prediction(prediction, return_errors=True)
    ]
    first = tasks[0]["predictions"][0]
    wrong = json.loads(json.dumps(first))
    wrong["result"][0]["value"]["choices"] = ["no such class"]
    other = json.loads(json.dumps(first))
    other["result"][0]["from_name"] = "no such control"
    return {
        "predictions": sum(len(task["predictions"]) for task in tasks),
        "errors": found,
        "wrong": [bool(interface.validate_prediction(one, return_errors=True)) for one in (wrong, other)],
    }


def huggingface(folder: Path) -> dict[str, Any]:
    """The rows and features that ``load_dataset`` gives, and those that the card promises."""
    from datasets import load_dataset, load_dataset_builder  # noqa: PLC0415

    data = load_dataset(str(folder), split="train", cache_dir=str(folder / "cache"))
    promised = load_dataset_builder(str(folder), cache_dir=str(folder / "cache")).info.features
    return {
        "rows": [[row["id"], row["text"]] for row in data],
        "features": {name: str(kind) for name, kind in data.features.items()},
        "promised": {name: str(kind) for name, kind in promised.items()},
    }


class _Argilla(BaseHTTPRequestHandler):
    """As much of a server as its client asks for before it makes anything: who am I."""

    def do_GET(self) -> None:
        at = "2026-01-01T00:00:00"
        me = {"id": "0" * 8 + "-0000-0000-0000-" + "0" * 12, "username": "me", "role": "owner"}
        body = json.dumps({**me, "first_name": "me", "inserted_at": at, "updated_at": at}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Nothing."""


def argilla(folder: Path) -> dict[str, Any]:
    """The settings and the records as the client has them, each record checked against the settings as before sending."""
    import argilla as rg  # noqa: PLC0415

    with ThreadingHTTPServer(("127.0.0.1", 0), _Argilla) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        rg.Argilla(api_url=f"http://127.0.0.1:{server.server_port}", api_key="none")
        settings = rg.Settings.from_json(folder / "settings.json")
        settings.validate()
        lines = (folder / "records.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
        records = [rg.Record.from_dict(json.loads(line)) for line in lines]
        sent = [record.api_model().model_dump(mode="json") for record in records]
        server.shutdown()
    declared = {one.name for one in settings.metadata}
    return {
        "labels": settings.questions["label"].labels,
        "rows": [[one.id, one.fields["text"]] for one in records],
        "suggested": [one.suggestions["label"].value if one.suggestions["label"] else None for one in records],
        "undeclared": sorted({name for one in records for name in one.metadata} - declared),
        "sent": len(sent),
    }


root = Path(sys.argv[1])
found = {"label_studio": label_studio(root / "label-studio"), "huggingface": huggingface(root / "huggingface")}
sys.stdout.write(json.dumps({**found, "argilla": argilla(root / "argilla")}) + "\n")
