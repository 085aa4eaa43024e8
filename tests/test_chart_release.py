"""The chart as it is delivered: packaged, upgraded from what was released before, and its pods' commands run for real."""

from __future__ import annotations

import copy
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
import yaml
from conftest import free_port
from helm_chart import CHART, ROOT, archived, documents, package, pods, render, values_of
from shop import raw_settings, write_shop

from monitor import __version__
from monitor.cli import main
from monitor.store import Store

RELEASED = Path(__file__).parent / "golden" / "chart" / "released"
VERSION = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["version"]
KEPT = (
    "default",
    "service-postgres-replicas",
    "service-shared-volume",
    "existing-claim",
    "cronjob",
    "cronjob-volume",
    "monitoring",
    "long-name",
)

# --- upgrades -------------------------------------------------------------------------------------------------------------


def lasting(objects):
    """What stays between two releases: no hooks, and no contents of ConfigMaps."""
    kept = [one for one in copy.deepcopy(objects) if "helm.sh/hook" not in one["metadata"].get("annotations", {})]
    for one in kept:
        if one["kind"] in {"ConfigMap", "PrometheusRule"}:
            one.pop("data", one.pop("spec", None))
    return kept


def identity(objects):
    """Of every object that lasts: what Kubernetes does not change in place, and what data and clients hang on."""
    found = {}
    for one in lasting(objects):
        spec = one.get("spec", {})
        told = {}
        if one["kind"] == "Deployment":
            told["selector"] = spec["selector"]
        if one["kind"] == "Service":
            told["ports"] = [(port["name"], port["port"]) for port in spec["ports"]]
        if one["kind"] == "PersistentVolumeClaim":
            told["claim"] = spec
            told["policy"] = one["metadata"].get("annotations", {}).get("helm.sh/resource-policy")
        found[f"{one['kind']} {one['metadata']['name']}"] = told
    for name, pod in pods(lasting(objects)).items():
        volumes = {one["name"]: one for one in pod["spec"]["volumes"]}
        found[name]["claims"] = [
            (mount["mountPath"], volumes[mount["name"]]["persistentVolumeClaim"]["claimName"])
            for mount in pod["spec"]["containers"][0]["volumeMounts"]
            if "persistentVolumeClaim" in volumes[mount["name"]]
        ]
    return found


def losses(before, after):
    """What an upgrade from one to the other would break or lose."""
    then, now = identity(before), identity(after)
    return [f"{name}: {told} became {now.get(name, 'nothing')}" for name, told in then.items() if now.get(name) != told]


def keep_release():
    """Write down what this version makes: once, when it is released."""
    (RELEASED / VERSION).mkdir(parents=True)
    for case in KEPT:
        given = values_of(case)
        (RELEASED / VERSION / f"{case}.values.yaml").write_text(yaml.safe_dump(given), encoding="utf-8")
        objects = lasting(documents(render(given)))
        (RELEASED / VERSION / f"{case}.yaml").write_text(yaml.safe_dump_all(objects), encoding="utf-8")


if os.environ.get("GOLDEN") == "release":
    keep_release()
EVERY_RELEASE = sorted(RELEASED.glob("*/*.values.yaml"))


def as_released(values):
    path = values.with_name(values.name.replace(".values.yaml", ".yaml"))
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("values", EVERY_RELEASE, ids=lambda path: str(path.relative_to(RELEASED)))
def test_an_upgrade_keeps_names_selectors_and_data(values):
    now = documents(render(yaml.safe_load(values.read_text(encoding="utf-8"))))
    assert losses(as_released(values), now) == []


def test_there_is_a_release_to_upgrade_from():
    assert {path.name.removesuffix(".values.yaml") for path in EVERY_RELEASE if path.parent.name == "0.1.0"} == set(
        KEPT
    )


