"""What of Jira's answers is read, in Jira's own names."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

__all__ = [
    "PROPERTY",
    "Attachment",
    "Category",
    "Comment",
    "Comments",
    "Fields",
    "Issue",
    "Keyed",
    "Search",
    "Status",
    "Transition",
    "Transitions",
]

PROPERTY = "drift-monitor"
"""Under which we remember with an issue what we sent."""


class Category(BaseModel):
    """Of a status: ``new``, ``indeterminate`` or ``done``."""

    key: str


class Status(BaseModel):
    """A step of the project's workflow."""

    name: str = ""
    statusCategory: Category  # noqa: N815 - Jira's name


class Attachment(BaseModel):
    """A file below an issue."""

    id: str | int
    filename: str


class Fields(BaseModel):
    """The fields that are asked for; Cloud's description is a tree, Data Center's a text."""

    summary: str = ""
    description: Any = None
    status: Status
    labels: list[str] = Field(default_factory=list)
    attachment: list[Attachment] = Field(default_factory=list)


class Issue(BaseModel):
    """An issue, with the properties that are asked for."""

    key: str
    fields: Fields
    properties: dict[str, Any] = Field(default_factory=dict)

    @property
    def ours(self) -> dict[str, Any]:
        """What was remembered with the issue."""
        found = self.properties.get(PROPERTY)
        return found if isinstance(found, dict) else {}


class Keyed(BaseModel):
    """What a search and a creation tell of an issue."""

    key: str


class Search(BaseModel):
    """A page of found issues."""

    issues: list[Keyed] = Field(default_factory=list)


class Transition(BaseModel):
    """A way to another status."""

    id: str
    name: str
    to: Status


class Transitions(BaseModel):
    """The ways that are open now."""

    transitions: list[Transition] = Field(default_factory=list)


class Comment(BaseModel):
    """A comment; Cloud's body is a tree, Data Center's a text."""

    body: Any = None


class Comments(BaseModel):
    """A page of comments, and how many there are."""

    comments: list[Comment] = Field(default_factory=list)
    total: int = 0
