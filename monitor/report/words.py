"""What a refresh is expected to do, line by line, and a run in one line."""

from __future__ import annotations

from monitor.values import Estimate, Refresh, Run

__all__ = ["expected_lines", "summary_line"]


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


def summary_line(run: Run) -> str:
    """One line about a run, for a terminal."""
    if run.decision is None:
        return f"{run.monitor} {run.window.start.date()} {run.status}: {run.error}"
    first = run.decision.reasons[0] if run.decision.reasons else ""
    return f"{run.monitor} {run.window.start.date()} {run.decision.state}: {first}"
