"""Trackers of the tests' own, stateful and on real sockets, that can be made to fail in every way a network knows."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from conftest import missing

TOKEN = "right-horse-battery"
SHARED = Path(__file__).resolve().parents[2] / "shared"

Reply = tuple[int, dict[str, str], Any]


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: Any
    data: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.data)

    @property
    def changes(self) -> bool:
        return self.method != "GET"


@dataclass
class Fault:
    """Befalls the next ``times`` requests that ``where`` picks; ``processed`` ones took effect all the same."""

    kind: str
    where: Callable[[Request], bool]
    times: int = 1
    processed: bool = False
    headers: dict[str, str] = field(default_factory=dict)


class Refused(Exception):
    """The tracker answers with this status and JSON."""

    def __init__(self, status: int, data: Any = None) -> None:
        super().__init__(status)
        self.status, self.data = status, data


class Tracker:
    """A server on the loopback. A subclass answers; whatever breaks its documentation is kept in ``violations``."""

    name = ""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.violations: list[str] = []
        self._stop = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self):
        tracker = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # else head and body travel apart, and the second waits for the first

            def handle_any(self) -> None:
                tracker.serve(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - the server's names

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        data = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        request = Request(handler.command, parts.path, dict(parse_qsl(parts.query)), handler.headers, data)
        with self._lock:
            self.requests.append(request)
            fault = next((one for one in self.faults if one.times and one.where(request)), None)
            if fault is not None:
                fault.times -= 1
            reply = (500, {}, None) if fault is not None and not fault.processed else self._reply(request)
        if fault is None:
            self._write(handler, *reply)
        else:
            self._fail(handler, fault)

    def _reply(self, request: Request) -> Reply:
        try:
            self.check(request)
            return self.answer(request)
        except Refused as refused:
            return refused.status, {}, refused.data
        except Exception as error:  # noqa: BLE001 - a request that the tracker cannot read breaks its documentation
            self.violations.append(f"{request.method} {request.path}: {type(error).__name__}: {error}")
            return 400, {}, {"message": "not as documented"}

    def _write(self, handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], data: Any) -> None:
        body = data if isinstance(data, bytes) else b"" if data is None else json.dumps(data).encode()
        handler.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers, "Content-Length": str(len(body))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    def _fail(self, handler: BaseHTTPRequestHandler, fault: Fault) -> None:
        if fault.kind.isdigit():
            self._write(handler, int(fault.kind), fault.headers, self.error(f"no luck, {TOKEN}"))
            return
        if fault.kind == "wrong JSON":
            self._write(handler, 200, {"Content-Type": "text/html"}, b"<html><title>Please log in</title></html>")
            return
        handler.close_connection = True
        try:
            if fault.kind == "cut":
                handler.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"num')
            elif fault.kind == "drip":
                handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
                while not self._stop.wait(0.02):
                    handler.wfile.write(b"X-Drip: 1\r\n")
                    handler.wfile.flush()
            elif fault.kind == "silence":
                self._stop.wait(30)
            else:
                raise AssertionError(fault.kind)
        except OSError:
            pass  # whom it concerns has hung up

    def error(self, message: str) -> Any:
        """An error in the service's form."""
        return {"message": message}

    def check(self, request: Request) -> None:
        """Raise when a request is not as the service's description has it."""

    def answer(self, request: Request) -> Reply:
        raise NotImplementedError


def described(name: str) -> Any:
    """A service's OpenAPI description from the shared folder, as openapi-core reads it."""
    from openapi_core import OpenAPI  # noqa: PLC0415 - slow to import

    return OpenAPI.from_dict(json.loads(schema_text(name)))


def schema_text(name: str) -> str:
    path = SHARED / "schemas" / name
    if not path.exists():
        missing(f"no {path}")
    return path.read_text(encoding="utf-8")


def validate(description: Any, host: str, request: Request) -> None:
    """Hold a request against the description; raises what openapi-core raises."""
    from openapi_core.testing import MockRequest  # noqa: PLC0415 - the same

    description.validate_request(
        MockRequest(
            host,
            request.method.lower(),
            request.path,
            args=request.query,
            headers=dict(request.headers.items()),
            data=request.data or None,
            content_type=request.headers.get("Content-Type", ""),
        )
    )


def paged(items: list[Any], request: Request, url: str, default: int) -> tuple[list[Any], dict[str, str]]:
    """A page by ``page`` and ``per_page``, and the header that links the next."""
    size, page = int(request.query.get("per_page", default)), int(request.query.get("page", 1))
    shown = items[(page - 1) * size : page * size]
    if page * size >= len(items):
        return shown, {}
    rest = "&".join(f"{name}={value}" for name, value in request.query.items() if name != "page")
    # As behind a proxy: the service thinks it has another name.
    where = f"https://elsewhere.example{request.path}?{rest}&page={page + 1}"
    return shown, {"Link": f'<{where}>; rel="next", <{where}>; rel="last"'}
