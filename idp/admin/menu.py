"""The stations of the staff's pages, each with the roles that it is for. A new room of pages is a line here."""

from __future__ import annotations

from flask import Response

from idp import web
from idp.admin.guard import staff
from idp.language import Later, lazy_gettext
from idp.record import Record


class Station(Record):
    """One entry of the menu; `about` is its line on the first page."""

    name: str
    path: str
    label: Later
    about: Later
    roles: frozenset[str]


HELPERS = frozenset({"help_desk", "administrator"})

STATIONS = (
    Station(
        "people",
        "/admin/people",
        lazy_gettext("Find a person"),
        lazy_gettext("By username, e-mail address or NPI."),
        HELPERS,
    ),
    Station(
        "recovery",
        "/admin/recovery",
        lazy_gettext("Recovery"),
        lazy_gettext("Let somebody back in who lost their second step."),
        HELPERS | {"auditor"},
    ),
    Station(
        "registrations",
        "/admin/registrations",
        lazy_gettext("Requests for an account"),
        lazy_gettext("Strangers who want to come in."),
        frozenset({"administrator"}),
    ),
    Station(
        "policy",
        "/admin/policy",
        lazy_gettext("Rules and who falls short"),
        lazy_gettext("Passwords, factors and sessions by role, and where they depart from NIST."),
        frozenset({"administrator", "auditor"}),
    ),
    Station(
        "workstation",
        "/admin/workstation",
        lazy_gettext("Shared workstation"),
        lazy_gettext("Make this browser one that many people share."),
        frozenset({"administrator"}),
    ),
)


def page(template: str, station: str, status: int = 200, **values: object) -> Response:
    """Render a page for the staff, with the menu that this person may use."""
    roles = set(staff().roles)
    menu = [one for one in STATIONS if one.roles & roles]
    return web.page(template, status, station=station, menu=menu, **values)
