"""What came of thrown-together input: counts by outcome, and whatever must not happen, with the input that did it."""

from __future__ import annotations

import io
import logging
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from monitor.cli import main

FAULTS = ("traceback", "crash", "hang", "partial write", "wrong data", "text shown", "no reason")
TRACEBACKS = ("Traceback (most recent call last)", "the log has the traceback")
SECRET = "XYZZYSECRET"
OURS = Path(__file__).resolve().parents[1] / "monitor"
PATIENCE = 60
"""Seconds after which a case counts as hanging."""


class Hangs(BaseException):
    """A case that takes longer than :data:`PATIENCE`."""


@dataclass
class Tally:
    """One target. ``found`` has one example of each different fault."""

    target: str
    counts: Counter[str] = field(default_factory=Counter)
    found: dict[str, str] = field(default_factory=dict)

    def fault(self, kind: str, why: str, given: object) -> None:
        """Note what must not happen, and the input."""
        assert kind in FAULTS
        self.counts[kind] += 1
        self.found.setdefault(f"{kind}: {why}"[:300], shown(given)[:600])

    def row(self) -> dict[str, Any]:
        """The counts as a row of a table."""
        names = ("cases", "accepted", "refused", *FAULTS)
        return {"target": self.target, **{name: self.counts[name] for name in names}}

    def settle(self, said: Said, given: object, allowed: tuple[int, ...] = (0, 1, 2)) -> None:
        """Hold what a command said against what a person may see."""
        words = said.out + said.err
        for mark in TRACEBACKS:
            if mark in words:
                self.fault("traceback", last_line(words), given)
                return
        if said.code not in allowed:
            self.fault("crash", f"exit status {said.code}", given)
        elif said.code and not words.strip():
            self.fault("no reason", f"exit status {said.code} without a word", given)
        else:
            self.counts["refused" if said.code else "accepted"] += 1


def shown(given: object) -> str:
    """The input for people; not all of it can be written."""
    try:
        return repr(given)
    except Exception as error:  # noqa: BLE001 - some input is made so that it cannot
        return f"{type(given).__name__} without words ({type(error).__name__})"


def last_line(words: str) -> str:
    """The line that names the error, and the innermost of ours that the log knows."""
    marked = [line for line in words.splitlines() if "the log has the traceback" in line]
    places = re.findall(r"/monitor/([\w/]+\.py)\\?\", line (\d+)", words)
    where = f" ({places[-1][0]} line {places[-1][1]})" if places else ""
    return (marked or words.strip().splitlines())[-1].strip() + where


@contextmanager
def long_numbers() -> Iterator[None]:
    """Numbers of any length may be written."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(before)


@dataclass
class Said:
    """What a command said and how it exited."""

    code: int
    out: str
    err: str


def typed(*words: object) -> Said:
    """Type a command in this process; streams refuse what a real terminal's would."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict", write_through=True)
    err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace", write_through=True)
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    code: object = 0
    try:
        argv = mock.patch.object(sys, "argv", ["drift-monitor", *map(str, words)])
        with argv, redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as ended:
        code = ended.code or 0
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    texts = [stream.buffer.getvalue().decode("utf-8", "replace") for stream in (out, err)]  # type: ignore[attr-defined]
    return Said(code if isinstance(code, int) else 1, *texts)


def each(
    tally: Tally, strategy: st.SearchStrategy[Any], cases: int, seed: int | None, body: Callable[[Any], None]
) -> None:
    """Call ``body`` with so many values; whatever it raises is a crash of the target. Without a seed always the same values."""

    def one(value: Any) -> None:
        tally.counts["cases"] += 1
        try:
            with patience():
                body(value)
        except Hangs:
            tally.fault("hang", f"no end within {PATIENCE} s", value)
        except Exception as error:
            place = place_of(error)
            if not place:
                raise
            tally.fault("crash", f"{type(error).__name__} in {place}", value)

    wanted = settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
        derandomize=seed is None,
    )
    test = wanted(given(strategy)(one))
    (test if seed is None else seeded(seed)(test))()


def place_of(error: BaseException) -> str:
    """The innermost line of ours; empty when it is the test's own fault."""
    found, frame = "", error.__traceback__
    while frame is not None:
        path = Path(frame.tb_frame.f_code.co_filename)
        if path.is_relative_to(OURS):
            found = f"{path.name} line {frame.tb_lineno}"
        frame = frame.tb_next
    return found


@contextmanager
def patience() -> Iterator[None]:
    """Raise :class:`Hangs` when the block takes too long."""

    def ring(*_: object) -> None:
        raise Hangs

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below with its size and when it was written."""
    found = {}
    for path in folder.rglob("*"):
        about = path.stat()
        found[str(path.relative_to(folder))] = (about.st_size if path.is_file() else 0, about.st_mtime_ns)
    return found


@contextmanager
def heard() -> Iterator[io.StringIO]:
    """What is logged meanwhile."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield stream
    finally:
        root.removeHandler(handler)


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """With this working directory."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def flipped(content: bytes, edits: list[tuple[str, float, bytes]]) -> bytes:
    """The content with bytes flipped, put in, taken out or cut off at these places (shares of its length)."""
    made = bytearray(content)
    for how, share, some in edits:
        at = int(share * max(len(made) - 1, 0))
        if how == "flip" and made:
            made[at] ^= (some or b"\1")[0] or 1
        elif how == "insert":
            made[at:at] = some
        elif how == "delete":
            del made[at : at + len(some)]
        elif how == "cut":
            del made[at:]
        elif how == "repeat":
            made[at:at] = made[at : at + 64]
    return bytes(made)


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "flip", "insert", "delete", "cut", "repeat"]),
        st.floats(0, 1, allow_nan=False),
        st.binary(min_size=1, max_size=8),
    ),
    min_size=1,
    max_size=6,
)
"""For :func:`flipped`."""

HUGE = 10**5000
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([1, -1]).map(lambda sign: sign * HUGE)
    | st.sampled_from([2**63, -(2**63) - 1, 2**64, 10**400])
    | st.floats()
    | st.text()
    | st.text(st.characters(categories=["Cs", "Cc", "Lu"]), max_size=5)
    | st.sampled_from(["", " ", "\0", "x" * 100_000, SECRET, "\ud800", "=1+1", "2026-01-05", "9" * 5000, "²"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=6,
)
"""Anything that a JSON parser may give."""


def now() -> float:
    """Seconds that never go back."""
    return time.monotonic()
