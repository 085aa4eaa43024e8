"""What all pages have in common: templates that escape all they are given, the style sheet, and the policy for browsers."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import jinja2

from monitor.report.numbers import moment, percent, short
from monitor.report.run_page import look

__all__ = ["POLICY", "problem_page", "render", "style", "writable"]

POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""No script and nothing inline; one style sheet, of our own."""


@cache
def _templates() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("monitor.pages", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"moment": moment, "percent": percent, "short": short}
    return made


@cache
def style() -> str:
    """The style sheet: that of the report, and what only the pages need."""
    own = resources.files("monitor.pages").joinpath("templates/pages.css").read_text(encoding="utf-8")
    return look() + own


def render(name: str, **values: Any) -> str:
    """A page; everything in ``values`` is escaped."""
    return writable(_templates().get_template(name).render(**values))


def writable(text: str) -> str:
    """The text without lone halves of surrogate pairs, which have no bytes in UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


def problem_page(title: str, sentence: str) -> str:
    """A page that says why there is nothing else to see."""
    return render("problem.html", title=title, sentence=sentence)
