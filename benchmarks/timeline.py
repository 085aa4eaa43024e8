"""Papers by month and sentences by genre, watched as an owner would: when alarms come, what they name, and that calm stays calm."""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from owner import ALL, FAST, NONE, History, Owner, Rows, class_share, look, told, utc
from real_data import Embedded, embedded
from results_file import goal, write

YEAR, DECADE = "1 per year", "1 per 10 years"
EVENTS = ("cs.SI appears", "cs.SY appears", "cs.SY retires")
KNOWN = ("fiction", "letters", "newspaper")
ARRIVING = ("blog", "headlines", "travel-guides", "essays")
MONDAY = utc(2024, 1, 1)
WEEK = timedelta(days=7)

Table = list[dict[str, Any]]


def papers() -> Rows:
    """arXiv with the author's category as the predicted class."""
    data = embedded("arxiv_cs")
    times = [datetime.fromisoformat(t).replace(tzinfo=UTC) for t in data.timestamp.tolist()]
    return Rows(data.ids, data.texts, data.label, times, data.vectors)


def month_of(moment: datetime) -> int:
    return moment.year * 12 + moment.month - 1


def name_of(month: int) -> str:
    return f"{month // 12}-{month % 12 + 1:02d}"


def events(rows: Rows) -> dict[str, int]:
    """Months of the real changes: the first of three in a row with papers of a class, and the first after its last."""
    months = np.array([month_of(t) for t in rows.times])
    found = {}
    for name in ("cs.SI", "cs.SY"):
        seen = set(months[rows.classes == name].tolist())
        found[f"{name} appears"] = min(m for m in seen if {m + 1, m + 2} <= seen)
        found[f"{name} retires"] = max(seen) + 1
    return {event: found[event] for event in EVENTS}


def moved(rows: Rows, months: np.ndarray, first: int, now: int) -> str:
    """Classes whose share of papers differs most between a month and those from ``first`` up to it, as they really are."""
    before, after = rows.classes[(months >= first) & (months < now)], rows.classes[months == now]
    told_of = []
    for name in np.unique(rows.classes):
        p, q = float((before == name).mean()) if len(before) else 0.0, float((after == name).mean())
        pooled = (p * len(before) + q * len(after)) / (len(before) + len(after))
        spread = np.sqrt(max(pooled * (1 - pooled), 1e-9) * (1 / max(len(before), 1) + 1 / len(after)))
        told_of.append((abs(q - p) / spread, f"{name} {100 * p:.1f} to {100 * q:.1f} %"))
    return "; ".join(text for _, text in sorted(told_of, reverse=True)[:3])


def walk_papers(
    folder: Path, rows: Rows, since: int, until: int, end: int, budget: str, accepts: bool, full: bool
) -> History:
    """Reference of the years [since, until), a look a month from then to the year ``end``."""
    years = np.array([t.year for t in rows.times])
    training = rows.take(np.flatnonzero((years >= since) & (years < until)))
    traffic = rows.take(np.flatnonzero((years >= until) & (years < end)))
    owner = Owner(
        folder, training, traffic, false_alarms=budget, accepts=accepts, detectors=ALL if full else FAST, texts=full
    )
    return owner.walk(utc(until), utc(end))


def alarms_of(history: History, rows: Rows, since: int, accepts: bool) -> Table:
    """Every alarm with what it said, and beside it what really moved since the baseline began."""
    months = np.array([month_of(t) for t in rows.times])
    classes, found, first = sorted(set(rows.classes.tolist())), [], since * 12
    for run in history.runs:
        if run.window.start in history.raised:
            now = month_of(run.window.start)
            found.append({**told(run, classes), "really_moved": moved(rows, months, first, now)})
            first = now if accepts else first
    return found


def delays(alarms: Table, changes: dict[str, int], since: int) -> Table:
    """Months from each real change to the first alarm, to the first that names the class, 0 being its own month's look."""
    table = []
    for event, month in changes.items():
        if month < since:
            continue
        name = event.split()[0]
        later = [(month_of(datetime.fromisoformat(a["window"])) - month, a) for a in alarms]
        first = [d for d, _ in later if d >= 0]
        naming = [(d, a) for d, a in later if d >= 0 and name in a["classes_named"]]
        sentences = [r for _, a in naming[:1] for r in a["reasons"] if name in r]
        table.append(
            {
                "event": event,
                "month": name_of(month),
                "months_to_alarm": first[0] if first else None,
                "months_to_naming": naming[0][0] if naming else None,
                "said": sentences[0] if sentences else "",
            }
        )
    return table


def detector_delays(history: History, changes: dict[str, int]) -> Table:
    """Months until the class balance detector is sure of a class by itself, alarm or not, and until it has been three times in a row."""
    table = []
    starts = [month_of(run.window.start) for run in history.runs]
    for event, month in changes.items():
        name = event.split()[0]
        if month < starts[0]:
            continue
        sure = []
        for run in history.runs[month - starts[0] :]:
            m = class_share(run, name)
            ahead = m is not None and (m.low > 0 if event.endswith("appears") else m.high < 0)
            sure.append(bool(ahead and m is not None and m.detail.get("p_adjusted", 1.0) <= 0.05))
        thrice = [i for i in range(len(sure) - 2) if all(sure[i : i + 3])]
        table.append(
            {
                "event": event,
                "months_to_certain": sure.index(True) if any(sure) else None,
                "months_to_three_in_a_row": thrice[0] if thrice else None,
            }
        )
    return table


