"""Addresses of the pages for people: each reads the store and answers with one of :mod:`monitor.pages`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from monitor.errors import StoreError
from monitor.logs import fields, unforeseen
from monitor.pages import (
    Wanted,
    candidates_csv,
    candidates_lines,
    candidates_page,
    monitors_page,
    problem_page,
    runbooks_page,
    runs_page,
    shown_candidates,
    style,
    tickets_page,
)
from monitor.report.run_page import policy
from monitor.reporting import report_of
from monitor.store import Place, Store
from monitor.values import MonitorTerms, Run

__all__ = ["PROBLEMS", "pages"]

_log = logging.getLogger("monitor.serve")
_LONGEST_ID = 200

Page = Callable[[Request], Response]


class _NotThereError(Exception):
    """What was asked for does not exist."""


def _problem(status: int, title: str, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    return HTMLResponse(problem_page(title, sentence), status_code=status, headers=headers)


def _not_found(what: str = "There is no such page.") -> Response:
    return _problem(404, "Not found", f"{what} The links above lead to what there is.")


def _refused(request: Request, error: Exception) -> Response:
    """What the router refuses by itself: addresses that lead nowhere, and methods other than GET and HEAD."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 404:
        return _not_found()
    headers = error.headers if isinstance(error, HTTPException) else None
    return _problem(status, "Not possible", "These pages can only be read.", headers)


PROBLEMS = {HTTPException: _refused}
"""Exception handlers of the app."""


def _answered(page: Page) -> Page:
    """The page, or one that says why not; no detail of an error leaves the log."""

    def answer(request: Request) -> Response:
        try:
            return page(request)
        except _NotThereError as missing:
            return _not_found(str(missing))
        except StoreError as error:
            _log.warning("page not served", extra=fields(error=str(error)))
            return _problem(503, "The store does not answer", "Nothing is lost. Try again in a minute.")
        except Exception as error:  # noqa: BLE001 - its message may quote a record
            _log.error("page failed", extra=fields(error=unforeseen(error, _log)))
            return _problem(500, "This page cannot be shown", "The log of the service says why.")

    return answer


def pages(store: Store, terms: Mapping[str, MonitorTerms]) -> list[tuple[str, Page]]:
    """Paths and what answers there; only monitors of the settings are shown."""

    def known(request: Request) -> str:
        name = str(request.path_params["name"])
        if name not in terms:
            raise _NotThereError("No monitor of this name is in the settings.")
        return name

    def run_of(request: Request) -> Run:
        wanted = str(request.path_params["run"])
        # PostgreSQL takes no zero byte in a text.
        found = None if len(wanted) > _LONGEST_ID or "\0" in wanted else store.run_by_id(wanted)
        if found is None or found.monitor not in terms:
            raise _NotThereError("There is no run of this id.")
        return found

    def monitors(request: Request) -> Response:
        return HTMLResponse(monitors_page(store, terms, store.now()))

    def runs(request: Request) -> Response:
        name = known(request)
        return HTMLResponse(runs_page(store, name, terms[name], _time(request.query_params.get("before"))))

    def report(request: Request) -> Response:
        headers = {"Content-Security-Policy": f"{policy()}; frame-ancestors 'none'"}
        return HTMLResponse(report_of(store, run_of(request)), headers=headers)

    def tickets(request: Request) -> Response:
        monitor = request.query_params.get("monitor") or None
        if monitor is not None and monitor not in terms:
            raise _NotThereError("No monitor of this name is in the settings.")
        return HTMLResponse(tickets_page(store, terms, monitor, _place(request.query_params)))

    def newest(request: Request) -> Response:
        name = known(request)
        found = store.runs(name, limit=1, with_candidates=False)
        # Another run will be the newest: nobody is to remember where this led.
        return RedirectResponse(f"/runs/{quote(found[0].id)}" if found else f"/monitors/{quote(name)}", status_code=307)

    def runbooks(request: Request) -> Response:
        return HTMLResponse(runbooks_page())

    def candidates(request: Request) -> Response:
        return HTMLResponse(candidates_page(store, run_of(request), Wanted.of(request.query_params)))

    def as_csv(request: Request) -> Response:
        run = run_of(request)
        rows = shown_candidates(store, run, Wanted.of(request.query_params))
        return _file(run, candidates_csv(rows), "csv", "text/csv")

    def as_lines(request: Request) -> Response:
        run = run_of(request)
        rows = shown_candidates(store, run, Wanted.of(request.query_params))
        return _file(run, candidates_lines(rows), "jsonl", "application/x-ndjson")

    def look(request: Request) -> Response:
        return Response(style(), media_type="text/css")

    found: list[tuple[str, Page]] = [
        ("/", monitors),
        ("/monitors/{name}", runs),
        ("/monitors/{name}/newest", newest),
        ("/runs/{run}", report),
        ("/runs/{run}/candidates", candidates),
        ("/runs/{run}/candidates.csv", as_csv),
        ("/runs/{run}/candidates.jsonl", as_lines),
        ("/tickets", tickets),
        ("/runbooks", runbooks),
        ("/pages.css", look),
    ]
    return [(path, _answered(page)) for path, page in found]


def _time(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise _NotThereError("The address asks for what was before something that is no time.")


def _place(query: Mapping[str, str]) -> Place | None:
    """After which ticket the page begins."""
    before = _time(query.get("before"))
    return None if before is None else (before, query.get("key", ""), query.get("to", ""))


def _file(run: Run, content: str, ending: str, kind: str) -> Response:
    name = f"candidates-{run.monitor}-{run.window.start:%Y%m%dT%H%M}.{ending}"
    return Response(content, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})
