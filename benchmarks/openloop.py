"""A generator that does not wait for answers: requests come when they come, at a fixed rate and at random moments (Poisson).

wrk asks again when it was answered, so that a slow server is asked less and its worst moments are hidden. Here a request that finds every
connection busy waits, and that counts as the server's time. What the generator itself is late does not.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import Counter, deque
from collections.abc import Callable
from urllib.parse import quote, urlsplit

from benchmarks.load import Round, by_kind
from benchmarks.machine import Server
from benchmarks.workloads import Fixed, Refresh

CONNECTIONS = 64
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_FRESH = re.compile(rb'"refresh_token" *: *"([^"]+)"')

Ask = Callable[[], tuple[bytes, Callable[[bytes], None]] | None]  # a request and who is to hear the answer


def run(target: Fixed | Refresh, server: Server, *, rate: float, seconds: float) -> Round:
    """Ask so often for so long; returns what the answers took."""
    return asyncio.run(_run(asking(target, server.host), server.url, rate, seconds))


def asking(target: Fixed | Refresh, host: str) -> Ask:
    """Return where the next request comes from; it answers None when every token is under way."""
    if isinstance(target, Fixed):
        text = _text(target.method, target.path, host, target.headers, target.body)
        return lambda: (text, lambda body: None)
    tokens = deque(target.tokens)

    def keep(body: bytes) -> None:
        if fresh := fresh_refresh_token(body):
            tokens.append(fresh)

    def ask() -> tuple[bytes, Callable[[bytes], None]] | None:
        if not tokens:
            return None
        form = f"grant_type=refresh_token&refresh_token={quote(tokens.popleft())}"
        return _text("POST", target.path, host, target.headers, form), keep

    return ask


def fresh_refresh_token(body: bytes) -> str | None:
    """Return the refresh token of an answer."""
    found = _FRESH.search(body)
    return found[1].decode() if found else None


def _text(method: str, path: str, host: str, headers: dict[str, str], body: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]).encode()


class _Connection(asyncio.Protocol):
    """A kept-alive connection with at most one request under way."""

    def __init__(self, freed: Callable[[_Connection], None], tell: Callable[[int, float], None]) -> None:
        self._freed, self._tell, self._heard = freed, tell, bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take what to write to."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self, text: bytes, hear: Callable[[bytes], None], due: float) -> None:
        """Ask; `due` is when the request came."""
        self._hear, self._due = hear, due
        self._transport.write(text)

    def data_received(self, data: bytes) -> None:
        """Wait for the whole answer."""
        self._heard += data
        head, found, body = bytes(self._heard).partition(b"\r\n\r\n")
        length = _LENGTH.search(head) if found else None
        if length is None or len(body) < int(length[1]):
            return
        self._heard.clear()
        self._tell(int(head[9:12]), time.perf_counter() - self._due)
        self._hear(body)
        self._freed(self)


async def _run(ask: Ask, url: str, rate: float, seconds: float) -> Round:
    idle: list[_Connection] = []
    waiting: deque[float] = deque()
    took: list[float] = []
    bad: Counter[str] = Counter()

    def tell(status: int, seconds_taken: float) -> None:
        took.append(seconds_taken)
        if status != 200:
            bad[str(status)] += 1

    def serve(connection: _Connection | None = None) -> None:
        if connection is not None:
            idle.append(connection)
        while waiting and idle and (asked := ask()) is not None:
            idle.pop().send(*asked, waiting.popleft())

    to = urlsplit(url)
    loop = asyncio.get_running_loop()
    for _ in range(CONNECTIONS):
        _, connection = await loop.create_connection(lambda: _Connection(serve, tell), to.hostname or "", to.port or 80)
        idle.append(connection)
    began = due = time.perf_counter()
    while (now := time.perf_counter()) < began + seconds:
        while due <= now:
            waiting.append(now)
            due += random.expovariate(rate)
        serve()
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    await asyncio.sleep(0.5)
    for connection in idle:
        connection._transport.abort()
    return summed(took, bad + Counter({"not asked": len(waiting)}), seconds)


def summed(took: list[float], bad: Counter[str], seconds: float) -> Round:
    """Return the round of these times; requests for which there was no connection in time count as bad."""
    if not took:
        return Round(0.0, bad=bad.total(), first_bad="no answer")
    ordered = sorted(took)
    p50, p99 = (ordered[int(len(ordered) * share)] * 1e3 for share in (0.5, 0.99))
    return Round(len(took) / seconds, p50, p99, bad=bad.total(), bad_by=by_kind(bad))
