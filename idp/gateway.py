"""gateway — between the connections (http1.py) and the WSGI application: which thread answers, and when an answer may leave.

Programs and people have threads of their own, so that tokens do not queue behind pages while everybody signs in (attack 143). `/healthz`
has one alone: it says whether the process is alive, however much there is to do. An answer that must wait for something, such as the
audit's commit, waits without a thread.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Container, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from typing import Any

from idp.environ import Environ
from idp.http1 import Answer, Headers, Tell
from idp.waiting import Held, Lights

log = logging.getLogger(__name__)

_ALIVE = "/healthz"
_PLAIN = [("content-type", "text/plain; charset=utf-8"), ("cache-control", "no-store")]

_NOT_DURABLE = [("content-type", "application/json"), ("cache-control", "no-store"), ("retry-after", "10")]
_AWAY = b'{"error":"temporarily_unavailable","error_description":"Nothing was done; please try again in a moment."}'

BODY = "idp.body"  # in the environ: the whole body, beside the stream that WSGI wants
HELD = "idp.held"  # in the environ: outcomes of what must be done before the answer leaves (web.hold_answer)

Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


@dataclass
class _Started:
    """What the application said before its body."""

    status: int = 500
    headers: Headers = field(default_factory=list)

    def start(self, status: str, headers: Headers, exc_info: object = None) -> None:
        """Take status and headers: the `start_response` of WSGI."""
        self.status, self.headers = int(status.split(" ", 1)[0]), headers


class _Documents:
    """Public documents (discovery, the keys) that the application has just answered, kept for a second.

    Every relying application asks for them, some at each request, and they change at most a few times a day. An answer may be
    kept when it is small JSON that the application itself calls public; it is given again to a plain GET of the same address.
    """

    KEPT_S, MOST, LARGEST = 1.0, 32, 64 * 1024

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, bool], Answer] = {}

    def find(self, environ: Environ) -> Answer | None:
        """Return what the application would answer, or None when it must be asked."""
        if not self._known or environ["REQUEST_METHOD"] != "GET" or environ["QUERY_STRING"]:
            return None
        answer = self._known.get(self._key(environ))
        return answer if answer and time.monotonic() < answer.until and "HTTP_IF_NONE_MATCH" not in environ else None

    def keep(self, environ: Environ, answer: Answer) -> None:
        """Keep an answer for a second, if it is such a document."""
        if environ["REQUEST_METHOD"] != "GET" or environ["QUERY_STRING"] or answer.status != 200:
            return
        headers = {name.lower(): value for name, value in answer.headers}
        if (
            not headers.get("cache-control", "").startswith("public")
            or headers.get("content-type") != "application/json"
            or len(answer.body) > self.LARGEST
        ):
            return
        if len(self._known) >= self.MOST:
            self._known.clear()
        lasting = [(name, value) for name, value in answer.headers if name.lower() != "x-request-id"]
        self._known[self._key(environ)] = Answer(200, lasting, answer.body, time.monotonic() + self.KEPT_S)

    def _key(self, environ: Environ) -> tuple[str, str, bool]:
        """An address is path and host; whether scripts of other origins ask changes the headers."""
        return environ["PATH_INFO"], environ.get("HTTP_HOST", ""), "HTTP_ORIGIN" in environ


class Gateway:
    """Answers requests by a WSGI application."""

    def __init__(
        self, app: Application, *, threads: int, for_programs: Container[str] = (), steps_aside: bool = False
    ) -> None:
        self.app = app
        self._lights = Lights(threads) if steps_aside else None
        self._documents = _Documents()
        self._paths_for_programs = for_programs
        self._for_people = ThreadPoolExecutor(threads, "page")
        self._for_programs = ThreadPoolExecutor(threads, "request")
        self._for_probes = ThreadPoolExecutor(1, "probe")

    def answer(self, environ: Environ, body: bytes, tell: Tell) -> None:
        """Answer one request; `tell` is called in the thread of the running loop, at once or later."""
        if (known := self._documents.find(environ)) is not None:
            tell(known)
            return
        loop, here = asyncio.get_running_loop(), threading.get_ident()

        def settle(answer: Answer) -> None:
            self._documents.keep(environ, answer)
            tell(answer)

        def settle_soon(answer: Answer) -> None:
            if threading.get_ident() == here:  # the audit's commit ended in the loop's own greenlet
                settle(answer)
            else:
                loop.call_soon_threadsafe(settle, answer)

        path = environ["PATH_INFO"]
        held: list[Held] = []
        environ[HELD] = held

        def light() -> Callable[[], None]:
            answer = self._called(environ, body)
            return partial(_leave, answer, held, settle_soon if held else settle)

        def heavy() -> None:
            _leave(self._called(environ, body), held, settle_soon)

        if self._lights is not None and path in self._paths_for_programs:
            self._lights.run(light)
        else:
            self._threads_for(path).submit(heavy)

    def _threads_for(self, path: str) -> ThreadPoolExecutor:
        if path in self._paths_for_programs:
            return self._for_programs
        return self._for_probes if path == _ALIVE else self._for_people

    def _called(self, environ: Environ, body: bytes) -> Answer:
        environ["wsgi.input"], environ[BODY] = BytesIO(body), body
        started = _Started()
        try:
            pieces = self.app(environ, started.start)
            try:
                whole = b"".join(
                    pieces
                )  # before anybody looks at the status: an application may wait with it for its first piece
                return Answer(started.status, started.headers, whole)
            finally:
                getattr(pieces, "close", lambda: None)()
        except Exception:
            log.exception("the application broke")
            return Answer(500, _PLAIN, b"Something broke on our side.\n")


def _leave(answer: Answer, held: list[Held], tell: Callable[[Answer], Any]) -> None:
    """Tell the answer when everything that it has to wait for is done, without a thread; if that failed, something else is told.

    What is done is taken off the list: a future that could be reached from its own callback would have to wait for the garbage collector.
    """
    if held:
        held.pop().add_done_callback(partial(_go_on, answer, held, tell))
    else:
        tell(answer)


def _go_on(answer: Answer, held: list[Held], tell: Callable[[Answer], Any], done: Held) -> None:
    if (error := done.exception()) is None:
        _leave(answer, held, tell)
        return
    log.error("an answer was held back: %s", type(error).__name__, exc_info=error)
    tell(Answer(503, _NOT_DURABLE, _AWAY))
