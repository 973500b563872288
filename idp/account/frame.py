"""What all pages of an account share: the blueprint, who is here, and the word on what was just done."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from idp import authn, sessions, web
from idp.authn import Demand, assurance, guard
from idp.errors import NotFound
from idp.language import lazy_gettext
from idp.users import User

pages = Blueprint("account", __name__)

PROOF_S = 900  # how old a proof may be for what changes or discloses an account

DONE = {
    "proved": lazy_gettext("Thank you. Now do what you wanted to do once more."),
    "password": lazy_gettext("Your password is changed."),
    "codes": lazy_gettext("Your new recovery codes count now; the old ones are gone."),
    "profile": lazy_gettext("Your profile is saved."),
    "signed-out": lazy_gettext("That browser is signed out."),
    "signed-out-others": lazy_gettext("Every other browser is signed out."),
    "email-asked": lazy_gettext("A message is on its way to that address. Open the link in it."),
    "email-confirmed": lazy_gettext("The address is yours now."),
    "email-primary": lazy_gettext("This is your primary address now."),
    "email-removed": lazy_gettext("The address is removed."),
    "email-username": lazy_gettext("Your username is changed."),
    "revoked": lazy_gettext("The application has no access to your account any more."),
}


def mine() -> tuple[sessions.SsoSession, User]:
    """Return the session of this browser and its person, in a view that demands them."""
    found = guard.signed_in()
    if found is None:
        raise NotFound()  # cannot be: login_required has looked, in the same request
    return found


def page(template: str, station: str, *, status: int = 200, **values: Any) -> Response:
    """Render a page of the account; `done=…` in the address says what was just done, in words of ours only."""
    notice = DONE.get(web.single("done")) if status == 200 else None
    return web.page(template, status, station=station, notice=notice, **values)


def proof_owed(session: sessions.SsoSession, back: str) -> Response | None:
    """Lead somebody whose last proof is older than minutes to a fresh one and back (ASVS 7.5.2); None if it is fresh enough."""
    if assurance.age_s(session) <= PROOF_S:
        return None
    return authn.demand(Demand(return_to=f"{back}?done=proved", max_age_s=PROOF_S))
