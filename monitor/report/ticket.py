"""The words of a refresh ticket: what drifted, since when, how sure, what to label, what next. Record text appears only as allowed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from monitor.redaction import redacted
from monitor.report.numbers import percent
from monitor.report.words import expected_lines
from monitor.values import (
    Bullets,
    Candidate,
    Decision,
    Document,
    Heading,
    Measurement,
    Paragraph,
    Preformatted,
    Run,
    Span,
    State,
    Steps,
    Table,
    Words,
)

__all__ = ["Episode", "Exported", "ticket_document", "ticket_title"]

_BARS = "▁▂▃▄▅▆▇█"
_MARKS = {State.DRIFTED: "!", State.RECOVERING: "~", State.WATCH: "?", State.STABLE: "."}
_TESTED = 12


@dataclass(frozen=True, slots=True)
class Exported:
    """Where the records of the ticket lie, and what their manifest's checksum is."""

    location: str
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Episode:
    """What a ticket knows beyond the run that it shows.

    since    day and time of the first drifted window's start, in words
    standing how it stands now, a finished sentence
    past     verdicts up to now, oldest first, of which the effect is drawn
    exports  where the records are
    report   address of the run's report, empty when nobody can reach one
    proof    sentences on what the refresh has brought so far
    allowed  false alarms a year that the owner allows; 0 when not known
    """

    since: str
    standing: str = ""
    past: Sequence[Decision] = ()
    exports: Sequence[Exported] = ()
    report: str = ""
    proof: Sequence[str] = ()
    allowed: float = 0.0


def ticket_title(monitor: str, decision: Decision, since: str) -> str:
    """One line that says what drifted, where and since when."""
    what = " and ".join(decision.causes) or "input"
    return f"{monitor}: {what} drift since {since}"


def ticket_document(run: Run, episode: Episode, shown: Callable[[str], str] = redacted) -> Document:
    """The body of a ticket about a drifted run; ``shown`` says what of a production text may stand in it."""
    decision = run.decision or Decision(State.FAILED)
    return (
        *((_sentence(episode.standing),) if episode.standing else ()),
        *_proof(episode),
        *_drawn(episode),
        Heading("The newest window that drifted"),
        *(_sentence(reason) for reason in decision.reasons),
        _facts(run, decision, episode),
        *_moved(run),
        *_origin(decision, shown),
        *_labelling(run, episode, shown),
        *_next(run),
        *_computed(run),
    )


def _plain(text: str) -> Words:
    return (Span(text),)


def _sentence(text: str) -> Paragraph:
    return Paragraph(_plain(text))


def _names(rows: Sequence[tuple[str, str]]) -> Table:
    return Table(("", ""), tuple((_plain(name), _plain(value)) for name, value in rows))


def _proof(episode: Episode) -> Document:
    if not episode.proof:
        return ()
    return (Heading("What the refresh has brought"), Bullets(tuple(_plain(said) for said in episode.proof)))


def _facts(run: Run, decision: Decision, episode: Episode) -> Table:
    evidence = decision.evidence
    rows = [
        ("Since", episode.since),
        ("Window", f"{run.window.start.isoformat()} to {run.window.end.isoformat()}"),
        ("Records", f"{run.counts.population} in the window, {run.counts.sampled} sampled"),
    ]
    if evidence.get("p", 0) > 0:
        rows.append(("Chance of a look like this without a change", f"p = {evidence['p']:.2g}"))
    if "budget_spent" in evidence:
        allowed = f"; {episode.allowed:g} a year are allowed" if episode.allowed else ""
        rows.append(
            ("False alarms to be expected so far without any change", f"{evidence['budget_spent']:.2f}{allowed}")
        )
    if episode.report:
        link = (Span("the report of this run, with pictures", href=episode.report),)
        return Table(("", ""), (*((_plain(name), _plain(value)) for name, value in rows), (_plain("Report"), link)))
    return _names(rows)


def _drawn(episode: Episode) -> Document:
    """The effect of every look as a row of bars, which every service can show."""
    sizes = [max(0.0, one.evidence.get("effect", 0.0)) if one.state in _MARKS else None for one in episode.past]
    most = max((size for size in sizes if size is not None), default=0.0)
    if len(sizes) < 3 or most <= 0:
        return ()
    bars = "".join(" " if size is None else _BARS[min(7, int(8 * size / most))] for size in sizes)
    marks = "".join(_MARKS.get(one.state, " ") for one in episode.past)
    return (
        _sentence(
            f"Size of the change in the last {len(sizes)} windows, the highest bar {percent(most)} of traffic; "
            "the marks say . calm, ? worth watching, ! drifted, ~ recovering, nothing for no verdict."
        ),
        Preformatted(f"{bars}\n{marks}"),
    )


def _moved(run: Run) -> Document:
    tested = [m for m in run.measurements if m.p_value is not None]
    telling = sorted(tested, key=lambda m: (m.p_value, m.detector, m.segment, m.subject))[:_TESTED]
    if not telling:
        return ()
    rows = tuple(_measured(m) for m in telling)
    return (
        Heading("What moved"),
        Table(("Detector", "Subject", "Effect", "95 % interval", "p"), rows, frozenset({2, 4})),
    )


def _measured(m: Measurement) -> tuple[Words, ...]:
    subject = f"{m.subject} ({m.segment})" if m.segment else m.subject
    cells = (m.detector, subject, f"{m.effect:.4g}", f"{m.low:.4g} to {m.high:.4g}", f"{m.p_value:.2g}")
    return tuple(_plain(cell) for cell in cells)


