"""The chart rendered: linted, valid for Kubernetes and its operators, as it was written down, with settings that our reader takes."""

from __future__ import annotations

import copy
import json
import os
import re
from functools import cache
from pathlib import Path

import jsonschema
import pytest
import yaml
from conftest import missing
from helm_chart import CASES, CHART, ROOT, documents, lint, notes, pods, render, values_of
from kubernetes_validate.utils import schema_contents
from referencing import Registry, Resource

from monitor import __version__
from monitor.config import load, parse

SHARED = ROOT.parent / "shared" / "schemas"
GOLDEN = Path(__file__).parent / "golden" / "chart"
ALL = ["default", *CASES]
EVERY_CASE = pytest.mark.parametrize("case", ALL)
MASKED = {
    "fleet.json": "dashboards/fleet.json",
    "monitor.json": "dashboards/monitor.json",
    "operations.json": "dashboards/operations.json",
    "grafana-alerting.yml": "alerts/grafana-alerting.yml",
}


@cache
def rendered(case):
    return render(values_of(case))


@cache
def made(case):
    return documents(rendered(case))


def of_kind(case, kind):
    return [one for one in made(case) if one["kind"] == kind]


def one_of(case, kind):
    (one,) = of_kind(case, kind)
    return one


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


# --- settings -------------------------------------------------------------------------------------------------------------


@EVERY_CASE
def test_the_settings_that_pods_find_are_those_of_the_values(case, tmp_path, monkeypatch):
    monkeypatch.setenv("READER_PASSWORD", "x")
    config = values_of(case).get("config") or yaml.safe_load((CHART / "values.yaml").read_text())["config"]
    for text in {
        one["data"]["drift-monitor.yaml"] for one in of_kind(case, "ConfigMap") if "drift-monitor.yaml" in one["data"]
    }:
        # Secrets are files that are not here: they stand in this folder instead.
        for path in set(re.findall(r"/run/secrets/(\S+)", text)):
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_text("postgresql+psycopg://monitor@db/monitor")
        (tmp_path / "drift-monitor.yaml").write_text(text.replace("/run/secrets", str(tmp_path)), encoding="utf-8")
        found = load(tmp_path / "drift-monitor.yaml")
        asked = parse(json.loads(json.dumps(config).replace("/run/secrets", str(tmp_path))))
        assert [one.model_dump() for one in found.monitors] == [one.model_dump() for one in asked.monitors]
        assert found.store.url == asked.store.url
        assert found.artifacts == asked.artifacts
        assert found.serve.host == config.get("serve", {}).get("host", "0.0.0.0")
        assert found.serve.lease == asked.serve.lease


@EVERY_CASE
def test_pods_mount_what_their_settings_name(case):
    for name, pod in pods(made(case)).items():
        (container,) = pod["spec"]["containers"]
        if name.endswith("-test"):
            continue
        mounts = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
        volumes = {one["name"]: one for one in pod["spec"]["volumes"]}
        assert set(mounts.values()) == set(volumes)
        settings = volumes[mounts["/etc/drift-monitor"]]["configMap"]["name"]
        (text,) = [
            one["data"]["drift-monitor.yaml"]
            for one in of_kind(case, "ConfigMap")
            if one["metadata"]["name"] == settings
        ]
        for path in re.findall(r"(/run/secrets/[^/\s]+)/\S+", text):
            assert path in mounts, path
        environment = {one["name"]: one.get("value") for one in container["env"]}
        assert environment["DRIFT_MONITOR_CONFIG"] == "/etc/drift-monitor/drift-monitor.yaml"
        assert len(environment) == len(container["env"])
        assert container["workingDir"] == "/data"
        assert ("HF_HUB_OFFLINE" in environment) == values_of(case).get("offline", True)


def test_new_settings_replace_the_pods():
    def checksum(**config):
        values = values_of("minimal")
        objects = documents(render({**values, "config": {**values["config"], **config}}))
        return pods(objects)["Deployment demo-drift-monitor"]["metadata"]["annotations"]["checksum/config"]

    assert checksum() == checksum()
    assert checksum() != checksum(serve={"lease": "1m"})


def test_a_volume_that_pods_share_holds_no_cache():
    def cache_of(case):
        (config, *_) = [one for one in of_kind(case, "ConfigMap") if "drift-monitor.yaml" in one["data"]]
        return yaml.safe_load(config["data"]["drift-monitor.yaml"]).get("cache", "unset")

    assert cache_of("service-shared-volume") == "/tmp/embeddings.db"
    assert cache_of("cronjob-volume") == "unset"
    assert cache_of("service-postgres-replicas") is None


