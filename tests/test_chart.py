"""The chart rendered: linted, valid for Kubernetes and its operators, and as it was written down."""

from __future__ import annotations

import copy
import os
import re
from functools import cache
from pathlib import Path

import jsonschema
import pytest
import yaml
from conftest import missing
from helm_chart import ALL, CASES, CHART, ROOT, documents, lint, made, one_of, render, rendered, values_of
from kubernetes_validate.utils import schema_contents
from referencing import Registry, Resource

from monitor import __version__

SHARED = ROOT.parent / "shared" / "schemas"
GOLDEN = Path(__file__).parent / "golden" / "chart"
EVERY_CASE = pytest.mark.parametrize("case", ALL)
MASKED = {
    "fleet.json": "dashboards/fleet.json",
    "monitor.json": "dashboards/monitor.json",
    "operations.json": "dashboards/operations.json",
    "grafana-alerting.yml": "alerts/grafana-alerting.yml",
}


# --- Helm ---------------------------------------------------------------------------------------------------------------


def test_there_are_cases_enough():
    assert len(CASES) >= 8
    values = [values_of(case) for case in ALL]
    assert {one.get("mode", "service") for one in values} == {"service", "cronjob"}


@EVERY_CASE
def test_it_is_linted_without_a_word(case):
    assert lint(values_of(case)) == []


@EVERY_CASE
def test_every_document_has_a_name_of_its_own_and_no_key_twice(case):
    names = [(one["kind"], one["metadata"]["name"]) for one in made(case)]
    assert names
    assert len(set(names)) == len(names)
    for kind, name in names:
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", name), name
        assert len(name) <= {"CronJob": 52}.get(kind, 63), name


def test_the_linter_finds_something():
    assert any("modee" in line for line in lint({"modee": "service"}))
    assert any("data" in line for line in lint({"config": {"monitors": []}, "persistence": {"data": 1}}))


def test_labels_that_are_given_twice_are_the_special_ones():
    labels = {one["kind"]: one["metadata"]["labels"] for one in made("monitoring")}
    assert {kind for kind, held in labels.items() if held["team"] != "ml"} == {"Pod"}
    assert {kind for kind, held in labels.items() if held["release"] != "nobody"} == {
        "ServiceMonitor",
        "PrometheusRule",
    }


def test_a_release_name_at_its_limit_makes_names_that_tell_releases_apart():
    one, other = (documents(render(values_of("cronjob"), name="x" * 51 + end)) for end in ("ab", "cd"))
    named = [{(it["kind"], it["metadata"]["name"]) for it in objects} for objects in (one, other)]
    assert all(len(name) <= (52 if kind == "CronJob" else 63) for kind, name in named[0])
    assert not {name for name in named[0] & named[1] if name[0] in {"CronJob", "Job"}}


def test_versions_are_those_of_the_program():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["appVersion"] == __version__
    assert chart["kubeVersion"] == ">=1.29.0-0"
    image = one_of("default", "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == f"drift-monitor:{__version__}"
    assert "@sha256:" in one_of("existing-claim", "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"]


# --- as it was written down -----------------------------------------------------------------------------------------------


def indented(file, by):
    return "".join(f"{' ' * by}{line}" for line in file.read_text(encoding="utf-8").splitlines(keepends=True))


def as_written(texts):
    """Every template's text in one; files that the chart copies stand by their name."""
    whole = "\n".join(f"# {path}\n{text.strip()}\n" for path, text in sorted(texts.items()))
    for name, source in MASKED.items():
        whole = whole.replace(indented(CHART / "files" / name, 4).rstrip(), f"    <{source}>")
    # Helm indents empty lines too.
    whole = re.sub(r"[ \t]+$", "", whole, flags=re.MULTILINE)
    rules = re.sub(r"[ \t]+$", "", indented(CHART / "files" / "drift-monitor.rules.yml", 2), flags=re.MULTILINE)
    return whole.replace(rules.rstrip(), "  <alerts/drift-monitor.rules.yml>")


@EVERY_CASE
def test_it_is_as_it_was_written_down(case):
    golden = GOLDEN / f"{case}.txt"
    text = as_written(rendered(case))
    if os.environ.get("GOLDEN") == "write":
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8"), "look at it, then GOLDEN=write"


def test_no_golden_file_is_left_over():
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(ALL)


# --- Kubernetes -----------------------------------------------------------------------------------------------------------

NAMES = {"v1": "v1", "apps/v1": "apps-v1", "batch/v1": "batch-v1", "policy/v1": "policy-v1"}


@cache
def definitions(version):
    return Resource.from_contents(
        schema_contents(f"kubernetes-json-schema/v{version}.0-local-strict/_definitions.json", version)
    )


@cache
def kubernetes(version, kind, api):
    """The strict schema of a kind: a field that Kubernetes does not know is an error."""
    name = f"{kind.lower()}-{NAMES.get(api, 'networking-v1')}"
    schema = schema_contents(f"kubernetes-json-schema/v{version}.0-local-strict/{name}.json", version)
    return jsonschema.Draft202012Validator(schema, registry=definitions(version) @ Registry())


def problems(version, document):
    validator = kubernetes(version, document["kind"], document["apiVersion"])
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


@pytest.mark.parametrize("version", ["1.29", "1.37"])
@EVERY_CASE
def test_kubernetes_knows_every_field(case, version):
    own = [one for one in made(case) if "monitoring.coreos.com" not in one["apiVersion"]]
    assert len(own) >= 5
    for one in own:
        assert problems(version, one) == [], (one["kind"], one["metadata"]["name"])


@pytest.mark.parametrize("version", ["1.29", "1.37"])
def test_a_field_that_kubernetes_does_not_know_is_found(version):
    wrong = copy.deepcopy(one_of("default", "Deployment"))
    wrong["spec"]["template"]["spec"]["containers"][0]["securityContext"]["readOnlyRootFileSystem"] = True
    assert any("readOnlyRootFileSystem" in problem for problem in problems(version, wrong))


def closed(schema):
    """A CRD's schema that refuses fields it does not name."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value) for key, value in schema.items()}
    if isinstance(made.get("properties"), dict) and not made.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    if made.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
    return made


@cache
def operator(kind):
    path = SHARED / f"prometheus-operator-{kind.lower()}s.crd.yaml"
    if not path.exists():
        missing(f"no {path.name}: the folder shared/schemas beside the project has it")
    crd = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    (version,) = crd["spec"]["versions"]
    return jsonschema.Draft202012Validator(closed(version["schema"]["openAPIV3Schema"]["properties"]["spec"]))


@pytest.mark.parametrize(
    ("case", "kind"),
    [("monitoring", "ServiceMonitor"), ("tls-auth", "ServiceMonitor"), ("monitoring", "PrometheusRule")],
)
def test_the_operator_knows_every_field(case, kind):
    one = one_of(case, kind)
    assert one["apiVersion"] == "monitoring.coreos.com/v1"
    assert [error.message for error in operator(kind).iter_errors(one["spec"])] == []
    wrong = copy.deepcopy(one["spec"])
    (wrong["groups"][0]["rules"] if kind == "PrometheusRule" else wrong["endpoints"])[0]["forr"] = "5m"
    assert [error.message for error in operator(kind).iter_errors(wrong)] != []
