"""Prometheus metrics: a view of the store at scrape time, so they survive restarts and any replica can serve them.

Labels hold names out of the settings, classes and segments, never record ids or text, and no more classes, segments and
subjects than asked for: the rest is ``other``.
"""

from __future__ import annotations

from monitor.metrics.collector import StoreCollector
from monitor.metrics.exposition import Exposition, push, render, write_textfile
from monitor.metrics.table import METRICS, OTHER, Metric

__all__ = ["METRICS", "OTHER", "Exposition", "Metric", "StoreCollector", "push", "render", "write_textfile"]
