"""Leaving a shared workstation: lock it and come back, or let the next person in. One press of a button or key, nothing is left behind."""

from __future__ import annotations

from flask import Response, request

from idp import authn, sessions, web
from idp.account.frame import page, pages
from idp.authn import Demand, guard, proofs, workstation
from idp.errors import BadInput, NotFound
from idp.language import gettext, lazy_gettext

PAGE = "/workstation"
LOCKED = lazy_gettext("This workstation is locked. Sign in to go on where you were, or as somebody else.")
SWITCHED = lazy_gettext("The last person is signed out everywhere on this workstation. Please sign in.")


@pages.get(PAGE)
@guard.login_required
def workstation_page() -> Response:
    """Offer to lock or to switch, for services that lead people here."""
    _insist()
    return page("account_workstation.html", "workstation")


@pages.post(f"{PAGE}/lock")
@web.csrf_protected
def lock() -> Response:
    """Lock: nobody is signed in here until somebody signs in. The same person goes on with their session, another one ends it."""
    _insist()
    session = sessions.current()
    workstation.forget_people()
    if session:
        proofs.revoke(session.sub)  # first what they left open: it must not outlast the lock
        sessions.lock(session)
    return authn.demand(Demand(return_to=_back()), notice=str(LOCKED))


@pages.post(f"{PAGE}/switch")
@web.csrf_protected
def switch() -> Response:
    """Switch: the session ends with all that hangs on it, every application is told, and the next person signs in."""
    _insist()
    session = sessions.current() or sessions.locked()
    if session:
        sessions.end(session.sid, cause="switched")
    workstation.forget_people()
    return authn.demand(Demand(return_to="/"), notice=str(SWITCHED))


def _insist() -> None:
    if not workstation.is_shared():
        raise NotFound(gettext("This browser is not a shared workstation."))


def _back() -> str:
    """Return where the person goes on: the page they were on; never elsewhere."""
    try:
        return web.local_path(request.form.get("back", "/"))
    except BadInput:
        return "/"
