"""The frozen values that flow between rooms. Rooms share these and nothing else.

Records travel as Arrow tables with the columns of :func:`record_schema`; a user's own column names end at the source.
"""

from __future__ import annotations

from monitor.values.calibration import Calibration, Level
from monitor.values.records import (
    SEGMENT_PREFIX,
    Batch,
    Counts,
    Dataset,
    FloatArray,
    Sample,
    Vectors,
    Window,
    record_schema,
)
from monitor.values.refresh import Advice, Candidate, Draft, Estimate, Export, Neighbour, Notice, Refresh
from monitor.values.runs import Run, RunStatus
from monitor.values.terms import MonitorTerms
from monitor.values.training import Reference
from monitor.values.verdicts import Baseline, BlockSums, Cause, Decision, Measurement, State
from monitor.values.verification import (
    Checked,
    Comparison,
    Deployment,
    Flip,
    Outcome,
    Verdict,
    Verification,
    VerifiedSet,
)

__all__ = [
    "SEGMENT_PREFIX",
    "Advice",
    "Baseline",
    "Batch",
    "BlockSums",
    "Calibration",
    "Candidate",
    "Cause",
    "Checked",
    "Comparison",
    "Counts",
    "Dataset",
    "Decision",
    "Deployment",
    "Draft",
    "Estimate",
    "Export",
    "Flip",
    "FloatArray",
    "Level",
    "Measurement",
    "MonitorTerms",
    "Neighbour",
    "Notice",
    "Outcome",
    "Reference",
    "Refresh",
    "Run",
    "RunStatus",
    "Sample",
    "State",
    "Vectors",
    "Verdict",
    "Verification",
    "VerifiedSet",
    "Window",
    "record_schema",
]
