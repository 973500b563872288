"""server — `idp serve`: one worker process per core (workers.py), the background jobs beside them.

The parent process answers nobody: it watches the workers, runs the jobs (one thread each) and takes the signals. At SIGTERM or Ctrl-C
the listening socket closes first, requests in flight finish, then the jobs stop and the audit is sealed. A worker whose parent was
killed ends by itself.

The first workers are forked (on Linux): they serve the very application that the parent built and checked, with its signing keys, and
share its memory. A fork copies locks as they are, and connections; so it happens before the parent starts its first job, with every
connection closed. A worker that replaces a dead one is spawned, since by then the parent has threads: it inherits nothing, builds
its own application, and takes a second longer.
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
import threading
import time
from types import MappingProxyType

from flask import Flask

from idp import __version__, audit, config, create_app, jobs, keys, kv, logs, warm, web
from idp.authn.hash_pool import cores
from idp.db import committing, current, db, head
from idp.errors import IdpError
from idp.gateway import Gateway
from idp.http1 import Listener
from idp.workers import Workers, context_of, forget_signals, listen_on, run

log = logging.getLogger(__name__)

_BUSY_PORT_PATIENCE_S = 5.0  # workers of a parent that was killed need a moment to end
_PARENT_EVERY_S = 0.5
_GARBAGE = 5_000  # objects between two looks for garbage, each of which stops everything; requests leave hardly any
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
        _import_keys()
        _let_go()
    try:
        _serve(settings, app)
    finally:
        logs.flush()


def prepare(settings: config.Settings) -> None:
    """Check that we may start, see to it that there are signing keys, write down that we start. Raises CannotServe."""
    _refuse_exposed_demo(settings)
    _refuse_old_schema()
    _refuse_bad_tls(settings)
    _refuse_busy_port(settings)
    with committing():
        keys.ensure()
        _write_down(
            audit.Event.SERVER_STARTED
        )  # before the first worker: nothing that they do stands above it in the trail
    try:
        kv.client().ping()
    except kv.RedisError as error:
        log.warning("Redis does not answer yet (%s); until it does, sign-in answers 503", error)


def _import_keys() -> None:
    """Have the signing keys ready before the first request."""
    try:
        keys.warm()
    except Exception:
        log.exception("the signing keys cannot be read yet; the first request tries again")


def _let_go() -> None:
    """Close every connection: a forked worker must not share one with us."""
    db.session.remove()
    db.engine.dispose()
    kv.let_go()


def _serve(settings: config.Settings, app: Flask) -> None:
    runner = jobs.Runner(app, first_after_s=_FIRST_JOB_AFTER_S)
    wanted = settings.server
    try:
        listening = listen_on(wanted.bind, wanted.port)
    except OSError as error:
        raise _busy_port(settings, error.strerror or str(error)) from None
    workers = Workers(Worker(settings, app), (listening,), number=wanted.workers or cores(), drain_s=wanted.drain_s)
    gc.freeze()  # what is loaded stays: nobody looks through it for garbage, and workers go on sharing its pages
    gc.set_threshold(_GARBAGE, 10, 10)
    gc.enable()
    workers.begin()
    _begin(app, runner)
    workers.watch()
    listening.close()
    workers.end()
    _end(app, runner)


# --- in the parent -------------------------------------------------------------------------------------------


def _begin(app: Flask, runner: jobs.Runner) -> None:
    """After the first workers: from here on this process has threads and connections, and forks no more."""
    runner.start()
    log.info("idp %s serves %s", __version__, app.extensions["idp.settings"].server.issuer)


def _end(app: Flask, runner: jobs.Runner) -> None:
    """After the last worker: stop the jobs, write down that we stopped, seal what is left."""
    runner.stop()
    with app.app_context():
        try:
            with committing():
                _write_down(audit.Event.SERVER_STOPPED)
            with committing():
                audit.seal()
        except Exception:
            log.exception("the last events could not be sealed; the next start seals them")
        finally:
            db.session.remove()
    log.info("idp has stopped")


def _write_down(event: audit.Event) -> None:
    audit.record(event, actor="server", version=__version__, node=socket.gethostname()[:100],
                 python=platform.python_version())  # fmt: skip


# --- in a worker ---------------------------------------------------------------------------------------------


class Worker:
    """What a worker process does: it answers until it is told to end."""

    def __init__(self, settings: config.Settings, app: Flask | None = None) -> None:
        self.settings, self.app = settings, app

    def __reduce__(self) -> tuple[type[Worker], tuple[config.Settings]]:
        """Go to a spawned process without the application, which builds its own."""
        return Worker, (self.settings,)

    def __call__(self, listening: socket.socket) -> None:
        """Take the parent's application, or build one, and accept connections."""
        forget_signals()
        logs.configure(self.settings.log, request_id=lambda: web.context().request_id)
        wanted = self.settings.server
        _end_with_parent(wanted.drain_s)
        app = self.app or _build(self.settings)
        gateway = Gateway(
            app,
            threads=wanted.threads,
            for_programs=app.extensions["idp.front"].endpoints,
            steps_aside=_steps_aside(app),
        )
        warm.begin(app)
        tls = context_of(wanted.tls_certificate, wanted.tls_key) if wanted.tls_certificate else None
        run(Listener(gateway.answer, max_body=web.MAX_BODY), listening, tls, drain_s=wanted.drain_s)
        logs.flush()


def _steps_aside(app: Flask) -> bool:
    """Say whether programs' requests may run in the loop's thread (waiting.py). SQLite waits for its disk and for its lock, in threads."""
    with app.app_context():
        return db.engine.dialect.name == "postgresql" and kv.steps_aside()


def _build(settings: config.Settings) -> Flask:
    app = create_app(settings)
    with app.app_context():
        _import_keys()
        db.session.remove()
    return app


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
        context_of(settings.server.tls_certificate, settings.server.tls_key)
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
            raise _busy_port(settings, problem)
        time.sleep(0.2)


def _busy_port(settings: config.Settings, problem: str) -> CannotServe:
    return CannotServe(
        f"Cannot listen on {settings.server.bind} port {settings.server.port}: {problem}. "
        "Stop the program that uses it, or choose another server.port."
    )


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
