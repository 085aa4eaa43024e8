"""Writes the Prometheus alert rules as Grafana-managed ones, for Grafana's provisioning: ``grafana-alerting.yml``.

Grafana's templates have no ``query``: each number that a description asks Prometheus for becomes a query of the rule. Such a query
must never come back empty, else Grafana would take the whole rule for one without data; where it does not know the number it says NaN.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

__all__ = ["grafana_rules", "provisioning"]

HERE = Path(__file__).resolve().parent
RULES, TARGET = HERE / "drift-monitor.rules.yml", HERE / "grafana-alerting.yml"

OWNER = (
    "* on (monitor) group_left (owner, pages) (topk by (monitor) (1, max by (monitor, owner, pages) (drift_monitor_info)) or on (monitor) "
    'label_replace(max by (monitor) (drift_monitor_period_seconds) ^ 0, "owner", "nobody", "", ""))'
)
"""Gives a number of a monitor its owner and the address of its pages, so that it has the labels of the alert it is told in."""

_ASKED = re.compile(
    r"""\{\{ with printf "(?P<query>[^"]+)" \.Labels\.monitor \| query \}\}"""
    r"""\{\{ \. \| first \| (?:value \| (?P<format>\w+)|label "(?P<label>\w+)") \}\}\{\{ end \}\}"""
)
_MONITOR = re.compile(r"monitor='%(?:\[1\])?s',?")
_HEADER = "# Made by alerts/grafana.py from drift-monitor.rules.yml; change that one and run the script again.\n"


def provisioning(rules: Mapping[str, Any], datasource: str, folder: str) -> dict[str, Any]:
    """The whole file, for rules as Prometheus reads them."""
    groups = [
        {
            "orgId": 1,
            "name": group["name"],
            "folder": folder,
            "interval": group.get("interval", "1m"),
            "rules": [grafana_rule(rule, datasource) for rule in group["rules"]],
        }
        for group in rules["groups"]
    ]
    return {"apiVersion": 1, "groups": groups}


def grafana_rule(rule: Mapping[str, Any], datasource: str) -> dict[str, Any]:
    """One alert: query A, B which is 1 for whatever A gives, as in Prometheus, and a query for each number told."""
    numbers: list[str] = []
    annotations = {name: _annotation(text, numbers) for name, text in rule["annotations"].items()}
    told = [_query(_number(position), query, datasource) for position, query in enumerate(numbers)]
    return {
        "uid": rule["alert"].lower(),
        "title": rule["alert"],
        "condition": "B",
        "data": [_query("A", rule["expr"].strip(), datasource), _anything(), *told],
        "for": rule.get("for", "0s"),
        "keepFiringFor": rule.get("keep_firing_for", "0s"),
        "noDataState": "OK",
        "execErrState": "Error",
        "labels": dict(rule["labels"]),
        "annotations": annotations,
        "isPaused": False,
    }


def _number(position: int) -> str:
    return f"N{position + 1}"


def _annotation(text: str, numbers: list[str]) -> str:
    """The text in Grafana's terms; queries it asks for are added to ``numbers``."""

    def asked(found: re.Match[str]) -> str:
        everywhere = _MONITOR.sub("", found["query"]).replace("{}", "")
        numbers.append(f"({everywhere}) {OWNER} or on () vector(NaN)")
        value = f".Values.{_number(len(numbers) - 1)}"
        return (
            f"{{{{ {value}.Labels.{found['label']} }}}}"
            if found["label"]
            else f"{{{{ {value}.Value | {found['format']} }}}}"
        )

    told = _ASKED.sub(asked, text)
    if "query }}" in told:
        raise ValueError(f"an annotation asks for a number in a way that this script does not know: {told}")
    return re.sub(r"\{\{ \.Value \|", "{{ .Values.A.Value |", told).replace("{{ .Value }}", "{{ .Values.A.Value }}")


def _query(name: str, expr: str, datasource: str) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": datasource}
    model = {"refId": name, "datasource": source, "expr": expr, "instant": True, "range": False, "editorMode": "code"}
    return {"refId": name, "relativeTimeRange": {"from": 600, "to": 0}, "datasourceUid": datasource, "model": model}


def _anything() -> dict[str, Any]:
    source = {"type": "__expr__", "uid": "__expr__"}
    anything = "is_number($A) || is_nan($A) || is_inf($A)"
    return {
        "refId": "B",
        "datasourceUid": "__expr__",
        "model": {"refId": "B", "datasource": source, "type": "math", "expression": anything},
    }


class _Dumper(yaml.SafeDumper):
    """Long texts on several lines, and no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def grafana_rules(datasource: str = "prometheus", folder: str = "drift-monitor") -> str:
    """The file's text."""
    made = provisioning(yaml.safe_load(RULES.read_text(encoding="utf-8")), datasource, folder)
    return _HEADER + yaml.dump(made, Dumper=_Dumper, sort_keys=False, width=150, allow_unicode=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasource", default="prometheus", help="uid of the Prometheus data source in Grafana")
    parser.add_argument("--folder", default="drift-monitor", help="Grafana's folder for the rules")
    chosen = parser.parse_args()
    TARGET.write_text(grafana_rules(chosen.datasource, chosen.folder), encoding="utf-8")
