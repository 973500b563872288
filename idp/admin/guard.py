"""Who may open a page of the house's own staff: the right role, two factors, and a proof of the last minutes (ASVS 8.4.2)."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, cast
from urllib.parse import quote

from flask import Response, g, request

from idp import audit, authn, sessions, web
from idp.authn import Demand
from idp.authn import guard as door
from idp.errors import NotFound
from idp.language import lazy_gettext
from idp.users import User

PROOF_S = 900  # who wants to look after others has proved within that time who they are

ROLE_NAMES = {
    "administrator": lazy_gettext("Administrator"),
    "auditor": lazy_gettext("Auditor"),
    "help_desk": lazy_gettext("Help desk"),
}

P = ParamSpec("P")
View = Callable[P, Any]


def require_role(*roles: str) -> Callable[[View[P]], View[P]]:
    """Decorate a view for people with one of these roles, who proved two factors within 15 minutes.

    Who is not signed in, or not well enough, is led to the sign-in page and back; who lacks the role is told what is missing,
    with 403, and it is written down. The role is looked up at each request: losing it takes effect at once (ASVS 8.3.2).
    """

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
            found = door.signed_in()
            if found is None:
                return authn.demand(Demand(return_to=_here()))
            session, user = found
            if not set(roles) & set(user.roles):
                return _refused(user, session, roles)
            demand = Demand(return_to=_here(), acr=authn.TWO_FACTORS, max_age_s=PROOF_S)
            if not authn.satisfied(session, demand):
                return authn.demand(demand)
            g.staff = user
            return view(*args, **kwargs)

        return guarded

    return decorate


def staff() -> User:
    """Return who is working here, in a view behind `require_role`."""
    found = g.get("staff")
    if found is None:
        raise NotFound()  # cannot be: require_role has looked, in the same request
    return cast(User, found)


def _refused(user: User, session: sessions.SsoSession, roles: tuple[str, ...]) -> Response:
    audit.record(
        audit.Event.ADMIN_REFUSED,
        subject=user.sub,
        actor=user.sub,
        sid=session.sid,
        reason="role_missing",
        path=request.path[:200],
        wanted=sorted(roles),
    )
    names = [str(ROLE_NAMES.get(role, role)) for role in roles]
    return web.page("admin_refused.html", 403, names=names, username=user.username)


def _here() -> str:
    """Return where to come back to: this page; after a form, the page that shows it, if there is one under the same address."""
    methods = (request.url_rule.methods if request.url_rule else None) or set()
    if "GET" not in methods:
        return "/admin/"
    query = request.query_string.decode("latin-1") if request.method == "GET" else ""
    return web.local_path(quote(request.path) + (f"?{query}" if query else ""))
