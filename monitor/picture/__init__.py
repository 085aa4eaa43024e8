"""The picture of a run: its records on a map, in groups with shares before and after, small enough to be kept with the run."""

from __future__ import annotations

from monitor.picture.contents import EXTENT, Group, Picture
from monitor.picture.drawing import Excerpts, draw_picture
from monitor.picture.packing import from_bytes, to_bytes

__all__ = ["EXTENT", "Excerpts", "Group", "Picture", "draw_picture", "from_bytes", "to_bytes"]
