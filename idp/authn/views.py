"""Pages of a sign-in: /login, one view for all second factors, the choice of account, and help. They translate, nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, request

from idp import audit, sessions, users, web
from idp.authn import (
    assurance,
    browsers,
    flow,
    left_open,
    password_policy,
    policy,
    proofs,
    steps,
    still,
    trusted,
    why,
    workstation,
)
from idp.authn.assurance import Demand
from idp.authn.factors import FACTORS, base, find, password
from idp.authn.factors.base import Factor, Refused
from idp.authn.flow import LoginFlow
from idp.authn.identify import Known, identify
from idp.authn.steps import Step
from idp.errors import Forbidden, NotFound
from idp.language import Later, lazy_gettext
from idp.sessions import SsoSession
from idp.users import User

pages = Blueprint("authn", __name__)

WRONG = lazy_gettext(
    "The username or the password is not right. If you are sure of both, wait a few minutes and try again, "
    "or choose a new password with “Forgot password?”."
)
WRONG_CODE = lazy_gettext("This code is not right, or it was used before.")
WRONG_PASSKEY = lazy_gettext("That passkey did not work here. Try again, or use another way to sign in.")
WAIT = lazy_gettext("There were too many attempts.")
NO_PASSKEYS = lazy_gettext(
    "This service asks for a passkey, which the rules of your organisation do not allow for your account. "
    "The service desk can tell you which way is meant for you."
)


def found_flow() -> LoginFlow | None:
    """Return the flow that the address of this request names, if it belongs to this browser and may go on."""
    return still.find(web.single("flow"))


def start_over() -> Response:
    """Lead whoever comes with a flow that is gone to where it was leading, or to a new one: no dead ends (peers 3.22).

    A browser that comes back without the cookie it was just given keeps none: it is told so, instead of being led in circles.
    """
    if steps.FIRST in request.args and web.context().browser_id is None:
        web.browser_id()  # the next try may be allowed to keep it
        return web.page("no_cookies.html", 400)
    way = left_open.way_of(web.single("flow"))
    if way is not None:
        return web.see_other(way)
    return steps.begin(Demand(return_to="/"), notice=str(left_open.EXPIRED) if "flow" in request.args else None)


def show(
    template: str, found: LoginFlow, *, status: int = 200, refused: Refused | None = None, **values: Any
) -> Response:
    """Render a page of a flow; a wait is said in the answer's header too."""
    response = web.page(
        template,
        status,
        flow_id=found.id,
        client_name=found.demand.client_name,
        form_targets=found.demand.form_targets,
        why=why.of(found, _session_user()),
        retry_after_s=refused.retry_after_s if refused else None,
        **values,
    )
    if refused and refused.retry_after_s:
        response.headers["Retry-After"] = str(refused.retry_after_s)
    return response


def _session_user() -> User | None:
    session = sessions.current()
    return users.find_by_sub(session.sub) if session else None


def status_of(refused: Refused) -> int:
    """429 for a wait, 401 for a wrong proof: the same for everybody."""
    return 429 if refused.retry_after_s else 401


@pages.get("/login")
def login() -> Response:
    """Show the sign-in page, or lead to where this flow stands."""
    found = found_flow()
    if found is None:
        return start_over()
    if not steps.is_at(found, Step.PASSWORD):
        return steps.proceed(found)
    session = sessions.current()
    if session and _must_choose(session, found):
        user = users.get_by_sub(session.sub)
        return show("select_account.html", found, display_name=user.display_name, username=user.username)
    return login_page(found, _expected_name(found))


@pages.get("/login/password")
def login_again() -> Response:
    """Lead a reloaded or restored tab, whose address is that of the form, back to the sign-in page."""
    found = found_flow()
    return start_over() if found is None else steps.proceed(found)


@pages.post("/login/account")
@web.csrf_protected
def choose_account() -> Response:
    """Go on as the person who is signed in, or let another one sign in (prompt=select_account)."""
    found, session = found_flow(), sessions.current()
    if found is None or session is None:
        return start_over()
    if web.single("choice") == "continue" and sessions.choose(session):
        return steps.proceed(found)
    flow.save(replace(found, errands=(*found.errands, "other")))
    return web.see_other(steps.path_of(found, Step.PASSWORD))


@pages.post("/login/password")
@web.csrf_protected
def login_password() -> Response:
    """Take a username and a password."""
    password.insist_on_room()  # before anything is looked up or counted: nothing is judged, for nobody
    found = found_flow()
    if found is None:
        return start_over()
    if found.finished:
        return steps.proceed(found)
    identifier = web.single("identifier").strip()
    outcome = identify(identifier, request.form.get("password", ""))
    if isinstance(outcome, Known):
        trusted.look_for_copies(outcome.user)
        return steps.proceed(flow.advance(_known(found, outcome)))
    error = WAIT if outcome.retry_after_s else WRONG
    return login_page(found, identifier, error=error, status=status_of(outcome), refused=outcome)


