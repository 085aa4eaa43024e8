"""What the fault suite plays in: a PostgreSQL that can be restarted, small disks, replicas as processes, the settings of the shops."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import yaml
from fault_tracker import REPOSITORY
from fault_traffic import FIRST, PERIOD, name_of
from fleet_world import free_port

HERE = Path(__file__).resolve().parent
LEASE = 4.0
"""Seconds, ``serve.lease``."""
SENDING = 30.0
"""Seconds that a wish in the outbox is leased for at least."""


class Disk:
    """A small file system of its own, which can be filled; an ordinary folder where none can be mounted."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(folder)], capture_output=True, check=False
        )
        self.small = made.returncode == 0
        self._balloon = folder / "balloon"

    def fill(self) -> None:
        """Leave no byte free."""
        with self._balloon.open("ab", buffering=0) as balloon:
            for size in (1 << 20, 1 << 12):
                try:
                    while True:
                        balloon.write(b"\0" * size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def relieve(self) -> None:
        """Make room again."""
        self._balloon.unlink(missing_ok=True)

    def close(self) -> None:
        """Give it back."""
        if self.small:
            subprocess.run(["umount", "-l", str(self.folder)], check=False, capture_output=True)


class Database:
    """A PostgreSQL on a disk of its own; durable as usual."""

    def __init__(self, folder: Path) -> None:
        self.disk = Disk(folder, 768)
        self._user = (
            ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups"] if os.geteuid() == 0 else []
        )
        if self._user:
            shutil.chown(folder, "postgres", "postgres")
            folder.chmod(0o755)
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        data = str(folder / "data")
        self._do("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
        place = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c max_wal_size=128MB"
        )
        self._control = ["pg_ctl", "-D", data, "-w", "-t", "60", "-l", str(folder / "log"), "-o", place]
        self._do(*self._control, "start")

    def _do(self, *command: str, check: bool = True) -> int:
        done = subprocess.run([*self._user, *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, check=check, cwd="/")  # fmt: skip
        return done.returncode

    def restart(self, how: str) -> None:
        """``immediate``, which is a crash with recovery, or ``fast``, which ends every connection first."""
        self._do(*self._control, "-m", how, "restart", check=False)
        self.raise_up()

    def raise_up(self) -> None:
        """Start it if it has ended, as it does when it cannot write its log."""
        for _ in range(20):
            if self._do("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port), check=False) == 0:
                return
            self._do(*self._control, "start", check=False)
            time.sleep(0.5)
        raise RuntimeError("PostgreSQL does not come up again")

    def close(self) -> None:
        """Stop it."""
        self._do(*self._control, "-m", "immediate", "stop", check=False)
        self.disk.close()


def settings(folder: Path, monitors: int, windows: int, url: str, tracker: int, port: int) -> dict[str, Any]:
    """The settings of one replica; all are alike but for the way to the database and the port."""
    # So that just these windows are due now, whenever that is.
    late = datetime.now(UTC) - (FIRST + windows * PERIOD) - timedelta(minutes=1)
    return {
        "store": f"{url}",
        "artifacts": f"{folder}/artifacts",
        "cache": None,
        "serve": {"port": port, "lease": f"{LEASE:.0f}s", "poll": "1s", "workers": 1, "log_format": "json"},
        "monitors": [
            _shop(folder, number, windows, f"{late.total_seconds():.0f}s", tracker) for number in range(monitors)
        ],
    }


def _shop(folder: Path, number: int, windows: int, delay: str, tracker: int) -> dict[str, Any]:
    return {
        "name": name_of(number),
        "source": {"kind": "python", "call": f"fault_traffic:{name_of(number)}_{windows}"},
        "fields": {"predicted": "predicted", "confidence": "confidence"},
        "schedule": {"every": "10m", "delay": delay, "catch_up": windows + 50},
        "embedder": {"kind": "hashing", "dimension": 16},
        "reference": {
            "train": {"kind": "python", "call": "fault_traffic:training"},
            "fields": {"timestamp": None, "label": "label"},
        },
        "detectors": [{"kind": "mmd", "permutations": 99}, "class_balance"],
        "policy": {"false_alarms": "1 per 2 days", "minimum_sample": 20, "keep": 64, "reopen": "10m"},
        "selection": {"budget": 5, "strategies": ["random"]},
        "report": {"excerpts": "none"},
        "tickets": [{"kind": "github", "repository": REPOSITORY, "token_file": f"{folder}/token", "url": f"http://127.0.0.1:{tracker}", "timeout": 20}],
        "exports": [{"kind": "files", "folder": f"{folder}/exports", "formats": ["jsonl"]}],
    }  # fmt: skip


def wrong_clock(folder: Path) -> Path | None:
    """The library under which a process has a wrong clock; ``None`` without a C compiler."""
    made = folder / "wrong_clock.so"
    if shutil.which("cc") is None:
        return None
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(made), str(HERE / "wrong_clock.c"), "-ldl"], check=True)
    return made


class Replica:
    """``drift-monitor serve`` as a process with a session of its own, and its children."""

    def __init__(self, number: int, folder: Path, raw: dict[str, Any], clock: Path | None) -> None:
        self.number, self.port, self._clock = number, raw["serve"]["port"], clock
        self._config = folder / f"replica{number}.yaml"
        self._config.write_text(yaml.safe_dump(raw))
        self.log = folder / f"replica{number}.log"
        self.ended_by_itself = 0
        self.skew = ""
        self.start()

    def start(self, skew: str = "") -> None:
        """Start it, its clock off by ``+3600`` or ``-3600`` seconds if wanted."""
        paths = [str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
        env = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.skew = skew
        if skew:
            env |= {"LD_PRELOAD": str(self._clock), "WRONG_CLOCK": skew}
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "monitor", "serve", "-c", str(self._config)]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True)  # fmt: skip

    @property
    def alive(self) -> bool:
        """Whether its parent process is there."""
        return self.process.poll() is None

    def revive(self) -> None:
        """Start it again should it have ended, which it never should by itself."""
        if not self.alive:
            self.ended_by_itself += 1
            self.start(self.skew)

    def children(self) -> list[psutil.Process]:
        """Those that run windows or send."""
        try:
            found = psutil.Process(self.process.pid).children()
            return [one for one in found if "spawn_main" in " ".join(one.cmdline())]
        except psutil.Error:
            return []

    def signal(self, number: int, *, whom: str, child: psutil.Process | None = None) -> bool:
        """Send a signal to the ``parent``, a ``child`` or the whole ``group``; whether it was there."""
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if whom == "group":
                os.killpg(self.process.pid, number)
            elif whom == "parent":
                self.process.send_signal(number)
            elif child is not None:
                child.send_signal(number)
            return True
        return False

    def end(self) -> int:
        """Stop it as an orchestrator does; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(90)
        except subprocess.TimeoutExpired:
            self.kill()
            return -9

    def kill(self) -> None:
        """End all of it at once."""
        self.signal(signal.SIGCONT, whom="group")
        self.signal(signal.SIGKILL, whom="group")
        self.process.wait()


@contextmanager
def killed_at_the_end(replicas: list[Replica]) -> Iterator[None]:
    """Leave no replica behind, whatever happens."""
    try:
        yield
    finally:
        for one in replicas:
            one.kill()
