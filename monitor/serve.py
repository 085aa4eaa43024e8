"""The service: windows on schedule, pages for people, and what machines read: /metrics, /healthz, /readyz.

One scheduler thread runs windows, one at a time; any number of replicas may share a store, the claim decides who runs.
The pages only read the store. SIGTERM stops the run that is under way at its next step and gives its claim back.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from types import FrameType

import uvicorn
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from monitor.door import Door, check_certificate, users_of
from monitor.errors import MonitorError
from monitor.logs import fields, unforeseen
from monitor.metrics import Exposition, StoreCollector
from monitor.page_routes import PROBLEMS, pages
from monitor.pipeline import Desk, Monitor, Stopped, publish_pending, run_window
from monitor.push import push_metrics
from monitor.retention import EVERY, forget_in_time
from monitor.settings import MonitorSettings, Settings
from monitor.store import Store
from monitor.values import MonitorTerms, RunStatus, Window
from monitor.windows import due_windows
from monitor.wiring import open_store, terms_of, wire

__all__ = ["Service", "application", "serve"]

_log = logging.getLogger("monitor.serve")
_FIRST_RETRY = timedelta(minutes=1)
_LONGEST_RETRY = timedelta(hours=1)


class Service:
    """Looks for windows that are due and runs them; ``stop`` ends it between two steps."""

    def __init__(self, settings: Settings, store: Store, *, now: Callable[[], datetime], worker: str) -> None:
        self._settings = settings
        self._store = store
        self._now = now
        self._stopping = threading.Event()
        self._forget_at = now()
        for one in settings.monitors:
            store.register_monitor(one.name, settings=one.fingerprint(), period=one.schedule.tiling.length, now=now())
        self.wired: dict[str, Monitor] = {one.name: wire(settings, one, store) for one in settings.monitors}
        self._desk = Desk(store, now, worker, settings.serve.lease, step=self._step, progress=self._progress)

    def _step(self, name: str) -> None:
        if self._stopping.is_set() and name != "save":
            raise Stopped(name)

    def _progress(self, done: int, total: int) -> None:
        self._step("embed")

    def stop(self) -> None:
        """Ask the run that is under way to end at its next step; what is being saved is saved."""
        self._stopping.set()

    def tick(self, one: MonitorSettings) -> None:
        """Run the windows of one monitor that are due, then send what waits; a failure is logged and tried again next time."""
        try:
            self._run_due(one)
            if not self._stopping.is_set():
                publish_pending(self.wired, self._desk)
                push_metrics(self._settings, self._store)
                self._forget()
        except Stopped as stop:
            _log.info("run stopped", extra=fields(monitor=one.name, before=stop.step))
        except MonitorError as error:
            _log.error("tick failed", extra=fields(monitor=one.name, error=str(error)))
        except Exception as error:  # noqa: BLE001 - the scheduler would log its message, which may quote a record
            _log.error("tick failed", extra=fields(monitor=one.name, error=unforeseen(error, _log)))

    def _forget(self) -> None:
        if self._settings.privacy.retention is None or self._now() < self._forget_at:
            return
        self._forget_at = self._now() + EVERY
        forget_in_time(self._settings, self._store, self._now())

    def _run_due(self, one: MonitorSettings) -> None:
        schedule = one.schedule
        watermark = self._store.watermark(one.name)
        due = due_windows(self._now(), schedule.tiling, schedule.delay, watermark, schedule.catch_up)
        if due.skipped:
            _log.warning(
                "windows skipped",
                extra=fields(monitor=one.name, windows=due.skipped, since=due.skipped_from, catch_up=schedule.catch_up),
            )
        for window in sorted({*due.windows, *self._store.unfinished(one.name, self._now())}):
            if self._stopping.is_set():
                return
            if self._may_run(one.name, window):
                run_window(self.wired[one.name], window, self._desk, retry_failed=True)

    def _may_run(self, name: str, window: Window) -> bool:
        """Whether the window is new, or long enough ago since it failed: 1 minute, then twice as long each time."""
        last = self._store.run(name, window.start)
        if last is None or last.status is not RunStatus.FAILED or last.finished_at is None:
            return True
        wait = min(_FIRST_RETRY * (1 << min(last.attempt - 1, 10)), _LONGEST_RETRY)
        return self._now() >= last.finished_at + wait


def _scheduler(service: Service, settings: Settings, now: Callable[[], datetime]) -> BackgroundScheduler:
    """Memory job store and one thread: what is due is found in the store, so a trigger that was missed loses nothing."""
    scheduler = BackgroundScheduler(executors={"default": ThreadPoolExecutor(1)}, timezone="UTC")
    for one in settings.monitors:
        scheduler.add_job(
            service.tick,
            "interval",
            seconds=max(settings.serve.poll.total_seconds(), 1),
            args=[one],
            id=one.name,
            next_run_time=now(),
            max_instances=1,
            coalesce=True,
            misfire_grace_time=None,
        )
    return scheduler


def application(store: Store, terms: Mapping[str, MonitorTerms], users: Sequence[bytes] = ()) -> Starlette:
    """The ASGI app. It never touches a source, a model or a ticket; ``users`` as of :func:`monitor.door.users_of`."""
    exposition = Exposition(StoreCollector(store, terms=terms))

    def metrics(request: Request) -> Response:
        body, content_type = exposition.answer(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})

    def healthz(request: Request) -> Response:
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
    store.upgrade()
    config = uvicorn.Config(
        # Who asks is told at once when the database is away.
        application(store.without_patience(), terms_of(settings), users),
        host=of.host,
        port=of.port,
        ssl_certfile=of.tls_certificate,
        ssl_keyfile=of.tls_key,
        server_header=False,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=10,
    )
    told = fields(host=of.host, port=of.port, monitors=len(settings.monitors))
    _log.info("serving", extra=told)
    try:
        if schedule:
            _serve_and_run(config, settings, store, worker)
        else:
            _on_signals(lambda: None)
            uvicorn.Server(config).run()
    finally:
        store.close()
        _log.info("stopped")


def _on_signals(stop: Callable[[], None]) -> None:
    """The web server raises the signal once more when it is done; what follows must still run, and a wish to stop is no failure."""
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread may; whoever started this one hears them.
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())


def _serve_and_run(config: uvicorn.Config, settings: Settings, store: Store, worker: str) -> None:
    # The database's clock: leases are compared between replicas.
    service = Service(settings, store, now=store.now, worker=worker)
    scheduler = _scheduler(service, settings, store.now)
    server = _Server(config, service.stop)
    _on_signals(service.stop)
    scheduler.start()
    try:
        server.run()
    finally:
        service.stop()
        # Waits for the run under way: it ends at its next step, and its claim is given back.
        scheduler.shutdown(wait=True)