def timeline(folder: Path, rows: Rows, until: int, end: int, length: int, quick: bool) -> dict[str, Table]:
    """All walks under one reference of ``length`` years before ``until``."""
    changes, since = events(rows), until - length
    main = walk_papers(folder / "main", rows, since, until, end, YEAR, accepts=True, full=True)
    tables = {
        "looks": [look(run, run.window.start in main.raised) for run in main.runs],
        "alarms": alarms_of(main, rows, since, accepts=True),
    }
    others = () if quick or until > 2010 else ((DECADE, True), (YEAR, False))
    walks = [(YEAR, True, main)]
    for budget, accepts in others:
        place = folder / f"{budget} {accepts}".replace(" ", "-")
        walks.append((budget, accepts, walk_papers(place, rows, since, until, end, budget, accepts, full=False)))
    tables["walks"], tables["delays"] = [], []
    for budget, accepts, walk in walks:
        about = {"false_alarms": budget, "accepts": accepts}
        alarms = alarms_of(walk, rows, since, accepts)
        states = [run.decision.state.value for run in walk.runs if run.decision]
        tables["walks"].append(
            {
                **about,
                "looks": len(states),
                "alarms": len(alarms),
                "raised": ", ".join(a["window"][:7] for a in alarms),
                "states": {state: states.count(state) for state in sorted(set(states))},
            }
        )
        tables["delays"] += [{**about, **row} for row in delays(alarms, changes, until * 12)]
    tables["detector"] = detector_delays(main, changes)
    return tables


def shuffled(rows: Rows, chosen: np.ndarray, windows: int, length: timedelta, rng: np.random.Generator) -> Rows:
    """These rows in random order, spread evenly over windows from Monday on."""
    order = rng.permutation(chosen)
    step = windows * length / len(order)
    return rows.take(order, [MONDAY + i * step for i in range(len(order))])


def calm(folder: Path, rows: Rows, pool: np.ndarray, windows: int, share: float, seeds: int, every: str) -> Table:
    """Random parts of one period or genre: one the reference, the others a window each; every alarm is a false one.

    share : part of the records that is the reference
    every : the schedule: the budget of one a year is 12 looks for ``1mo`` and 52 for ``1w``. Windows are weeks in the file either way
    """
    table = []
    for seed in range(seeds):
        rng = np.random.default_rng([41, seed, windows])
        order = rng.permutation(pool)
        kept = round(share * len(order))
        training = shuffled(rows, order[:kept], windows, WEEK, rng)
        traffic = shuffled(rows, order[kept:], windows, WEEK, rng)
        budget = "1 per 12 weeks" if every == "1mo" else YEAR
        owner = Owner(
            folder / str(seed), training, traffic, every="1w", false_alarms=budget, detectors=NONE, texts=False
        )
        history = owner.walk(MONDAY, MONDAY + windows * WEEK)
        smallest = [m.p_value for r in history.runs for m in r.measurements if m.detector == "change" and m.p_value]
        table.append({"seed": seed, "looks": len(history.runs), "alarms": len(history.raised), "p_values": smallest})
    return table


def summed(name: str, table: Table, run_length: float) -> dict[str, Any]:
    """All seeds of one calm world in a row of numbers."""
    looks, alarms = sum(r["looks"] for r in table), sum(r["alarms"] for r in table)
    p = np.array([p for r in table for p in r["p_values"]])
    return {
        "world": name,
        "streams": len(table),
        "looks": looks,
        "alarms": alarms,
        "allowed_on_average": round(looks / run_length, 2),
        "streams_with_an_alarm": sum(r["alarms"] > 0 for r in table),
        "share_of_p_values_up_to_5_percent": round(float((p <= 0.05).mean()), 4),
    }


def sentences() -> tuple[Rows, Embedded]:
    """EmoBank with valence as the predicted class, and the whole data set for its genres."""
    data = embedded("emobank")
    return Rows(data.ids, data.texts, data.label, [MONDAY] * len(data.ids), data.vectors), data


