"""Redaction: what of a labelled set is masked and named rightly, in how much CPU time, and beside the old patterns and presidio-analyzer.

``python benchmarks/redaction.py [--presidio PYTHON]``: the interpreter of an environment with presidio-analyzer.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

from redaction_texts import labelled
from results_file import goal, write

from monitor.redaction import KINDS, Redactor
from monitor.redaction.recognisers import spans_of

OLD = (
    (re.compile(r"(?i)\b(?:https?://|www\.)\S+"), "link"),
    (re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"), "email"),
    (re.compile(r"(?<!\w)\+?\d[\d ()/.-]{6,}\d"), "number"),
    (re.compile(r"(?<![\w-])(?=[\w-]*\d{3})[\w-]+"), "number"),
)
Spans = list[tuple[int, int, str]]
RUN = 5_000


def old_spans(text: str) -> Spans:
    return [(*found.span(), kind) for pattern, kind in OLD for found in pattern.finditer(text)]


def new_spans(text: str) -> Spans:
    """As they are masked one kind after another: a later kind sees no more of what an earlier one took."""
    found: Spans = []
    for kind in KINDS:
        spans = spans_of(text, kind, Redactor().regions)
        found += [(start, end, kind) for start, end in spans]
        for start, end in spans:
            text = text[:start] + "\x01" * (end - start) + text[end:]
    return found


def judge(name: str, texts: Sequence[tuple[str, str, str]], found: Sequence[Spans]) -> list[dict[str, object]]:
    """Per kind: share of values of which nothing is left, share named rightly, and share of what is named so that is so."""
    rows = []
    for kind in [k for k in KINDS if k != "number"]:
        mine = [(t, v, s) for (t, k, v), s in zip(texts, found, strict=True) if k == kind]
        gone = named = 0
        for text, value, spans in mine:
            start = text.index(value)
            inside = {i for i in range(start, start + len(value)) if value[i - start].isalnum()}
            gone += all(any(a <= i < b for a, b, _ in spans) for i in inside)
            named += any(k == kind and a < start + len(value) and b > start for a, b, k in spans)
        told = [(k, v, t, a, b) for (t, k, v), s in zip(texts, found, strict=True) for a, b, one in s if one == kind]
        right = sum(k == kind and a < t.index(v) + len(v) and b > t.index(v) for k, v, t, a, b in told)
        rows.append(
            {
                "what": name,
                "kind": kind,
                "values": len(mine),
                "masked": round(gone / len(mine), 3),
                "named": round(named / len(mine), 3),
                "precision": round(right / len(told), 3) if told else None,
            }
        )
    return rows


def corpus(count: int) -> list[str]:
    folder = resources.files("monitor") / "demo" / "corpus"
    lines = [
        line for file in sorted(folder.iterdir(), key=lambda f: f.name) for line in file.read_text("utf-8").splitlines()
    ]
    return [lines[i % len(lines)] for i in range(count)]


def timed(run: Callable[[str], object], texts: Sequence[str]) -> float:
    run("warm 4111 1111 1111 1111 ghp_abcdefghijklmnopqrstuvwxyz")
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        for text in texts:
            run(text)
        best = min(best, time.process_time() - began)
    return best


def speed(what: str, on: str, seconds: float, count: int) -> dict[str, object]:
    return {
        "what": what,
        "texts": on,
        "count": count,
        "seconds": round(seconds, 3),
        "texts_per_second": round(count / seconds),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--presidio")
    given = parser.parse_args()
    texts = labelled()
    plain = corpus(RUN)
    dense = [texts[i % len(texts)][0] for i in range(RUN)]
    rows = judge("drift-monitor", texts, [new_spans(t) for t, _, _ in texts])
    quality = rows + judge("four old patterns", texts, [old_spans(t) for t, _, _ in texts])
    redactor = Redactor()

    def old(text: str) -> str:
        for pattern, kind in OLD:
            text = pattern.sub(f"[{kind}]", text)
        return text

    speeds = []
    for on, some in (("demo corpus", plain), ("labelled set", dense)):
        speeds.append(speed("drift-monitor", on, timed(redactor.excerpt, some), RUN))
        speeds.append(speed("four old patterns", on, timed(old, some), RUN))
    peer = {}
    if given.presidio:
        asked = json.dumps([[t for t, _, _ in texts], plain])
        script = Path(__file__).parent / "peers" / "run_presidio.py"
        done = subprocess.run([given.presidio, str(script)], input=asked, capture_output=True, text=True, check=True)
        peer = json.loads(done.stdout)
        quality += judge("presidio-analyzer", texts, [[tuple(s) for s in one] for one in peer["spans"]])
        speeds.append(speed("presidio-analyzer", "demo corpus", peer["seconds"], RUN))
    code = "import time;t=time.process_time();from monitor.redaction import redacted;redacted('+44 20 7946 0958 ghp_abcdefghijklmnopqrst');print(time.process_time()-t)"
    ours = float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    imports = [{"what": "drift-monitor, all libraries", "seconds": round(ours, 2)}]
    if peer:
        imports.append({"what": "presidio-analyzer", "seconds": round(peer["import_seconds"], 2)})
    negatives = [t for t, k, _ in texts if not k]
    wrong = sum(bool([s for s in new_spans(t) if s[2] != "number"]) for t in negatives)
    worst = min(rows, key=lambda row: row["masked"])
    write(
        "redaction",
        {"quality": quality, "speed": speeds, "import": imports},
        [
            goal("values of which nothing is left, worst kind", ">= 0.99", worst["masked"], worst["masked"] >= 0.99),
            goal("harmless sentences with something masked other than a number", "0", wrong, wrong == 0),
            goal(
                "CPU seconds for the 5,000 texts of a run, demo corpus",
                "<= 2",
                speeds[0]["seconds"],
                speeds[0]["seconds"] <= 2,
            ),
            goal(
                "CPU seconds for 5,000 texts that all hold something",
                "<= 5",
                speeds[2]["seconds"],
                speeds[2]["seconds"] <= 5,
            ),
        ],
        "python benchmarks/redaction.py --presidio PYTHON",
    )
    for row in quality:
        print(row)
    for row in (*speeds, *imports):
        print(row)


if __name__ == "__main__":
    main()
