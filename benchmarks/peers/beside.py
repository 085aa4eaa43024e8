"""Asks peers, which run in an environment of their own, what they make of pairs of samples."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmd_speed import PEERS_PYTHON, child

RUNNER = Path(__file__).parent / "many.py"

Sets = Sequence[tuple[np.ndarray, np.ndarray]]


def ask(peer: str, sets: Sets, **job: Any) -> dict[str, Any]:
    """``{"found": a list for each set, "cpu_seconds": ...}``, or ``{"error": why there is none}``; ``many.py`` says what a job holds.

    A set: references (r, n, d), r = 1 or as many as windows, and windows (k, m, d), float32.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "sets.npz")
        np.savez(
            path, **{f"{side}{i}": part for i, pair in enumerate(sets) for side, part in zip("xy", pair, strict=True)}
        )
        return child(PEERS_PYTHON, RUNNER, {"peer": peer, "sets": str(path), **job})
