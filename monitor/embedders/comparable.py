"""Whether a window's vectors may be compared with the reference's at all; what may not is a failure, never drift."""

from __future__ import annotations

from monitor.embedders import Embedder
from monitor.embedders.canaries import check_canaries
from monitor.errors import CanaryError, EmbedError
from monitor.values import Counts, Dataset, Reference

__all__ = ["check_dimension", "check_embedder", "check_vectors"]


def check_embedder(embedder: Embedder, reference: Reference) -> None:
    """``CanaryError`` unless the embedder, asked past its cache, is the one the reference was built with."""
    if embedder.reads == "text":
        check_canaries(embedder, reference.canaries)
    elif embedder.fingerprint != reference.embedder:
        raise CanaryError(
            f"window vectors come from {embedder.fingerprint}, the reference's from {reference.embedder}; "
            "give both the same name, or build a new reference"
        )


def check_dimension(current: Dataset, reference: Reference) -> None:
    """``EmbedError`` when the window's vectors have another dimension than the reference's."""
    found, wanted = current.vectors.shape[1], reference.train.vectors.shape[1]
    if found != wanted:
        raise EmbedError(
            f"window vectors have {found} dimensions, the reference's {wanted}; restore what made them, or build a new "
            "reference (drift-monitor reference build)"
        )


def check_vectors(counts: Counts) -> None:
    """``EmbedError`` when nothing is left of a window because of its vectors: what made them is at fault, not the traffic."""
    bad = {reason: number for reason, number in counts.rejected.items() if reason.endswith(" vector")}
    if bad:
        named = ", ".join(f"{number} {reason}" for reason, number in bad.items())
        raise EmbedError(f"no record has a usable vector ({named}); check the column that fields.vector names")
