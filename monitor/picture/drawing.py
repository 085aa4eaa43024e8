"""A picture of a run's records, from its vectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from monitor.detectors.blocks import blocks_of
from monitor.detectors.segments import equalised, ordered
from monitor.picture.contents import EXTENT, Picture
from monitor.picture.groups import grouped, told
from monitor.picture.layout import layout
from monitor.redaction import Redactor
from monitor.selection.drift_mass import drift_mass, luck
from monitor.values import Candidate, Dataset, Reference

__all__ = ["Excerpts", "draw_picture"]

Excerpts = Literal["none", "candidates", "all"]
"""Whose texts are kept, redacted and cut: nobody's, those of candidates and of examples of groups, or every record's."""

_MOST = 2_500
_ID, _NAME = 100, 200
_LEAST, _LUCK = 0.3, 0.98


def draw_picture(
    reference: Reference,
    current: Dataset,
    candidates: Sequence[Candidate],
    bandwidth: float,
    excerpts: Excerpts,
    rng: np.random.Generator,
    redactor: Redactor | None = None,
) -> Picture:
    """At most 2,500 records of the reference and 2,500 of the window, drawn fairly, and all candidates, on one map.

    Parameters
    ----------
    bandwidth : how near traffic counts as the same, in units of cosine
    redactor : masks the texts that are kept, and the words of groups; the usual one when not given
    """
    known = reference.everything
    theirs, ours = _drawn(known, rng), _drawn(current, rng)
    ranks = {candidate.record_id: candidate.rank for candidate in candidates}
    missing = ranks.keys() - set(ours.ids)
    extra = ordered(current.take(np.array([record in missing for record in current.ids], dtype=bool)))
    sides = [_plain(side) for side in (theirs, ours, extra)]
    both = sides[0].append(sides[1]).append(sides[2])
    is_current = np.arange(len(both)) >= len(theirs)
    counted = np.arange(len(both)) < len(theirs) + len(ours)
    floor, excess = _excess(both, is_current, bandwidth, rng)
    blocks = np.concatenate([blocks_of(theirs).codes, _after(theirs, blocks_of(ours.append(extra)).codes)])
    drifted = is_current & (excess >= floor)
    groups, codes = told(both, grouped(both.vectors, rng), blocks, is_current, counted, drifted)
    names, classes = _named(both)
    rows = {row: ranks[record] for row, record in enumerate(both.ids) if is_current[row] and record in ranks}
    shown = {"none": set(), "all": set(range(len(both)))}.get(excerpts)
    if shown is None:
        shown = {*rows, *(row for group in groups for row in group.examples)}
    texts = both.column("text")
    redactor = redactor or Redactor()
    kept = {row: redactor.excerpt(texts[row]) for row in sorted(shown) if texts[row]}
    groups = tuple(replace(group, terms=tuple(redactor.redact(term)[0] for term in group.terms)) for group in groups)
    return Picture(
        places=np.round(EXTENT * layout(both.vectors, rng)).astype(np.int16),
        current=is_current,
        group=codes.astype(np.uint8),
        excess=excess,
        floor=floor,
        ids=tuple(record[:_ID] for record in both.ids),
        classes=classes,
        names=names,
        groups=groups,
        of=(len(known), len(current)),
        texts={row: text for row, (text, _) in kept.items()},
        candidates=rows,
        masked=dict(sum((found for _, found in kept.values()), Counter[str]())),
    )


def _drawn(data: Dataset, rng: np.random.Generator) -> Dataset:
    data = equalised(data, rng)
    return data.take(np.sort(rng.choice(len(data), _MOST, replace=False))) if len(data) > _MOST else data


def _plain(data: Dataset) -> Dataset:
    """Without segments, which the sides need not share."""
    return Dataset(
        data.records.select([name for name in data.records.schema.names if not name.startswith("segment.")]),
        data.vectors,
        np.ones(len(data)),
        data.embedder,
    )


def _after(first: Dataset, codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return codes + int(blocks_of(first).codes.max(initial=-1)) + 1


def _excess(
    both: Dataset, current: npt.NDArray[np.bool_], bandwidth: float, rng: np.random.Generator
) -> tuple[int, npt.NDArray[np.uint8]]:
    """From which excess on a record lies in the drifted region, and the excess of each, both in per cent.

    Three tenths of the traffic around it are new, and more than 98 of 100 records of a calm window of this size would show by luck.
    """
    theirs, ours = both.vectors[~current], both.vectors[current]
    mass = drift_mass(ours, np.ones(len(ours)), theirs, np.ones(len(theirs)), bandwidth, rng)
    by_luck = luck(theirs, np.ones(len(theirs)), len(ours), mass.typical, bandwidth, rng, _LUCK)
    excess = np.zeros(len(both), dtype=np.uint8)
    excess[current] = np.floor(100 * np.clip(mass.excess, 0.0, 1.0))
    return int(np.ceil(100 * min(max(_LEAST, by_luck), 1.0))), excess


def _named(both: Dataset) -> tuple[tuple[str, ...], npt.NDArray[np.int16]]:
    """The names of classes, and which each row has."""
    found = [None if name is None else str(name)[:_NAME] for name in both.classes]
    names = sorted({name for name in found if name is not None})
    number = {name: i for i, name in enumerate(names)}
    return tuple(names), np.array([-1 if name is None else number[name] for name in found], dtype=np.int16)
