"""What the chart makes of its values: the settings that pods find, what each mode runs, what is monitored, what people read."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from helm_chart import ALL, CHART, ROOT, documents, made, notes, of_kind, one_of, pods, render, rendered, values_of

from monitor.config import load, parse

EVERY_CASE = pytest.mark.parametrize("case", ALL)
COPIES = {
    "fleet.json": "dashboards/fleet.json",
    "monitor.json": "dashboards/monitor.json",
    "operations.json": "dashboards/operations.json",
    "grafana-alerting.yml": "alerts/grafana-alerting.yml",
}


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
    assert {key.removeprefix("drift-monitor-") for key in data} == set(COPIES)
    for name, source in COPIES.items():
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
