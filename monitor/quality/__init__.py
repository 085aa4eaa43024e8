"""The quality gate for labels that come back: which are probably wrong, and whether the batch may enter training."""

from __future__ import annotations

from monitor.quality.agreement import agreement, annotators
from monitor.quality.conflicts import settled
from monitor.quality.gate import judged

__all__ = ["agreement", "annotators", "judged", "settled"]
