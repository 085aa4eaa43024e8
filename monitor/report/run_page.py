"""One self-contained page about one run, under a policy that lets nothing but itself run and nothing be fetched."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from monitor.report.map_view import map_data, map_view
from monitor.report.sheet import Source, sheet

__all__ = ["Source", "look", "policy", "run_page"]

_UNSAFE = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


@cache
def _page() -> tuple[jinja2.Template, str, str]:
    loader = jinja2.PackageLoader("monitor.report", "page")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    shared, own, script = (loader.get_source(environment, name)[0] for name in ("look.css", "report.css", "report.js"))
    return environment.get_template("report.html"), shared + own, script


def look() -> str:
    """The style sheet that the report shares with the pages of the service: colours, type, tables, pills."""
    return resources.files("monitor.report").joinpath("page/look.css").read_text(encoding="utf-8")


@cache
def policy() -> str:
    """The content security policy of every report: its own style and script, by their hashes, and nothing else."""
    _, style, script = _page()
    return "; ".join(
        [
            "default-src 'none'",
            f"style-src {_hash(style)}",
            f"script-src {_hash(script)}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _hash(content: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() + "'"


def _as_data(value: Any) -> Markup:
    """JSON for a block of data: no sign in it can end the block."""
    return Markup(json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_UNSAFE))  # noqa: S704 - escaped above


def run_page(source: Source) -> str:
    """The report of a run as HTML; the same source gives the same page."""
    template, style, script = _page()
    picture = source.picture
    page = template.render(
        **sheet(source),
        map=None if picture is None or not len(picture) else map_view(picture),
        data=_as_data({} if picture is None else map_data(picture)),
        # Our own files, in the package.
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
        policy=policy(),
    )
    # Lone halves of surrogate pairs have no bytes in UTF-8.
    return page.encode("utf-8", "replace").decode("utf-8")
