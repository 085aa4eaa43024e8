"""What a service is asked, and what it answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from monitor.errors import PublishError

__all__ = ["Answer", "Call"]

Shape = TypeVar("Shape")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered. ``headers`` are found in upper or lower case; ``next_page`` is the URL of the next, or empty."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    service: str
    next_page: str = ""

    def read(self, shape: type[Shape]) -> Shape:
        """The JSON in this shape (a pydantic model, ``list[Model]``, ``dict[str, Any]``); else a ``PublishError`` that may pass."""
        try:
            return TypeAdapter(shape).validate_json(self.body)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            kind = "no JSON" if first["type"] == "json_invalid" else "JSON of another form than documented"
            where = ".".join(str(step) for step in first["loc"])
            raise PublishError(
                f"{self.service} answered {self.status} with {kind}{f' at {where}' if where else ''}; "
                "is there a proxy or a login page in between? It is tried again later by itself"
            ) from None


@dataclass(slots=True, repr=False)  # its headers hold the token
class Call:
    """A call on its way; ``texts`` are those that must not come back in a message."""

    method: str
    url: str
    doing: str
    headers: Mapping[str, str]
    body: bytes | None
    accept: frozenset[int]
    texts: list[str]
    repeatable: bool = False
    may_repeat: bool = False
