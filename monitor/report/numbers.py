"""Numbers and times as people read them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

__all__ = ["axis", "moment", "percent", "short", "signed", "span", "wilson"]

_Z = 1.959963984540054


def percent(share: float, digits: int | None = None) -> str:
    """A share in per cent, with a decimal below ten: ``0.5 %``, ``12 %``."""
    value = 100 * share
    if digits is None:
        digits = 0 if abs(value) >= 9.95 or abs(value - round(value)) < 0.05 else 1
    return _minus(f"{value:.{digits}f} %")


def signed(share: float) -> str:
    """A change of a share in points: ``+2.5 %``."""
    return ("+" if share > 0 else "") + percent(share)


def span(low: float, high: float) -> str:
    """Both ends of an interval: ``1.2 % to 4 %``."""
    return f"{percent(low)} to {percent(high)}"


def short(value: float) -> str:
    """Three figures, with thousands apart; very large ones by their power: ``1.5e11``."""
    if value == 0:
        return "0"
    if abs(value) >= 1e7:
        mantissa, power = f"{value:.1e}".split("e")
        return _minus(f"{mantissa}e{int(power)}")
    if abs(value) >= 100:
        return _minus(f"{value:,.0f}")
    return _minus(f"{value:.3g}")


def _minus(text: str) -> str:
    return "\N{MINUS SIGN}" + text[1:] if text.startswith("-") else text


def moment(at: datetime) -> str:
    """A time in UTC, without the clock at midnight."""
    return f"{at:%Y-%m-%d}" if (at.hour, at.minute, at.second) == (0, 0, 0) else f"{at:%Y-%m-%d %H:%M}"


def wilson(share: float, rows: int) -> tuple[float, float]:
    """95 % interval of a share ("Probable inference", JASA 22, 1927); 0 to 1 without rows."""
    if rows < 1:
        return 0.0, 1.0
    middle = (share + _Z**2 / (2 * rows)) / (1 + _Z**2 / rows)
    half = _Z * math.sqrt(max(share * (1 - share), 0.0) / rows + _Z**2 / (4 * rows**2)) / (1 + _Z**2 / rows)
    return max(0.0, middle - half), min(1.0, middle + half)


def axis(top: float, parts: int = 4) -> Sequence[float]:
    """Round marks from 0 up to the first at or above ``top``."""
    step = 10.0 ** math.floor(math.log10(max(top, 1e-9) / parts))
    step *= next(times for times in (1, 2, 2.5, 5, 10) if times * step * parts >= top * 0.999)
    return [round(step * i, 12) for i in range(math.ceil(top / step - 1e-9) + 1)]
