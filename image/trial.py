"""Builds the image without a container engine, runs it and measures it, as root on Debian.

    apt-get install -y --no-install-recommends buildah mmdebstrap
    python image/trial.py

The base is Debian 12 with its own Python 3.11 in place of the official image of that name: no registry is asked. The container runs as its own user with no capability, on a read-only root
file system, without a network. Wants 12 GB of disk for a quarter of an hour; writes benchmarks/results/image.json.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import results_file  # noqa: E402
from container import Container  # noqa: E402

BASE = "python:3.11-slim-bookworm"
IMAGE = "localhost/drift-monitor:trial"
_ENGINE = ("buildah", "build", "--format", "docker")
_HEALTHY = "serve until the health check passes, median of 3"
SITE = "opt/drift-monitor/lib/python3.11/site-packages"


def told(*command: str) -> str:
    """What the command prints; its words when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout.strip()


def set_up(work: Path) -> None:
    """Let buildah keep everything in this folder, and give it the base image under the short name of the real one."""
    storage = work / "storage.conf"
    storage.write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{work}/images"\nrunroot = "{work}/run"\n', encoding="utf-8"
    )
    os.environ |= {"CONTAINERS_STORAGE_CONF": str(storage), "BUILDAH_ISOLATION": "chroot", "ENGINE": "buildah"}
    # Wheels come from where this machine's pip finds them.
    os.environ.setdefault("TORCH_INDEX", "")
    if (work / "base.tar").exists():
        return
    parts = told("apt-config", "shell", "parts", "Dir::Etc::sourceparts/d").split("'")[1]
    packages = "--include=python3,python3-venv,ca-certificates"
    told("mmdebstrap", "--variant=minbase", packages, "bookworm", f"{work}/base.tar", f"{parts}debian.sources")
    made = told("buildah", "from", "scratch")
    told("buildah", "add", "-q", made, f"{work}/base.tar", "/")
    told("buildah", "config", "--env", "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", made)
    told("buildah", "commit", "-q", "--rm", made, f"localhost/{BASE}")


def names() -> list[str]:
    """What the layers hold: the base, then one for each COPY and RUN of the last stage."""
    last = (ROOT / "Dockerfile").read_text(encoding="utf-8").rpartition("\nFROM ")[2]
    steps = [line for line in last.splitlines() if line.startswith(("COPY ", "RUN "))]
    return ["base", *(re.sub(r".*--from=(\w+).*", r"\1", step) for step in steps)]


def layers(work: Path, image: str) -> list[dict[str, Any]]:
    """What each layer holds and how large it is, packed as it is pulled and unpacked as it lies on disk."""
    pushed = work / "pushed"
    told("buildah", "push", "-q", image, f"dir:{pushed}")
    manifest = json.loads((pushed / "manifest.json").read_text())
    config = json.loads((pushed / manifest["config"]["digest"].partition(":")[2]).read_text())
    stored = json.loads((work / "images/overlay-layers/layers.json").read_text())
    unpacked = {one["diff-digest"]: one["diff-size"] for one in stored if "diff-digest" in one}
    rows = [
        {
            "layer": name,
            "packed_mb": round(layer["size"] / 1e6, 1),
            "unpacked_mb": round(unpacked[digest] / 1e6, 1),
        }
        for name, layer, digest in zip(names(), manifest["layers"], config["rootfs"]["diff_ids"], strict=True)
    ]
    shutil.rmtree(pushed)
    return [row for row in rows if row["unpacked_mb"] >= 0.1]


def configuration(image: str) -> dict[str, Any]:
    """The image's own settings, held against what docs/deploy.md promises."""
    found = json.loads(told("buildah", "inspect", "--type", "image", image))["Docker"]["config"]
    labels = found["Labels"]
    assert found["User"] == "10001:10001"
    assert (found["Entrypoint"], found["Cmd"]) == (["drift-monitor"], ["serve"])
    assert (found["WorkingDir"], found["StopSignal"]) == ("/data", "SIGTERM")
    assert "9464/tcp" in found["ExposedPorts"]
    assert found["Healthcheck"]["Test"] == ["CMD", "drift-monitor-alive"]
    assert re.fullmatch("[0-9a-f]{40}(-dirty)?", labels["org.opencontainers.image.revision"])
    assert labels["org.opencontainers.image.version"]
    assert labels["org.opencontainers.image.base.name"] == BASE
    return dict(found)


def look_inside(container: Container) -> dict[str, Any]:
    """What must be in the image and what must not be."""
    root = container.root
    bill = json.loads((root / "usr/share/doc/drift-monitor/sbom.cdx.json").read_text())
    listed = {one["name"] for one in bill["components"]}
    there = {one.name.partition("-")[0].lower() for one in (root / SITE).glob("*.dist-info")}
    assert len(listed) == len(there) - 1, "the bill lists every package; drift-monitor itself is its subject"
    assert not {"nvidia", "triton", "pip", "pytest"} & there
    assert not list(root.rglob(".git"))
    assert not (root / "build").exists()
    assert not (root / "wheels").exists()
    return {"python_packages": len(listed), "cuda_packages": sum(name.startswith("nvidia") for name in listed)}


