"""Writes what in the chart is made from other files: copies of alerts and dashboards, the schema of its values, its README."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml
from readme import page

from monitor import config

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "helm" / "drift-monitor"
COPIES = {
    "files/drift-monitor.rules.yml": "alerts/drift-monitor.rules.yml",
    "files/grafana-alerting.yml": "alerts/grafana-alerting.yml",
    "files/fleet.json": "dashboards/fleet.json",
    "files/monitor.json": "dashboards/monitor.json",
    "files/operations.json": "dashboards/operations.json",
}
"""What the chart brings along, by the file it is a copy of."""


def closed(schema: Any) -> Any:
    """The schema with every object that lists its properties closed to others, unless it says otherwise."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value) for key, value in schema.items()}
    if made.get("type") == "object" and isinstance(made.get("properties"), dict):
        made.setdefault("additionalProperties", False)
    return made


def plain(schema: Any) -> Any:
    """The schema of the settings without what only editors read."""
    if isinstance(schema, list):
        return [plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: plain(one) for name, one in value.items()} if key in {"properties", "$defs"} else plain(value)
        for key, value in schema.items()
        if key not in {"title", "description", "default", "$comment", "$schema"}
    }


def values_schema() -> dict[str, Any]:
    """What values the chart takes: its own, and under ``config`` those of the settings file."""
    own: dict[str, Any] = closed(yaml.safe_load((ROOT / "helm" / "values.schema.yaml").read_text(encoding="utf-8")))
    settings = plain(config.schema())
    taken = own["$defs"].keys() & settings["$defs"].keys()
    if taken:
        raise ValueError(f"names of helm/values.schema.yaml that the settings use too: {', '.join(taken)}")
    own["$defs"] |= settings.pop("$defs")
    own["properties"]["config"] = settings
    return own


def made() -> dict[str, bytes]:
    """Every file that is made, by its path in the chart."""
    copies = {path: (ROOT / source).read_bytes() for path, source in COPIES.items()}
    schema = json.dumps(values_schema(), indent=1, ensure_ascii=False) + "\n"
    return {**copies, "values.schema.json": schema.encode(), "README.md": page(CHART).encode()}


def main() -> None:
    """Write them."""
    for path, content in made().items():
        (CHART / path).write_bytes(content)


if __name__ == "__main__":
    sys.exit(main())
