"""idp — a standalone identity provider for healthcare. `create_app` is the only place that knows every room."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from idp.config import Settings

__version__ = "0.1.0"


def create_app(settings: Settings) -> Flask:
    """Build the WSGI application for these settings. Touches neither the database nor Redis.

    The rooms are imported here and not above, so that `idp.demo`, which knows only the wire, does not load the house.
    """
    from flask import Flask

    from idp import account, authn, db, health, keys, kv, logs, metrics, oauth, paths, web

    app = Flask("idp", template_folder=str(paths.find("templates")), static_folder="static")
    app.extensions["idp.settings"] = settings
    db.install(app, settings)
    kv.install(app, settings)
    logs.install(app)  # before `web`, so that both see the answer as it leaves
    metrics.install(app)
    web.install(app, settings)
    for room in (keys, authn, oauth, account, health):
        room.install(app)
    if settings.demo:
        from idp.demo import page

        page.install(app)
    return app