# --- modes ----------------------------------------------------------------------------------------------------------------


def args(case):
    return {
        name.split(" ")[0] + " " + name.rpartition("-")[2]: pod["spec"]["containers"][0]["args"]
        for name, pod in pods(made(case)).items()
    }


def test_what_each_mode_runs():
    assert args("default") == {"Deployment monitor": ["serve"], "Pod test": ["http://demo-drift-monitor:9464"]}
    assert args("service-postgres-replicas")["Job migrate"] == ["db", "upgrade"]
    assert args("tls-auth")["Pod test"] == ["https://demo-drift-monitor:9464"]
    assert args("cronjob") == {
        "CronJob hourly": ["run", "--monitor", "chat", "--monitor", "search"],
        "CronJob nightly": ["run", "--monitor", "archive"],
        "CronJob rest": ["run", "--monitor", "mail", "--monitor", "reviews"],
        "CronJob reference": ["reference", "build", "--missing"],
        "Deployment monitor": ["serve", "--no-schedule"],
        "Job migrate": ["db", "upgrade"],
        "Pod test": ["http://demo-drift-monitor:9464"],
    }


def test_cronjobs_run_one_at_a_time_and_end():
    crons = {one["metadata"]["name"].rpartition("-")[2]: one["spec"] for one in of_kind("cronjob", "CronJob")}
    for spec in crons.values():
        assert spec["concurrencyPolicy"] == "Forbid"
        assert spec["startingDeadlineSeconds"] == 300
        assert spec["timeZone"] == "Europe/Berlin"
        assert spec["jobTemplate"]["spec"]["backoffLimit"] in {0, 1}
        assert spec["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    deadlines = {name: spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] for name, spec in crons.items()}
    assert deadlines == {"hourly": 3600, "nightly": 14400, "rest": 3600, "reference": 3600}
    assert {name for name, spec in crons.items() if spec["suspend"]} == {"rest", "reference"}
    memory = {
        name: spec["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"]
        for name, spec in crons.items()
    }
    assert memory == {"hourly": "3Gi", "nightly": "8Gi", "rest": "3Gi", "reference": "3Gi"}


@pytest.mark.parametrize(
    ("case", "strategy"),
    [
        ("default", "Recreate"),
        ("existing-claim", "Recreate"),
        ("service-postgres-replicas", "RollingUpdate"),
        ("service-shared-volume", "RollingUpdate"),
        ("cronjob-volume", "RollingUpdate"),
    ],
)
def test_pods_are_replaced_as_their_volume_allows(case, strategy):
    assert one_of(case, "Deployment")["spec"]["strategy"]["type"] == strategy


def test_sqlite_on_a_shared_volume_is_for_one_pod_all_the_same():
    values = {**values_of("minimal"), "persistence": {"accessModes": ["ReadWriteMany"]}}
    (deployment,) = [one for one in documents(render(values)) if one["kind"] == "Deployment"]
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}


def test_several_replicas_spread_and_keep_one_during_a_drain():
    assert of_kind("default", "PodDisruptionBudget") == []
    assert one_of("service-postgres-replicas", "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    for case, key in (
        ("cronjob", "kubernetes.io/hostname"),
        ("service-postgres-replicas", "topology.kubernetes.io/zone"),
    ):
        deployment = one_of(case, "Deployment")["spec"]
        (constraint,) = deployment["template"]["spec"]["topologySpreadConstraints"]
        assert constraint["topologyKey"] == key
        assert constraint["labelSelector"] == deployment["selector"]


