"""workers — the processes that answer: begun together, replaced when one dies, ended in order.

The first ones are forked (where the system can): they have what the parent loaded, and share its memory. A fork copies locks as they
are, so one that replaces another later is spawned: by then the parent has threads. All of them accept from one socket, which the
parent opened; so nobody is refused while a worker is replaced.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

from idp.http1 import Listener

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0
_PAUSE_S = 1.0  # before a worker is replaced that ended as soon as it had begun
_KILL_AFTER_S = 5.0  # beyond the time that requests have to finish
_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)]

Target = Callable[..., None]


class Workers:
    """The workers of this process. `target` is called in each, with `args`; it must be importable, and its arguments fit for pickle."""

    def __init__(self, target: Target, args: tuple[Any, ...], *, number: int, drain_s: float) -> None:
        self._target, self._args, self._number, self._drain_s = target, args, number, drain_s
        self._living: dict[BaseProcess, float] = {}
        self._is_ending = False

    def begin(self) -> None:
        """Start all of them, and take the signals. The process must have no threads and no connections yet."""
        for number in _SIGNALS:
            signal.signal(number, self._heard)
        for _ in range(self._number):
            self._start("fork" if sys.platform == "linux" else "spawn")

    def watch(self) -> None:
        """Replace whatever ends, until a signal ends us."""
        while not self._is_ending:
            for process in self._ended(_LOOK_EVERY_S):
                began_at = self._living.pop(process)
                log.error("worker %s ended with status %s; it is replaced", process.pid, process.exitcode)
                if time.monotonic() - began_at < _PAUSE_S:
                    time.sleep(_PAUSE_S)
                if not self._is_ending:
                    self._start("spawn")

    def end(self) -> None:
        """Tell all of them to finish, and wait for it; who does not in time is killed."""
        for process in self._living:
            with suppress(OSError):
                process.terminate()
        until = time.monotonic() + self._drain_s + _KILL_AFTER_S
        while self._living and time.monotonic() < until:
            for process in self._ended(0.1):
                del self._living[process]
        for process in self._living:
            log.error("worker %s did not finish in time", process.pid)
            process.kill()
            process.join()

    def _start(self, how: str) -> None:
        process = multiprocessing.get_context(how).Process(target=self._target, args=self._args)  # type: ignore[attr-defined]
        process.start()
        self._living[process] = time.monotonic()
        log.info("Spawning worker-%s with PID: %s", len(self._living), process.pid)

    def _ended(self, within_s: float) -> list[BaseProcess]:
        ended = wait([process.sentinel for process in self._living], within_s)
        return [process for process in self._living if process.sentinel in ended]

    def _heard(self, number: int, _frame: object) -> None:
        self._is_ending = True


def listen_on(address: str, port: int) -> socket.socket:
    """Open the socket that the workers accept from. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family, backlog=1024)


def run(listener: Listener, listening: socket.socket, tls: ssl.SSLContext | None, *, drain_s: float) -> None:
    """Answer in this process until SIGTERM or Ctrl-C; then let requests finish."""
    with asyncio.Runner(loop_factory=_loop) as runner:
        runner.run(_answer(listener, listening, tls, drain_s))


async def _answer(listener: Listener, listening: socket.socket, tls: ssl.SSLContext | None, drain_s: float) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in _SIGNALS:
        loop.add_signal_handler(number, ended.set)
    server = await listener.listen(listening, tls)
    await ended.wait()
    server.close()
    await listener.drain(drain_s)


def _loop() -> asyncio.AbstractEventLoop:
    """uvloop's, where there is one: ours costs half of asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def context_of(certificate: str, key: str) -> ssl.SSLContext:
    """Return what TLS needs: 1.2 or later, the certificate, no passphrase (standards.md, attack 148). Raises OSError, ValueError."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.load_cert_chain(certificate, key, password=lambda: "")
    made.set_alpn_protocols(["http/1.1"])
    return made


def forget_signals() -> None:
    """Take the signals as the system does, until `run` has its own handlers: a forked worker has its parent's."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)


__all__ = ["Workers", "context_of", "forget_signals", "listen_on", "run"]
