"""account — a person's own page: who is signed in here, services to open, recent sign-ins, sessions elsewhere, errands.

views.py     the pages; every rule lives in the rooms below
"""

from __future__ import annotations

from flask import Flask

from idp.account import views

__all__ = ["install"]


def install(app: Flask) -> None:
    """Hang the pages of one's own account on the application."""
    app.register_blueprint(views.pages)
