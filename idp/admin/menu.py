"""The stations of the staff's pages, each with the roles that it is for. A new room of pages is a line here."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Response

from idp import web
from idp.admin.guard import staff
from idp.language import Later


@dataclass(frozen=True)
class Station:
    """One entry of the menu; `about` is its line on the first page."""

    name: str
    path: str
    label: Later
    about: Later
    roles: frozenset[str]


STATIONS: tuple[Station, ...] = ()


def page(template: str, station: str, status: int = 200, **values: object) -> Response:
    """Render a page for the staff, with the menu that this person may use."""
    roles = set(staff().roles)
    menu = [one for one in STATIONS if one.roles & roles]
    return web.page(template, status, station=station, menu=menu, **values)
