"""The home page `/` and what can be done from it."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, Response

from idp import audit, authn, clients, oauth, sessions, web
from idp.audit import Entry, Query
from idp.authn import Demand, guard
from idp.authn.factors import recovery_code
from idp.clients import Client
from idp.config import settings
from idp.errors import NotFound
from idp.users import User

pages = Blueprint("account", __name__)

RECENT = 6
DONE = {
    "password": "Your password is changed.",
    "codes": "Your new recovery codes count now; the old ones are gone.",
}


@pages.get("/")
@guard.login_required
def home() -> Response:
    """Show who is signed in, the services to open, the last sign-ins, and where else this person is signed in."""
    session, user = _mine()
    return web.page(
        "home.html",
        user=user,
        session=session,
        notice=DONE.get(web.single("done")),
        sessions=sessions.of(user.sub),
        apps=_apps(user),
        recent=[_told(entry) for entry in audit.search(Query(subject=user.sub, event="login.*"), limit=RECENT).entries],
        consents=_consents(user),
        codes_left=_codes_running_low(user),
        password_url="/account/password",  # noqa: S106
    )


@pages.post("/sessions/end")
@web.csrf_protected
@guard.login_required
def end_session() -> Response:
    """Sign out another browser of the same person. Somebody else's session is as unknown as none (7.126)."""
    _, user = _mine()
    sid = web.single("sid")
    if sid not in {one.sid for one in sessions.of(user.sub)}:
        raise NotFound("This session has ended already.")
    sessions.end(sid, cause="user")
    return web.see_other("/")


@pages.post("/consents/revoke")
@web.csrf_protected
@guard.login_required
def revoke_consent() -> Response:
    """Take back what an application was allowed; all that it was given ends at once (7.55)."""
    _, user = _mine()
    if not oauth.consent.revoke(user.sub, web.single("client_id"), actor=user.sub):
        raise NotFound("This application has no permission any more.")
    return web.see_other("/")


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


def _mine() -> tuple[sessions.SsoSession, User]:
    found = guard.signed_in()
    if found is None:
        raise NotFound()  # cannot be: login_required has looked, in the same request
    return found


def _apps(user: User) -> list[dict[str, str]]:
    """Services to open: those of the house, and what this person allowed something. An application that says where it begins
    a sign-in is opened there, and told who we are (OIDC Core 4)."""
    allowed = {given.client_id for given in oauth.consent.of(user.sub)}
    known = clients.search(limit=100).clients
    ours = [one for one in known if one.first_party]
    theirs = [one for one in known if not one.first_party and one.client_id in allowed and one.initiate_login_uri]
    linked = [(one.client_name, _door(one)) for one in (*ours, *theirs)]
    return [{"name": name, "url": url} for name, url in linked if url]


def _door(client: Client) -> str:
    if not client.initiate_login_uri:
        return client.client_uri
    joint = "&" if "?" in client.initiate_login_uri else "?"
    return f"{client.initiate_login_uri}{joint}{urlencode({'iss': settings().server.issuer})}"


def _consents(user: User) -> list[dict[str, object]]:
    """What this person allowed to other people's applications that still exist."""
    known = [(given, clients.find(given.client_id)) for given in oauth.consent.of(user.sub)]
    return [
        {
            "client_id": given.client_id,
            "name": client.client_name,
            "since": given.granted_at,
            "scopes": [oauth.resources.sentence(scope) for scope in given.scopes],
        }
        for given, client in known
        if client
    ]


def _told(entry: Entry) -> dict[str, object]:
    if entry.outcome == "failure":
        what = "A sign-in failed"
    else:
        what = "Signed in with password and code" if "mfa" in entry.amr else "Signed in with password"
    return {"when": entry.time, "what": what, "where": entry.address or ""}


def _codes_running_low(user: User) -> int | None:
    """Return how many recovery codes are left when that is worth a word, else None."""
    left = recovery_code.remaining(user)
    return left if left <= recovery_code.RUNNING_LOW and recovery_code.bound(user) else None