def locked(container: Container) -> None:
    """The process has no rights, and nothing but /data and /tmp can be written to, by root neither."""
    touch = (
        "for d in / /etc /usr /opt/drift-monitor /data /tmp; do touch $d/x 2>/dev/null && echo $d; done; id -u; id -G"
    )
    assert container.shell(touch).split() == ["/data", "/tmp", "10001", "10001"]
    assert container.shell(touch, as_root=True).split() == ["/data", "/tmp", "0", "0"]
    rights = container.shell("grep -E '^(Cap(Prm|Eff|Bnd)|NoNewPrivs)' /proc/self/status")
    assert [line.split()[1] for line in rights.splitlines()] == ["0" * 16] * 3 + ["1"], rights


def seconds(run: Any) -> float:
    """How long it took."""
    start = time.monotonic()
    run()
    return time.monotonic() - start


def start_times(container: Container) -> list[dict[str, Any]]:
    """Of the command, and of the service on the demo's store until its health check passes."""
    first = seconds(lambda: container.run("--version"))
    again = statistics.median(seconds(lambda: container.run("--version")) for _ in range(5))
    shutil.copy(container.data / "demo-output/drift-monitor.yaml", container.settings)
    waits, ends = [], []
    for _ in range(3):
        with container.started() as service:
            waits.append(service.alive_after())
            assert service.ask("/readyz") == "ready\n"
            assert "drift_monitor_" in service.ask("/metrics")
            ends.append(service.stop())
    return [
        {"what": "drift-monitor --version, first", "seconds": round(first, 2)},
        {"what": "drift-monitor --version, median of 5", "seconds": round(again, 2)},
        {"what": _HEALTHY, "seconds": round(statistics.median(waits), 2)},
        {"what": "SIGTERM until serve has ended, median of 3", "seconds": round(statistics.median(ends), 2)},
    ]


def total(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """An image's size, from its layers."""
    return {key: round(sum(row[key] for row in rows), 1) for key in ("packed_mb", "unpacked_mb")}


def trial(work: Path, *, built: bool) -> None:
    """The whole way, then the results."""
    set_up(work)
    if not built:
        told("image/build", "--wheels", "-t", IMAGE, "--pull-never", "--layers")
    config = configuration(IMAGE)
    sizes = layers(work, IMAGE)
    container = Container(IMAGE, config, work)
    inside = look_inside(container)
    locked(container)
    playing = seconds(lambda: container.run("demo"))
    # The demo ended with 0, so they are as scripted. Counted before the service adds windows of its own.
    weeks = len(json.loads(container.run("runs", "--json", "-c", "demo-output/drift-monitor.yaml")))
    times = start_times(container)
    without = [*_ENGINE, "--pull-never", "--layers", "--build-arg", "WITH_MODEL=0", "-t", f"{IMAGE}-bare", "."]
    told(*without)
    whole, bare = total(sizes), total(layers(work, f"{IMAGE}-bare"))
    own = next(row["packed_mb"] for row in sizes if row["layer"] == "application")
    healthy = next(row["seconds"] for row in times if row["what"] == _HEALTHY)
    tables: dict[str, Sequence[dict[str, Any]]] = {
        "layers": sizes,
        "sizes": [{"image": "with the offline model", **whole}, {"image": "WITH_MODEL=0", **bare}],
        "inside": [inside],
        "times": [
            *times,
            {"what": "demo: sixteen weeks, with the real model", "seconds": round(playing, 1)},
        ],
    }
    played = "weeks of the demo, played and as scripted: no root, read-only, no network"
    goals = [
        results_file.goal(played, "16", weeks, weeks == 16),
        results_file.goal("MB to pull", "<= 700", whole["packed_mb"], whole["packed_mb"] <= 700),
        results_file.goal("MB to pull for a release with the same libraries", "<= 10", own, own <= 10),
        results_file.goal("CUDA packages inside", "0", inside["cuda_packages"], not inside["cuda_packages"]),
        results_file.goal("seconds from start to healthy", "<= 30", healthy, healthy <= 30),
    ]
    results_file.write("image", tables, goals, "python image/trial.py")


def main() -> None:
    """Try it in a folder of its own, which is removed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="keep images and data here, to go on from there the next time")
    parser.add_argument("--built", action="store_true", help="take the image that lies there, build none")
    given = parser.parse_args()
    work = given.work or Path(tempfile.mkdtemp(prefix="image-", dir="/var/tmp"))
    work.mkdir(exist_ok=True)
    try:
        trial(work, built=given.built)
    finally:
        if given.work is None:
            subprocess.run(["buildah", "rm", "--all"], check=False, stdout=subprocess.DEVNULL)
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
