"""A few seconds of every target of benchmarks/fuzz.py, always with the same input: nothing that must not happen does."""

from __future__ import annotations

import fuzz_answers
import fuzz_http
import fuzz_labels
import fuzz_records
import fuzz_settings
import fuzz_stored
import pytest
from fuzz_tally import FAULTS, Tally

PLAYS = {
    "settings": (lambda *given: fuzz_settings.play(*given, processes=1), 10),
    "records": (fuzz_records.play, 10),
    "labels": (fuzz_labels.play, 10),
    "http": (fuzz_http.play, 24),
    "stored": (fuzz_stored.play, 20),
    "answers": (fuzz_answers.play, 20),
}


@pytest.mark.parametrize("target", PLAYS)
def test_no_traceback_no_crash_nothing_half_done(target, tmp_path):
    play, cases = PLAYS[target]
    folder = tmp_path / "shop"
    folder.mkdir()
    tally = Tally(target)
    play(tally, folder, cases, None)
    assert tally.found == {}
    assert sum(tally.counts[kind] for kind in FAULTS) == 0
    assert tally.counts["cases"] >= cases // 2
    # Both ways are gone: what is right is taken, what is wrong is refused.
    assert tally.counts["accepted"], tally.row()
    assert tally.counts["refused"], tally.row()