CHANGES = {
    "Deployment": lambda one: one["spec"]["selector"]["matchLabels"].update({"app.kubernetes.io/part-of": "x"}),
    "PersistentVolumeClaim": lambda one: one["metadata"].update(name="other"),
    "Service": lambda one: one["spec"]["ports"][0].update(name="web"),
    "ServiceAccount": lambda one: one["metadata"].update(name="other"),
}


@pytest.mark.parametrize("kind", [*CHANGES, "claim", "size", "policy"])
def test_an_upgrade_that_loses_something_is_found(kind):
    before = as_released(RELEASED / "0.1.0" / "default.values.yaml")
    after = copy.deepcopy(before)
    of = {one["kind"]: one for one in after}
    if kind in CHANGES:
        CHANGES[kind](of[kind])
    elif kind == "claim":
        of["Deployment"]["spec"]["template"]["spec"]["volumes"][1]["persistentVolumeClaim"]["claimName"] = "other"
    elif kind == "size":
        of["PersistentVolumeClaim"]["spec"]["resources"]["requests"]["storage"] = "1Gi"
    else:
        of["PersistentVolumeClaim"]["metadata"]["annotations"] = {}
    assert len(losses(before, after)) == 1
    assert losses(before, before) == []


def test_an_installation_may_change_its_mode():
    """The Deployment goes on under its name with its selector, whatever runs the windows."""
    cron = values_of("cronjob")
    service = {key: value for key, value in cron.items() if key not in {"mode", "cronjob"}}
    before, after = documents(render(service)), documents(render(cron))
    assert losses(before, after) == []


# --- the package ----------------------------------------------------------------------------------------------------------


def test_the_package_holds_what_it_needs_and_no_more(tmp_path):
    archive = package(tmp_path)
    assert archive.name == f"drift-monitor-{VERSION}.tgz"
    about, files = archived(archive)
    assert (about["name"], about["version"], about["appVersion"]) == ("drift-monitor", VERSION, __version__)
    for name in ("fleet.json", "monitor.json", "operations.json"):
        assert files[f"files/{name}"] == (ROOT / "dashboards" / name).read_text(encoding="utf-8")
    for name in ("drift-monitor.rules.yml", "grafana-alerting.yml"):
        assert files[f"files/{name}"] == (ROOT / "alerts" / name).read_text(encoding="utf-8")
    assert not [name for name in files if name.startswith("ci/")]
    # Helm keeps the whole of it in one Secret, which holds a mebibyte.
    assert archive.stat().st_size < 200_000
    values = values_of("monitoring")
    assert render(values, chart=archive) == render(values)


# --- for real -------------------------------------------------------------------------------------------------------------


