"""The tables of statistics.md, selection.md, label-quality.md, faults.md and sizing.md, made from benchmarks/results; used by measured.py."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["PAGES", "filled"]

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"
BEGIN, END = "<!-- measured: written by docs/measured.py -->", "<!-- end -->"
SHORT = {
    "typo in 50 %": "typos in half",
    "mean shift 0.02": "mean shift 0.02",
    "new intent 5 %": "new intent 5 %",
    "out of scope 5 %": "out of scope 5 %",
    "polite 40 %": "polite 40 %",
}


def tables_of(name: str) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """The tables of one results file; nothing where it is not there."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))["tables"] if path.exists() else {}


def grid(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """A Markdown table, a blank line after it."""
    lines = ["| " + " | ".join(head) + " |", "| --- " + "| ---: " * (len(head) - 1) + "|"]
    return [*lines, *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows), ""]


def percent(value: float | None, digits: int = 1) -> str:
    """A share in per cent."""
    return "" if value is None else f"{100 * value:.{digits}f}"


def statistics() -> list[str]:
    """Level, alarms, power and delay, beside others."""
    level, streams = tables_of("level"), tables_of("null_streams")
    lines = ["Level of core-4 without drift, per cent of 20,000 nulls each:", ""]
    rows = level.get("core-4 on independent rows", [])
    lines += grid(
        ["reference, window", "p ≤ 5 %", "p ≤ 1 %"],
        [(f"{r['n']:,}, {r['m']:,}", percent(r["at_0.05"], 2), percent(r["at_0.01"], 2)) for r in rows],
    )
    lines += ["Sessions without drift, 500 against 500, p ≤ 5 % in per cent:", ""]
    lines += grid(
        ["rows a session, share on its topic", "by blocks", "by single rows"],
        [
            (
                f"{r['session_rows']}, {percent(r['on_one_topic'], 0)} %",
                percent(r["at_0.05"]),
                percent(r["single_rows_at_0.05"]),
            )
            for r in level.get("core-4 on sessions, 500 vs 500", [])
        ],
    )
    for one in streams.get("null", []):
        lines += [
            (
                f"{one['streams']} streams of {one['looks']:,} looks without change: {percent(one['share_alarmed_by_martingale'])} % were ever alarmed by the "
                f"martingale; where a run length of {one['sr_set_run_length']:,} looks was set, alarms came every {one['sr_mean_run_length']:,.0f}."
            ),
            "",
        ]
    lines += ["Power at 5 %, in per cent, on the same rows (CLINC150):", "", *power(), ""]
    lines += ["Looks of 200 rows until the alarm, one false alarm in 1,000 looks allowed:", "", *delay()]
    return lines


def power() -> list[str]:
    """Ours and the peers' power."""
    rows = tables_of("power").get("power", [])
    changes = [c for c in dict.fromkeys((r["change"], r["n"]) for r in rows) if c[0] in {*SHORT, "none"}]
    found = {(r["test"], r["change"], r["n"]): r["at_0.05"] for r in rows}
    tests = [t for t in dict.fromkeys(r["test"] for r in rows) if "chi" not in t and "alone, small" not in t]
    return grid(
        ["", *(f"{SHORT.get(c, c)}, n = {n}" for c, n in changes)],
        [
            (t, *(percent(found.get((t, *c)), 0) for c in changes))
            for t in tests
            if any((t, *c) in found for c in changes)
        ],
    )[:-1]


def delay() -> list[str]:
    """Ours and the peers' delay."""
    return grid(
        ["", "change", "share", "streams", "median", "nine in ten by"],
        [
            (
                r.get("test", "ours"),
                r["drift"],
                percent(r["share"], 0) + " %",
                r["streams"],
                r["median_delay"],
                r["delay_90"],
            )
            for r in tables_of("null_streams").get("delay", [])
        ],
    )


