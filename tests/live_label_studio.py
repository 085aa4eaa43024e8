"""A real Label Studio server by its REST API: a project, the tasks of an export, annotations as a person gives them, its export.

Start one with ``label-studio start --no-browser --internal-host 127.0.0.1 --port PORT --username NAME --password ... --user-token
TOKEN`` and LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN=true, then ``python tests/live_label_studio.py URL TOKEN EXPORT``, where EXPORT is the
folder of a manifest: it imports the export, sees that nothing is lost, and answers every second task.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class LabelStudio:
    """One server; ``token`` is a user's access token."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url.rstrip("/"), token

    def project(self, title: str, config: str) -> int:
        """Make a project with this labelling interface; its number."""
        return int(self._ask("POST", "/api/projects/", {"title": title, "label_config": config})["id"])

    def import_tasks(self, project: int, tasks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Import tasks with their predictions; what the server counted."""
        return self._ask("POST", f"/api/projects/{project}/import", tasks)

    def tasks(self, project: int) -> list[dict[str, Any]]:
        """Tasks with their predictions and annotations, as the server has them."""
        found = self._ask("GET", f"/api/tasks?project={project}&page_size=10000&fields=all")
        return found["tasks"]

    def annotate(self, task: int, label: str, name: str = "label", to: str = "text") -> None:
        """Answer a task, as a person does who picks this class."""
        choice = {"from_name": name, "to_name": to, "type": "choices", "value": {"choices": [label]}}
        self._ask("POST", f"/api/tasks/{task}/annotations/", {"result": [choice], "was_cancelled": False})

    def export(self, project: int, kind: str = "JSON") -> bytes:
        """The server's own export of the annotated tasks: ``JSON``, ``JSON_MIN``, ``CSV``."""
        return self._send("GET", f"/api/projects/{project}/export?exportType={kind}")

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        return json.loads(self._send(method, path, body))

    def _send(self, method: str, path: str, body: Any = None) -> bytes:
        headers = {"Authorization": f"Token {self._token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()


def files_of(folder: Path) -> tuple[list[dict[str, Any]], str]:
    """The tasks and the labelling interface of an export, ``folder`` that of its manifest."""
    names = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["files"]
    tasks, config = (next(n for n in names if n.endswith(end)) for end in ("/tasks.json", "/config.xml"))
    return json.loads((folder / tasks).read_text(encoding="utf-8")), (folder / config).read_text(encoding="utf-8")


def main(url: str, token: str, folder: str) -> None:
    tasks, config = files_of(Path(folder))
    studio = LabelStudio(url, token)
    project = studio.project(f"drift-monitor {Path(folder).name}", config)
    counted = studio.import_tasks(project, tasks)
    assert (counted["task_count"], counted["prediction_count"]) == (
        len(tasks),
        sum(len(task["predictions"]) for task in tasks),
    ), counted
    there = {task["data"]["record_id"]: task for task in studio.tasks(project)}
    for task in tasks:
        found = there[task["data"]["record_id"]]
        assert found["data"] == task["data"]
        wanted = [(one["model_version"], one["result"][0]["value"], one.get("score")) for one in task["predictions"]]
        guesses = [(one["model_version"], one["result"][0]["value"], one["score"]) for one in found["predictions"]]
        assert sorted(guesses, key=str) == sorted(wanted, key=str)
    answered = {}
    for task in tasks[::2]:
        data = task["data"]
        label = data["suggested_label"] or data["predicted"]
        studio.annotate(there[data["record_id"]]["id"], label)
        answered[data["record_id"]] = label
    exported = {
        task["data"]["record_id"]: task["annotations"][0]["result"][0]["value"]["choices"]
        for task in json.loads(studio.export(project))
    }
    assert exported == {record: [label] for record, label in answered.items()}
    print(f"project {project}: {len(tasks)} tasks, {counted['prediction_count']} predictions, {len(answered)} answered")  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
