"""The frozen values that flow between rooms. Rooms share these and nothing else.

Records travel as Arrow tables with the columns of :func:`record_schema`; a user's own column names end at the source.
"""

from __future__ import annotations

from monitor.values.calibration import Calibration, Level
from monitor.values.documents import Bullets, Document, Heading, Paragraph, Preformatted, Span, Steps, Table, Words
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
from monitor.values.refresh import Advice, Candidate, Estimate, Export, Neighbour, Notice, Refresh
from monitor.values.runs import Run, RunStatus
from monitor.values.terms import MonitorTerms
from monitor.values.tickets import Draft, Known, Living, Note, Said, Silence, TicketWish
from monitor.values.training import Reference
from monitor.values.verdicts import Baseline, BlockSums, Cause, Decision, Measurement, State

__all__ = [
    "SEGMENT_PREFIX",
    "Advice",
    "Baseline",
    "Batch",
    "BlockSums",
    "Bullets",
    "Calibration",
    "Candidate",
    "Cause",
    "Counts",
    "Dataset",
    "Decision",
    "Document",
    "Draft",
    "Estimate",
    "Export",
    "FloatArray",
    "Heading",
    "Known",
    "Level",
    "Living",
    "Measurement",
    "MonitorTerms",
    "Neighbour",
    "Note",
    "Notice",
    "Paragraph",
    "Preformatted",
    "Reference",
    "Refresh",
    "Run",
    "RunStatus",
    "Said",
    "Sample",
    "Silence",
    "Span",
    "State",
    "Steps",
    "Table",
    "TicketWish",
    "Vectors",
    "Window",
    "Words",
    "record_schema",
]
