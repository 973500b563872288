"""Pages of an invitation: the link's landing, a first password, and on to where it came from."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, Response, request

from idp import limits, users, web
from idp.authn import Demand, guard, password_policy, policy, steps
from idp.authn.factors import password
from idp.authn.password_policy import Violation
from idp.config import settings
from idp.errors import BadInput, Conflict, IdpError
from idp.joining import invitations, landing
from idp.joining.invitations import EXPIRED, PATH, WAITING, Looked
from idp.language import gettext
from idp.users import User

pages = Blueprint("invitation", __name__)

COOKIE = "invitation"
ONWARD = "/invitation/onward"
COOKIE_S = 3600
AGAIN, AGAIN_S = 3, 86400  # fresh links that one person may ask for in a day


@pages.route(PATH, methods=["GET", "POST"])
@web.csrf_protected
def invitation() -> Response:
    """Land from the link: move its token out of the address (7.80), then take a first password. Only the POST spends it."""
    if request.method == "GET" and "token" in request.args:
        response = web.see_other(PATH)
        web.set_cookie(response, COOKIE, web.single("token")[:64], max_age_s=COOKIE_S)
        return response
    found = invitations.look(web.read_cookie(COOKIE) or "")
    if found.state != WAITING or found.user is None:
        return _dead(found, 200 if request.method == "GET" else 400)
    return _page(found) if request.method == "GET" else _taken(found, request.form.get("new_password", ""))


@pages.post("/invitation/again")
@web.csrf_protected
def again() -> Response:
    """Mail a fresh link in place of an expired one, to the address that had that one."""
    found = invitations.look(web.read_cookie(COOKIE) or "")
    if found.state != EXPIRED or found.user is None:
        return _dead(found, 400)
    limits.spend("invitation:again", found.user.sub, count=AGAIN, window_s=AGAIN_S).insist()
    invitations.send_again(found)
    return web.page("invitation_sent.html")


@pages.get(ONWARD)
@guard.login_required
def onward() -> Response:
    """Go on to the application that the invitation came from, or to one's own account."""
    found = guard.signed_in()
    one = invitations.find(found[1]) if found else None
    return web.see_other((landing.door_of(one.client_id) if one else None) or "/")


def _taken(found: Looked, raw_password: str) -> Response:
    user, wanted = _user(found), _wanted_username(found)
    try:
        violations = _violations(user, raw_password, wanted)
    except BadInput as error:
        return _page(found, username=wanted, error=error)
    if violations:
        return _page(found, username=wanted, violations=violations)
    try:
        if not invitations.accept(found, raw_password, username=wanted):
            return _dead(invitations.look(web.read_cookie(COOKIE) or ""), 400)
    except (BadInput, Conflict) as error:
        return _page(found, username=wanted, error=error)
    door = landing.door_of(found.client_id)
    targets = (web.origin_of(door),) if door else ()
    demand = Demand(
        return_to=ONWARD if door else "/", client_name=landing.name_of(found.client_id), form_targets=targets
    )
    response = steps.resume(users.get_by_sub(user.sub), demand, methods=("pwd",))
    web.delete_cookie(response, COOKIE)
    return response


def _violations(user: User, raw_password: str, wanted: str | None) -> list[Violation]:
    """Judge the password by the rules, the username that the person chooses just now included. Raises BadInput for that name."""
    found = password.violations(user, raw_password)
    if wanted is None:
        return found
    name = users.checked_username(wanted)
    stand_in = User(username=name.display, canonical_username=name.canonical, display_name="")
    about = [one for one in password_policy.violations(raw_password, user=stand_in) if one.rule == "username"]
    return found + [one for one in about if one.rule not in {known.rule for known in found}]


def _wanted_username(found: Looked) -> str | None:
    """Return the username that was chosen, if that is allowed and it is another one."""
    if not settings().accounts.choose_username:
        return None
    typed = web.single("username").strip()
    return typed if typed != _user(found).username else None


def _user(found: Looked) -> User:
    assert found.user is not None
    return found.user


def _page(
    found: Looked,
    *,
    username: str | None = None,
    violations: Sequence[Violation] = (),
    error: IdpError | None = None,
) -> Response:
    user = _user(found)
    return web.page(
        "invitation.html",
        400 if violations or error else 200,
        name=user.display_name,
        address=found.email.address if found.email else "",
        username=username if username is not None else user.username,
        may_choose=settings().accounts.choose_username,
        app=landing.name_of(found.client_id),
        rules=password_policy.rules(policy.of(user).password),
        violations=violations,
        error=error.public if error else None,
    )


def _dead(found: Looked, status: int) -> Response:
    """Say why the link does not work, and what to do now."""
    told = {
        invitations.ACCEPTED: gettext(
            "This invitation was used already. You can sign in with the password that was chosen then."
        ),
        invitations.REVOKED: gettext(
            "This invitation was taken back. If you still need an account, ask whoever invited you."
        ),
        invitations.EXPIRED: gettext(
            "Invitations are good for a few days only, and this one is older. We can send you a new one."
        ),
    }
    unknown = gettext(
        "Perhaps a newer invitation was sent to you: only the newest link works. Or the link is not complete: open it from the mail once more."
    )
    return web.page(
        "invitation_dead.html",
        status,
        told=told.get(found.state, unknown),
        state=found.state,
        usable=found.state == EXPIRED,
    )
