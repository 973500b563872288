"""server — `idp serve`: granian in front, one process per core, the background jobs beside it.

The parent process answers nobody: it watches the workers, runs the jobs (one thread each) and takes the signals. At SIGTERM or Ctrl-C
the listening socket closes first, requests in flight finish, then the jobs stop and the audit is sealed. A worker whose parent was
killed ends by itself.

The first workers are forked (on Linux): they have what the parent loaded, and share its memory. A fork copies locks as they are, and
connections; so it happens before the parent starts its first job, with every connection closed. A worker that replaces a dead one is
spawned, since by then the parent has threads: it inherits nothing, and takes a second longer.
"""

from __future__ import annotations

import copyreg
import gc
import ipaddress
import logging
import multiprocessing
import os
import platform
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from flask import Flask
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.server.mp import MPServer

from idp import __version__, audit, config, create_app, jobs, keys, kv, logs, warm, web
from idp.authn.hash_pool import cores
from idp.db import committing, current, db, head
from idp.errors import IdpError
from idp.gateway import Gateway

log = logging.getLogger(__name__)

_HEADERS_WITHIN_MS = 10_000  # a client that dawdles over its headers is cut off (slow loris)
_HEADER_BYTES = 64 * 1024
_CONNECTIONS = 1024  # requests that a worker has in hand or waits for; the next connections wait in the kernel
_BUSY_PORT_PATIENCE_S = 5.0  # workers of a parent that was killed need a moment to end
_PARENT_EVERY_S = 0.5
_FIRST_JOB_AFTER_S = 1.0  # the workers answer first


def _frozen(values: dict[str, str]) -> MappingProxyType[str, str]:
    return MappingProxyType(values)


# Settings go to the workers by pickle, and the scopes of a resource are a read-only mapping, a type without an importable name.
copyreg.pickle(MappingProxyType, lambda proxy: (_frozen, (dict(proxy),)))


class CannotServe(IdpError):
    """The server must not start like this; the message says what to do."""


def serve(settings: config.Settings) -> None:
    """Serve until a signal ends us. Raises CannotServe when the installation is not fit for it."""
    logs.configure(settings.log)
    app = create_app(settings)
    with app.app_context():
        prepare(settings)
        _let_go()
    try:
        _serve(settings, app)
    finally:
        logs.flush()


def prepare(settings: config.Settings) -> None:
    """Check that we may start, and see to it that there are signing keys. Raises CannotServe."""
    _refuse_exposed_demo(settings)
    _refuse_old_schema()
    _refuse_bad_tls(settings)
    _refuse_busy_port(settings)
    with committing():
        keys.ensure()
    try:
        kv.client().ping()
    except kv.RedisError as error:
        log.warning("Redis does not answer yet (%s); until it does, sign-in answers 503", error)


def _let_go() -> None:
    """Close every connection: a forked worker must not share one with us."""
    db.session.remove()
    db.engine.dispose()
    kv.let_go()


class _Server(MPServer):
    """Granian, and something to do when its first workers have begun."""

    once_begun: Callable[[], None]

    def _spawn_workers(self, spawn_target: Any, target_loader: Any) -> None:
        super()._spawn_workers(spawn_target, target_loader)  # type: ignore[no-untyped-call]
        self.once_begun()


def _serve(settings: config.Settings, app: Flask) -> None:
    runner = jobs.Runner(app, first_after_s=_FIRST_JOB_AFTER_S)
    server = _granian(settings)
    server.once_begun = partial(_begin, app, runner)
    server.on_shutdown(partial(_end, app, runner))
    multiprocessing.set_start_method("fork" if sys.platform == "linux" else "spawn", force=True)
    gc.freeze()  # what is loaded stays: nobody looks through it for garbage, and workers go on sharing its pages
    gc.enable()
    server.serve(target_loader=partial(worker, settings), wrap_loader=False)


def _granian(settings: config.Settings) -> Any:
    wanted = settings.server
    return _Server(
        "idp",
        address=wanted.bind,
        port=wanted.port,
        interface=Interfaces.RSGI,
        workers=wanted.workers or cores(),
        backlog=_CONNECTIONS,
        backpressure=_CONNECTIONS,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=_HEADERS_WITHIN_MS, keep_alive=True, max_buffer_size=_HEADER_BYTES
        ),
        websockets=False,
        ssl_cert=Path(wanted.tls_certificate) if wanted.tls_certificate else None,
        ssl_key=Path(wanted.tls_key) if wanted.tls_key else None,
        ssl_protocol_min=SSLProtocols.tls12,
        respawn_failed_workers=True,
        workers_kill_timeout=wanted.drain_s,
        log_dictconfig=logs.dict_config(settings.log),
        log_access=False,  # idp.logs writes it: with the request id, without the query
    )


