"""The training reference: build, fingerprint, save, load. A version, once saved, never changes."""

from __future__ import annotations

from monitor.reference.assembly import assemble, fingerprint_of, split_protected
from monitor.reference.shelf import Entry, Shelf

__all__ = ["Entry", "Shelf", "assemble", "fingerprint_of", "split_protected"]
