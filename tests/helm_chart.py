"""The chart under test, through Helm's own code as a library; whoever has a `helm` binary need replace only this file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import yaml

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "helm" / "drift-monitor"
CASES = {path.name.removesuffix("-values.yaml"): path for path in sorted((CHART / "ci").glob("*-values.yaml"))}
"""What a test is run for: the files of values that the chart keeps for it, by name."""


ALL = ["default", *CASES]
"""All cases, and the chart without any values."""


class Refused(Exception):
    """Helm refused the values; the message is what people see."""


class _Strict(yaml.SafeLoader):
    """Refuses a key that is given twice, as the API server does."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"given twice: {', '.join(twice)}", node.start_mark)
        return super().construct_mapping(node, deep)


def values_of(case: str) -> dict[str, Any]:
    """The values of a case, read as Helm reads them; ``default`` has none."""
    return {} if case == "default" else helm_python.values_from_yaml(CASES[case].read_text(encoding="utf-8"))


def lint(values: Mapping[str, Any], chart: Path = CHART) -> list[str]:
    """What Helm's linter says, warnings and errors."""
    report = helm_python.lint(chart, dict(values), strict=True)
    return [f"{one['path']}: {one['error']}" for one in report["messages"] if one["severity"] >= 2]


def validate(values: Mapping[str, Any], chart: Path = CHART) -> None:
    """Hold values against the chart's schema; :class:`Refused` with every problem."""
    with helm_python.Chart.load(chart) as loaded:
        try:
            loaded.validate_schema(dict(values))
        except helm_python.HelmError as error:
            raise Refused(str(error)) from error


def merged(values: Mapping[str, Any], chart: Path = CHART) -> dict[str, Any]:
    """The values over the chart's defaults."""
    with helm_python.Chart.load(chart) as loaded:
        return loaded.merge_values(dict(values))


def render(
    values: Mapping[str, Any], *, name: str = "demo", namespace: str = "prod", chart: Path = CHART
) -> dict[str, str]:
    """The text of each template that says something, by its path in the chart; :class:`Refused` when it is not rendered."""
    with helm_python.Chart.load(chart) as loaded:
        try:
            texts = loaded.render(dict(values), name=name, namespace=namespace)
        except helm_python.HelmError as error:
            raise Refused(str(error)) from error
    return {path.partition("/")[2]: text for path, text in texts.items() if text.strip()}


def notes(texts: Mapping[str, str]) -> str:
    """What is shown after an installation."""
    return texts["templates/NOTES.txt"]


def documents(texts: Mapping[str, str]) -> list[dict[str, Any]]:
    """Every object that would be made, each key once."""
    return [
        document
        for path, text in texts.items()
        if path.endswith(".yaml")
        for document in yaml.load_all(text, Loader=_Strict)
        if document
    ]


def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Every pod among the objects, as template or itself, by kind and name."""
    found = {}
    for one in objects:
        spec = one.get("spec", {})
        template = {
            "Deployment": lambda spec=spec: spec["template"],
            "Job": lambda spec=spec: spec["template"],
            "CronJob": lambda spec=spec: spec["jobTemplate"]["spec"]["template"],
            "Pod": lambda one=one: one,
        }.get(one["kind"])
        if template:
            found[f"{one['kind']} {one['metadata']['name']}"] = template()
    return found


def package(folder: Path) -> Path:
    """The chart as an archive in this folder."""
    return Path(helm_python.package(CHART, destination=folder))


def archived(archive: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """What an archive says of itself, and the files in it that are no templates."""
    with helm_python.Chart.load(archive) as loaded:
        return loaded.metadata, {one["name"]: one["data"] for one in loaded.files}


@cache
def rendered(case: str) -> dict[str, str]:
    """The templates of a case; shared, so copy before you change anything."""
    return render(values_of(case))


@cache
def made(case: str) -> list[dict[str, Any]]:
    """The objects of a case; shared, so copy before you change anything."""
    return documents(rendered(case))


def of_kind(case: str, kind: str) -> list[dict[str, Any]]:
    """Its objects of a kind."""
    return [one for one in made(case) if one["kind"] == kind]


def one_of(case: str, kind: str) -> dict[str, Any]:
    """Its only object of a kind."""
    (one,) = of_kind(case, kind)
    return one
