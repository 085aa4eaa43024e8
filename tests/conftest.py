"""Real servers for the tests. A tool that is missing skips on a laptop and fails where ``CI`` is set."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from filelock import FileLock

from monitor.cli import main
from monitor.store import Store

Typed = tuple[object, str, str]

# Read by huggingface_hub when it is imported, so a fixture would come too late.
os.environ["HF_HUB_OFFLINE"] = "1"


def missing(reason: str) -> NoReturn:
    """Skip, or fail in CI, where every tool is expected."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}; in CI this is a failure", pytrace=False)
    pytest.skip(reason)


def free_port() -> int:
    """A port of the loopback that the kernel says is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tool(name: str) -> str:
    """A program of the Prometheus family: from DRIFT_MONITOR_TOOLS, else where .ci/unpack-debian puts it, else PATH."""
    beside = Path(__file__).resolve().parents[1] / ".ci-tools" / "usr" / "bin"
    places = [os.environ.get("DRIFT_MONITOR_TOOLS"), str(beside), os.environ.get("PATH")]
    found = shutil.which(name, path=os.pathsep.join(place for place in places if place))
    if found is None:
        missing(f"no {name}: .ci/unpack-debian .ci-tools fetches it")
    return found


def run_checked(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    if done.returncode:
        pytest.fail(f"{command[0]} ended with {done.returncode}: {done.stdout}{done.stderr}", pytrace=False)


def commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Typed]:
    """The program, called in this process with the words that one would type."""

    def run(*words: object) -> Typed:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["drift-monitor", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return run


@pytest.fixture
def drift_monitor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Typed]:
    """A command: its words -> exit status, standard output, standard error."""
    return commands(monkeypatch, capsys)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server of this test process: ``postgresql+psycopg://postgres@127.0.0.1:port``.

    ``postgres`` needs no password; the user ``guarded`` needs ``right horse``.
    """
    if not all(map(shutil.which, ("initdb", "pg_ctl", "psql"))):
        missing("no PostgreSQL server: initdb, pg_ctl and psql are not all on PATH")
    # The server refuses root; files are then owned by its usual user.
    root = os.geteuid() == 0
    user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups"] if root else []
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    if root:
        shutil.chown(folder, "postgres", "postgres")
    control = [*user, "pg_ctl", "-D", str(folder / "data")]
    port = free_port()
    fast = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=150"
    place = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    try:
        initdb = ["initdb", "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
        run_checked([*user, *initdb, "--locale=C.UTF-8", "--no-sync"])
        admission = folder / "data" / "pg_hba.conf"
        admission.write_text(f"host all guarded 127.0.0.1/32 scram-sha-256\n{admission.read_text()}")
        run_checked([*control, "-w", "-t", "60", "-l", str(folder / "log"), "-o", f"{place} {fast}", "start"])
        create = "CREATE ROLE guarded LOGIN PASSWORD 'right horse'"
        run_checked(["psql", "-q", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-c", create])
        yield f"postgresql+psycopg://postgres@127.0.0.1:{port}"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], capture_output=True, check=False, cwd="/")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_database(postgres_server: str) -> Iterator[str]:
    """A fresh, empty PostgreSQL database: ``postgresql+psycopg://postgres@127.0.0.1:port/name``."""
    import psycopg  # noqa: PLC0415 - an extra; only these tests need it

    name = f"t{uuid.uuid4().hex}"
    server = postgres_server.replace("+psycopg", "")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        yield f"{postgres_server}/{name}"
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh, empty database of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'monitor.db'}"
    return str(request.getfixturevalue("postgres_database"))


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """An empty store, its schema up to date, on each kind of database in turn."""
    with Store.open(database_url) as opened:
        opened.upgrade()
        yield opened


@pytest.fixture
def promtool() -> str:
    """Path of promtool."""
    return tool("promtool")


def _await_ready(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    pytest.fail(f"Prometheus is not ready: {log.read_text()}", pytrace=False)


@pytest.fixture
def prometheus_server(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts a Prometheus server that scrapes these targets (``127.0.0.1:port``) each second; gives its URL."""
    program = tool("prometheus")
    running: list[subprocess.Popen[bytes]] = []

    def start(*targets: str) -> str:
        folder = tmp_path / f"prometheus-{len(running)}"
        folder.mkdir()
        jobs = [{"job_name": "drift-monitor", "static_configs": [{"targets": targets}]}]
        config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs}
        (folder / "prometheus.yml").write_text(json.dumps(config))
        address = f"127.0.0.1:{free_port()}"
        command = [program, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
        with (folder / "log").open("wb") as log:
            command += [f"--web.listen-address={address}", "--log.level=warn"]
            running.append(subprocess.Popen(command, stdout=log, stderr=log))
        _await_ready(running[-1], f"http://{address}", folder / "log")
        return f"http://{address}"

    yield start
    for server in running:
        server.terminate()
        server.wait(30)


def offline(folder: Path) -> tuple[list[str], dict[str, str]]:
    """How a command is run without a network, and its environment: all sockets but loopback refused and noted in ``folder``.

    Python processes are refused them by tests/offline; where the system lets us, there is no network around all of them, too.
    """
    here = Path(__file__).resolve().parent
    path = os.pathsep.join([str(here / "offline"), *filter(None, [os.environ.get("PYTHONPATH")])])
    notes = {"OFFLINE_ATTEMPTS": str(folder / "attempts"), "OFFLINE_GUARDED": str(folder / "guarded")}
    alone = ["unshare", "--map-root-user", "--net"]
    possible = (
        shutil.which("unshare") and not subprocess.run([*alone, "true"], capture_output=True, check=False).returncode
    )
    return alone if possible else [], {**os.environ, **notes, "PYTHONPATH": path}


@pytest.fixture(scope="session")
def performance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the demo, played once, offline, for all test processes.

    Beside it ``said.json`` holds what it said and whether as scripted, ``attempts`` what of the network it tried to reach.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with FileLock(shared / "demo.lock"):
        if not (shared / "said.json").exists():
            alone, environment = offline(shared)
            script = str(Path(__file__).resolve().parent / "play_demo.py")
            command = [*alone, sys.executable, script, str(shared / "demo"), str(shared / "said.json")]
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
            assert done.returncode == 0, done.stdout + done.stderr
    return shared / "demo"
