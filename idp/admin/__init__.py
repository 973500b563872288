"""admin — pages for those who look after others: the help desk and administrators. Views and no rules.

guard.py      require_role: the right role, two factors, a proof of the last 15 minutes; staff(): who it is
menu.py       the stations of the menu, and `page`, which renders a template with them
views.py      /admin/
people.py     finding a person
recovery.py   help-desk recovery: the cases
policies.py   what people owe, where it departs from NIST, who falls short
workstations.py  marking this browser as a shared workstation
registrations.py  requests for an account
"""

from __future__ import annotations

from flask import Flask

from idp.admin import people, policies, recovery, registrations, views, workstations
from idp.admin.guard import PROOF_S, require_role, staff
from idp.admin.menu import Station, page

__all__ = ["PROOF_S", "Station", "install", "page", "require_role", "staff"]


def install(app: Flask) -> None:
    """Hang the pages of the staff on the application."""
    for blueprint in (
        views.pages,
        people.pages,
        policies.pages,
        recovery.pages,
        registrations.pages,
        workstations.pages,
    ):
        app.register_blueprint(blueprint)
