"""The training reference: build, fingerprint, save, load. A version, once saved, never changes."""

from __future__ import annotations

from monitor.reference.assembly import assemble, fingerprint_of, split_protected
from monitor.reference.growth import Difference, class_counts, difference, labels_fingerprint, with_labels
from monitor.reference.shelf import Entry, Shelf

__all__ = [
    "Difference",
    "Entry",
    "Shelf",
    "assemble",
    "class_counts",
    "difference",
    "fingerprint_of",
    "labels_fingerprint",
    "split_protected",
    "with_labels",
]
