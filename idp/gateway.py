"""gateway — between granian and the WSGI application: a request takes a thread only when all of it is here.

A thread that waits for a client can be held for ever: sixteen clients that send a byte every few seconds would hold all of a worker's
threads, and granian has no deadline for bodies (attack 141). So bodies are awaited here, in the event loop, where waiting costs a few
kilobytes and no thread; who needs longer than `BODY_WITHIN_S` hears 408. Programs and people have threads of their own, so that tokens do not
queue behind pages while everybody signs in (attack 143). `/healthz` has one alone: it says whether the process is alive, however much there is to do.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Container, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from typing import Any

log = logging.getLogger(__name__)

BODY_WITHIN_S = 10.0
_ALIVE = "/healthz"
_PLAIN = [("content-type", "text/plain; charset=utf-8"), ("cache-control", "no-store"), ("connection", "close")]

_NOT_DURABLE = [("content-type", "application/json"), ("cache-control", "no-store"), ("retry-after", "10")]
_AWAY = b'{"error":"temporarily_unavailable","error_description":"Nothing was done; please try again in a moment."}'

HELD = "idp.held"  # in the environ: futures of what must be done before the answer leaves (web.hold_answer)

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


@dataclass
class _Answer:
    """What the application said."""

    status: int = 500
    headers: Headers = field(default_factory=list)
    body: bytes = b""

    def start(self, status: str, headers: Headers, exc_info: object = None) -> None:
        """Take status and headers: the `start_response` of WSGI."""
        self.status, self.headers = int(status.split(" ", 1)[0]), headers


class _NoLength(Exception):
    """A body came without saying how long it is (RFC 9110 section 15.5.12)."""


class _Documents:
    """Public documents (discovery, the keys) that the application has just answered, kept for a second.

    Every relying application asks for them, some at each request, and they change at most a few times a day. An answer may be
    kept when it is small JSON that the application itself calls public; it is given again to a plain GET of the same address.
    """

    KEPT_S, MOST, LARGEST = 1.0, 32, 64 * 1024

    def __init__(self) -> None:
        self._known: dict[tuple[str, str | None, bool], tuple[float, _Answer]] = {}

    def find(self, scope: Any) -> _Answer | None:
        """Return what the application would answer, or None when it must be asked."""
        if scope.method != "GET" or not self._known or _names_hosts(scope) > 1:
            return None
        until, answer = self._known.get(self._key(scope), (0.0, None))
        return answer if time.monotonic() < until and "if-none-match" not in scope.headers else None

    def keep(self, scope: Any, answer: _Answer) -> None:
        """Keep an answer for a second, if it is such a document."""
        if scope.method != "GET" or scope.query_string or answer.status != 200 or len(answer.body) > self.LARGEST:
            return
        headers = {name.lower(): value for name, value in answer.headers}
        if (
            not headers.get("cache-control", "").startswith("public")
            or headers.get("content-type") != "application/json"
        ):
            return
        if len(self._known) >= self.MOST:
            self._known.clear()
        lasting = [(name, value) for name, value in answer.headers if name.lower() != "x-request-id"]
        self._known[self._key(scope)] = (time.monotonic() + self.KEPT_S, _Answer(200, lasting, answer.body))

    def _key(self, scope: Any) -> tuple[str, str | None, bool]:
        """An address is path and host; whether scripts of other origins ask changes the headers. No query: those are not kept."""
        path = f"{scope.path}?{scope.query_string}" if scope.query_string else scope.path
        return path, scope.authority or scope.headers.get("host"), "origin" in scope.headers


class Gateway:
    """An RSGI application around a WSGI application."""

    def __init__(
        self,
        app: Application,
        *,
        threads: int,
        max_body: int,
        for_programs: Container[str] = (),
        body_within_s: float = BODY_WITHIN_S,
    ) -> None:
        self.app, self.max_body, self.body_within_s = app, max_body, body_within_s
        self._documents = _Documents()
        self._paths_for_programs = for_programs
        self._for_people = ThreadPoolExecutor(threads, "page")
        self._for_programs = ThreadPoolExecutor(threads, "request")
        self._for_probes = ThreadPoolExecutor(1, "probe")

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        """Answer one request."""
        if (known := self._documents.find(scope)) is not None:
            proto.response_bytes(200, known.headers, known.body)
            return
        if (
            not scope.method.isupper()
        ):  # methods are case-sensitive (RFC 9110 section 9.1); Werkzeug would take `get` for GET
            proto.response_str(405, _PLAIN, "There is no such method.\n")
            return
        try:
            environ = environ_of(scope)
            body = await self._body(environ, proto)
        except TimeoutError:
            log.info("%s %s: the body did not come in time", scope.method[:16], scope.path[:200])
            proto.response_str(408, _PLAIN, "The request did not arrive in time.\n")
            return
        except _NoLength:
            proto.response_str(411, _PLAIN, "Send a Content-Length; a body in chunks is not taken here.\n")
            return
        except Exception:  # the client went away, or sent what HTTP does not know
            proto.response_str(400, _PLAIN, "The request could not be read.\n")
            return
        threads = self._threads_for(scope.path)
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[_Answer] = loop.create_future()
        threads.submit(self._answer, environ, body, lambda told: loop.call_soon_threadsafe(_settle, answered, told))
        answer = await answered
        self._documents.keep(scope, answer)
        proto.response_bytes(answer.status, answer.headers, answer.body)

    def _threads_for(self, path: str) -> ThreadPoolExecutor:
        if path in self._paths_for_programs:
            return self._for_programs
        return self._for_probes if path == _ALIVE else self._for_people

    async def _body(self, environ: Environ, proto: Any) -> bytes:
        """Read the body, as far as the application would; what is longer it refuses by its length. Raises ValueError for one cut off."""
        announced = environ.get("CONTENT_LENGTH", "")
        if (
            "HTTP_TRANSFER_ENCODING" in environ
        ):  # its end looks like a cut, and half a form must not pass for a whole one
            raise _NoLength
        if not announced or int(announced) == 0 or int(announced) > self.max_body:
            return b""
        async with asyncio.timeout(self.body_within_s):
            body: bytes = await proto()
        if len(body) != int(announced):
            raise ValueError("the body is not as long as announced")
        return body

    def _answer(self, environ: Environ, body: bytes, tell: Callable[[_Answer], Any]) -> None:
        """Let the application answer, in a thread; what the answer has to wait for, it waits for without one."""
        held: list[Future[None]] = []
        environ[HELD] = held
        answer = self._called(environ, body)
        if not held:
            tell(answer)
            return
        left = iter(held)

        def go_on(done: Future[None] | None = None) -> None:
            if done is not None and (error := done.exception()) is not None:
                log.error("an answer was held back: %s", type(error).__name__, exc_info=error)
                tell(_Answer(503, _NOT_DURABLE, _AWAY))
            elif (work := next(left, None)) is not None:
                work.add_done_callback(go_on)
            else:
                tell(answer)

        go_on()

    def _called(self, environ: Environ, body: bytes) -> _Answer:
        environ["wsgi.input"] = BytesIO(body)
        answer = _Answer()
        try:
            pieces = self.app(environ, answer.start)
            try:
                answer.body = b"".join(pieces)
            finally:
                getattr(pieces, "close", lambda: None)()
        except Exception:
            log.exception("the application broke")
            return _Answer(500, _PLAIN, b"Something broke on our side.\n")
        return answer


def _names_hosts(scope: Any) -> int:
    return sum(name == "host" for name, _ in scope.headers.items())


def _settle(answered: asyncio.Future[_Answer], answer: _Answer) -> None:
    if not answered.done():
        answered.set_result(answer)


def environ_of(scope: Any) -> Environ:
    """Return what WSGI wants to know of a request (PEP 3333)."""
    server, port = _host_and_port(scope.server)
    client, _, client_port = scope.client.rpartition(":")
    path = scope.path
    environ: Environ = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path if path.isascii() else path.encode("utf-8", "replace").decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": server,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": client.strip("[]"),
        "REMOTE_PORT": client_port,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope.headers.items():
        key = _key_of(name)
        if key in environ:
            environ[key] += f"{'; ' if key == 'HTTP_COOKIE' else ','}{value}"
        elif key:
            environ[key] = value
    if scope.authority:  # of a whole URL in the request line: it counts, not the header (RFC 9112 section 3.2.2)
        environ["HTTP_HOST"] = scope.authority
    return environ


@lru_cache(maxsize=512)
def _key_of(header: str) -> str:
    """Return the name that WSGI has for a header. Names with an underscore are left out, by "": in WSGI they could pass for the name
    with a hyphen that a proxy sets."""
    key = "" if "_" in header else header.upper().replace("-", "_")
    return key if key in ("", "CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


@lru_cache(maxsize=16)
def _host_and_port(address: str) -> tuple[str, str]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), port