def selection() -> list[str]:
    """Gain and flips of every strategy, plain and with the bonus; ratios, promises, time."""
    tables = tables_of("selection")
    if not tables:
        return ["Not measured yet.", ""]
    lines = [
        "Every strategy with a plain refit, all worlds and budgets pooled (per cent; gain / NFR at each budget):",
        "",
    ]
    lines += grid(
        ["strategy", "gain", "NFR", "at 50", "at 100", "at 200", "at 500", "junk at 100"],
        [
            (
                r["strategy"],
                percent(r["gain"]),
                percent(r["nfr"], 2),
                *(
                    f"{percent(r[f'gain/nfr at {k}'][0])} / {percent(r[f'gain/nfr at {k}'][1], 2)}"
                    for k in (50, 100, 200, 500)
                ),
                percent(r["junk at 100"], 0),
            )
            for r in tables["strategies, plain refit"]
        ],
    )
    lines += ["The same refresh for all, a bonus that brings each to an NFR of 0.3 % (the selector alone):", ""]
    lines += grid(
        ["strategy", "gain, per cent"],
        [(r["strategy"], percent(r["gain at NFR 0.3 %"])) for r in tables["equal treatment"]],
    )
    lines += ["Ratios of pooled means, 95 % interval by a bootstrap over worlds:", ""]
    lines += grid(
        ["ours", "refresh", "against, refitted plainly", "budgets", "gain", "NFR"],
        [
            (
                r["ours"],
                r["refresh"],
                r["against, plain"],
                ", ".join(map(str, r["budgets"])),
                *(f"{v[0]:.2f} ({v[1]:.2f} to {v[2]:.2f})" for v in (r["gain"], r["nfr"])),
            )
            for r in tables["ratios"]
        ],
    )
    lines += [
        "Was the realised NFR in the printed 95 % interval, and within a budget of 1 %? Share of batches, per cent:",
        "",
    ]
    lines += grid(
        ["refresh", "data", "scenario", "batches", "covered", "within 1 %", "within 1.5 %"],
        [
            (
                r["refresh"],
                r["data"],
                r["scenario"],
                r["batches"],
                *(percent(r[k]) for k in ("covered", "within 1 %", "within 1.5 %")),
            )
            for r in tables["promises"]
        ],
    )
    lines += ["Is the gain on new traffic as foretold, of some 100 labels in hand and of 50 more? Per cent:", ""]
    lines += grid(
        ["labels", "data", "tickets", "foretold", "true", "apart, on average", "width of the interval", "truth within"],
        [
            (
                r["labels"],
                r["data"],
                r["tickets"],
                *(percent(r[k]) for k in ("mean foretold", "mean true", "mean distance", "mean width")),
                percent(r["within the interval"], 0),
            )
            for r in tables_of("selection_advice").get("gains foretold", [])
        ],
    )
    return lines


def label_quality() -> list[str]:
    """What the label gate says of clean and spoilt batches, and which errors it names, beside cleanlab."""
    tables = tables_of("label_gate")
    lines = grid(
        [
            "batches",
            "labels",
            "repetitions",
            "right",
            "interval",
            "accepted",
            "in part",
            "refused",
            "right labels returned",
        ],
        [
            (
                f"{r['data']}, {r['sort']}, {r['size']:,}",
                r["labels"],
                r["repetitions"],
                percent(r["right"]["share"], 0),
                f"{percent(r['right']['low'], 0)} to {percent(r['right']['high'], 0)}",
                *(percent(r[name], 0) for name in ("accepted", "in part", "refused")),
                percent(r["returned though right"]),
            )
            for r in tables.get("verdicts", [])
        ],
    )
    lines += ["Errors named, all batches together, per cent:", ""]
    lines += grid(
        ["batches", "labels", "method", "wrong labels", "precision", "recall"],
        [
            (
                f"{r['data']}, {r['sort']}, {r['size']:,}",
                r["labels"],
                r["method"],
                r["wrong labels"],
                percent(r["precision"], 0),
                percent(r["recall"], 0),
            )
            for r in tables.get("flagged errors", [])
            if r["batches"]
        ],
    )
    lines += [
        "Operating characteristic: BANKING77, 500 labels of 20 classes, by the share flipped uniformly, per cent of batches:",
        "",
    ]
    names = ("accepted", "in part", "refused")
    lines += grid(
        ["wrong labels", *names],
        [
            (percent(r["wrong labels"], 0), *(percent(r[name], 0) for name in names))
            for r in tables.get("accepted by share of wrong labels", [])
        ],
    )
    lines += ["Half of one class flipped to another, by the number of its labels, per cent of batches:", ""]
    names = ("class found", "batch refused", "its wrong labels let in")
    rows = tables.get("half of a class by its size", [])
    return lines + grid(
        ["labels of the class", *names],
        [(r["labels of the class"], *(percent(r[name], 0) for name in names)) for r in rows],
    )


