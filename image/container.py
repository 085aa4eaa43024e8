"""One container of an image without an engine: Linux namespaces, the image's own user and environment, a read-only root, no network."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# $1 root of the image, $2 its /data, $3 its settings; then the command. All mounts are seen in here alone.
_INSIDE = """
root=$1 data=$2 settings=$3; shift 3
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount --bind "$data" "$root/data"
mount --bind "$settings" "$root/etc/drift-monitor"
mount -o remount,bind,ro "$root/etc/drift-monitor"
mount -t tmpfs -o nosuid,nodev,noexec,mode=1777 tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount --rbind /dev "$root/dev"
ip link set lo up
exec chroot "$root" "$@"
"""


class Service:
    """The container's first process, as its entry point started it."""

    def __init__(self, process: subprocess.Popen[bytes], variables: list[str]) -> None:
        self._process = process
        self._variables = variables
        self._begun = time.monotonic()

    def _first(self) -> int:
        """The process that is number 1 in there, as it is known out here; 0 before there is one."""
        found = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text(encoding="utf-8").split()
        return int(found[0]) if found else 0

    def _within(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command beside it, as an engine runs a health check."""
        place = ["nsenter", f"--target={self._first()}", "--mount", "--net", "--pid", "--root"]
        place += ["env", "-i", *self._variables]
        return subprocess.run([*place, *command], capture_output=True, text=True, check=False)

    def alive_after(self) -> float:
        """Seconds from its start until the image's health check passes."""
        while self._process.poll() is None and time.monotonic() < self._begun + 120:
            if self._first() and self._within("drift-monitor-alive").returncode == 0:
                return time.monotonic() - self._begun
            time.sleep(0.05)
        raise RuntimeError(f"serve is not healthy (status {self._process.poll()})")

    def ask(self, path: str) -> str:
        """The answer to a request from inside."""
        program = f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:9464{path}').read().decode(), end='')"
        done = self._within("python3", "-c", program)
        done.check_returncode()
        return done.stdout

    def stop(self) -> float:
        """Seconds from SIGTERM until it has ended, with status 0."""
        begun = time.monotonic()
        os.kill(self._first(), signal.SIGTERM)
        status = self._process.wait(60)
        if status:
            raise RuntimeError(f"serve ended with status {status}")
        return time.monotonic() - begun


class Container:
    """An image that is mounted, with a folder for its /data; nothing but that and /tmp can be written to.

    config  the image's settings as ``buildah inspect`` gives them: user, environment, entry point and command are taken from there
    """

    def __init__(self, image: str, config: Mapping[str, Any], work: Path) -> None:
        made = subprocess.run(["buildah", "from", "--pull-never", image], capture_output=True, text=True, check=True)
        mounted = subprocess.run(["buildah", "mount", made.stdout.strip()], capture_output=True, text=True, check=True)
        self.root = Path(mounted.stdout.strip())
        self.data, self.settings = work / "data", work / "settings"
        self._config = config
        self._uid, _, self._gid = config["User"].partition(":")
        for folder in (self.data, self.settings):
            folder.mkdir(exist_ok=True)
        shutil.chown(self.data, int(self._uid), int(self._gid))

    def _command(self, *command: str, as_root: bool = False) -> list[str]:
        spaces = ["unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]
        places = [str(self.root), str(self.data), str(self.settings)]
        environment = ["env", "-i", "-C", self._config["WorkingDir"], *self._config["Env"]]
        user = [f"--reuid={self._uid}", f"--regid={self._gid}", "--clear-groups", "--no-new-privs"]
        rights = [] if as_root else ["setpriv", *user, "--bounding-set=-all", "--inh-caps=-all"]
        return [*spaces, "sh", "-eu", "-c", _INSIDE, "sh", *places, *environment, *rights, *command]

    def run(self, *words: str) -> str:
        """What the entry point prints with these words; ``CalledProcessError`` unless it ends with 0."""
        command = self._command(*self._config["Entrypoint"], *words)
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout

    def shell(self, text: str, *, as_root: bool = False) -> str:
        """What a line of shell prints in there."""
        command = self._command("sh", "-c", text, as_root=as_root)
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    @contextmanager
    def started(self) -> Iterator[Service]:
        """Entry point and usual command, running."""
        command = self._command(*self._config["Entrypoint"], *self._config["Cmd"])
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            yield Service(process, self._config["Env"])
        finally:
            process.kill()
            process.wait()
