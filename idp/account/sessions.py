"""Where a person is signed in, and signing out there (ASVS 7.5.2)."""

from __future__ import annotations

from typing import Any

from flask import Response

from idp import clients, oauth, sessions, web
from idp.account.frame import mine, page, pages, proof_owed
from idp.account.words import how
from idp.authn import browsers, guard
from idp.errors import NotFound
from idp.language import gettext
from idp.sessions import SsoSession

PAGE = "/account/sessions"


@pages.get(PAGE)
@guard.login_required
def sessions_page() -> Response:
    """List the browsers in which this person is signed in: this one first, then the most recently used."""
    here, user = mine()
    reached = _applications(user.sub)
    found = sorted(sessions.of(user.sub), key=lambda one: one.sid != here.sid)
    return page("account_sessions.html", "sessions", sessions=[_shown(one, here, reached) for one in found])


@pages.post(f"{PAGE}/end")
@web.csrf_protected
@guard.login_required
def end_session() -> Response:
    """Sign out one browser, at once. Somebody else's session is as unknown as none (7.126)."""
    here, user = mine()
    sid = web.single("sid")
    if sid not in {one.sid for one in sessions.of(user.sub)}:
        raise NotFound(gettext("This session has ended already."))
    if owed := proof_owed(here, PAGE):
        return owed
    sessions.end(sid, cause="user")
    return web.see_other("/" if sid == here.sid else f"{PAGE}?done=signed-out")


@pages.post(f"{PAGE}/end-others")
@web.csrf_protected
@guard.login_required
def end_other_sessions() -> Response:
    """Sign out every browser but this one, at once, with all that applications hold through them."""
    here, user = mine()
    if owed := proof_owed(here, PAGE):
        return owed
    sessions.end_all(user.sub, cause="user", except_sid=here.sid)
    return web.see_other(f"{PAGE}?done=signed-out-others")


def _applications(sub: str) -> dict[str, list[str]]:
    """Return the names of the applications that each session reached."""
    names: dict[str, str] = {}
    reached: dict[str, list[str]] = {}
    for one in oauth.reach.authorizations_of(sub):
        if one.client_id not in names:
            client = clients.find(one.client_id)
            names[one.client_id] = client.client_name if client else ""
        known = reached.setdefault(one.sid, [])
        if names[one.client_id] and names[one.client_id] not in known:
            known.append(names[one.client_id])
    return reached


def _shown(one: SsoSession, here: SsoSession, reached: dict[str, list[str]]) -> dict[str, Any]:
    return {
        "sid": one.sid,
        "is_here": one.sid == here.sid,
        "device": browsers.described(one.user_agent),
        "address": one.address,
        "how": how(one.amr),
        "started_at": one.started_at,
        "seen_at": one.seen_at,
        "proved_at": one.auth_time,
        "expires_at": one.expires_at,
        "apps": sorted(reached.get(one.sid, [])),
    }
