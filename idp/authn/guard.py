"""guard — for views of other rooms: who is signed in, well enough, recently enough. Otherwise to the sign-in page and back."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec
from urllib.parse import quote

from flask import request

from idp import language, sessions, users, web
from idp.authn import assurance, steps
from idp.authn.assurance import Demand
from idp.sessions import SsoSession
from idp.users import User

P = ParamSpec("P")
View = Callable[P, Any]


def signed_in() -> tuple[SsoSession, User] | None:
    """Return the session of this browser and its person. A session of somebody who was disabled ends here (7.119)."""
    session = sessions.current()
    user = users.find_by_sub(session.sub) if session else None
    if session is None or user is None:
        return None
    if not user.is_active:
        sessions.end(session.sid, cause="user_disabled")
        return None
    web.suggest_language([user.locale or ""])
    language.tell_time(user.zoneinfo)
    return session, user


def login_required(view: View[P]) -> View[P]:
    """Decorate a view that needs somebody signed in."""
    return _demanding(view)


def require_recent(max_age_s: int) -> Callable[[View[P]], View[P]]:
    """Decorate a view that needs a proof made at most so many seconds ago."""
    return lambda view: _demanding(view, max_age_s=max_age_s)


def require_acr(acr: str) -> Callable[[View[P]], View[P]]:
    """Decorate a view that needs a level of assurance."""
    return lambda view: _demanding(view, acr=acr)


def _demanding(view: View[P], *, acr: str | None = None, max_age_s: int | None = None) -> View[P]:
    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
        found = signed_in()
        demand = Demand(return_to=_here(), acr=acr, max_age_s=max_age_s)
        if found is None or not assurance.satisfied(found[0], demand):
            return steps.begin(demand)
        return view(*args, **kwargs)

    return guarded


def _here() -> str:
    """Return where to come back to: this page; after a form, whose content cannot be kept, the account's page."""
    if request.method not in ("GET", "HEAD"):
        return "/"
    query = request.query_string.decode("latin-1")
    return web.local_path(quote(request.path) + (f"?{query}" if query else ""))
