"""idp — a standalone identity provider for healthcare."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from flask import Flask

    from idp.config import Settings

__version__ = "0.1.0"


def create_app(settings: Settings) -> Flask:
    """Build the WSGI application (idp.app). Loaded only now: a room, or the demo's services, must not load the whole house."""
    return cast("Flask", importlib.import_module("idp.app").create_app(settings))
