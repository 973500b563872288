"""app — puts the house together: the hall, then every room, from the bottom to the top."""

from __future__ import annotations

from flask import Flask

from idp import account, admin, authn, db, health, joining, keys, kv, logs, metrics, oauth, paths, violations, web
from idp.config import Settings
from idp.demo import page as demo_page


def create_app(settings: Settings) -> Flask:
    """Build the WSGI application for these settings. Touches neither the database nor Redis."""
    app = Flask("idp", template_folder=str(paths.find("templates")), static_folder="static")
    app.extensions["idp.settings"] = settings
    db.install(app, settings)
    kv.install(app, settings)
    logs.install(app)  # before `web`, so that both see the answer as it leaves
    metrics.install(app)
    web.install(app, settings)
    for room in (keys, authn, joining, oauth, account, admin, health, violations):
        room.install(app)
    if settings.demo:
        demo_page.install(app)
    return app
