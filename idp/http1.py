"""http1 — a worker's connections: HTTP/1.1 (RFC 9112) between the event loop and the gateway.

llhttp (in httptools) parses, and is strict: what two servers could read in two ways is refused, never guessed at (attack 145). Here are
the limits: how much may come, how long it may take, how many may be there. A request reaches the gateway when all of it is here, so
a client that dawdles costs a few kilobytes and no thread (attack 141). Requests of one connection are answered one after the other.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections import deque
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, NamedTuple

import httptools

from idp.environ import Environ, environ_of, given_of
from idp.replies import Replies

log = logging.getLogger(__name__)

HEADERS_WITHIN_S = 10.0
BODY_WITHIN_S = 10.0
IDLE_S = 75.0  # longer than the proxies in front keep a connection, so that it is they who close
SENT_WITHIN_S = 30.0  # a client that reads nothing of an answer
LINGER_S = 2.0  # after an answer to a body that we did not read, else the client loses the answer with the connection
HEAD_BYTES = 64 * 1024
MOST_CONNECTIONS = 4096
READ_AHEAD = 8  # requests of one connection that may wait for the one before them; until then nothing more is read
MOST_AHEAD = 64  # nobody sends more in one packet but to hurt
LINGER_BYTES = 1024 * 1024

Headers = list[tuple[str, str]]


class Answer(NamedTuple):
    """What is said to a request."""

    status: int
    headers: Headers
    body: bytes
    until: float = 0.0  # of time.monotonic: the same bytes may be answered the same way as long as that


Tell = Callable[[Answer], None]  # to be called once, in the thread of the loop


class _Request(NamedTuple):
    environ: Environ
    body: bytes
    keeps: bool  # whether the connection may stay open
    raw: bytes = b""  # the bytes of this request, where they came alone and in one piece


_PLAIN = [("content-type", "text/plain; charset=utf-8"), ("cache-control", "no-store")]
_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}" for status in HTTPStatus}
_UNREAD, _TOO_LARGE = "The request could not be read.\n", "The headers are too large.\n"


class Listener:
    """What the connections of a worker share: who answers, and what time it is."""

    def __init__(
        self,
        answer: Callable[[Environ, bytes, Tell], None],
        *,
        max_body: int,
        body_within_s: float = BODY_WITHIN_S,
        most: int = MOST_CONNECTIONS,
    ) -> None:
        self.answer, self.max_body, self.body_within_s, self.most = answer, max_body, body_within_s, most
        self.connections: set[Connection] = set()
        self.is_draining = False
        self.date = formatdate(usegmt=True)
        self.replies = Replies()
        self._clock: asyncio.TimerHandle | None = None

    async def listen(self, listening: Any, tls: ssl.SSLContext | None = None) -> asyncio.Server:
        """Accept connections from a socket that listens."""
        loop = asyncio.get_running_loop()
        self._look(loop)
        return await loop.create_server(
            lambda: Connection(self, loop), sock=listening, ssl=tls, backlog=1024,
            ssl_handshake_timeout=HEADERS_WITHIN_S if tls else None,
        )  # fmt: skip

    async def drain(self, within_s: float) -> None:
        """Let every request that has begun be answered, and close the connections. Takes at most that long."""
        self.is_draining = True
        for connection in list(self.connections):
            connection.leave()
        until = time.monotonic() + within_s
        while self.connections and time.monotonic() < until:
            await asyncio.sleep(0.02)
        for connection in list(self.connections):
            connection.abort()
        if self._clock is not None:
            self._clock.cancel()

    def has_room(self) -> bool:
        """Say whether one more may come; those that wait for nothing make room: who was answered before who has just come, then
        the one that waits longest."""
        if len(self.connections) < self.most:
            return True
        idle = min((one for one in self.connections if one.is_idle), key=lambda one: one.rests_since, default=None)
        if idle is not None:
            idle.abort()
        return idle is not None

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Once a second: the date, and who is late. One look at all costs less than a timer for each request."""
        self.date = formatdate(usegmt=True)
        self.replies.forget()
        now = time.monotonic()
        for connection in [one for one in self.connections if 0 < one.due_at < now]:
            connection.expire()
        self._clock = loop.call_later(1.0, self._look, loop)


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
        self._listener, self._loop = listener, loop
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self._given: Environ = {}  # what every request of this connection has in its environ
        self._url, self._version = b"", ""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._head_size = 0
        self._is_reading = False  # a request has begun and is not here yet
        self._has_head = False
        self._refused: tuple[int, str] | None = None
        self._ready: deque[_Request] = deque()
        self._busy: _Request | None = None
        self._is_stuck = False  # the client does not read what we send
        self._closes = False  # after the answers that are due
        self._is_over = False  # nothing is written any more
        self._is_paused = False  # we read nothing
        self._begun = 0  # requests
        self._left_unread = 0  # bytes after the end
        self.due_at = 0.0  # monotonic; 0 means that nobody waits for the client
        self.rests_since = (True, time.monotonic())  # whether nothing was asked yet, and since when nothing is due

    @property
    def is_idle(self) -> bool:
        """Whether it could be closed and nobody would lose anything."""
        return self._busy is None and not (self._is_reading or self._ready or self._is_stuck)

    # --- what the event loop tells ----------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self._transport = transport
        if not self._listener.has_room():
            transport.abort()
            return
        self._listener.connections.add(self)
        self._given = given_of(transport)
        self._due_in(HEADERS_WITHIN_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it; what is being answered is answered to nobody."""
        self._listener.connections.discard(self)
        self._transport = None
        self._ready.clear()

    def eof_received(self) -> bool:
        """The client sends no more, but may still want to hear what it asked for."""
        if self._is_over:
            return False
        if self._is_reading and self._refused is None:
            self._refused = (400, _UNREAD)
        self._closes = True
        self._go_on()
        return self._transport is not None and (self._busy is not None or bool(self._ready))

    def data_received(self, data: bytes) -> None:
        """Take what came. After a refusal nothing is read any more: nobody knows where the next request would begin."""
        if self._closes:
            self._left_unread += len(data)
            if self._left_unread > LINGER_BYTES:
                self.abort()
            return
        is_alone = self._refused is None and self.is_idle and not self._listener.is_draining
        if is_alone and (reply := self._listener.replies.find(data)) is not None:
            self._transport.write(reply)
            self._rest()
            return
        was_in_head, begun = self._is_reading and not self._has_head, self._begun
        self._feed(data)
        if self._is_reading and not self._has_head:
            self._head_size += len(data) if was_in_head and begun == self._begun else 1
            if self._head_size > HEAD_BYTES:
                self._refused = self._refused or (431, _TOO_LARGE)
        if self._refused is not None:
            self._closes = True
        if is_alone and self._begun == begun + 1 and self._ready and not self._is_reading:
            self._ready[0] = self._ready[0]._replace(raw=data)
        self._go_on()

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # we speak nothing else: the request is answered as it is
            self._closes = True
        except httptools.HttpParserInvalidMethodError:
            self._refused = self._refused or (405, "There is no such method.\n")
        except httptools.HttpParserError:
            self._refused = self._refused or (400, _UNREAD)

    def pause_writing(self) -> None:
        """The client does not read."""
        self._is_stuck = True
        self._due_in(SENT_WITHIN_S)
        self._read_or_wait()

    def resume_writing(self) -> None:
        """It does again."""
        self._is_stuck = False
        self._rest()
        self._go_on()

    # --- what the parser tells ------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins. Bytes that begin none, such as empty lines, put nothing off."""
        self._begun += 1
        if self._busy is None and not self._is_stuck:
            self._due_in(HEADERS_WITHIN_S)
        self._is_reading, self._has_head, self._head_size = True, False, 0
        self._url, self._headers, self._body = b"", [], []

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Decide whether the body is wanted."""
        self._has_head, size, named = True, len(self._url), {}
        for name, value in self._headers:
            named[name.lower()], size = value, size + len(name) + len(value)
        self._version = self._parser.get_http_version()
        if size > HEAD_BYTES:
            self._refused = (431, _TOO_LARGE)
        elif self._version not in ("1.0", "1.1"):
            self._refused = (505, "Speak HTTP 1.1 here.\n")
        elif len(self._ready) >= MOST_AHEAD:
            self._refused = (429, "Wait for some answers before you ask for more.\n")
        if self._refused is not None:
            return
        if b"transfer-encoding" in named:  # its end looks like a cut to too many programs on the way (attack 145)
            self._refused = (411, "Send a Content-Length; a body in chunks is not taken here.\n")
        elif b"content-length" in named:
            self._await_body(named[b"content-length"], asked=b"expect" in named)

    def _await_body(self, announced: bytes, *, asked: bool) -> None:
        """Wait for the body, but not for one that is longer than the application takes: it refuses that by its length."""
        if len(announced) > 12 or int(announced) > self._listener.max_body:
            self._enqueue(b"")
            self._closes = True
            return
        self._due_in(self._listener.body_within_s)
        if asked and self._busy is None and not self._ready:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if not self._closes:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """A request is here."""
        if self._refused is None and not self._closes:
            self._enqueue(b"".join(self._body))
            self._is_reading = False

    def _enqueue(self, body: bytes) -> None:
        try:
            environ = environ_of(self._parser.get_method(), self._url, self._headers, self._given)
        except (httptools.HttpParserError, ValueError):
            self._refused = (400, _UNREAD)
            return
        environ["SERVER_PROTOCOL"] = f"HTTP/{self._version}"
        self._ready.append(_Request(environ, body, self._parser.should_keep_alive()))

    # --- answering ------------------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Give the next request to the gateway, or close, or wait."""
        if self._transport is None:
            return
        self._read_or_wait()
        if self._busy is not None or self._is_stuck or self._is_over:
            return
        if self._ready:
            self._busy, self.due_at = self._ready.popleft(), 0.0
            self._listener.answer(self._busy.environ, self._busy.body, self._told)
        elif self._refused is not None:
            self._write(Answer(self._refused[0], _PLAIN, self._refused[1].encode()), keeps=False)
            self._end()
        elif self._closes or (self._listener.is_draining and not self._is_reading):
            self._end()

    def _read_or_wait(self) -> None:
        """Read on only while somebody may be waiting for it: else one client would fill the memory with its questions."""
        waits = not self._is_over and (self._is_stuck or self._closes or len(self._ready) >= READ_AHEAD)
        if waits != self._is_paused and not self._transport.is_closing():
            self._is_paused = waits
            (self._transport.pause_reading if waits else self._transport.resume_reading)()

    def _told(self, answer: Answer) -> None:
        """Take the answer, in the loop's thread."""
        request, self._busy = self._busy, None
        if self._transport is None or request is None:
            return
        keeps = request.keeps and not self._listener.is_draining and not (self._closes and not self._ready)
        written = self._write(answer, keeps=keeps, to=request.environ)
        if keeps and request.raw and answer.until:
            self._listener.replies.keep(request.raw, written, answer.until)
        if not keeps:
            self._end()
            return
        self._rest()
        if self._ready or self._refused or self._closes:
            self._loop.call_soon(self._go_on)  # not at once: a thousand requests in one packet are no thousand frames

    def _write(self, answer: Answer, *, keeps: bool, to: Environ | None = None) -> bytes:
        environ = to or {}
        lines = [_LINES.get(answer.status) or f"HTTP/1.1 {answer.status} ", f"date: {self._listener.date}"]
        lines += [f"{name}: {value}" for name, value in answer.headers]
        named = [name.lower() for name, _ in answer.headers]
        if answer.status >= 200 and answer.status not in (204, 304) and "content-length" not in named:
            lines.append(f"content-length: {len(answer.body)}")
        if not keeps:
            lines.append("connection: close")
        elif environ.get("SERVER_PROTOCOL") == "HTTP/1.0":
            lines.append("connection: keep-alive")
        head = "\r\n".join(lines)
        if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:  # attack 82
            log.error("an answer had a line end in a header")
            return self._write(Answer(500, _PLAIN, b"Something broke on our side.\n"), keeps=keeps)
        body = b"" if environ.get("REQUEST_METHOD") == "HEAD" or answer.status in (204, 304) else answer.body
        whole = b"%b\r\n\r\n%b" % (head.encode("latin-1", "replace"), body)
        self._transport.write(whole)
        return whole

    def _rest(self) -> None:
        """Nothing is due but the next request, or the rest of one."""
        if self._busy is None and not self._is_stuck:
            self.rests_since = (False, time.monotonic())
            self._due_in(HEADERS_WITHIN_S if self._is_reading else IDLE_S)

    def _due_in(self, seconds: float) -> None:
        self.due_at = time.monotonic() + seconds

    # --- ends -----------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        """Close, but not in the middle of what the client still sends: it would lose our answer (RFC 9112 section 9.6)."""
        self._closes = self._is_over = True
        self._ready.clear()
        if self._transport is None:
            return
        if self._is_reading and self._transport.can_write_eof():
            self._transport.write_eof()
            self._is_reading = False
            self._read_or_wait()
            self._due_in(LINGER_S)
        else:
            self._transport.close()

    def leave(self) -> None:
        """The server ends: close when nothing is due. Who has begun to send a request may end it."""
        self._go_on()

    def expire(self) -> None:
        """The client took too long."""
        if self._closes or not self._is_reading:
            self.abort()
            return
        log.info("a request did not arrive in time")
        self._refused = (408, "The request did not arrive in time.\n")
        self._closes = True
        self._go_on()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()
