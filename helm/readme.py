"""The chart's README, with a table of its values from the comments in values.yaml."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

HEAD = """# drift-monitor

{description}. Chart {version}, drift-monitor {app}; Kubernetes {kubernetes}; linted and rendered with Helm 4.2, written so that Helm 3 reads it too.

```console
helm install drift-monitor helm/drift-monitor --namespace drift-monitor --create-namespace --values my-values.yaml
```

[docs/deploy-kubernetes.md](../../docs/deploy-kubernetes.md) goes through both modes, PostgreSQL, secrets, monitoring, upgrade and backup. A typo is refused, at every level, and so are values
that do not go together.

What every pod has, without being asked: a user that is not root, a read-only root file system, no capabilities, the runtime's seccomp profile, no token of the API server, requests
and limits, the settings as a file whose change replaces the pods.

## Values

| value | default | |
| --- | --- | --- |
"""
_DESCRIPTION = re.compile(r"^ *# -- (.*)$")
_KEY = re.compile(r"^( *)([A-Za-z]+):")


def described(text: str) -> Iterator[tuple[str, str]]:
    """(path, description) of every key that has a comment above it; other keys that begin a group have theirs inside."""
    path: list[str] = []
    waiting = ""
    for line in text.splitlines():
        comment, key = _DESCRIPTION.match(line), _KEY.match(line)
        if comment:
            waiting = comment[1]
        elif key:
            depth = len(key[1]) // 2
            path = [*path[:depth], key[2]]
            if waiting:
                yield ".".join(path), waiting
            waiting = ""


def value_at(values: Any, path: str) -> Any:
    """The value at a dotted path; :class:`KeyError` when there is none."""
    for key in path.split("."):
        values = values[key]
    return values


def _shown(path: str, value: Any) -> str:
    if path == "config":
        return "below"
    if path == "config.monitors":
        return "an example"
    return "" if value == "" else f"`{json.dumps(value, ensure_ascii=False)}`".replace('`"', "`").replace('"`', "`")


def page(chart: Path) -> str:
    """The whole README."""
    about = yaml.safe_load((chart / "Chart.yaml").read_text(encoding="utf-8"))
    text = (chart / "values.yaml").read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    head = HEAD.format(
        description=about["description"],
        version=about["version"],
        app=about["appVersion"],
        kubernetes=about["kubeVersion"].removesuffix("-0").replace(">=", "") + " or newer",
    )
    rows = [f"| `{path}` | {_shown(path, value_at(values, path))} | {told} |" for path, told in described(text)]
    return head + "\n".join(rows).replace("|| ", "| | ") + "\n"