@pages.route("/login/<name>", methods=["GET", "POST"])
@web.csrf_protected
def login_factor(name: str) -> Response:
    """Show and take a second factor: one view for all of them."""
    factor, found = find(name), found_flow()
    if factor is None:
        raise NotFound()
    if found is None:
        return start_over()
    if not steps.is_at(found, Step.SECOND) or name not in steps.standing_in(found).second:
        return steps.proceed(found)
    if request.method == "GET":
        return _factor_page(factor, found)
    outcome = base.attempt(factor, users.get_by_sub(found.sub or ""), {**request.form, "flow": found.id})
    if isinstance(outcome, Refused):
        return _refused(factor, found, outcome)
    done = flow.proved(found, factor.name, outcome.amr, outcome.authenticator)
    flow.save(done)
    if web.single("trust") and factor.lasting:
        trusted.remember(users.get_by_sub(found.sub or ""), proved_at=found.auth_time)
    return steps.proceed(done)


@pages.get("/login/blocked")
def blocked() -> Response:
    """Lead somebody who proved a password and has no second step left to the ways back in."""
    found = found_flow()
    if found is None or not steps.is_at(found, Step.BLOCKED):
        return steps.proceed(found) if found else start_over()
    if assurance.has_second(found.methods):
        audit.record(audit.Event.LOGIN_FAILED, subject=found.sub, reason="passkey_demanded_and_not_allowed")
        raise Forbidden(str(NO_PASSKEYS))
    audit.record(audit.Event.LOGIN_FAILED, subject=found.sub, reason="second_factor_blocked")
    return web.see_other(f"/recover/factor?flow={found.id}")


@pages.get("/help")
def help_page() -> Response:
    """Say where the username comes from, what a password must contain, which browsers work, whom to ask."""
    return web.page("help.html", password_rules=password_policy.describe(), browsers=browsers.tested())


def _must_choose(session: SsoSession, found: LoginFlow) -> bool:
    wanted = "select_account" in found.demand.prompt and "other" not in found.errands
    return wanted and not assurance.chosen(session, found.demand)


def _known(found: LoginFlow, known: Known) -> LoginFlow:
    """Note who it is. Whatever another person had proved in this flow is forgotten (7.99)."""
    fresh = flow.blank(found)
    fresh = replace(fresh, sub=known.user.sub, stamp=known.stamp, since=proofs.since(known.user.sub))
    return flow.proved(fresh, password.name, password.amr)


def _refused(factor: Factor, found: LoginFlow, refused: Refused) -> Response:
    """Show the page again; unless a second click came after the first had finished the flow."""
    now = still.find(found.id)
    if now is None or not steps.is_at(now, Step.SECOND):
        return steps.proceed(now) if now else start_over()
    return _factor_page(factor, found, status=status_of(refused), refused=refused)


def _factor_page(factor: Factor, found: LoginFlow, *, status: int = 200, refused: Refused | None = None) -> Response:
    user = users.get_by_sub(found.sub or "")
    usable = steps.standing_of(user).second
    others = [
        {"name": other.name, "label": other.label, "url": f"/login/{other.name}?flow={found.id}"}
        for other in FACTORS
        if other is not factor and other.name in usable
    ]
    wrong = WRONG_PASSKEY if factor.name == steps.PASSKEY else WRONG_CODE
    error = None if refused is None else WAIT if refused.retry_after_s else wrong
    template = f"factor_{factor.name}.html"
    values = factor.challenge(user) | {"trust_days": trusted.offered_s(user) // 86400 if factor.lasting else 0}
    return show(template, found, status=status, refused=refused, error=error, other_factors=others, **values)


def login_page(
    found: LoginFlow,
    identifier: str,
    *,
    error: Later | None = None,
    status: int = 200,
    refused: Refused | None = None,
    error_field: str | None = "identifier",
) -> Response:
    """Render the sign-in page; `error_field` is the one that the error leads to, if any."""
    if not (identifier or error or found.notice or why.of(found, _session_user())):
        return _plain_login_page(found)
    return show(
        "login.html",
        found,
        status=status,
        refused=refused,
        identifier=identifier,
        error=error,
        error_field=error_field,
        notice=None if error else found.notice,
        passkeys=policy.offers(steps.PASSKEY),
        password_rules=password_policy.describe(),
        browser_supported=browsers.supported(web.context().user_agent),
    )


def _plain_login_page(found: LoginFlow) -> Response:
    """Answer with the page that nearly everybody sees: nothing is filled in and nothing went wrong."""
    client_name, supported = found.demand.client_name, browsers.supported(web.context().user_agent)

    def values() -> dict[str, Any]:
        rules, passkeys = password_policy.describe(), policy.offers(steps.PASSKEY)
        shown = {"client_name": client_name, "browser_supported": supported}
        return shown | {"identifier": "", "error": None, "password_rules": rules, "passkeys": passkeys}

    return web.moulded(
        "login.html",
        key=(client_name, supported),
        holes={"flow_id": found.id},
        values=values,
        form_targets=found.demand.form_targets,
    )


def _expected_name(found: LoginFlow) -> str:
    """Pre-fill the name: the one that was hinted at, or whoever must sign in again."""
    session = sessions.current()
    if found.demand.login_hint and not workstation.is_shared():
        return found.demand.login_hint[:254]
    if session is None or "other" in found.errands:
        return ""
    user = users.find_by_sub(session.sub)
    return user.username if user else ""
