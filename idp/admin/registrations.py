"""Requests for an account: strangers who proved an address, and an administrator who agrees or refuses."""

from __future__ import annotations

from flask import Blueprint, Response

from idp import web
from idp.admin.guard import require_role, staff
from idp.admin.menu import page
from idp.errors import BadInput, Conflict, IdpError, NotFound
from idp.joining import requests
from idp.language import lazy_gettext

pages = Blueprint("admin_registrations", __name__)

PATH = "/admin/registrations"
DONE = {
    "approved": lazy_gettext("Agreed. An invitation is on its way."),
    "denied": lazy_gettext("Refused. A message with the reason is on its way."),
}


@pages.get(PATH)
@require_role("administrator")
def list_() -> Response:
    """Show who waits."""
    return _page(notice=DONE.get(web.single("done")))


@pages.post(f"{PATH}/approve")
@web.csrf_protected
@require_role("administrator")
def approve() -> Response:
    """Agree: the person gets an account without a password, and an invitation to set one."""
    try:
        requests.approve(web.single("request"), actor=staff().sub)
    except (Conflict, NotFound, BadInput) as error:
        return _page(error=error)
    return web.see_other(f"{PATH}?done=approved")


@pages.post(f"{PATH}/deny")
@web.csrf_protected
@require_role("administrator")
def deny() -> Response:
    """Refuse, with a reason that the person is told."""
    public_id = web.single("request")
    try:
        requests.deny(public_id, reason=web.single("reason"), actor=staff().sub)
    except BadInput as error:
        return _page(error=error, denying=public_id)
    except (Conflict, NotFound) as error:
        return _page(error=error)
    return web.see_other(f"{PATH}?done=denied")


def _page(*, notice: object = None, error: IdpError | None = None, denying: str | None = None) -> Response:
    return page(
        "admin_registrations.html",
        "registrations",
        error.status if error else 200,
        requests=requests.waiting(),
        notice=notice,
        error=error.public if error else None,
        denying=denying,
    )