def faults() -> list[str]:
    """What was broken, and what came of it."""
    found = tables_of("faults")
    if not found:
        return []
    about, windows, same = found["about"][0], found["windows"][0], found["undisturbed"][0]
    tickets, exports, metrics = found["tickets"][0], found["exports"][0], found["metrics"][0]
    kinds = [(one["kind"], one["times"]) for one in found["faults"]]
    judged = [
        ("windows", f"{windows['windows']:,}", windows["lost"], windows["duplicates"] + windows["saved twice"]),
        ("episodes as issues", tickets["issues"], tickets["lost"], tickets["duplicate issues"]),
        ("comments", tickets["comments"], "", tickets["comments twice"]),
        ("exports", exports["exports"], exports["not whole"] + exports["not sent"], exports["without a wish"]),
    ]
    return [
        (
            f"{about['replicas']} replicas, {about['monitors']} monitors, {sum(times for _, times in kinds)} faults in {about['seconds with faults']:,} s (seed {about['seed']}), "
            f"{about['disturbed windows']:,} of {windows['windows']:,} windows done by then:"
        ),
        "",
        *grid(["fault", "times"], kinds),
        *grid(["", "in all", "lost or not whole", "twice"], judged),
        (
            f"{about['attempts']:,} attempts: {about['taken over']} were cut off and taken over, {about['failed runs']} failed and done again. "
            f"{same['windows']:,} verdicts with their measurements and candidates were compared with an undisturbed run of the same traffic, in one process on SQLite: "
            f"{same['different']} differ. Counters of runs at the replicas that differ from the database: {metrics['wrong']} of {metrics['series']}."
        ),
        "",
    ]


def sizing() -> list[str]:
    """What a fleet at a short period takes, and whether a long-lived process grows."""
    lines = grid(
        [
            "",
            "windows done",
            "lag: median",
            "95 %",
            "longest",
            "cores: workers",
            "service",
            "database",
            "in all",
            "scrape",
        ],
        [
            (
                f"{r['monitors']} monitors, {r['database']}",
                f"{r['windows_done']:,} of {r['windows_due']:,}",
                *(f"{r[f'lag_{what}_s']:.0f} s" for what in ("median", "p95", "max")),
                *(f"{r.get(f'cores_{what}', 0.0):.2f}" for what in ("workers", "service", "database", "in_all")),
                f"{r['scrape_median_s']:.1f} s",
            )
            for r in tables_of("scale").get("fleets", [])
        ],
    )
    found = tables_of("soak")
    if found:
        (about,), by = found["about"], {row["what"]: row for row in found["slopes"]}
        memory, files = by["resident_mib"], by["files"]
        lines += [
            (
                f"{about['runs']:,} runs in one process ([soak](../benchmarks/results/soak.json)): {memory['after_a_fifth']:.0f} MiB after a fifth of them, "
                f"{memory['at_the_end']:.0f} MiB at the end, {memory['per_1000_runs']:+.2f} MiB in 1,000 runs (standard error {memory['standard_error']:.2f}); "
                f"open files {files['after_a_fifth']}, then {files['at_the_end']}."
            ),
            "",
        ]
    return lines


PAGES: Mapping[str, Callable[[], list[str]]] = {
    "statistics.md": statistics,
    "selection.md": selection,
    "label-quality.md": label_quality,
    "faults.md": faults,
    "sizing.md": sizing,
}


def filled(page: str, made: Callable[[], list[str]]) -> str:
    """A page with its tables as they should be, between the marks."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n" + "\n".join(made()) + f"\n{END}{tail}"
