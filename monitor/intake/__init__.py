"""Labels coming in: read, checked, judged by the quality gate, and made a new version of the training set, all or nothing."""

from __future__ import annotations

from monitor.intake.door import import_labels
from monitor.intake.outcome import Case, Outcome, Request
from monitor.intake.relabel import write_relabel

__all__ = ["Case", "Outcome", "Request", "import_labels", "write_relabel"]
