"""app — puts the house together: the hall, then every room, from the bottom to the top."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from flask import Flask
from werkzeug.routing import Rule

from idp import account, admin, authn, db, health, joining, keys, kv, logs, metrics, oauth, paths, violations, web
from idp.config import Settings


class _Route(Rule):
    """A route that learns to build its URL when somebody first wants one. Werkzeug compiles code for each rule at once, a third of a
    millisecond apiece, and we hardly ever ask: the addresses of our pages are constants."""

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        compiled: list[Callable[..., tuple[str, str]]] = []

        def build(rule: Rule, **values: Any) -> tuple[str, str]:
            if not compiled:
                compiled.append(super(_Route, self)._compile_builder(append_unknown))
            return compiled[0](rule, **values)

        return build


class _Application(Flask):
    url_rule_class = _Route


def create_app(settings: Settings) -> Flask:
    """Build the WSGI application for these settings. Touches neither the database nor Redis."""
    app = _Application("idp", template_folder=str(paths.find("templates")), static_folder="static")
    app.extensions["idp.settings"] = settings
    db.install(app, settings)
    kv.install(app, settings)
    logs.install(app)  # before `web`, so that both see the answer as it leaves
    metrics.install(app)
    web.install(app, settings)
    for room in (keys, authn, joining, oauth, account, admin, health, violations):
        room.install(app)
    if settings.demo:
        importlib.import_module("idp.demo.page").install(app)  # nothing of the demo is loaded elsewhere
    return app
