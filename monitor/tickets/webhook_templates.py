"""Requests as settings describe them: structures with named places, filled with finished values and nothing else."""

from __future__ import annotations

import dataclasses
import string
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import AfterValidator, BaseModel, ConfigDict

from monitor.documents.fitting import fitted
from monitor.documents.html import html
from monitor.documents.markdown import markdown
from monitor.documents.plain import plain
from monitor.values import Document

__all__ = ["PAYLOAD", "Event", "Find", "Request", "at", "bodies", "filled", "filled_url"]

Event = Literal["create", "update", "comment", "close", "reopen"]
Values = Mapping[str, Any]

TEXTS = frozenset(
    {"event", "state", "key", "idempotency_key", "mark", "monitor", "title", "body_markdown", "body_html", "body_plain"}
    | {"window_start", "window_end", "number", "location", "note_key", "report_link"}
)
WHOLE = frozenset({"open", "window", "document", "note"})
"""Values that are no texts: a place of such a name must be all that its string holds."""

PAYLOAD: Mapping[str, Any] = {
    "event": "{event}",
    "key": "{key}",
    "idempotency_key": "{idempotency_key}",
    "monitor": "{monitor}",
    "title": "{title}",
    "open": "{open}",
    "window": "{window}",
    "body": {"markdown": "{body_markdown}", "html": "{body_html}", "plain": "{body_plain}", "document": "{document}"},
    "note": "{note}",
    "report_link": "{report_link}",
    "number": "{number}",
    "location": "{location}",
}
"""What is sent where the settings say nothing else."""


class _Places(string.Template):
    """``{name}`` is a place, ``{{`` a brace."""

    delimiter = "{"
    pattern = r"\{(?:(?P<escaped>\{)|(?P<named>[a-z_]+)\}|(?P<braced>(?!))|(?P<invalid>(?!)))"  # type: ignore[assignment]


def _checked(template: Any) -> Any:
    for text in _strings(template):
        for name in _Places(text).get_identifiers():
            if name not in TEXTS | WHOLE:
                raise ValueError(
                    f"there is no {{{name}}}; known are {', '.join(sorted(TEXTS | WHOLE))}; {{{{ is a brace"
                )
            if name in WHOLE and text != f"{{{name}}}":
                raise ValueError(f"{{{name}}} is no text; give it a string of its own")
    return template


def _checked_url(template: str) -> str:
    _checked(template)
    if set(_Places(template).get_identifiers()) & WHOLE:
        raise ValueError("an address can hold texts only")
    if "://" not in template and template and template[0] not in "/?" and template != "{location}":
        raise ValueError("wanted a path that begins with /, or a whole address")
    return template


def _strings(template: Any) -> Iterator[str]:
    if isinstance(template, str):
        yield template
    elif isinstance(template, Mapping):
        for key, value in template.items():
            if not isinstance(key, str):
                raise ValueError("the names in a body must be texts")  # noqa: TRY004 - a wrong setting
            yield from _strings(value)
    elif isinstance(template, list):
        for value in template:
            yield from _strings(value)


UrlTemplate = Annotated[str, AfterValidator(_checked_url)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Request(_Strict):
    """What is sent at an event: ``url`` is a path below that of the webhook or a whole address, ``body`` is sent as JSON."""

    method: Literal["POST", "PUT", "PATCH", "DELETE"] = "POST"
    url: UrlTemplate = ""
    body: Annotated[Any, AfterValidator(_checked)] = PAYLOAD


class Find(_Strict):
    """How a tracker is asked for a ticket; steps of a path are parted by dots.

    url       asked with GET; should hold ``{key}``
    list      path to the tickets in the answer; empty when it is a list itself
    number, location  paths in a ticket
    state, closed  path to its state, and the states in which it counts as closed
    labels    path to its labels, or to one: texts, or objects with a ``name``
    title, text  paths to what it says, so that nothing is sent that is there already
    read      asked for one ticket when its number is known, with ``item`` as the path to it
    notes, note_text  path to its comments, and to the text of each
    """

    url: UrlTemplate
    list: str = ""
    number: str = "number"
    location: str = ""
    state: str = ""
    closed: tuple[str, ...] = ("closed",)
    labels: str = ""
    title: str = ""
    text: str = ""
    read: UrlTemplate = ""
    item: str = ""
    notes: str = ""
    note_text: str = "body"


def filled(template: Any, values: Values) -> Any:
    """The structure with its places filled; values are put in as they are and never read as templates."""
    if isinstance(template, str):
        name = template[1:-1]
        return values[name] if name in WHOLE and template == f"{{{name}}}" else _Places(template).substitute(values)
    if isinstance(template, Mapping):
        return {key: filled(value, values) for key, value in template.items()}
    if isinstance(template, list):
        return [filled(value, values) for value in template]
    return template


def filled_url(template: str, values: Values) -> str:
    """The address with every value as one step of a path or one value of a query; ``{location}`` alone is an address itself."""
    if template == "{location}":
        return str(values["location"])
    return _Places(template).substitute({name: quote(str(values[name]), safe="", errors="replace") for name in TEXTS})


def at(data: Any, path: str) -> Any:
    """What is at the path in JSON, ``None`` when there is nothing."""
    for step in path.split(".") if path else ():
        if isinstance(data, Mapping):
            data = data.get(step)
        elif isinstance(data, list) and step.isdecimal() and int(step) < len(data):
            data = data[int(step)]
        else:
            return None
    return data


def bodies(document: Document, longest: int) -> dict[str, Any]:
    """The document in every form, none of the texts longer than ``longest`` characters."""
    short = fitted(document, lambda one: max(map(len, _texts(one).values())) <= longest)
    return {**_texts(short), "document": [_block(block) for block in short]}


def _texts(document: Document) -> dict[str, str]:
    forms = {"body_markdown": markdown(document), "body_html": html(document), "body_plain": plain(document)}
    return {name: text.rstrip("\n") for name, text in forms.items()}


def _block(block: Any) -> dict[str, Any]:
    data = dataclasses.asdict(block)
    if "numbers" in data:
        data["numbers"] = sorted(data["numbers"])
    return {"kind": type(block).__name__.lower(), **data}
