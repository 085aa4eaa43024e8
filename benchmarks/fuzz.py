"""What thrown-together input does: settings files, records, label files, requests, damaged files of ours, answers of services.

Each target has its own generators (tests/fuzz_*.py) and goes through what people use: the commands, a run, the service in its own
process. No traceback may reach a person, nothing may crash, hang or be half-written, no text of a record may be said. The byte
parsers are fuzzed by coverage besides, where atheris is installed (``python -m pip install atheris``).

``found`` lists what such runs have found and what was wrong; each has a regression test in tests/test_fuzz_found.py.

python benchmarks/fuzz.py [--quick] [--seed 20261121]
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import fuzz_answers
import fuzz_http
import fuzz_labels
import fuzz_records
import fuzz_settings
import fuzz_stored
from fuzz_bytes import TARGETS as BYTES
from fuzz_tally import FAULTS, Tally
from results_file import goal, write

FOUND = [
    {"target": target, "was wrong": wrong, "now": now}
    for target, wrong, now in (
        (
            "configuration files",
            "dates, numbers and tags that YAML cannot make a value of (2026-02-30, 5,000 digits, !!bool abc) ended as an unforeseen exception",
            "refused with exit status 2 and what to do",
        ),
        (
            "configuration files",
            "lists nested some thousand deep ended as an unforeseen RecursionError",
            "refused with exit status 2",
        ),
        (
            "configuration files",
            "aliases that multiply (a YAML bomb) or hold themselves got through to where settings are written out",
            "refused with the line",
        ),
        (
            "records",
            "one string that is no UTF-8 in a Parquet column of vectors, probabilities or times failed the whole window",
            "that record is counted as unreadable, the others are kept",
        ),
        (
            "records",
            "a whole number beyond 2**53 as a confidence failed the whole window",
            "read as a number like any other",
        ),
        (
            "records",
            "a window whose new topics took every record that was to count ended as an unforeseen ZeroDivisionError",
            "the search for topics ends there",
        ),
        (
            "label files",
            "features of a Hugging Face dataset that are no JSON, or of another form, ended as an unforeseen exception",
            "class numbers stay numbers, as without features",
        ),
        (
            "label files",
            "one label that is no UTF-8 in a Parquet or Arrow file ended as an unforeseen exception",
            "one bad row",
        ),
        ("label files", "two columns of one name in an Arrow file ended as an unforeseen exception", "refused by name"),
        (
            "label files",
            "answers of Argilla and Label Studio of another form than documented ended as an unforeseen exception",
            "one bad row",
        ),
        ("label files", "a time at the end of time with an offset ended as an unforeseen OverflowError", "no time"),
        (
            "label files",
            "a cell of Label Studio's CSV that begins like choices and has none ended as an unforeseen KeyError",
            "taken as it is written",
        ),
        (
            "HTTP requests",
            "what is no HTTP was refused (400) without the headers of all other answers, and could be refused inside an answer under way",
            "refused with them, or the line is closed",
        ),
    )
]
PLAYS = {
    "configuration files": (partial(fuzz_settings.play, processes=3), 200),
    "records": (fuzz_records.play, 200),
    "label files": (fuzz_labels.play, 200),
    "HTTP requests": (fuzz_http.play, 1_000),
    "references, cache, exports, database": (fuzz_stored.play, 240),
    "answers of services": (fuzz_answers.play, 300),
}
RUNS = 10_000


def by_coverage(name: str, runs: int, seed: int) -> dict[str, Any]:
    """One byte parser under atheris, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            str(Path(__file__).with_name("fuzz_bytes.py")),
            name,
            f"-runs={runs}",
            f"-seed={seed % 2**31}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        said = [line for line in done.stderr.splitlines() if " cov: " in line]
        left = sum(1 for path in Path(folder).iterdir() if path.name.startswith(("crash-", "timeout-", "oom-")))
    features = said[-1].split("ft: ")[1].split()[0] if said else "0"
    return {"parser": name, "cases": runs, "features reached": int(features), "crashes": left + (done.returncode != 0)}


def played(target: str, cases: int, seed: int) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """One target in a process of its own: its row, and what must not have happened."""
    logging.lastResort = None
    warnings.simplefilter("ignore")
    play = PLAYS[target][0]
    tally, start = Tally(target), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        inner = Path(folder) / "shop"
        inner.mkdir()
        play(tally, inner, cases, seed)
    row = {**tally.row(), "seconds": round(time.monotonic() - start, 1)}
    print(row, *tally.found, sep="\n  ", flush=True)
    return row, [{"target": target, "fault": what, "input": one} for what, one in tally.found.items()]


def main() -> None:
    """Play and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the cases")
    parser.add_argument("--seed", type=int, default=20261121)
    given = parser.parse_args()
    part = 10 if given.quick else 1
    with ProcessPoolExecutor(3, get_context("spawn")) as pool:
        started = [
            pool.submit(played, target, max(cases // part, 24), given.seed) for target, (_, cases) in PLAYS.items()
        ]
        tallies = [one.result() for one in started]
    rows = [row for row, _ in tallies]
    faults = [one for _, some in tallies for one in some]
    guided = []
    if importlib.util.find_spec("atheris") is not None:
        guided = [by_coverage(name, max(RUNS // part, 500), given.seed) for name in BYTES]
    goals = [
        goal(f"{kind}, cases over all targets", "0", found := sum(row[kind] for row in rows), found == 0)
        for kind in FAULTS
    ]
    if guided:
        crashed = sum(row["crashes"] for row in guided)
        goals.append(goal("crashes of the byte parsers under coverage-guided input", "0", crashed, crashed == 0))
    tables = {
        "targets": rows,
        "byte parsers, guided by coverage": guided,
        "faults": faults,
        "found": FOUND,
        "run": [{"seed": given.seed, "quick": given.quick}],
    }
    flag = " --quick" if given.quick else ""
    write(
        "fuzz-quick" if given.quick else "fuzz", tables, goals, f"python benchmarks/fuzz.py --seed {given.seed}{flag}"
    )


if __name__ == "__main__":
    main()
