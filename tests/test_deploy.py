"""What docs/deploy.md offers to copy: units that systemd accepts, a cron line that is run, a compose file whose parts fit together."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from conftest import missing
from shop import DAY, FIRST, build, raw_settings, rows_of, write_jsonl, write_shop

from monitor.config import load, parse
from monitor.settings import Settings
from monitor.store import Store

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
SERVICES = ["drift-monitor.service", "drift-monitor-run.service"]


@pytest.fixture
def units(tmp_path):
    """The units, with a program that is there, for systemd looks."""
    if shutil.which("systemd-analyze") is None:
        missing("no systemd-analyze: apt-get install systemd")
    for path in (EXAMPLES / "systemd").iterdir():
        text = path.read_text().replace("/opt/drift-monitor/bin/drift-monitor", "/bin/true")
        (tmp_path / path.name).write_text(text)
    return tmp_path


def analyzed(*words):
    command = ["systemd-analyze", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "SYSTEMD_COLORS": "0"})  # fmt: skip


def test_systemd_accepts_the_units(units):
    done = analyzed("verify", "--man=no", *(units / name for name in (*SERVICES, "drift-monitor-run.timer")))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    service = units / SERVICES[0]
    service.write_text(service.read_text().replace("ProtectSystem=strict", "ProtectSystems=strict"))
    assert "ProtectSystems" in analyzed("verify", "--man=no", service).stderr


@pytest.mark.parametrize("name", SERVICES)
def test_the_services_may_do_little(units, name):
    """0 may do nothing, 10 everything."""
    assert "rates it below 1.5 " in (ROOT / "docs" / "deploy.md").read_text()
    assert analyzed("security", "--offline=yes", "--threshold=15", units / name).returncode == 0
    text = (units / name).read_text()
    (units / name).write_text(re.sub(r"(?m)^(NoNewPrivileges|ProtectSystem|CapabilityBoundingSet)=.*\n", "", text))
    assert analyzed("security", "--offline=yes", "--threshold=15", units / name).returncode != 0


def test_both_services_are_locked_the_same_way():
    def locks(name):
        text = (EXAMPLES / "systemd" / name).read_text()
        return text[text.index("DynamicUser=") :].partition("\n[Install]")[0].strip()

    assert locks(SERVICES[0]) == locks(SERVICES[1])
    for name in SERVICES:
        assert f"/run/credentials/{name}/" in (EXAMPLES / "systemd" / name).read_text()


def cron_table():
    """Variables and the one line of the file for /etc/cron.d."""
    lines = [line for line in (EXAMPLES / "cron" / "drift-monitor").read_text().splitlines() if line and line[0] != "#"]
    variables = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z_]+=", line))
    (line,) = [line for line in lines if not re.match(r"[A-Z_]+=", line)]
    return variables, line.split(None, 6)


def test_the_cron_line_runs_what_is_due_and_the_second_time_does_nothing(tmp_path):
    """As cron does it: /bin/sh, the file's variables and nothing else, output is mail."""
    variables, (*times, user, _) = cron_table()
    assert (times, user) == (["*/15", "*", "*", "*", "*"], "drift-monitor")
    command = (EXAMPLES / "cron" / "drift-monitor").read_text().rstrip().rpartition("drift-monitor  ")[2]
    program = tmp_path / "bin" / "drift-monitor"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m monitor "$@"\n')
    program.chmod(0o755)
    moved = {"/opt/drift-monitor/bin": str(program.parent), "/etc/drift-monitor": str(tmp_path), "/var/lib/drift-monitor": str(tmp_path)}  # fmt: skip
    for was, is_now in moved.items():
        assert was in command + "".join(variables.values())
        command = command.replace(was, is_now)
        variables = {name: value.replace(was, is_now) for name, value in variables.items()}
    settings = shop_of_yesterday(tmp_path)

    def cron():
        shell = [variables["SHELL"], "-c", command]
        done = subprocess.run(shell, env=variables, capture_output=True, text=True, check=False, cwd="/")
        with Store.open(settings.store.url) as store:
            return done.returncode, done.stdout, done.stderr, [run.id for run in store.runs("shop")]

    code, mail, errors, runs = cron()
    assert (code, len(runs), errors) == (0, 1, "")
    assert mail.startswith("shop ")
    assert cron() == (0, "", "", runs)


def shop_of_yesterday(folder):
    write_shop(folder, ())
    yesterday = (datetime.now(UTC) - FIRST) // DAY - 1
    for day in (yesterday, yesterday + 1):  # midnight may be near
        write_jsonl(folder / "traffic" / f"{day}.jsonl", rows_of(day))
    raw = raw_settings(folder, detectors=[{"kind": "mmd", "permutations": 99}])
    (folder / "drift-monitor.yaml").write_text(yaml.safe_dump(raw))
    settings = parse(raw)
    with Store.open(settings.store.url) as store:
        store.upgrade()
        build(settings, store)
    return settings


@pytest.fixture
def compose():
    return yaml.safe_load((EXAMPLES / "compose" / "compose.yaml").read_text())


def test_the_compose_file_is_locked_down(compose):
    monitor, database = compose["services"]["drift-monitor"], compose["services"]["database"]
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"USER {monitor['user']}\n" in dockerfile
    assert monitor["cap_drop"] == ["ALL"]
    for service in (monitor, database):
        assert service["read_only"] is True
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["healthcheck"]["test"][0] == "CMD"
        assert not re.search(r":latest$|^[^:]+$", service["image"])
        assert not {"privileged", "network_mode", "pid", "cap_add"} & set(service)
    assert monitor["healthcheck"]["test"][1] in dockerfile
    assert all(port.startswith("127.0.0.1:") for port in monitor["ports"])
    assert "ports" not in database
    assert compose["networks"][database["networks"][0]] == {"internal": True}
    assert database["networks"] == ["inside"]
    version = re.search(r'__version__ = "(.+)"', (ROOT / "monitor" / "__init__.py").read_text())[1]
    assert monitor["image"] == f"drift-monitor:{version}"


def test_the_parts_of_the_compose_file_fit_together(compose, tmp_path, monkeypatch):
    services = compose["services"]
    secret = tmp_path / "password"
    secret.write_text("right horse\n")
    text = (EXAMPLES / "compose" / "drift-monitor.yaml").read_text()
    mounted = "/run/secrets/database-password"
    assert mounted in text
    (tmp_path / "drift-monitor.yaml").write_text(text.replace(mounted, str(secret)))
    settings = load(tmp_path / "drift-monitor.yaml")
    environment = services["database"]["environment"]
    user, name = environment["POSTGRES_USER"], environment["POSTGRES_DB"]
    assert str(settings.store.url) == f"postgresql://{user}@database/{name}"
    assert environment["POSTGRES_PASSWORD_FILE"] == mounted
    assert settings.store.password == "right horse"
    for service in services.values():
        assert set(service["secrets"]) == set(compose["secrets"]) == {"database-password"}
        assert set(service["networks"]) <= set(compose["networks"])
        named = {volume.partition(":")[0] for volume in service["volumes"] if volume[0] not in "./"}
        assert named <= set(compose["volumes"])
    targets = [volume.split(":")[1] for volume in services["drift-monitor"]["volumes"]]
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert 'VOLUME ["/data"]' in dockerfile
    assert f"DRIFT_MONITOR_CONFIG={targets[1]}" in dockerfile
    assert targets[0] == "/data"
    assert services["drift-monitor"]["ports"][0].endswith(f":{Settings.model_fields['serve'].default.port}")
