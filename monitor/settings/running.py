"""What one run may take before it is stopped."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from monitor.settings.model import Model
from monitor.settings.schedule import Duration, Pattern

__all__ = ["RunSettings", "Size"]

_UNITS = {"MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}
_SIZE = re.compile(r"([1-9]\d*)(MB|GB|MiB|GiB)")


def _size(value: Any) -> Any:
    """``512MB``, ``4GB``, ``4GiB``, in bytes."""
    match = _SIZE.fullmatch(str(value).strip())
    if not match:
        raise ValueError("wanted a number above 0 and a unit of MB, GB, MiB or GiB, for example 4GB")
    return int(match[1]) * _UNITS[match[2]]


Size = Annotated[int, BeforeValidator(_size), Pattern(rf"^{_SIZE.pattern}$")]


class RunSettings(Model):
    """What ``serve`` lets one run take; beyond it the run is stopped and stands failed."""

    timeout: Duration = Field(timedelta(hours=1), gt=timedelta(0), description="how long one run may take")
    memory: Size | None = Field(
        None,
        description="memory of the process that runs it, such as 4GB; default three quarters of what there is, shared by the workers",
    )
