"""Pages of recovery: /recover/password, /recover/username, and the link's landing."""

from __future__ import annotations

from dataclasses import replace

from flask import Blueprint, Response, request

from idp import limits, web
from idp.authn import flow, password_policy, policy, recovery, recovery_way, steps
from idp.authn.assurance import Demand
from idp.authn.factors import password
from idp.authn.views import WAIT
from idp.language import lazy_gettext

pages = Blueprint("recover", __name__)

COOKIE = "recovery"
EMPTY = lazy_gettext("Please fill in the field.")
CONTINUE = "/recover/continue"


@pages.post("/recover/begin")
@web.csrf_protected
def begin() -> Response:
    """Come from the sign-in page: keep where the person was going and the name that they typed, out of sight."""
    limits.visit("recovery_way")
    recovery_way.remember(flow.find(web.single("flow")), web.single("identifier").strip())
    return web.see_other("/recover/username" if web.single("lost") == "username" else "/recover/password")


@pages.get(CONTINUE)
def go_on() -> Response:
    """Lead back to the sign-in, towards what the person wanted in the first place."""
    way = recovery_way.find()
    if way is None:
        return steps.begin(Demand(return_to="/"))
    return steps.begin(replace(way.demand, login_hint=way.identifier or way.demand.login_hint))


@pages.route("/recover/password", methods=["GET", "POST"])
@web.csrf_protected
def recover_password() -> Response:
    """Take a username and mail a link; the answer is the same for everybody."""
    if request.method == "GET":
        return _asked("recover_password.html", sent=web.single("sent") == "1")
    identifier = web.single("identifier").strip()
    refused = _refused("recover_password.html", identifier)
    if refused is None:
        recovery_way.rename(identifier)
        recovery.request_password(identifier)
    return refused or web.see_other("/recover/password?sent=1")


@pages.route("/recover/username", methods=["GET", "POST"])
@web.csrf_protected
def recover_username() -> Response:
    """Take an address and mail the username to it; the answer is the same for everybody."""
    if request.method == "GET":
        return _asked("recover_username.html", sent=web.single("sent") == "1")
    email = web.single("email").strip()
    refused = _refused("recover_username.html", email)
    if refused is None:
        recovery.request_username(email)
    return refused or web.see_other("/recover/username?sent=1")


@pages.route(recovery.PATH, methods=["GET", "POST"])
@web.csrf_protected
def new_password() -> Response:
    """Land from the link: move its token out of the address (7.80), then take a new password. Only the POST spends it."""
    if request.method == "GET" and "token" in request.args:
        return _without_token(web.single("token"))
    ticket = recovery.find(web.read_cookie(COOKIE) or "")
    if ticket is None:
        return web.page("recover_new_password.html", 200 if request.method == "GET" else 400, valid=False)
    raw_password = request.form.get("new_password", "")
    violations = password.violations(ticket.user, raw_password) if request.method == "POST" else []
    if request.method == "GET" or violations:
        return web.page(
            "recover_new_password.html",
            400 if violations else 200,
            valid=True,
            rules=password_policy.rules(policy.of(ticket.user).password),
            violations=violations,
            username=ticket.user.username,
        )
    if not recovery.finish(ticket, raw_password):
        return web.page("recover_new_password.html", 400, valid=False)
    response = web.see_other("/recover/password/done")
    web.delete_cookie(response, COOKIE)
    return response


@pages.get("/recover/password/done")
def done() -> Response:
    """Say that it worked, with a link to sign in: recovery itself signs nobody in."""
    way = recovery_way.find()
    return web.page("recover_done.html", back_url=CONTINUE, client_name=way.demand.client_name if way else None)


def _without_token(raw_token: str) -> Response:
    response = web.see_other(recovery.PATH)
    web.set_cookie(response, COOKIE, raw_token[:64], max_age_s=recovery.TOKEN_S)
    return response


def _asked(template: str, *, sent: bool) -> Response:
    way = recovery_way.find()
    return web.page(
        template,
        sent=sent,
        error=None,
        identifier=way.identifier if way else "",
        back_url=CONTINUE,
        client_name=way.demand.client_name if way else None,
        minutes=recovery.TOKEN_S // 60,
    )


def _refused(template: str, identifier: str) -> Response | None:
    """Return the page that says what is in the way: an empty field, or a wait; None when nothing is."""
    if not identifier:
        return web.page(template, 400, sent=False, error=EMPTY, back_url=CONTINUE, minutes=recovery.TOKEN_S // 60)
    verdict = recovery.attempt()
    if verdict.allowed:
        return None
    values = {"identifier": identifier, "back_url": CONTINUE, "minutes": recovery.TOKEN_S // 60}
    response = web.page(template, 429, sent=False, error=WAIT, retry_after_s=verdict.retry_after_s, **values)
    response.headers["Retry-After"] = str(verdict.retry_after_s)
    return response