def genres(folder: Path, share: float, calm_looks: int, seed: int) -> tuple[Table, Table]:
    """100 sentences a week of three known genres; after each stretch another genre takes ``share`` of them for good."""
    rows, data = sentences()
    rng = np.random.default_rng([43, seed, round(1000 * share)])
    known = rng.permutation(np.flatnonzero(np.isin(data.group, KNOWN)))
    new = {genre: rng.permutation(np.flatnonzero(data.group == genre)).tolist() for genre in ARRIVING}
    training, known = known[:1_900], known[1_900:].tolist()
    chosen: list[int] = []
    for week in range(calm_looks * (1 + len(ARRIVING))):
        here = [new[genre].pop() for genre in ARRIVING[: week // calm_looks] for _ in range(round(100 * share))]
        here += [known.pop() for _ in range(100 - len(here))]
        chosen += rng.permutation(here).tolist()
    times = [MONDAY + i * WEEK / 100 for i in range(len(chosen))]
    owner = Owner(
        folder, shuffled(rows, training, 19, WEEK, rng), rows.take(chosen, times), every="1w", detectors=("mmd", *FAST)
    )
    history = owner.walk(MONDAY, MONDAY + calm_looks * (1 + len(ARRIVING)) * WEEK)
    raised = [i for i, run in enumerate(history.runs) if run.window.start in history.raised]
    table = [{"share": share, "seed": seed, "genre": "none", "alarms": sum(i < calm_looks for i in raised)}]
    for n, genre in enumerate(ARRIVING, start=1):
        here = [i - n * calm_looks for i in raised if n * calm_looks <= i < (n + 1) * calm_looks]
        alarm = history.runs[n * calm_looks + here[0]].decision if here else None
        found = ", ".join(f.name for f in alarm.findings) if alarm else ""
        causes = ", ".join(alarm.causes) if alarm else ""
        said = {"delay": here[0] if here else None, "causes": causes, "findings": found}
        said["reasons"] = " ".join(alarm.reasons) if alarm else ""
        table.append({"share": share, "seed": seed, "genre": genre, "alarms": len(here), **said})
    return table, [look(run, run.window.start in history.raised) for run in history.runs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short walks and few seeds, for a check that it runs")
    quick = parser.parse_args().quick
    began, rows = time.process_time(), papers()
    tables: dict[str, Table] = {}
    years = np.array([t.year for t in rows.times])
    tables["events"] = [{"event": event, "month": name_of(month)} for event, month in events(rows).items()]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for until, length, end in (
            (2010, 3, 2012 if quick else 2020),
            (2016, 2, 2017 if quick else 2020),
            (2019, 2, 2020),
        ):
            here = timeline(folder / str(until), rows, until, end, length, quick)
            tables |= {f"arxiv {until - length}-{until - 1}: {name}": table for name, table in here.items()}
            print(until, *here["walks"], *here["delays"], *here["detector"], sep="\n")
        seeds = 2 if quick else 6
        period = np.flatnonzero((years == 2012) | (years == 2013))
        worlds = [summed("arXiv 2012-2013, months", calm(folder / "p", rows, period, 24, 0.5, seeds, "1mo"), 12)]
        halves: Table = []
        for year in range(2012, 2014 if quick else 2020):
            halves += calm(folder / f"h{year}", rows, np.flatnonzero(years == year), 1, 0.5, seeds // 2, "1mo")
        worlds.append(summed("arXiv, halves of one year, one look", halves, 12))
        told_rows, data = sentences()
        for genre in ("fiction", "headlines"):
            pool = np.flatnonzero(data.group == genre)
            windows = len(pool) // 2 // 75
            found = calm(folder / genre, told_rows, pool, windows, 0.5, seeds, "1w")
            worlds.append(summed(f"EmoBank {genre}, weeks", found, 365.25 / 7))
        print(*worlds, sep="\n")
        arrivals: Table = []
        for share, seed in ((0.15, 0),) if quick else ((0.05, 0), (0.15, 1), (0.15, 0)):
            found, looks = genres(folder / f"g{share}-{seed}", share, 7, seed)
            arrivals += found
        tables |= {"genres": arrivals, "genres: looks": looks, "calm": worlds}
    tables["cpu"] = [{"seconds": round(time.process_time() - began)}]
    write("timeline", tables, goals_of(tables), "python benchmarks/timeline.py")


def _named(tables: dict[str, Table], reference: str, event: str) -> int | None:
    rows = tables[f"arxiv {reference}: delays"]
    found = [r for r in rows if r["event"] == event and r["false_alarms"] == YEAR and r["accepts"]]
    return found[0]["months_to_naming"] if found else None


def goals_of(tables: dict[str, Table]) -> list[dict[str, Any]]:
    """What was asked of the timeline; a change that is never named counts as 999 months."""
    goals = []
    for event, reference in zip(EVENTS, ("2007-2009", "2007-2009", "2014-2015"), strict=True):
        months = _named(tables, reference, event)
        met = months is not None and months <= 3
        goals.append(goal(f"{event}: named in an alarm, months after", "<= 3", 999 if months is None else months, met))
    for row in tables["calm"]:
        name = f"false alarms, {row['world']}, {row['looks']} looks"
        goals.append(
            goal(name, f"0 (the budget allows {row['allowed_on_average']})", row["alarms"], row["alarms"] == 0)
        )
    first = [row["delay"] for row in tables["genres"] if row["share"] == 0.15 and row["genre"] != "none"]
    late = sorted(999 if d is None else d for d in first)
    median = float(np.median(late))
    goals.append(goal("looks of 100 until a genre at 15 % alarms, median", "<= 4", median, median <= 4))
    before = sum(row["alarms"] for row in tables["genres"] if row["genre"] == "none")
    goals.append(goal("alarms before any genre arrives", "0", before, before == 0))
    return goals


if __name__ == "__main__":
    main()
