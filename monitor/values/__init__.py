"""The frozen values that flow between rooms. Rooms share these and nothing else.

Records travel as Arrow tables with the columns of :func:`record_schema`; a user's own column names end at the source.
"""

from __future__ import annotations

from monitor.values.calibration import Calibration, Level
from monitor.values.labelling import GivenLabel, Lineage, TrainingSet
from monitor.values.quality import (
    Agreement,
    Annotator,
    GateTerms,
    GroupQuality,
    LabelBatch,
    LabelVerdict,
    Returned,
    Vote,
)
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
from monitor.values.refresh import Advice, Candidate, Draft, Estimate, Export, ExportedRun, Neighbour, Notice, Refresh
from monitor.values.runs import Run, RunStatus
from monitor.values.terms import MonitorTerms
from monitor.values.training import Reference
from monitor.values.verdicts import Baseline, BlockSums, Cause, Decision, Measurement, State

__all__ = [
    "SEGMENT_PREFIX",
    "Advice",
    "Agreement",
    "Annotator",
    "Baseline",
    "Batch",
    "BlockSums",
    "Calibration",
    "Candidate",
    "Cause",
    "Counts",
    "Dataset",
    "Decision",
    "Draft",
    "Estimate",
    "Export",
    "ExportedRun",
    "FloatArray",
    "GateTerms",
    "GivenLabel",
    "GroupQuality",
    "LabelBatch",
    "LabelVerdict",
    "Level",
    "Lineage",
    "Measurement",
    "MonitorTerms",
    "Neighbour",
    "Notice",
    "Reference",
    "Refresh",
    "Returned",
    "Run",
    "RunStatus",
    "Sample",
    "State",
    "TrainingSet",
    "Vectors",
    "Vote",
    "Window",
    "record_schema",
]
