"""The first page of the staff: what waits, and where things are."""

from __future__ import annotations

from flask import Blueprint, Response

from idp.admin.guard import require_role, staff
from idp.admin.menu import page

pages = Blueprint("admin", __name__)


@pages.get("/admin/")
@require_role("help_desk", "administrator", "auditor")
def home() -> Response:
    """Show what this person may do here."""
    return page("admin_home.html", "home", name=staff().display_name)