class Cluster:
    """Runs the containers of rendered pods as processes of this machine, with their volumes as folders."""

    def __init__(self, folder, objects):
        self._folder = folder
        self._pods = pods(objects)
        self._settings = {one["metadata"]["name"]: one["data"] for one in objects if one["kind"] == "ConfigMap"}

    def _here(self, name):
        """Command and environment of the pod whose kind and name begin so."""
        (spec,) = [pod["spec"] for named, pod in self._pods.items() if named.startswith(name)]
        (container,) = spec["containers"]
        environment = {one["name"]: one["value"] for one in container.get("env", []) if "value" in one}
        mounted = [one["configMap"]["name"] for one in spec["volumes"] if "configMap" in one]
        for settings in mounted:
            path = self._folder / f"{settings}.yaml"
            text = self._settings[settings]["drift-monitor.yaml"].replace("/run/secrets", str(self._folder / "secrets"))
            # The tests listen on loopback only.
            path.write_text(text.replace("host: 0.0.0.0", "host: 127.0.0.1"), encoding="utf-8")
            environment["DRIFT_MONITOR_CONFIG"] = str(path)
        program = (
            [sys.executable, *container["command"][1:]] if "command" in container else [sys.executable, "-m", "monitor"]
        )
        return [*program, *container["args"]], {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **environment}

    def run(self, name, address=None):
        command, environment = self._here(name)
        command = [*command[:-1], address] if address else command
        return subprocess.run(command, env=environment, cwd=self._folder, capture_output=True, text=True, check=False)

    def call(self, name, monkeypatch, capsys):
        """The program as a call in this process, which has it loaded already: exit status, and what it said."""
        (_, _, _, *words), environment = self._here(name)
        with monkeypatch.context() as there:
            there.chdir(self._folder)
            there.setattr(sys, "argv", ["drift-monitor", *words])
            for key, value in environment.items():
                there.setenv(key, value)
            with pytest.raises(SystemExit) as ended:
                main()
        said = capsys.readouterr()
        return ended.value.code or 0, said.out + said.err

    def start(self, name):
        command, environment = self._here(name)
        with (self._folder / "serve.log").open("w") as log:
            return subprocess.Popen(command, env=environment, cwd=self._folder, stdout=log, stderr=log)


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_commands_of_the_pods_do_what_they_are_there_for(tmp_path, postgres_database, monkeypatch, capsys):
    """Migration, references, one group's CronJob, the pages over TLS and the Helm test, as the chart has them."""
    write_shop(tmp_path)
    raw = raw_settings(tmp_path, postgres_database.replace("postgres@", "guarded@"))
    (one,) = raw["monitors"]
    one |= {"schedule": {"every": "1d", "catch_up": 1}}
    port = free_port()
    raw |= {"monitors": [one | {"name": "chat"}, one | {"name": "mail"}], "serve": {"port": port, "log_format": "json"}}
    secrets = tmp_path / "secrets"
    for name in ("database", "tls"):
        (secrets / name).mkdir(parents=True)
    (secrets / "database" / "password").write_text("right horse\n")
    key = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=drift.example.org",
    ]
    pair = ["-out", secrets / "tls" / "tls.crt", "-keyout", secrets / "tls" / "tls.key"]
    subprocess.run(["openssl", "req", "-x509", *key, *pair], check=True, capture_output=True)
    values = {
        "mode": "cronjob",
        "persistence": {"enabled": False},
        "config": raw,
        "secrets": {"database": {"name": "database"}, "tls": {"name": "tls"}},
        "cronjob": {
            "groups": [
                {"name": "chat", "schedule": "@hourly", "monitors": ["chat"]},
                {"name": "rest", "schedule": "@daily"},
            ]
        },
    }
    cluster = Cluster(tmp_path, documents(render(values)))
    with psycopg.connect(postgres_database.replace("+psycopg", "")) as admin:
        admin.execute("GRANT ALL ON SCHEMA public TO guarded")

    code, said = cluster.call("Job", monkeypatch, capsys)
    assert (code, "schema 00" in said) == (0, True), said
    code, said = cluster.call("CronJob demo-drift-monitor-reference", monkeypatch, capsys)
    assert code == 0, said
    assert all(f"reference {name} version 1" in said for name in ("chat", "mail"))
    code, said = cluster.call("CronJob demo-drift-monitor-chat", monkeypatch, capsys)
    assert code == 0, said
    with Store.open(postgres_database) as store:
        assert (len(store.runs("chat")) > 0, len(store.runs("mail"))) == (True, 0)

    address = f"https://127.0.0.1:{port}"
    down = cluster.run("Pod", address)
    assert (down.returncode, down.stderr.partition(":")[0]) == (1, "/readyz")
    server = cluster.start("Deployment")
    try:
        until = time.monotonic() + 60
        while not answers(port) and time.monotonic() < until:
            assert server.poll() is None, (tmp_path / "serve.log").read_text()
            time.sleep(0.1)
        asked = cluster.run("Pod", address)
        assert asked.stdout == "/readyz: ready\n/metrics: drift_monitor_store_up 1.0\n", asked.stderr
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=30) == 0
    assert not re.search(r"right horse", (tmp_path / "serve.log").read_text())
