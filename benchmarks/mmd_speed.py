"""CPU time and memory of the MMD test beside its peers, as a share of the machine's own matrix products, and as it grows.

CLINC150 embeddings (384 dimensions, float32), repeated with a little noise beyond 10,000 rows a side. Every run is a process of its own with one
thread; ours and the peers' take turns. ``fit``, what depends on the reference alone (ours: the bandwidth), is counted apart for all. A million rows by sketches have their own goal in ``sketch_speed.py``.
Peers run in an environment beside this one, see ``peers/README.md``; those that are not there are left out with the reason.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from real_data import embedded
from results_file import RESULTS, goal, write

HERE = Path(__file__).resolve().parent
PEERS_PYTHON = Path.home() / ".cache" / "drift-monitor" / "peers" / "bin" / "python"
NOISE = 0.01
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "LOKY_MAX_CPU_COUNT"), "1"
)
OURS = (("float32", 100), ("float32", 1_000), ("int8", 100), ("int8", 1_000), ("blocks", 1_000))
PEERS: dict[int, tuple[tuple[str, tuple[int, ...]], ...]] = {
    500: (
        ("alibi_detect", (20, 100)),
        ("torchdrift", (20, 100)),
        ("evidently", (100,)),
        ("frouros", (2, 10)),
        ("hyppo", (0,)),
    ),
    2_000: (
        ("alibi_detect", (20, 100)),
        ("torchdrift", (2, 10)),
        ("evidently", (100,)),
        ("frouros", (1, 3)),
        ("hyppo", (0,)),
    ),
    5_000: (("alibi_detect", (4, 24)),),
}
"""Permutations that are run, a peer and rows a side; 100 and 1,000 follow on a straight line. evidently always resamples 100 times; hyppo
with 0 uses its own approximation."""

Rows = list[dict[str, Any]]


class Data:
    """Rows of both sides as files for the children."""

    def __init__(self, folder: str) -> None:
        real = embedded("clinc150").vectors
        self._rows = real[np.random.default_rng(0).permutation(len(real))]
        self._folder = Path(folder)

    def files(self, n: int, m: int) -> dict[str, str]:
        found = {}
        for side, count, first in (("x", n, 0), ("y", m, n)):
            path = self._folder / f"{side}-{n}-{m}.npy"
            if not path.exists():
                np.save(path, self._some(first, count))
            found[side] = str(path)
        return found

    def _some(self, first: int, count: int) -> np.ndarray:
        places = np.arange(first, first + count)
        rows = self._rows[places % len(self._rows)]
        again = np.flatnonzero(places >= len(self._rows))
        if len(again):
            rng = np.random.default_rng(first)
            rows[again] += NOISE * rng.standard_normal((len(again), rows.shape[1]), dtype=np.float32)
            rows[again] /= np.linalg.norm(rows[again], axis=1, keepdims=True)
        return rows


def child(python: Path | str, script: Path, job: dict[str, Any]) -> dict[str, Any]:
    """The answer of one run, or ``{"error": its last line}``."""
    try:
        done = subprocess.run(
            [str(python), str(script)],
            input=json.dumps(job),
            capture_output=True,
            text=True,
            env=os.environ | ONE_THREAD,
            timeout=600,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": "no answer within 600 s"}
    except FileNotFoundError:
        return {"error": "there is no environment for peers, see benchmarks/peers/README.md"}
    if done.returncode or not done.stdout:
        return {"error": (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1][:200]}
    return dict(json.loads(done.stdout))


def ours(path: str, files: dict[str, str], permutations: int, **options: Any) -> dict[str, Any]:
    found = child(
        sys.executable, HERE / "mmd_paths.py", {**files, "path": path, "permutations": permutations} | options
    )
    if "error" in found:
        raise SystemExit(f"{path}: {found['error']}")
    return found


def beside_peers(data: Data, sizes: Sequence[int], python: Path) -> tuple[Rows, Rows]:
    table: Rows = []
    for n in sizes:
        files = data.files(n, n)
        runs: dict[tuple[str, int], list[dict[str, Any]]] = {}

        def ours_once(files: dict[str, str] = files, runs: dict[Any, Any] = runs) -> None:
            for path, count in OURS:
                runs.setdefault((path, count), []).append(ours(path, files, count))

        ours_once()
        for peer, counts in PEERS[n]:
            script = HERE / "peers" / f"run_{peer}.py"
            found = [child(python, script, {**files, "permutations": count}) for count in counts]
            table.extend(_peer_rows(peer, n, counts, found))
            print(table[-1], flush=True)
            if peer in {"alibi_detect", "frouros"}:
                ours_once()
        table.extend(
            {
                "method": f"ours {path}",
                "n": n,
                "permutations": count,
                "fit_cpu_seconds": round(median(one["fit_cpu_seconds"] for one in found), 4),
                "cpu_seconds": round(median(one["cpu_seconds"] for one in found), 4),
                "extrapolated_from": None,
                "peak_mb": round(max(one["peak_mb"] for one in found), 1),
            }
            for (path, count), found in runs.items()
        )
        print(*table[-len(runs) :], sep="\n", flush=True)
    return table, ratio_goals(table)


def _peer_rows(peer: str, n: int, counts: Sequence[int], found: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    errors = [one["error"] for one in found if "error" in one]
    if errors:
        yield {"method": peer, "n": n, "left_out": errors[0]}
        return
    spent = dict(zip(counts, (one["cpu_seconds"] for one in found), strict=True))
    row = {"method": peer, "n": n, "peak_mb": round(max(one["peak_mb"] for one in found), 1)}
    row["fit_cpu_seconds"] = round(found[-1]["fit_cpu_seconds"], 4)
    for count, seconds in spent.items():
        yield row | {"permutations": count, "cpu_seconds": round(seconds, 3), "extrapolated_from": None}
    if len(counts) < 2:
        return
    slope = (spent[counts[-1]] - spent[counts[0]]) / (counts[-1] - counts[0])
    fixed = spent[counts[0]] - slope * counts[0]
    for count in {100, 1_000} - set(counts):
        seconds = round(fixed + slope * count, 2)
        yield row | {"permutations": count, "cpu_seconds": seconds, "extrapolated_from": list(counts)}


def ratio_goals(table: Rows) -> Rows:
    cost = {(r["method"], r["n"], r["permutations"]): r["cpu_seconds"] for r in table if "permutations" in r}
    fits = {(r["method"], r["n"], r["permutations"]): r["fit_cpu_seconds"] for r in table if "permutations" in r}
    wanted = (
        ("alibi_detect", 2_000, 100, 100),
        ("alibi_detect", 5_000, 100, 100),
        ("alibi_detect", 5_000, 1_000, 1_000),
        ("evidently", 2_000, 100, 10),
    )
    goals = []
    for peer, n, count, times in wanted:
        # Rows one by one in two precisions, and units of blocks, which is what the detector exchanges.
        for path in ("float32", "int8", "blocks"):
            mine, theirs = cost.get((f"ours {path}", n, count)), cost.get((peer, n, count))
            if mine and theirs:
                name = f"{peer} CPU seconds over ours, {path}, n = m = {n:,}, {count:,} permutations"
                goals.append(goal(name, f">= {times:,}", round(theirs / mine, 1), theirs / mine >= times))
                whole = (theirs + fits[peer, n, count]) / (mine + fits[f"ours {path}", n, count])
                goals.append(
                    goal(f"{name}, fit counted on both sides", f">= {times:,}", round(whole, 1), whole >= times)
                )
    return goals


def kernel_share(data: Data, sizes: Sequence[int], permutations: int) -> tuple[Rows, Rows]:
    table, goals = [], []
    for n in sizes:
        found = ours("kernel", data.files(n, n), permutations, rounds=5 if n <= 5_000 else 3)["found"]
        rounds = found["rounds"]
        row: dict[str, Any] = {
            "n": n,
            "permutations": permutations,
            "drawing_cpu_seconds": found["drawing_cpu_seconds"],
        }
        for name in rounds[0]:
            row[f"{name}_gflops"] = round(median(one[name] for one in rounds), 1)
        for path, least in (("float32", 0.8), ("int8", 1.25)):
            share = median(one[path] / max(one["sgemm_numpy"], one["sgemm_torch"]) for one in rounds)
            row[f"{path}_share"] = round(share, 3)
            name = f"{path} kernel path over the better sgemm, n = m = {n:,}, {permutations:,} permutations"
            goals.append(goal(name, f">= {least}", round(share, 3), share >= least))
        table.append(row)
        print(row, flush=True)
    return table, goals


def memory(data: Data, n: int, permutations: int) -> tuple[Rows, Rows]:
    table, goals = [], []
    for path in ("float32", "int8", "blocks"):
        peak = ours(path, data.files(n, n), permutations)["peak_mb"]
        table.append({"path": path, "n": n, "permutations": permutations, "peak_mb_above_data": round(peak, 1)})
        name = f"{path}: MB above base, n = m = {n:,}, {permutations:,} permutations"
        goals.append(goal(name, "<= 200", round(peak, 1), peak <= 200))
    return table, goals


def looks(data: Data, *, quick: bool) -> tuple[Rows, Rows]:
    """A window of 500 rows. ``rows``: of the reference, a quarter of which is the ruler; of 6,700 the test part is 5,000."""
    table, goals = [], []
    for rows, drifted, refined, classes in (
        (5_000, False, 9_999, False),
        (6_700, False, 9_999, False),
        (6_700, True, 999, False),
        (6_700, True, 9_999, False),
        (6_700, False, 9_999, True),
    ):
        count = 1_500 if quick else 15_000
        files = data.files(rows // 5 if quick else rows, count)
        found = ours("look", files, 999, drifted=drifted, refined=refined, classes=classes)["found"]
        low, middle, high = (round(ms, 1) for ms in found["quartiles"])
        row = {
            "reference_rows": rows,
            "drifted": drifted,
            "refined": refined,
            "classes": classes,
            "looks": found["looks"],
        }
        row |= {"median_p": found["median_p"], "first_look_ms": round(found["first"], 1)}
        table.append(row | {"median_ms": middle, "quartiles_ms": [low, high]})
        print(table[-1], flush=True)
        what = f"{'drifted' if drifted else 'undrifted'} window of 500, reference of {rows:,}, up to {refined:,} labellings"
        what += ", ten classes" if classes else ""
        goals.append(goal(f"core-4 look, CPU ms: {what}", "<= 60", middle, middle <= 60))
    return table, goals


def growth(data: Data, *, quick: bool) -> Rows:
    table: Rows = []
    exact = (500, 1_000) if quick else (500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000)
    for path in ("float32", "int8", "blocks"):
        for n in exact:
            found = ours(path, data.files(n, n), 1_000)
            table.append({"path": path, "n": n, "cpu_seconds": found["cpu_seconds"], "peak_mb": found["peak_mb"]})
            if found["cpu_seconds"] > 30:
                break
    for n in (1_000,) if quick else (1_000, 10_000, 100_000, 1_000_000):
        found = ours("sketch", data.files(min(n, 10_000), min(n, 10_000)), 999, rows=n)
        seconds = found["found"]["sketch_cpu_seconds"] + found["found"]["test_cpu_seconds"]
        table.append({"path": "sketch", "n": n, "cpu_seconds": seconds, "peak_mb": found["peak_mb"]})
    return [{**row, "cpu_seconds": round(row["cpu_seconds"], 3), "peak_mb": round(row["peak_mb"], 1)} for row in table]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes and no peers, for a check that it runs")
    parser.add_argument(
        "--only", choices=("peers", "kernel", "memory", "looks", "growth"), help="measure this; keep the rest"
    )
    parser.add_argument("--peers", type=Path, default=PEERS_PYTHON, help="the python of the peers' environment")
    chosen = parser.parse_args()
    quick, n = chosen.quick, 500 if chosen.quick else 10_000
    with tempfile.TemporaryDirectory() as folder:
        data = Data(folder)
        parts = {
            "peers": lambda: beside_peers(data, () if quick else tuple(PEERS), chosen.peers),
            "kernel": lambda: kernel_share(data, (n,) if quick else (5_000, n), 1_000),
            "memory": lambda: memory(data, n, 1_000),
            "looks": lambda: looks(data, quick=quick),
            "growth": lambda: (growth(data, quick=quick), []),
        }
        kept = RESULTS / "mmd_speed.json"
        before = json.loads(kept.read_text()) if chosen.only and kept.exists() else {"tables": {}, "goals": []}
        tables, goals = before["tables"], {one["name"]: one for one in before["goals"]}
        for name in [chosen.only] if chosen.only else parts:
            tables[name], reached = parts[name]()
            goals |= {one["name"]: one for one in (*reached, *ratio_goals(tables.get("peers", [])))}
    if not quick:
        write("mmd_speed", tables, list(goals.values()), "python benchmarks/mmd_speed.py")


if __name__ == "__main__":
    main()
