"""Sketches: sums of features over blocks of records, small enough to keep, from which any windows can be compared later."""

from __future__ import annotations

from monitor.sketches.change import change, compare
from monitor.sketches.packing import from_bytes, to_bytes
from monitor.sketches.plan import Plan, make_plan
from monitor.sketches.scales import SCALES, change_over, changes
from monitor.sketches.sums import Accumulator, block_sums, coarsened, dealt, reference_sums

__all__ = [
    "SCALES",
    "Accumulator",
    "Plan",
    "block_sums",
    "change",
    "change_over",
    "changes",
    "coarsened",
    "compare",
    "dealt",
    "from_bytes",
    "make_plan",
    "reference_sums",
    "to_bytes",
]
