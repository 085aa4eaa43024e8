"""The one HTTP client of everything that is sent to a service: bounded in time and size, repeated only where that is safe."""

from __future__ import annotations

import json as json_text
import random
import re
import time
from collections.abc import Collection, Iterator, Mapping
from time import sleep
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

from urllib3 import BaseHTTPResponse, HTTPHeaderDict, Timeout, encode_multipart_formdata
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProxyError, SSLError

from monitor import __version__
from monitor.errors import PublishError
from monitor.http_client import refusals
from monitor.http_client.answer import Answer, Call
from monitor.http_client.wire import Deadline, connections
from monitor.reach import NotAdmitted, refuse_behind_proxy

__all__ = ["Answer", "HttpClient", "quoted"]

_SAFE = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
_UNPROCESSED = frozenset({429, 503})
_LATER = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 3
_MOST_PAGES = 100
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0


def quoted(part: object) -> str:
    """One step of a URL's path; a slash inside it is no slash any more."""
    return quote(str(part), safe="")


def _refusal_behind(error: BaseException | None) -> NotAdmitted | None:
    while error is not None and not isinstance(error, NotAdmitted):
        error = error.__cause__ or error.__context__
    return error


class HttpClient:
    """Speaks to one service.

    service   its name in messages
    url       where its paths begin, ``http`` or ``https``; without user and password
    headers   sent with every call, such as the token's
    secrets   what must never be shown, such as the token
    ca_file   further certificate authorities, in PEM form
    total     seconds for a call with all its repeats and pauses; ``read`` and ``connect`` bound a single silence
    patience  the longest pause in seconds that is slept; who asks for a longer one is asked again by the outbox
    tries     how often a call is made at most
    max_answer  bytes of the longest answer
    retry     what a person runs after correcting a permanent error

    Every failure is a ``PublishError``: service, what was being done, status, the service's words, and what to do next.
    """

    def __init__(
        self,
        service: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        secrets: Collection[str] = (),
        ca_file: str = "",
        total: float = 45.0,
        connect: float = 10.0,
        read: float = 20.0,
        patience: float = 15.0,
        tries: int = 3,
        max_answer: int = 20_000_000,
        retry: str = "drift-monitor tickets --retry",
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("url must begin with https:// (or http://) and name a host")
        if not 0 < total <= 300:
            raise ValueError(f"timeout must be above 0 and at most 300 seconds, not {total:g}")
        if "@" in parts.netloc:
            raise ValueError("url must not hold a user or password; there are options for them")
        self._url, self._origin = url.rstrip("/"), f"{parts.scheme}://{parts.netloc}"
        self._service, self._name = service, f"{service} at {parts.netloc}"
        self._headers = {"User-Agent": f"drift-monitor/{__version__}", "Accept": "application/json", **(headers or {})}
        self._secrets = tuple(sorted((s for s in secrets if s), key=len, reverse=True))
        self._total, self._patience, self._tries, self._max_answer = total, patience, tries, max_answer
        self._timeout = Timeout(connect=min(connect, total), read=min(read, total))
        self._retry = retry
        self._pool = connections(url, ca_file)
        self._free_at = 0.0

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return self._origin

    def call(
        self,
        method: str,
        path: str = "",
        *,
        doing: str,
        query: Mapping[str, str | int] | None = None,
        json: Any = None,
        body: bytes | None = None,
        files: Mapping[str, tuple[str, bytes, str]] | None = None,
        headers: Mapping[str, str] | None = None,
        accept: Collection[int] = (),
        repeatable: bool | None = None,
    ) -> Answer:
        """One call; its answer when the status is 2xx or among ``accept``, else a ``PublishError``.

        path        below the client's URL, or a whole URL of the same scheme, host and port
        doing       what fails if this fails, for the message: "open the ticket"
        json, body, files  what is sent: one of them; a file is its name, bytes and media type
        repeatable  whether the same call twice is as good as once; by default what HTTP says of the method
        """
        sent, content = self._content(json, body, files)
        url = self._whole(path) + (f"?{urlencode(query)}" if query else "")
        texts = [*refusals.texts_of(json), *([] if body is None else [body.decode("utf-8", "replace")])]
        every = {**self._headers, **content, **(headers or {})}
        call = Call(method, url, doing, every, sent, frozenset(accept), texts)
        call.repeatable = method in _SAFE if repeatable is None else repeatable
        with Deadline(self._total) as deadline:
            return self._until_answered(call, deadline)

    def pages(self, path: str, *, doing: str, query: Mapping[str, str | int] | None = None) -> Iterator[Answer]:
        """The answers to a GET, page by page, as their ``Link`` headers lead.

        A ``PublishError`` when there are more than a hundred, or when reading them takes longer than four calls may.
        """
        begun = time.monotonic()
        answer = self.call("GET", path, doing=doing, query=query)
        yield answer
        for _ in range(_MOST_PAGES - 1):
            if not answer.next_page:
                return
            if time.monotonic() - begun > 4 * self._total:
                raise PublishError(
                    f"{self._name}: could not {doing}: it takes too long; it is tried again later by itself"
                )
            answer = self.call("GET", answer.next_page, doing=doing)
            yield answer
        if answer.next_page:
            raise PublishError(
                f"{self._name}: could not {doing}: there are more than {_MOST_PAGES} pages; "
                f"name a place with less traffic in the settings, then {self._retry}",
                permanent=True,
            )

    def _content(
        self, json: Any, body: bytes | None, files: Mapping[str, tuple[str, bytes, str]] | None
    ) -> tuple[bytes | None, dict[str, str]]:
        if json is not None:
            # Lone surrogates of broken texts cannot be sent as UTF-8; escaped they can.
            return json_text.dumps(json).encode(), {"Content-Type": "application/json"}
        if files is not None:
            encoded, kind = encode_multipart_formdata(files)
            return encoded, {"Content-Type": kind}
        return body, {}

    def _whole(self, path: str) -> str:
        if "://" not in path:
            return f"{self._url}{path}"
        if not path.startswith(f"{self._origin}/"):
            raise PublishError(f"{self._name}: will not send its token to another host", permanent=True)
        return path

    def _until_answered(self, call: Call, deadline: Deadline) -> Answer:
        for attempt in range(1, self._tries + 1):
            self._pause(call, deadline, self._free_at - time.time())
            failure = self._once(call, deadline)
            if isinstance(failure, Answer):
                return failure
            if failure.permanent or not call.may_repeat or attempt == self._tries:
                raise failure
            backoff = random.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt))  # noqa: S311 - jitter
            wait = backoff if failure.retry_after is None else failure.retry_after
            if wait > min(self._patience, deadline.left):
                raise failure
            sleep(wait)
        raise AssertionError("a client tries at least once")

    def _pause(self, call: Call, deadline: Deadline, wait: float) -> None:
        """What an earlier answer said of the rate limit holds for this call, too."""
        if wait <= 0:
            return
        if wait > min(self._patience, deadline.left):
            raise PublishError(
                f"{self._name}: could not {call.doing}: its rate limit is spent for {wait:.0f} s; "
                "it is tried again later by itself",
                retry_after=wait,
            )
        sleep(wait)

    def _once(self, call: Call, deadline: Deadline) -> Answer | PublishError:
        """The answer, or why there is none; ``call.may_repeat`` says whether the call may be made again."""
        call.may_repeat = call.repeatable
        try:
            refuse_behind_proxy(call.url)
            for _ in range(_MOST_REDIRECTS):
                answer = self._exchange(call)
                if deadline.over:  # what was cut off may look like a short answer
                    return self._broken(call, TimeoutError(), deadline)
                if not self._redirected(call, answer):
                    return self._judged(call, answer)
        except NotAdmitted as error:
            return self._failed(call, f"{error}, then {self._retry}", permanent=True)
        except (HTTPError, OSError, ValueError) as error:
            return self._broken(call, error, deadline)
        return self._failed(call, "it redirects without end; correct the address", permanent=True)

    def _exchange(self, call: Call) -> Answer:
        response = self._pool.urlopen(
            call.method,
            call.url,
            body=call.body,
            headers=call.headers,
            timeout=self._timeout,
            retries=False,
            redirect=False,
            preload_content=False,
        )
        try:
            found = self._bounded(response)
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return Answer(response.status, response.headers, found, self._name, self._next_page(call, response.headers))

    def _bounded(self, response: BaseHTTPResponse) -> bytes:
        parts, size = [], 0
        for part in response.stream(65_536, decode_content=True):
            size += len(part)
            if size > self._max_answer:
                raise ValueError(f"its answer is longer than {self._max_answer} bytes")
            parts.append(part)
        return b"".join(parts)

    def _next_page(self, call: Call, headers: HTTPHeaderDict) -> str:
        found = re.search(r'<([^<>]*)>\s*;[^,<]*\brel="?next"?', headers.get("link", ""))
        if not found:
            return ""
        # Behind a proxy a service may think its name or scheme another.
        return f"{self._origin}{urlsplit(urljoin(call.url, found[1]))._replace(scheme='', netloc='').geturl()}"

    def _redirected(self, call: Call, answer: Answer) -> bool:
        """Whether the call now goes elsewhere at the same place; the token is taken to no other."""
        if answer.status not in _REDIRECTS or answer.status in call.accept or "location" not in answer.headers:
            return False
        to = urljoin(call.url, answer.headers["location"])
        if not to.startswith(f"{self._origin}/") or not (call.method == "GET" or answer.status in (307, 308)):
            return False
        call.url = to
        return True

    def _judged(self, call: Call, answer: Answer) -> Answer | PublishError:
        limit = refusals.is_limit(answer.status, answer.headers, answer.body)
        wait = refusals.wait_asked(answer.headers, time.time(), limit=limit)
        if wait is not None and (limit or answer.status < 300):
            self._free_at = time.time() + wait
        if 200 <= answer.status < 300 or (answer.status in call.accept and not limit):
            return answer
        permanent = refusals.is_permanent(answer.status, limit=limit)
        surely_unprocessed = limit or (answer.status in _UNPROCESSED and wait is not None)
        call.may_repeat = surely_unprocessed or (call.repeatable and answer.status in _LATER)
        words = refusals.words_of(answer.body, call.texts, self._secrets)
        phrase = refusals.phrase(answer.status)
        if limit:
            phrase += ", too many requests" if answer.status != 429 else ""
        step = refusals.next_step(answer.status, permanent=permanent, retry=self._retry)
        return self._failed(
            call, f"it answered {phrase}{f': {words}' if words else ''}; {step}", permanent=permanent, wait=wait
        )

    def _broken(self, call: Call, error: Exception, deadline: Deadline) -> PublishError:
        if refusal := _refusal_behind(error):
            return self._failed(call, f"{refusal}, then {self._retry}", permanent=True)
        if isinstance(error, SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
            what = "its certificate is signed by nobody known; name its authority by ca_file"
            return self._failed(call, f"{what}, then {self._retry}", permanent=True)
        if deadline.over:
            call.may_repeat = False
            what = f"no whole answer within {self._total:g} s"
        elif isinstance(error, NewConnectionError | ConnectTimeoutError | ProxyError):
            call.may_repeat = True  # nothing was sent
            what = "the proxy cannot be reached" if isinstance(error, ProxyError) else "it cannot be reached"
        elif isinstance(error, ValueError) and str(error).startswith("its answer"):
            call.may_repeat = False
            what = str(error)
        elif "timed out" in str(error).lower():
            what = "it did not answer in time"
        else:
            what = f"the connection broke ({type(error).__name__})"
        return self._failed(call, f"{what}; it is tried again later by itself", unanswered=True)

    def _failed(
        self, call: Call, why: str, *, permanent: bool = False, wait: float | None = None, unanswered: bool = False
    ) -> PublishError:
        said = f"{self._name}: could not {call.doing}: {why}"
        return PublishError(said, permanent=permanent, retry_after=wait, unanswered=unanswered)
