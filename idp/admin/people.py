"""Finding a person: by the whole username, address or NPI, not by browsing; every look is written down (ASVS 16.3.3)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from idp import audit, limits, users, web
from idp.admin.guard import require_role, staff
from idp.admin.menu import page
from idp.authn import factors, identify, recovery_case, recovery_desk
from idp.language import lazy_gettext
from idp.users import User

pages = Blueprint("admin_people", __name__)

LOOKS, LOOKS_WINDOW_S = (
    60,
    600,
)  # of one person of the staff: whoever helps people needs no more, whoever copies a directory does
EMPTY = lazy_gettext("Please fill in the field.")
NOBODY = lazy_gettext("Nobody has exactly this username, verified e-mail address or NPI. Check the spelling.")


@pages.route("/admin/people", methods=["GET", "POST"])
@web.csrf_protected
@require_role("help_desk", "administrator")
def find() -> Response:
    """Ask whom to look for. What was typed travels by POST alone: it names a person (ASVS 14.2.1)."""
    if request.method == "GET":
        return page("admin_people.html", "people", text="", error=None)
    text = web.single("text").strip()
    if not text:
        return page("admin_people.html", "people", 400, text="", error=EMPTY)
    limits.spend("admin:people", staff().sub, count=LOOKS, window_s=LOOKS_WINDOW_S).insist()
    found = users.find_by_login(text) or users.find_by_npi(text)
    if found is not None:
        return web.see_other(f"/admin/people/{found.sub}")
    digest = identify.account_of_nobody(text)
    audit.record(audit.Event.USER_LOOKED_UP, actor=staff().sub, outcome="failure", identifier_digest=digest)
    return page("admin_people.html", "people", 404, text=text, error=NOBODY)


@pages.get("/admin/people/<sub>")
@require_role("help_desk", "administrator")
def person(sub: str) -> Response:
    """Show what helps to recognise a person and to help them; nothing that proves who somebody is."""
    user = users.get_by_sub(sub)
    audit.record(audit.Event.USER_LOOKED_UP, subject=user.sub, actor=staff().sub)
    return page("admin_person.html", "people", **facts_of(user))


def facts_of(user: User) -> dict[str, Any]:
    """Return what a page about a person shows."""
    cases = recovery_case.search(user=user, limit=10).items
    return {
        "user": user,
        "authenticators": factors.authenticators(user),
        "cases": cases,
        "live": next((case for case in cases if case.stands not in recovery_case.CLOSED), None),
        "refused": recovery_desk.opening(user, recovery_desk.desk_of(staff()), four_eyes=recovery_desk.four_eyes(user)),
    }
