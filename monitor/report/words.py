"""Words for people: the refresh ticket and the one-line summary. Record text appears only redacted and cut."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import jinja2

from monitor.redaction import redacted
from monitor.values import Candidate, Decision, Estimate, Reference, Refresh, Run

__all__ = ["escape", "excerpt", "expected_lines", "summary_line", "ticket_body", "ticket_title"]

_LISTED = 100
# An underscore inside a word, as in class names, is no markup.
_MARKDOWN = re.compile(r"([\\`*{}\[\]<>|#~]|(?<!\w)_|_(?!\w))")

_TICKET = """\
{% for reason in run.decision.reasons %}{{ reason }}
{% endfor %}
| | |
| --- | --- |
| Window | {{ run.window.start.isoformat() }} to {{ run.window.end.isoformat() }} |
| Records | {{ run.counts.population }} in the window, {{ run.counts.sampled }} sampled |
| Reference | version {{ reference.version }} of {{ reference.created_at.date() }}, {{ reference.fingerprint[:12] }} |
| Embedder | {{ reference.embedder }} |
| Run | {{ run.id }} |

## What moved

| Detector | Subject | Effect | 95 % interval | p |
| --- | --- | ---: | --- | ---: |
{% for m in tested -%}
| {{ m.detector }} | {{ m.subject | md }}{% if m.segment %} ({{ m.segment | md }}){% endif %} | {{ "%.4g" | format(m.effect) }} | {{ "%.4g" | format(m.low) }} to {{ "%.4g" | format(m.high) }} | {{ "%.2g" | format(m.p_value) }} |
{% endfor %}
{% if run.decision.findings %}
## What it comes from, against the training reference

{% for cause in run.decision.findings -%}
- **{{ cause.name }}**: {{ cause.sentence | md }}{% if cause.terms %} Words that tell it apart: {{ terms(cause) }}.{% endif %}{% if cause.examples %} For example {% for id in cause.examples[:5] %}`{{ id | code }}`{% if not loop.last %}, {% endif %}{% endfor %}.{% endif %}

{% endfor %}
{%- endif %}
## What to label and add

{% if run.refresh -%}
{% for advice in run.refresh.advice -%}
- {{ advice.sentence | md }}
{% endfor %}
| What to expect of this batch | |
| --- | --- |
{% for name, value in expected -%}
| {{ name }} | {{ value }} |
{% endfor %}
{% endif -%}
{% if run.candidates -%}
{{ run.candidates | length }} production records, best first: {{ strategies }}.
{%- if random %} The random share shows how the model does on all traffic; keep it in.{% endif %} Need is what a label is worth for the new traffic, gain the share of all need that a record answers and those before it do not, risk the share of
protected records that it alone might break. Texts are shown redacted and cut; the whole records are in the export.
{%- for note in run.refresh.notes if run.refresh %}

{{ note | md }}
{%- endfor %}

| # | Record | Chosen by | Need | Gain | Risk | Group | Predicted | Suggested label | Nearest training examples | Alike | Text |
| ---: | --- | --- | ---: | ---: | ---: | --- | --- | --- | --- | ---: | --- |
{% for c in listed -%}
| {{ c.rank }} | `{{ c.record_id | code }}` | {{ c.strategy }} | {{ "%.2f" | format(c.need) }} | {{ "%.1f" | format(100 * c.gain) }} % | {{ risk(c) }} | {{ c.cluster | excerpt }} | {{ (c.predicted or "-") | md }} | {{ (c.suggested_label or "-") | md }} | {{ nearest(c) | md }} | {{ c.duplicates or "" }} | {{ c.text | excerpt }} |
{% endfor %}
{%- if run.candidates | length > listed | length %}
{{ run.candidates | length - listed | length }} more are in the export.
{% endif %}
{%- else -%}
No record of this window would help the model: nothing to label.
{% endif %}
## What next

1. Label the records of the export and save them as CSV, JSON lines or Parquet with the columns `id` and `label`.
2. `drift-monitor labels import FILE --monitor {{ run.monitor }}`
3. Retrain, then `drift-monitor reference build --monitor {{ run.monitor }} --add-labels`.

