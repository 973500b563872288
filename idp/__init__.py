"""idp — a standalone identity provider for healthcare. `create_app` is the only place that knows every room."""

from __future__ import annotations

import importlib

from flask import Flask

from idp import db, kv, logs, metrics, paths, web
from idp.config import Settings

__version__ = "0.1.0"

# Rooms with routes or listeners, from the top of the house to the bottom; each has `install(app)`.
ROOMS = ("idp.account", "idp.oauth", "idp.authn", "idp.keys", "idp.health")


def create_app(settings: Settings) -> Flask:
    """Build the WSGI application for these settings. Touches neither the database nor Redis."""
    app = Flask("idp", template_folder=str(paths.find("templates")), static_folder="static")
    app.extensions["idp.settings"] = settings
    db.install(app, settings)
    kv.install(app, settings)
    logs.install(app)  # before `web`, so that both see the answer as it leaves
    metrics.install(app)
    web.install(app, settings)
    for room in (*ROOMS, *(("idp.demo.page",) if settings.demo else ())):
        try:
            module = importlib.import_module(room)
        except ModuleNotFoundError as error:  # TEMPORARY while the rooms land
            if error.name is None or not error.name.startswith("idp"):
                raise
            continue
        if hasattr(module, "install"):
            module.install(app)
    return app
