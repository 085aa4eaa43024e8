"""The frozen values that flow between rooms. Rooms share these and nothing else.

Records travel as Arrow tables with the columns of :func:`record_schema`; a user's own column names end at the source.
"""

from __future__ import annotations

from monitor.values.calibration import Calibration, Level
from monitor.values.documents import (
    Block,
    Bullets,
    Document,
    Heading,
    Paragraph,
    Preformatted,
    Span,
    Steps,
    Table,
    Words,
)
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
from monitor.values.refresh import Advice, Candidate, Estimate, Export, ExportedRun, Neighbour, Notice, Refresh
from monitor.values.runs import Run, RunStatus
from monitor.values.terms import MonitorTerms
from monitor.values.tickets import Draft, Known, Living, Note, Said, Silence, TicketWish
from monitor.values.training import Reference
from monitor.values.verdicts import Baseline, BlockSums, Cause, Decision, Judged, Measurement, State
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
    "Agreement",
    "Annotator",
    "Baseline",
    "Batch",
    "Block",
    "BlockSums",
    "Bullets",
    "Calibration",
    "Candidate",
    "Cause",
    "Checked",
    "Comparison",
    "Counts",
    "Dataset",
    "Decision",
    "Deployment",
    "Document",
    "Draft",
    "Estimate",
    "Export",
    "ExportedRun",
    "Flip",
    "FloatArray",
    "GateTerms",
    "GivenLabel",
    "GroupQuality",
    "Heading",
    "Judged",
    "Known",
    "LabelBatch",
    "LabelVerdict",
    "Level",
    "Lineage",
    "Living",
    "Measurement",
    "MonitorTerms",
    "Neighbour",
    "Note",
    "Notice",
    "Outcome",
    "Paragraph",
    "Preformatted",
    "Reference",
    "Refresh",
    "Returned",
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
    "TrainingSet",
    "Vectors",
    "Verdict",
    "Verification",
    "VerifiedSet",
    "Vote",
    "Window",
    "Words",
    "record_schema",
]
