"""A refresh held against the model it replaces, and what became of the drift: pure computing over labels and predictions."""

from __future__ import annotations

from monitor.verification.accuracy import running_accuracy
from monitor.verification.comparison import compare, verified_set
from monitor.verification.outcome import outcome
from monitor.verification.verdict import judge

__all__ = ["compare", "judge", "outcome", "running_accuracy", "verified_set"]