def test_selectors_meet_the_pods_they_mean_and_no_others():
    for case in ALL:
        labels = {name: pod["metadata"]["labels"] for name, pod in pods(made(case)).items()}
        server = {name for name in labels if name.startswith("Deployment")}

        def met(selector, labels=labels):
            return {name for name, held in labels.items() if selector.items() <= held.items()}

        assert met(one_of(case, "Service")["spec"]["selector"]) == server
        assert met(one_of(case, "Deployment")["spec"]["selector"]["matchLabels"]) == server
        for policy in of_kind(case, "NetworkPolicy"):
            assert met(policy["spec"]["podSelector"]["matchLabels"]) == set(labels)
        for budget in of_kind(case, "PodDisruptionBudget"):
            assert met(budget["spec"]["selector"]["matchLabels"]) == server
        for monitor in of_kind(case, "ServiceMonitor"):
            service = one_of(case, "Service")
            assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
            assert monitor["spec"]["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}


def test_the_migration_needs_nothing_that_the_release_brings():
    """A hook before the first install: what the release makes is not there yet."""
    for case in ("service-postgres-replicas", "cronjob", "cronjob-volume", "network-policy"):
        hooks = [
            one for one in made(case) if "pre-install" in one["metadata"].get("annotations", {}).get("helm.sh/hook", "")
        ]
        job = next(one for one in hooks if one["kind"] == "Job")
        weights = {one["kind"]: int(one["metadata"]["annotations"]["helm.sh/hook-weight"]) for one in hooks}
        assert weights.pop("Job") > max(weights.values())
        spec = job["spec"]["template"]["spec"]
        brought = {one["metadata"]["name"] for one in hooks}
        assert {one["configMap"]["name"] for one in spec["volumes"] if "configMap" in one} <= brought
        assert spec["serviceAccountName"] in brought | {"default"}
        assert not [one for one in spec["volumes"] if "persistentVolumeClaim" in one]
    assert not [one for one in made("default") + made("service-shared-volume") if one["kind"] == "Job"]


# --- monitoring -----------------------------------------------------------------------------------------------------------


def test_rules_and_dashboards_arrive_unchanged():
    rules = yaml.safe_load((ROOT / "alerts" / "drift-monitor.rules.yml").read_text(encoding="utf-8"))
    assert one_of("monitoring", "PrometheusRule")["spec"] == rules
    data = {key: text for one in of_kind("monitoring", "ConfigMap") for key, text in one["data"].items()}
    data.pop("drift-monitor.yaml")
    assert {key.removeprefix("drift-monitor-") for key in data} == set(MASKED)
    for name, source in MASKED.items():
        assert data[f"drift-monitor-{name}"].encode() == (ROOT / source).read_bytes(), source


def test_nothing_of_it_unless_the_values_say_so():
    assert not [one for one in made("default") if "monitoring.coreos.com" in one["apiVersion"]]
    assert len(of_kind("default", "ConfigMap")) == 1


def test_metrics_are_scraped_over_what_the_service_speaks():
    plain, tls = (one_of(case, "ServiceMonitor")["spec"]["endpoints"][0] for case in ("monitoring", "tls-auth"))
    assert "scheme" not in plain
    assert (tls["scheme"], tls["tlsConfig"]["serverName"]) == ("https", "drift.example.org")
    for case, scheme in (("monitoring", "HTTP"), ("tls-auth", "HTTPS")):
        (container,) = one_of(case, "Deployment")["spec"]["template"]["spec"]["containers"]
        for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
            asked = container[probe]["httpGet"]
            assert (asked["path"], asked["scheme"], asked["port"]) == (path, scheme, "http")


# --- what people read -----------------------------------------------------------------------------------------------------


@EVERY_CASE
def test_notes_name_only_what_there_is(case):
    said = notes(rendered(case))
    there = {(one["kind"].lower(), one["metadata"]["name"]) for one in made(case)}
    named = set(re.findall(r"(deployment|cronjob|service)/(\S+)", said))
    assert named
    assert named <= there
    assert "-n prod" in said
    assert "\n\n\n" not in said


def test_notes_say_what_to_do_next():
    assert "still hold the chart's example" in notes(rendered("default"))
    assert "still hold" not in notes(rendered("minimal"))
    assert "exec deployment/demo-drift-monitor -- drift-monitor reference build --missing" in notes(rendered("minimal"))
    assert "create job --from=cronjob/demo-drift-monitor-reference reference-1" in notes(rendered("cronjob"))
    assert "hourly-now   # chat, search" in notes(rendered("cronjob"))
    assert "WARNING: the pages ask nobody" in notes(rendered("minimal"))
    assert "WARNING" not in notes(rendered("tls-auth"))
    assert "https://127.0.0.1:9464/" in notes(rendered("tls-auth"))


def test_notes_warn_of_folders_that_pods_lose_and_of_a_prometheus_that_is_kept_out():
    values = values_of("service-postgres-replicas")
    values["config"]["monitors"][0]["tickets"] = [{"kind": "file", "folder": "tickets"}]
    values["monitoring"] = {"serviceMonitor": {"enabled": True}}
    said = notes(render(values))
    assert "support writes to the folder tickets, which is lost" in said
    assert "cannot scrape: set networkPolicy.prometheusNamespace" in said
