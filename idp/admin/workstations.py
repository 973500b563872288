"""Marking this very browser as a shared workstation, and taking the mark away."""

from __future__ import annotations

from flask import Blueprint, Response

from idp import web
from idp.admin.guard import require_role, staff
from idp.admin.menu import page
from idp.authn import workstation
from idp.config import settings
from idp.language import lazy_gettext

pages = Blueprint("admin_workstations", __name__)

PATH = "/admin/workstation"
DONE = {
    "marked": lazy_gettext("This browser is a shared workstation now. Sign out before you leave it to others."),
    "unmarked": lazy_gettext("This browser is an ordinary one again."),
}


@pages.get(PATH)
@require_role("administrator")
def show() -> Response:
    """Say what this browser is, and what follows from it."""
    return page(
        "admin_workstation.html",
        "workstation",
        workstation=workstation.identifier(),
        minutes=settings().workstations.idle_s // 60,
        notice=DONE.get(web.single("done")),
    )


@pages.post(f"{PATH}/mark")
@web.csrf_protected
@require_role("administrator")
def mark() -> Response:
    """Mark it."""
    workstation.mark(actor=staff().sub)
    return web.see_other(f"{PATH}?done=marked")


@pages.post(f"{PATH}/unmark")
@web.csrf_protected
@require_role("administrator")
def unmark() -> Response:
    """Take the mark away."""
    workstation.unmark(actor=staff().sub)
    return web.see_other(f"{PATH}?done=unmarked")
