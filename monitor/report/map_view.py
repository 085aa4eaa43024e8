"""The map of a run as paths to draw, and the data its script shows on hover."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.picture import EXTENT, Picture
from monitor.report.sheet import group_name

__all__ = ["map_data", "map_view"]

FLAT = 0.7
"""The map is so much lower than wide."""

_NAMED, _MARGIN = 14, 350
_COMPANY, _REACH = 3, 500
_FEW = 2_000
_LONGEST, _LETTER, _LINE = 28, 110, 300
"""Of a name: letters at most, and how wide and high they are on the map."""


def _places(picture: Picture) -> npt.NDArray[np.int64]:
    places = picture.places.astype(np.int64)
    places[:, 1] = np.round((EXTENT - places[:, 1]) * FLAT)
    return places


def _dots(places: npt.NDArray[np.int64]) -> str:
    """A path of strokes without length, which round caps turn into dots."""
    return "".join(f"M{x} {y}h0" for x, y in places.tolist())


def map_view(picture: Picture) -> dict[str, Any]:
    """Paths of each kind of record, names of groups, and what the map shows in words."""
    places, drifted = _places(picture), picture.drifted
    chosen = sorted(picture.candidates, key=lambda row: picture.candidates[row])
    current, reference = int(picture.current.sum()), int((~picture.current).sum())
    return {
        "box": f"{-_MARGIN} {-_MARGIN} {EXTENT + 2 * _MARGIN} {round(EXTENT * FLAT) + 2 * _MARGIN}",
        "reference": _dots(places[~picture.current]),
        "current": _dots(places[picture.current & ~drifted]),
        "drifted": _dots(places[drifted]),
        "region": _dots(_in_company(places[drifted])),
        "candidates": _dots(places[chosen]),
        "names": _names(picture, places),
        "counts": {
            "reference": reference,
            "current": current,
            "drifted": int(drifted.sum()),
            "candidates": len(chosen),
        },
        "floor": picture.floor,
        "few": len(picture) < _FEW,
        "groups": [(number, group_name(picture, number)) for number in range(len(picture.groups))],
        "words": (
            f"{reference:,} reference records and {current:,} of the window on a plane; {int(drifted.sum()):,} of these lie in "
            f"the drifted region, where at least {picture.floor} % of the traffic is new."
        ),
    }


def _in_company(places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The places near at least three others, so that no single record looks like a region."""
    near = np.zeros(len(places), dtype=np.int64)
    for start in range(0, len(places), 500):
        gap = places[start : start + 500, None] - places[None]
        near[start : start + 500] = (np.square(gap).sum(axis=2) <= _REACH**2).sum(axis=1) - 1
    return places[near >= _COMPANY]


def _names(picture: Picture, places: npt.NDArray[np.int64]) -> list[dict[str, Any]]:
    """Names at the middle of the groups that changed or drifted most, and of the largest."""
    found: list[dict[str, Any]] = []
    groups = picture.groups
    order = sorted(
        range(len(groups)),
        key=lambda i: (not groups[i].sure, -groups[i].new, -(groups[i].reference + groups[i].current)),
    )
    for number in order[:_NAMED]:
        group, inside = groups[number], places[picture.group == number]
        if len(inside):
            # Above the group, not over it.
            x, y = int(np.median(inside[:, 0])), max(int(np.quantile(inside[:, 1], 0.15)) - 130, 0)
            # Names that would lie over each other help nobody.
            name = group_name(picture, number)
            name = name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
            if any(
                abs(x - other["x"]) < _LETTER / 2 * (len(name) + len(other["name"])) and abs(y - other["y"]) < _LINE
                for other in found
            ):
                continue
            moved = "" if not group.sure else "grown" if group.current > group.reference else "shrunk"
            found.append({"x": x, "y": y, "name": name, "moved": moved})
    return found


def map_data(picture: Picture) -> dict[str, Any]:
    """What the script needs of each record, by row."""
    return {
        "places": _places(picture).ravel().tolist(),
        "current": picture.current.astype(int).tolist(),
        "group": picture.group.tolist(),
        "excess": picture.excess.tolist(),
        "classes": picture.classes.tolist(),
        "floor": picture.floor,
        "ids": list(picture.ids),
        "names": list(picture.names),
        "groups": [group_name(picture, number) for number in range(len(picture.groups))],
        "texts": {str(row): text for row, text in picture.texts.items()},
        "ranks": {str(row): rank for row, rank in picture.candidates.items()},
    }
