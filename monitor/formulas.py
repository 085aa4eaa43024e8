"""Texts in spreadsheets: a ``'`` keeps a cell from being run as a formula, and comes off again when the file is read."""

from __future__ import annotations

import re

__all__ = ["neutralised", "restored"]

# A cell begins at the start of a text, and after these where a spreadsheet cuts at other separators than the file was written
# with. Blanks, quotes and marks that are not seen are passed over. A ' that was there gets one more, so the way back is certain.
_BEGIN = r"(?:^|(?<=[;\t\r\n]))"
_UNSEEN = r"[ \"\x00-\x08\x0b\x0c\x0e-\x1f\x85\xa0\u1680\u2000-\u200f\u2028\u2029\u202f\u205f\u2060\u3000\ufeff]*+"
_FORMULA = re.compile(rf"{_BEGIN}(?={_UNSEEN}[=+\-@'\uff1d\uff0b\uff0d\uff20])")
_MARK = re.compile(rf"{_BEGIN}'")


def neutralised(text: str) -> str:
    """The text as a cell that no spreadsheet runs; see :func:`restored`."""
    return _FORMULA.sub("'", text)


def restored(cell: str) -> str:
    """What :func:`neutralised` made the cell of."""
    return _MARK.sub("", cell)