# --- in the parent -------------------------------------------------------------------------------------------


def _begin(app: Flask, runner: jobs.Runner) -> None:
    """After the first workers: from here on this process has threads and connections, and forks no more."""
    multiprocessing.set_start_method("spawn", force=True)
    with app.app_context():
        _write_down(audit.Event.SERVER_STARTED)
    runner.start()
    log.info("idp %s serves %s", __version__, app.extensions["idp.settings"].server.issuer)


def _end(app: Flask, runner: jobs.Runner) -> None:
    """After the last worker: stop the jobs, write down that we stopped, seal what is left."""
    runner.stop()
    with app.app_context():
        try:
            _write_down(audit.Event.SERVER_STOPPED)
            with committing():
                audit.seal()
        except Exception:
            log.exception("the last events could not be sealed; the next start seals them")
        finally:
            db.session.remove()
    log.info("idp has stopped")


def _write_down(event: audit.Event) -> None:
    with committing():
        audit.record(event, actor="server", version=__version__, node=socket.gethostname()[:100],
                     python=platform.python_version())  # fmt: skip


# --- in a worker ---------------------------------------------------------------------------------------------


def worker(settings: config.Settings) -> Gateway:
    """Build the application of one worker process (called by granian in that process)."""
    for number in (signal.SIGTERM, signal.SIGINT):  # until granian has its own; the parent's would only be noted
        signal.signal(number, signal.SIG_DFL)
    logs.configure(settings.log, request_id=lambda: web.context().request_id)
    _end_with_parent(settings.server.drain_s)
    app = create_app(settings)
    with app.app_context():
        try:
            keys.warm()
        except Exception:
            log.exception("the signing keys cannot be read yet; the first request tries again")
        finally:
            db.session.remove()
    gateway = Gateway(
        app, threads=settings.server.threads, max_body=web.MAX_BODY, for_programs=app.extensions["idp.front"].endpoints
    )
    warm.begin(app)
    return gateway


def _end_with_parent(drain_s: float) -> None:
    """End this worker when its parent is gone. A forked sibling may hold the parent's end of a pipe, so we look who the parent is."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        while os.getppid() == parent.pid:
            time.sleep(_PARENT_EVERY_S)
        log.warning("the parent process is gone; this worker ends too")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(drain_s)
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


# --- reasons not to start ------------------------------------------------------------------------------------


def _refuse_old_schema() -> None:
    at, wanted = current(), head()
    if at != wanted:
        raise CannotServe(
            f"The database is at revision {at or 'none'}, this version needs {wanted}. Run `idp db upgrade`, then start again."
        )


def _refuse_exposed_demo(settings: config.Settings) -> None:
    if settings.demo and not _is_loopback(settings.server.bind):
        raise CannotServe(
            f"The demo shows codes and mails to everybody and listens on loopback only, not on {settings.server.bind}. "
            'Set server.bind to "127.0.0.1", or mode to "production".'
        )


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _refuse_bad_tls(settings: config.Settings) -> None:
    if not settings.server.tls_certificate:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            settings.server.tls_certificate, settings.server.tls_key, password=lambda: ""
        )
    except (OSError, ValueError) as error:
        raise CannotServe(
            f"server.tls_certificate and server.tls_key cannot be used: {error}. "
            "Both must be PEM files that this user can read, belong together, and carry no passphrase."
        ) from None


def _refuse_busy_port(settings: config.Settings) -> None:
    """Say so in one line when somebody else listens there; wait a moment for leftovers of a killed server."""
    deadline = time.monotonic() + _BUSY_PORT_PATIENCE_S
    while (problem := _cannot_listen(settings.server.bind, settings.server.port)) is not None:
        if time.monotonic() > deadline:
            raise CannotServe(
                f"Cannot listen on {settings.server.bind} port {settings.server.port}: {problem}. "
                "Stop the program that uses it, or choose another server.port."
            )
        time.sleep(0.2)


def _cannot_listen(address: str, port: int) -> str | None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError as error:
            return error.strerror or str(error)
    return None
