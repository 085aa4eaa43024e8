"""drift-monitor: drift and refresh monitoring for models on text and anything else with embeddings.

These are the names for notebooks and for authors of parts; what runs them is the command ``drift-monitor``.
"""

from monitor.detectors import Detector
from monitor.embedders import Embedder
from monitor.errors import MonitorError
from monitor.exporters import Exporter
from monitor.selection import Strategy
from monitor.sources import Source
from monitor.tickets import Tickets
from monitor.values import (
    Batch,
    Candidate,
    Counts,
    Dataset,
    Decision,
    Draft,
    Export,
    Measurement,
    Reference,
    Run,
    Sample,
    State,
    Window,
    record_schema,
)

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "Candidate",
    "Counts",
    "Dataset",
    "Decision",
    "Detector",
    "Draft",
    "Embedder",
    "Export",
    "Exporter",
    "Measurement",
    "MonitorError",
    "Reference",
    "Run",
    "Sample",
    "Source",
    "State",
    "Strategy",
    "Tickets",
    "Window",
    "__version__",
    "record_schema",
]
