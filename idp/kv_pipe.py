"""kv_pipe — one connection to Redis that all requests of a loop share: what they ask in one turn of the loop goes in one packet.

Answers come in the order of the questions (that is what Redis promises), so nobody waits for a connection and none stands idle. Only where
requests run in their loop's thread (waiting.py); and only over plain sockets: TLS, Sentinel and clusters go by the client.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any

import hiredis
import redis

from idp.waiting import Light

_PLAIN = (redis.Connection, redis.UnixDomainSocketConnection)


def fits(client: Any) -> bool:
    """Say whether a client's connections can be shared like this."""
    pool = getattr(client, "connection_pool", None)
    return type(pool) is redis.ConnectionPool and pool.connection_class in _PLAIN


class Pipe(asyncio.Protocol):
    """One connection, and who waits for an answer on it."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection  # made and let in by the client; it owns the socket
        self._patience_s: float = connection.socket_timeout or 5.0
        self._reader = hiredis.Reader(
            protocolError=redis.InvalidResponse, replyError=connection._parser.parse_error, encoding="utf-8"
        )
        self._waiting: deque[tuple[Light, float]] = deque()
        self._unsent: list[bytes] = []
        self._transport: Any = None
        self._lost: Exception | None = None
        self._late: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """Whether it can be asked."""
        return self._lost is None

    def ask(self, here: Light, command: tuple[Any, ...]) -> Any:
        """Send a command and step aside until the answer is here. Raises what the client would."""
        packed = hiredis.pack_command(command)
        answer = here.pause(lambda: self._enqueue(here, packed))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _enqueue(self, here: Light, packed: bytes) -> None:
        if self._lost is not None:
            here.resume(self._lost)
            return
        if not self._unsent:
            here.loop.call_soon(self._send)
        self._unsent.append(packed)
        self._waiting.append((here, time.monotonic()))
        if self._late is None:
            self._late = here.loop.call_later(self._patience_s, self._look, here.loop)

    # --- what the event loop tells ----------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Give the answers to those who wait, in their order."""
        try:
            self._reader.feed(data)
            while self._lost is None and (answer := self._reader.gets()) is not False:
                if not isinstance(answer, hiredis.PushNotification):
                    self._waiting.popleft()[0].resume(answer)
        except (redis.InvalidResponse, IndexError):  # an answer that is none, or that nobody asked for
            self._lose(redis.ConnectionError("Redis answered what nobody understands"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell all who wait."""
        self._lose(redis.ConnectionError("Redis closed the connection"))

    def _send(self) -> None:
        packet, self._unsent = b"".join(self._unsent), []
        if self._lost is None:
            self._transport.write(packet)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """See whether somebody waits too long: whatever comes after that is not to be trusted, so the connection goes."""
        self._late = None
        if not self._waiting:
            return
        waited = time.monotonic() - self._waiting[0][1]
        if waited >= self._patience_s:
            self._lose(redis.TimeoutError("Redis did not answer in time"))
        else:
            self._late = loop.call_later(self._patience_s - waited, self._look, loop)

    def _lose(self, error: Exception) -> None:
        if self._lost is not None:
            return
        self._lost = error
        if self._late is not None:
            self._late.cancel()
        self._transport.abort()
        self._connection.disconnect()
        while self._waiting:
            self._waiting.popleft()[0].resume(error)


class Pipes:
    """The pipe of a client in the running loop; a lost one is replaced."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._pipe: Pipe | None = None
        self._coming: asyncio.Task[Pipe] | None = None

    def ask(self, here: Light, command: tuple[Any, ...]) -> Any:
        """Send a command; once more on a new connection when the old one is lost, as the client itself would."""
        try:
            return self._open(here).ask(here, command)
        except (redis.ConnectionError, redis.TimeoutError):
            return self._open(here).ask(here, command)

    def _open(self, here: Light) -> Pipe:
        if self._pipe is not None and self._pipe.is_open:
            return self._pipe
        return here.wait_for(lambda: self._begun(here.loop))

    def _begun(self, loop: asyncio.AbstractEventLoop) -> asyncio.Task[Pipe]:
        """Return the connection that is being made, for all who wait for it."""
        if self._coming is None:
            self._coming = loop.create_task(self._connect())
            self._coming.add_done_callback(self._made)
        return self._coming

    def _made(self, coming: asyncio.Task[Pipe]) -> None:
        self._coming = None
        if not coming.cancelled() and coming.exception() is None:
            self._pipe = coming.result()

    async def _connect(self) -> Pipe:
        """Let the client connect and prove who we are, in a thread; then take over its socket."""
        loop, pool = asyncio.get_running_loop(), self._client.connection_pool
        connection = pool.connection_class(**pool.connection_kwargs)
        await loop.run_in_executor(None, connection.connect)
        connection._sock.setblocking(False)
        _, pipe = await loop.create_connection(lambda: Pipe(connection), sock=connection._sock)
        return pipe


__all__ = ["Pipe", "Pipes", "fits"]
