"""What a report shows, section by section, as plain words and numbers; the page lays them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from monitor.picture import Picture
from monitor.redaction import redacted
from monitor.report.numbers import moment, percent, short, signed, span
from monitor.report.tables import changes_of, class_shares, data_quality, measured, segment_states
from monitor.report.timeline import SERIES, state_of, timeline
from monitor.report.verified import FLIPPED, GROUPED, flip_rows, group_rows, set_table, verification_sentences
from monitor.report.words import expected_lines
from monitor.values import Candidate, Cause, Deployment, Run, Verification, VerifiedSet

__all__ = ["Source", "group_name", "sheet"]

_LISTED = 40
_GROUPS = 5


@dataclass(frozen=True)
class Source:
    """What a report is made from, all of it saved with the run.

    past     finished runs of windows before this one, oldest first, without candidates
    created  when the reference was made
    picture  the run's records, as long as it is kept; ``size`` of it in bytes
    seed     of the run's random generator
    version  of the program that makes the report
    verification  of the newest refresh that used this run's labels
    model    that was live at the window's end
    """

    run: Run
    past: Sequence[Run] = ()
    created: datetime | None = None
    picture: Picture | None = None
    size: int = 0
    seed: int = 0
    version: str = ""
    verification: Verification | None = None
    model: Deployment | None = None


def sheet(source: Source) -> dict[str, Any]:
    """Everything the page shows."""
    run, decision = source.run, source.run.decision
    reasons = decision.reasons if decision is not None else ()
    classes = class_shares(run.measurements)
    groups = _groups(source.picture) if source.picture is not None else []
    return {
        "run": run,
        "masked": _masked(source.picture),
        "state": state_of(run),
        "title": f"{run.monitor}, {_window(run)}",
        "window": _window(run),
        "verdict": reasons[0] if reasons else run.error or "This run has not ended yet.",
        "more": reasons[1:],
        "tiles": _tiles(run),
        "timeline": timeline([*source.past, run]),
        "findings": [_finding(cause, source.picture) for cause in decision.findings] if decision else [],
        "groups": [group for group in groups if group["first"]],
        "more_groups": [group for group in groups if not group["first"]],
        "classes": classes[:_LISTED],
        "more_classes": classes[_LISTED:],
        "segments": segment_states(run),
        "quality": data_quality(run, source.past),
        "measured": measured(run.measurements),
        "candidates": [_candidate(one, source.picture) for one in run.candidates],
        "advice": [one.sentence for one in run.refresh.advice] if run.refresh else [],
        "notes": run.refresh.notes if run.refresh else (),
        "expected": expected_lines(run.refresh) if run.refresh else [],
        "refresh": None if source.verification is None else _refresh(source.verification, source.picture),
        "origin": _origin(source),
        "commands": _commands(run),
        "steps": [(name, f"{seconds:.2f} s") for name, seconds in run.seconds.items()],
        "version": source.version,
    }


def _window(run: Run) -> str:
    return f"{moment(run.window.start)} to {moment(run.window.end)} UTC"


def _tiles(run: Run) -> list[tuple[str, str, str]]:
    """The few numbers to see first: what, how much, and what that means."""
    e = run.decision.evidence if run.decision is not None else {}
    found = []
    for subject, m in changes_of(run).items():
        meaning = "of traffic changed class" if subject == "classes" else "of traffic, as if it were new input"
        found.append((f"Change of {SERIES[subject]}", percent(m.effect), f"{meaning}; 95 %: {span(m.low, m.high)}"))
    if "evidence" in e and "run_length" in e:
        found.append(("Evidence", short(e["evidence"]), f"alarm from {short(e['run_length'])} on"))
    if e.get("alarm_since", 0.0) > 0:
        found.append(("Alarm since", moment(datetime.fromtimestamp(e["alarm_since"], UTC)), "UTC"))
    counts = run.counts
    found.append(("Records", f"{counts.sampled:,}", f"drawn from {counts.population:,}"))
    if run.candidates:
        covered = f"cover {percent(run.refresh.covered)} of the need" if run.refresh else "for the next training"
        found.append(("To label", str(len(run.candidates)), covered))
    if "budget_spent" in e:
        found.append(
            ("False alarms so far", short(e["budget_spent"]), "to be expected at most, were nothing to change")
        )
    return found


def _masked(picture: Picture | None) -> str:
    found = {} if picture is None else picture.masked
    return ", ".join(f"{count} {kind}" for kind, count in sorted(found.items(), key=lambda one: (-one[1], one[0])))


def _finding(cause: Cause, picture: Picture | None) -> dict[str, Any]:
    rows = {} if picture is None else {record: row for row, record in enumerate(picture.ids) if picture.current[row]}
    return {
        "name": cause.name,
        "sentence": cause.sentence,
        "terms": [redacted(term) for term in cause.terms],
        "examples": [_example(record, rows.get(record), picture) for record in cause.examples[:5]],
    }


def _example(record: str, row: int | None, picture: Picture | None) -> dict[str, Any]:
    text = None if picture is None or row is None else picture.texts.get(row)
    return {"id": record[:100], "row": row, "text": text}


def _groups(picture: Picture) -> list[dict[str, Any]]:
    top = max((max(g.reference, g.current) for g in picture.groups), default=0.0) or 1.0
    largest = sorted(
        range(len(picture.groups)), key=lambda i: -abs(picture.groups[i].current - picture.groups[i].reference)
    )[:_GROUPS]
    found = []
    for number, g in enumerate(picture.groups):
        change = g.current - g.reference
        found.append(
            {
                "number": number + 1,
                "first": g.sure or number in largest,
                "name": group_name(picture, number),
                "terms": [redacted(term) for term in g.terms],
                "class": g.top_class,
                "reference": percent(g.reference),
                "current": percent(g.current),
                "bars": (round(100 * g.reference / top, 1), round(100 * g.current / top, 1)),
                "change": signed(change),
                "order": round(change, 6),
                "interval": f"{signed(g.low)} to {signed(g.high)}",
                "sure": g.sure,
                "new": percent(g.new, 0),
                "examples": [_example(picture.ids[row], row, picture) for row in g.examples],
            }
        )
    return found


def group_name(picture: Picture, number: int) -> str:
    """A few words for a group: its terms, else its class, else its number."""
    group = picture.groups[number]
    return ", ".join(redacted(t) for t in group.terms[:3]) or (group.top_class or f"group {number + 1}")[:80]


def _candidate(one: Candidate, picture: Picture | None) -> dict[str, Any]:
    row = None if picture is None else next((r for r, rank in picture.candidates.items() if rank == one.rank), None)
    return {
        "rank": one.rank,
        "id": one.record_id[:100],
        "row": row,
        "text": None if picture is None or row is None else picture.texts.get(row),
        "strategy": one.strategy,
        "need": f"{one.need:.2f}",
        "gain": percent(one.gain, 1),
        "gain_order": round(one.gain, 8),
        "risk": "-" if one.risk is None else percent(one.risk, 2),
        "risk_order": -1.0 if one.risk is None else round(one.risk, 8),
        "group": redacted(one.cluster) if one.cluster else "-",
        "predicted": one.predicted or "-",
        "suggested": one.suggested_label or "-",
        "label": one.label,
        "near": [(n.label, n.record_id[:100], f"{n.similarity:.2f}") for n in one.neighbours],
        "alike": one.duplicates,
        "reason": one.reason,
    }


def _refresh(found: Verification, picture: Picture | None) -> dict[str, Any]:
    """The refresh that learnt from this run, held against the model before it."""
    return {
        "verdict": found.verdict.value,
        "made": moment(found.made_at),
        "files": f"{found.old} against {found.new}"[:200],
        "sentences": verification_sentences(found),
        "table": set_table(found),
        "parts": [part for one in found.sets[:2] for part in _moved(one, picture)],
    }


def _moved(one: VerifiedSet, picture: Picture | None) -> list[dict[str, Any]]:
    texts = {} if picture is None else {picture.ids[row]: text for row, text in picture.texts.items()}
    parts = [
        ("classes that moved", GROUPED, group_rows(one.classes, _LISTED)),
        ("segments that moved", GROUPED, group_rows(one.segments, _LISTED)),
        ("flipped records, broken ones first", FLIPPED, flip_rows(one.flips, texts, _LISTED)),
    ]
    return [{"title": f"{one.name}: {title}", "heads": heads, "rows": rows} for title, heads, rows in parts if rows]


def _origin(source: Source) -> list[tuple[str, str]]:
    run = source.run
    made = f", made {moment(source.created)}" if source.created is not None else ""
    reference = "-" if run.reference_version is None else f"version {run.reference_version}{made}"
    rows = [
        ("Run", run.id),
        ("Window", f"{run.window.start.isoformat()} to {run.window.end.isoformat()}"),
        ("Attempt", f"{run.attempt}, begun {run.started_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("Settings", run.settings or "-"),
        ("Reference", reference),
        ("Fingerprint of the reference", run.reference_fingerprint or "-"),
        ("Fingerprint of the embedder", run.embedder or "-"),
        ("Seed", str(source.seed)),
    ]
    if source.model is not None:
        rows.append(("Model in production", f"{source.model.model}, live since {moment(source.model.live_at)} UTC"))
    if source.picture is None:
        rows.append(
            ("Map", "not kept: calm windows keep theirs until the next one is done, failed and empty ones have none")
        )
    else:
        rows.append(
            (
                "Map",
                f"{_map_counts(source.picture)}; {source.size / 1000:,.0f} kB kept",
            )
        )
    return rows


def _map_counts(picture: Picture) -> str:
    """How many records are on the map, of how many."""
    shown = int((~picture.current).sum()), int(picture.current.sum())
    return f"{shown[0]:,} of {picture.of[0]:,} reference records, {shown[1]:,} of {picture.of[1]:,} sampled ones"


def _commands(run: Run) -> list[str]:
    start, end = run.window.start.isoformat(), run.window.end.isoformat()
    return [
        f"drift-monitor reference use {run.reference_version or 1} --monitor {run.monitor}",
        f"drift-monitor backfill --monitor {run.monitor} --from {start} --to {end} --no-send",
        f"drift-monitor report {run.id}",
    ]
