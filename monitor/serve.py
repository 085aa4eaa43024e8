"""The service: windows on schedule, pages for people, and what machines read: /metrics, /healthz, /readyz.

Windows run in child processes, see :mod:`monitor.fleet`; any number of replicas may share a store, the claim decides who runs.
The pages only read the store. SIGTERM stops the runs that are under way at their next step and gives their claims back.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from monitor.awaiting import wait_for_store
from monitor.door import HEADERS, Door, check_certificate, users_of
from monitor.errors import MonitorError
from monitor.fleet import Conductor
from monitor.logs import fields
from monitor.metrics import Exposition, StoreCollector
from monitor.page_routes import PROBLEMS, pages
from monitor.settings import Settings
from monitor.store import Store
from monitor.values import MonitorTerms
from monitor.wiring import open_store, terms_of

__all__ = ["application", "serve"]

_log = logging.getLogger("monitor.serve")


def application(
    store: Store,
    terms: Mapping[str, MonitorTerms],
    users: Sequence[bytes] = (),
    *,
    scheduling: Callable[[], bool] = lambda: True,
) -> Starlette:
    """The ASGI app. It never touches a source, a model or a ticket.

    users       as of :func:`monitor.door.users_of`
    scheduling  whether windows are still being run; where they are not, ``/healthz`` says so and a supervisor can start anew
    """
    # Who asks is told at once when the database is away.
    store = store.without_patience()
    exposition = Exposition(StoreCollector(store, terms=terms))

    def metrics(request: Request) -> Response:
        body, content_type = exposition.answer(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})

    def healthz(request: Request) -> Response:
        if not scheduling():
            return PlainTextResponse("the scheduler has ended; start the service again\n", status_code=503)
        return PlainTextResponse("alive\n")

    def readyz(request: Request) -> Response:
        try:
            store.check()
        except MonitorError as error:
            return PlainTextResponse(f"not ready: {error}\n", status_code=503)
        return PlainTextResponse("ready\n")

    machines = (("/metrics", metrics), ("/healthz", healthz), ("/readyz", readyz))
    routes = [Route(path, page, methods=["GET"]) for path, page in (*machines, *pages(store, terms))]

    @asynccontextmanager
    async def ready(app: Starlette) -> AsyncIterator[None]:
        await run_in_threadpool(exposition.prepare)
        yield

    door = Middleware(Door, users=users, open_to_all=[path for path, _ in machines])
    return Starlette(routes=routes, lifespan=ready, middleware=[door], exception_handlers=PROBLEMS)


class _Line(H11Protocol):
    """Refuses what is no HTTP with the headers of every answer, and without breaking into one that is under way."""

    def send_400_response(self, msg: str) -> None:
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            said = {"content-type": "text/plain; charset=utf-8", "connection": "close", **HEADERS}
            head = "".join(f"{name}: {value}\r\n" for name, value in said.items())
            self.transport.write(f"HTTP/1.1 400 Bad Request\r\n{head}\r\n{msg}".encode())
        self.transport.close()


class _Server(uvicorn.Server):
    """Tells the service of a stop signal before the pages close."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._on_stop()
        super().handle_exit(sig, frame)


def serve(settings: Settings, *, worker: str, schedule: bool = True) -> None:
    """Run until SIGTERM or SIGINT; without ``schedule`` only the pages, for runs that cron or a CronJob starts."""
    of = settings.serve
    users = users_of(of.auth_file) if of.auth_file is not None else ()
    if of.tls_certificate is not None and of.tls_key is not None:
        check_certificate(of.tls_certificate, of.tls_key)
    store = open_store(settings)
    scheduling = _Scheduling(store, Conductor(settings, store, worker=worker) if schedule else None)
    config = uvicorn.Config(
        application(store, terms_of(settings), users, scheduling=scheduling.is_alive if schedule else lambda: True),
        host=of.host,
        port=of.port,
        ssl_certfile=of.tls_certificate,
        ssl_keyfile=of.tls_key,
        http=_Line,
        server_header=False,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=10,
    )
    server = _Server(config, scheduling.stop)
    scheduling.when_it_fails = partial(setattr, server, "should_exit", True)
    _log.info("serving", extra=fields(host=of.host, port=of.port, monitors=len(settings.monitors)))
    _on_signals(scheduling.stop)
    try:
        scheduling.start()
        server.run()
    finally:
        # Runs under way end at their next step, and their claims are given back.
        scheduling.stop()
        scheduling.join()
        store.close()
        _log.info("stopped")
    if scheduling.failure is not None:
        raise scheduling.failure


class _Scheduling(threading.Thread):
    """Waits for the database, then runs windows; what no waiting heals ends the service, and is its error."""

    def __init__(self, store: Store, conductor: Conductor | None) -> None:
        super().__init__(name="scheduling")
        self._store, self._conductor = store, conductor
        self._stopping = threading.Event()
        self.failure: Exception | None = None
        self.when_it_fails: Callable[[], None] = lambda: None

    def run(self) -> None:
        """Work until :meth:`stop`."""
        try:
            if wait_for_store(self._store, self._stopping) and self._conductor is not None:
                self._conductor.run()
        except Exception as error:  # noqa: BLE001 - raised again where the service ends
            self.failure = error
            self.when_it_fails()

    def stop(self) -> None:
        """Ask for the end; runs under way end at their next step."""
        self._stopping.set()
        self._store.hurry()
        if self._conductor is not None:
            self._conductor.stop()


def _on_signals(stop: Callable[[], None]) -> None:
    """The web server raises the signal once more when it is done; what follows must still run, and a wish to stop is no failure."""
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread may; whoever started this one hears them.
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())
