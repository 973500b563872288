"""warm — what a worker loads after it has begun to answer, so that it starts within a second and nobody waits for it later.

A start loads what programs ask for: discovery, keys, tokens. What people need (pages, catalogs, tables of look-alike letters, passkeys)
takes another second of a core; a thread of low priority loads it while the first answers leave. Whoever is quicker than that thread
waits for what it has not loaded yet, and for nothing else.
"""

from __future__ import annotations

import gc
import importlib
import logging
import threading
import time
from collections.abc import Callable

from flask import Flask
from sqlalchemy.orm import configure_mappers

from idp import clock, keys, language, record
from idp.authn import blocklist
from idp.niceness import step_back
from idp.users import names

log = logging.getLogger(__name__)

AFTER_S = 1.0  # since the worker began; by then it listens
_NICENESS = 10

LIBRARIES = (  # loaded by the function that needs them; tests/house/test_start.py insists that none is loaded before
    "webauthn",
    "webauthn.helpers.structs",
    "segno",
    "babel.dates",
    "passlib.hash",
)
PAGES = ("login.html", "factor_totp.html", "factor_passkey.html", "consent.html", "error.html", "account_security.html")


def begin(app: Flask) -> None:
    """Warm this process up soon, in the background. Never fails: what is not loaded now is loaded when it is asked for."""
    threading.Thread(target=_later, args=(app,), name="warm", daemon=True).start()


def everything(app: Flask) -> None:
    """Load what a sign-in will need, one thing after the other; what cannot be loaded is told in the log."""
    for name, load in _parts(app):
        try:
            load()
        except Exception:
            log.exception("%s could not be loaded ahead", name)


def _parts(app: Flask) -> list[tuple[str, Callable[[], object]]]:
    return [
        ("tables", configure_mappers),
        ("pages", lambda: _templates(app)),
        *((library, lambda library=library: importlib.import_module(library)) for library in LIBRARIES),
        ("catalogs", _catalogs),
        ("names", names.warm),
        ("passwords", blocklist.warm),
        ("keys", lambda: _keys(app)),
        ("records", record.complete_all),
    ]


def _later(app: Flask) -> None:
    step_back(_NICENESS)
    time.sleep(AFTER_S)
    everything(app)
    gc.collect()
    gc.freeze()  # all of this stays: from here on nobody looks through it for garbage, which would stop every thread for 0.1 s
    log.debug("warm")


def _templates(app: Flask) -> None:
    """Compile the pages of a sign-in, and with them what they are made of; each takes some 10 ms of a core."""
    for name in PAGES:
        app.jinja_env.get_template(name)


def _keys(app: Flask) -> None:
    """Look at the signing keys, and so open the first connection to the database, which takes some 10 ms of a core."""
    with app.app_context():
        keys.warm()


def _catalogs() -> None:
    for tag in language.SUPPORTED:
        with language.speaking(tag):
            language.gettext("")
            language.moment(clock.now())
