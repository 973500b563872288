"""The overview `/`: who is signed in, the services to open, what deserves a word, and the last sign-ins."""

from __future__ import annotations

from flask import Response

from idp import audit, authn, clients, oauth, sessions, web
from idp.account.frame import mine, page, pages
from idp.account.words import how
from idp.audit import Entry, Query
from idp.authn import Demand, guard
from idp.authn.factors import recovery_code
from idp.joining import landing
from idp.language import gettext
from idp.users import User

RECENT = 6


@pages.get("/")
@guard.login_required
def home() -> Response:
    """Show who is signed in, the services to open, the last sign-ins, and that this person is signed in elsewhere too."""
    session, user = mine()
    return page(
        "home.html",
        "home",
        user=user,
        session=session,
        how=how(session.amr),
        elsewhere=len(sessions.of(user.sub)) - 1,
        apps=_apps(user),
        recent=[_told(entry) for entry in audit.search(Query(subject=user.sub, event="login.*"), limit=RECENT).entries],
        codes_left=_codes_running_low(user),
    )


@pages.get("/account/password")
@guard.login_required
def change_password() -> Response:
    """Lead to a new password, by way of a fresh proof if the last one is older than minutes (7.96)."""
    return authn.demand(Demand(return_to="/?done=password", then=("password_change",)))


@pages.post("/account/recovery-codes")
@web.csrf_protected
@guard.login_required
def renew_recovery_codes() -> Response:
    """Lead to a new set of recovery codes, which replaces the old one (C-15: by way of a fresh proof)."""
    return authn.demand(Demand(return_to="/?done=codes", then=("recovery_codes",)))


def _apps(user: User) -> list[dict[str, str]]:
    """Services to open: those of the house, and what this person allowed something. An application that says where it begins
    a sign-in is opened there, and told who we are (OIDC Core 4)."""
    allowed = {given.client_id for given in oauth.consent.of(user.sub)}
    known = clients.search(limit=100).clients
    ours = [one for one in known if one.first_party]
    theirs = [one for one in known if not one.first_party and one.client_id in allowed and one.initiate_login_uri]
    linked = [(one.client_name, landing.door(one)) for one in (*ours, *theirs)]
    return [{"name": name, "url": url} for name, url in linked if url]


def _told(entry: Entry) -> dict[str, object]:
    failed = entry.outcome == "failure"
    what = gettext("A sign-in failed") if failed else gettext("Signed in: %(how)s", how=how(entry.amr, entry.details))
    return {"when": entry.time, "what": what, "where": entry.address or ""}


def _codes_running_low(user: User) -> int | None:
    """Return how many recovery codes are left when that is worth a word, else None."""
    left = recovery_code.remaining(user)
    return left if left <= recovery_code.RUNNING_LOW and recovery_code.bound(user) else None
