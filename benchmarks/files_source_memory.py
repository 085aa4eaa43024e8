"""Memory and speed of sampling 2,000 records from millions of rows through the files source.

Each file is read in a fresh process, whose largest resident size is what counts. 10 million rows of Parquet, of which
one day is read whole and then one hour of 24; 2 million rows of gzip'd JSON lines and of CSV. ``--quick`` reads a
twentieth, checks that everything works and writes no results.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import results_file

from monitor.sampling import draw
from monitor.sources.fields import Fields
from monitor.sources.files import FilesSource
from monitor.values import Window

START = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
SIZE = 2_000
WORDS = ("where", "is", "my", "order", "parcel", "refund", "address", "payment", "card", "please", "hello", "late")


def pieces(rows: int, step: int = 250_000) -> Iterator[pa.Table]:
    """One day of short messages in the order of time, of 20 classes and 5 countries."""
    rng = np.random.default_rng(1)
    for first in range(0, rows, step):
        index = np.arange(first, min(rows, first + step))
        words = rng.choice(WORDS, size=(8, len(index)))
        text = words[0].astype(object)
        for word in words[1:]:
            text = text + " " + word
        times = int(START.timestamp()) * 10**6 + index * (86_400 * 10**6 // rows)
        yield pa.table(
            {
                "id": pa.array(np.char.add("request-", index.astype(str))),
                "text": pa.array(text, pa.string()),
                "timestamp": pa.array(times, pa.timestamp("us", "UTC")),
                "predicted": pa.array(np.char.add("class ", (index % 20).astype(str))),
                "confidence": pa.array(rng.random(len(index))),
                "country": pa.array(rng.choice(["DE", "FR", "PL", "ES", "IT"], len(index))),
                "unused": pa.array(rng.random(len(index))),
            }
        )


def write_parquet(path: Path, rows: int) -> None:
    writer = None
    for table in pieces(rows):
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def write_one_row_group(path: Path, rows: int) -> None:
    pq.write_table(pa.concat_tables(pieces(rows)), path, row_group_size=rows)


def write_jsonl(path: Path, rows: int) -> None:
    with gzip.open(path, "wt", compresslevel=1, encoding="utf-8") as file:
        for table in pieces(rows):
            for row in table.to_pylist():
                file.write(json.dumps(row | {"timestamp": row["timestamp"].isoformat()}) + "\n")


def write_csv(path: Path, rows: int) -> None:
    with path.open("wb") as file:
        for number, table in enumerate(pieces(rows)):
            pa_csv.write_csv(table, file, pa_csv.WriteOptions(include_header=number == 0))


def peak_rss_mb() -> float:
    """The kernel's high-water mark of this program; getrusage would count its parent before the start as well."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return round(int(line.split()[1]) / 1024, 1)


def sample(path: str, hours: int) -> dict[str, Any]:
    """Sample one file in this process; what it took."""
    started = time.perf_counter()
    fields = Fields(predicted="predicted", confidence="confidence", segments=["country"])
    window = Window(START, START + timedelta(hours=hours))
    drawn = draw(FilesSource(fields, path).read(window), window, SIZE, stratify="predicted", segments=["country"])
    seconds = time.perf_counter() - started
    assert len(drawn) >= SIZE
    assert not drawn.counts.rejected
    return {
        "population": drawn.counts.population,
        "sampled": len(drawn),
        "seconds": round(seconds, 2),
        "rows_per_second": round(drawn.counts.population / seconds),
        "peak_rss_mb": peak_rss_mb(),
    }


def measured(name: str, path: Path, hours: int = 24) -> dict[str, Any]:
    """The same in a fresh process, so that writing the file does not count."""
    done = subprocess.run(
        [sys.executable, __file__, "--sample", str(path), "--hours", str(hours)], check=True, stdout=subprocess.PIPE
    )
    row = {"data": name, "file_mb": round(path.stat().st_size / 2**20, 1), **json.loads(done.stdout)}
    print(row, flush=True)
    return row


def run(quick: bool) -> None:
    share = 20 if quick else 1
    files: list[tuple[str, str, Callable[[Path, int], None], int, list[int]]] = [
        ("parquet", "a.parquet", write_parquet, 10_000_000, [24, 1]),
        ("parquet, one row group", "b.parquet", write_one_row_group, 4_000_000, [24]),
        ("jsonl.gz", "c.jsonl.gz", write_jsonl, 2_000_000, [24]),
        ("csv", "d.csv", write_csv, 2_000_000, [24]),
    ]
    table = []
    with tempfile.TemporaryDirectory() as folder:
        for name, file, make, rows, spans in files:
            path = Path(folder) / file
            make(path, rows // share)
            for hours in spans:
                part = name if hours == 24 else f"{name}, {hours} hour of 24"
                table.append({"rows": rows // share, **measured(part, path, hours)})
            path.unlink()
    if quick:
        return
    largest = max(row["peak_rss_mb"] for row in table)
    goals = [
        results_file.goal(
            "peak resident memory, 10 million rows of Parquet, MB",
            "< 1024",
            table[0]["peak_rss_mb"],
            table[0]["peak_rss_mb"] < 1024,
        ),
        results_file.goal("peak resident memory, every format, MB", "< 1024", largest, largest < 1024),
        results_file.goal(
            "Parquet to sample, rows a second",
            ">= 500000",
            table[0]["rows_per_second"],
            table[0]["rows_per_second"] >= 500_000,
        ),
    ]
    results_file.write("files_source_memory", {"runs": table}, goals, "python benchmarks/files_source_memory.py")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--sample", help=argparse.SUPPRESS)
    parser.add_argument("--hours", type=int, default=24, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.sample:
        print(json.dumps(sample(options.sample, options.hours)))
    else:
        run(options.quick)


if __name__ == "__main__":
    main()
