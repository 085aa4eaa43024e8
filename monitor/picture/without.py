"""A picture without some of its records."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from monitor.picture.contents import Picture

__all__ = ["without"]


def without(picture: Picture, ids: Collection[str]) -> Picture | None:
    """The picture without these records' places, ids, texts and ranks; shares of groups stay. ``None`` when it holds none of them."""
    shown = {record[:100] for record in ids}
    kept = np.array([record not in shown for record in picture.ids], dtype=bool)
    if kept.all():
        return None
    place = {int(row): n for n, row in enumerate(np.flatnonzero(kept))}
    groups = tuple(
        replace(group, examples=tuple(place[row] for row in group.examples if row in place)) for group in picture.groups
    )
    return replace(
        picture,
        places=picture.places[kept],
        current=picture.current[kept],
        group=picture.group[kept],
        excess=picture.excess[kept],
        ids=tuple(record for record in picture.ids if record not in shown),
        classes=picture.classes[kept],
        groups=groups,
        texts={place[row]: text for row, text in picture.texts.items() if row in place},
        candidates={place[row]: rank for row, rank in picture.candidates.items() if row in place},
    )