def _origin(decision: Decision, shown: Callable[[str], str]) -> Document:
    if not decision.findings:
        return ()
    items = []
    for cause in decision.findings:
        words = [Span(cause.name, "bold"), Span(f": {cause.sentence}")]
        terms = [term for term in map(shown, cause.terms) if term]
        if terms:
            words.append(Span(f" Words that tell it apart: {', '.join(terms)}."))
        for at, record in enumerate(cause.examples[:5]):
            words += [Span(", " if at else " For example "), Span(record, "code")]
        items.append((*words, Span(".")) if cause.examples else tuple(words))
    return (Heading("What it comes from, against the training reference"), Bullets(tuple(items)))


def _labelling(run: Run, episode: Episode, shown: Callable[[str], str]) -> Document:
    blocks: list[object] = [Heading("What to label and add")]
    if run.refresh is not None:
        blocks.append(Bullets(tuple(_plain(advice.sentence) for advice in run.refresh.advice)))
        blocks += [_sentence("What to expect of this batch:"), _names(expected_lines(run.refresh))]
    if not run.candidates:
        blocks.append(_sentence("No record of this window would help the model: nothing to label."))
        return tuple(blocks)  # type: ignore[arg-type]
    chosen = Counter(candidate.strategy for candidate in run.candidates)
    by = ", ".join(f"{count} by {strategy}" for strategy, count in chosen.most_common())
    drawn = " The random share shows how the model does on all traffic; keep it in." if chosen.get("random") else ""
    blocks.append(
        _sentence(
            f"{len(run.candidates)} production records, best first: {by}.{drawn} Need is what a label is worth for the new "
            "traffic, gain the share of all need that a record answers and those before it do not, risk the share of "
            "protected records that it alone might break."
        )
    )
    blocks += [_sentence(note) for note in (run.refresh.notes if run.refresh else ())]
    blocks += [_where(one) for one in episode.exports]
    blocks.append(_candidates(run.candidates, shown))
    return tuple(blocks)  # type: ignore[arg-type]


def _where(export: Exported) -> Paragraph:
    words = [Span("The whole records are in the export "), Span(export.location, "code")]
    if export.sha256:
        words += [Span(", whose manifest has the SHA-256 "), Span(export.sha256, "code")]
    return Paragraph((*words, Span(".")))


_COLUMNS = (
    "Rank",
    "Record",
    "Text",
    "Predicted",
    "Suggested label",
    "Need",
    "Gain",
    "Risk",
    "Reason",
    "Group",
    "Nearest training examples",
    "Alike",
    "Chosen by",
)


def _candidates(candidates: Sequence[Candidate], shown: Callable[[str], str]) -> Table:
    return Table(_COLUMNS, tuple(_candidate(c, shown) for c in candidates), frozenset({0, 5, 6, 7, 11}))


def _candidate(c: Candidate, shown: Callable[[str], str]) -> tuple[Words, ...]:
    near = ", ".join(f"{one.label or one.record_id} ({one.similarity:.2f})" for one in c.neighbours)
    said = (
        (shown(c.text) if c.text else "") or "-",
        c.predicted or "-",
        c.suggested_label or "-",
        f"{c.need:.2f}",
        f"{100 * c.gain:.1f} %",
        "-" if c.risk is None else f"{100 * c.risk:.2f} %",
        c.reason or "-",
        (shown(c.cluster) if c.cluster else "") or "-",
        near or "-",
        str(c.duplicates or ""),
        c.strategy,
    )
    return (_plain(str(c.rank)), (Span(c.record_id, "code"),), *map(_plain, said))


def _next(run: Run) -> Document:
    say = f"--monitor {run.monitor}"
    start = run.window.start.isoformat()
    return (
        Heading("What next"),
        Steps(
            (
                _plain("Label the records of the export in your labelling tool, or in the file itself."),
                (
                    Span(f"drift-monitor labels import FILE {say}", "code"),
                    Span(" checks the labels and makes a new training set and a new reference of them."),
                ),
                (
                    Span("Retrain on what "),
                    Span(f"drift-monitor datasets show --out FILE {say}", "code"),
                    Span(" writes; "),
                    Span(f"drift-monitor refresh verify --old FILE --new FILE --dataset VERSION {say}", "code"),
                    Span(" shows what the new model gains and breaks."),
                ),
                (
                    Span(f"drift-monitor models deploy NAME --dataset VERSION {say}", "code"),
                    Span(" once it is live; this ticket closes itself when the drift is over."),
                ),
            )
        ),
        Paragraph(
            (
                Span("If the change is wanted and the model serves it well, give this ticket the label "),
                Span("accepted", "code"),
                Span(", or "),
                Span(f"drift-monitor baseline accept {say} --window {start} --by YOU --reason WHY", "code"),
                Span(". The label "),
                Span("wont-fix", "code"),
                Span(" silences this monitor for a while. A ticket that you close stays closed for this drift."),
            )
        ),
    )


def _computed(run: Run) -> Document:
    detectors = ", ".join(dict.fromkeys(m.detector for m in run.measurements))
    return (
        Heading("How this was computed"),
        _names(
            [
                ("Compared", f"by {detectors}; effects with 95 % intervals, p-values by permutation of whole blocks"),
                ("Reference", f"version {run.reference_version}, {run.reference_fingerprint[:12]}"),
                ("Embedder", run.embedder),
                ("Settings", run.settings[:12]),
                ("Run", run.id),
            ]
        ),
    )