If the change is wanted and the model serves it well: `drift-monitor baseline accept --monitor {{ run.monitor }} --window {{ run.window.start.isoformat() }} --by YOU --reason WHY`.
"""


def excerpt(text: str | None) -> str:
    """A text as it may stand in a ticket: links, addresses and numbers masked, cut, and without markup of its own."""
    if text is None:
        return "-"
    return escape(redacted(text))


def escape(text: str) -> str:
    """The text without markup of its own, on one line."""
    # A zero-width joiner after @ keeps a record from notifying people.
    return _MARKDOWN.sub(r"\\\1", text).replace("@", "@\u200d").replace("\n", " ")


def _nearest(candidate: Candidate) -> str:
    if not candidate.neighbours:
        return "-"
    return ", ".join(f"{near.label or near.record_id} ({near.similarity:.2f})" for near in candidate.neighbours)


def expected_lines(refresh: Refresh) -> list[tuple[str, str]]:
    """What a batch is expected to do, line by line; before labels its numbers rest on guessed ones and say so."""
    guessed = "" if refresh.answers else ", by guessed labels: an indication until labels are in"
    rows = [
        ("Round", f"{refresh.round}, with {refresh.answers} labels of this drift in hand" if refresh.answers else "1"),
        ("Share of the need that it answers", f"{100 * refresh.covered:.0f} %"),
    ]
    if refresh.gain is not None:
        rows.append(("Change of accuracy on the new traffic", _span(refresh.gain) + guessed))
    if refresh.flips is not None:
        rows.append(("Of what the model has right, turned wrong", _span(refresh.flips, 2) + guessed))
    if refresh.guarded is not None:
        rows.append(("The same with the incumbent bonus", _span(refresh.guarded, 2) + guessed))
        kept = "none keeps it" if refresh.bonus is None else f"{refresh.bonus:g}"
        rows.append((f"Bonus for a budget of {100 * refresh.flips_budget:g} %", kept))
    if refresh.junk is not None:
        rows.append(("Junk among the labels" if refresh.answers else "Junk to be expected", _span(refresh.junk)))
    return rows


def _span(estimate: Estimate, digits: int = 0) -> str:
    value, low, high = (f"{100 * number:.{digits}f}" for number in (estimate.value, estimate.low, estimate.high))
    return f"{value} % ({low} to {high} %)"


def ticket_title(monitor: str, decision: Decision, window_start: str) -> str:
    """One line that says what drifted, where and since when."""
    what = " and ".join(decision.causes) or "input"
    return f"{monitor}: {what} drift since {window_start}"


def ticket_body(run: Run, reference: Reference) -> str:
    """Markdown of a refresh ticket."""
    environment = jinja2.Environment(autoescape=False, undefined=jinja2.StrictUndefined, trim_blocks=False)  # noqa: S701 - Markdown, escaped by the filters below
    environment.filters |= {
        "md": escape,
        "excerpt": excerpt,
        "code": lambda text: text.replace("`", "'").replace("|", "/"),
    }
    chosen = Counter(candidate.strategy for candidate in run.candidates)
    return environment.from_string(_TICKET).render(
        run=run,
        reference=reference,
        tested=_most_telling(run),
        listed=run.candidates[:_LISTED],
        strategies=", ".join(f"{count} by {strategy}" for strategy, count in chosen.most_common()),
        random=chosen.get("random", 0),
        nearest=_nearest,
        risk=lambda c: "-" if c.risk is None else f"{100 * c.risk:.2f} %",
        expected=[] if run.refresh is None else expected_lines(run.refresh),
        terms=lambda cause: ", ".join(excerpt(term) for term in cause.terms),
    )


def _most_telling(run: Run, most: int = 12) -> Sequence[object]:
    tested = [m for m in run.measurements if m.p_value is not None]
    return sorted(tested, key=lambda m: (m.p_value, m.detector, m.segment, m.subject))[:most]


def summary_line(run: Run) -> str:
    """One line about a run, for a terminal."""
    if run.decision is None:
        return f"{run.monitor} {run.window.start.date()} {run.status}: {run.error}"
    first = run.decision.reasons[0] if run.decision.reasons else ""
    return f"{run.monitor} {run.window.start.date()} {run.decision.state}: {first}"
