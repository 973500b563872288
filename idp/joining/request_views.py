"""Pages of asking for an account: the address, the link's landing, and either a decision to wait for or a first password."""

from __future__ import annotations

import re

from flask import Blueprint, Response, request

from idp import limits, web
from idp.config import settings
from idp.errors import BadInput, Conflict, IdpError, NotFound
from idp.joining import invitation_views, invitations, landing, requests
from idp.joining.requests import CONFIRM, PATH, Proof
from idp.language import gettext, lazy_gettext

pages = Blueprint("sign_up", __name__)

COOKIE = "sign_up"
COOKIE_S = 3600
WAIT = lazy_gettext("There were too many attempts.")
EMPTY = lazy_gettext("Please fill in the field.")


@pages.route(PATH, methods=["GET", "POST"])
@web.csrf_protected
def sign_up() -> Response:
    """Take an address and mail a link; the answer is the same for everybody (7.86)."""
    _insist_open()
    if request.method == "GET":
        return _address_page(sent=web.single("sent") == "1")
    raw_address = web.single("email").strip()
    if not raw_address:
        return _address_page(400, error=str(EMPTY))
    verdict = limits.attempt("sign-up", account=None, address=web.context().address or "")
    if not verdict.allowed:
        page = _address_page(429, email=raw_address, error=str(WAIT), retry_after_s=verdict.retry_after_s)
        page.headers["Retry-After"] = str(verdict.retry_after_s)
        return page
    try:
        name = requests.checked(raw_address)
    except BadInput as error:
        return _address_page(400, email=raw_address, error=error.public)
    requests.begin(name, client_id=web.single("client") or None)
    return web.see_other(f"{PATH}?sent=1")


@pages.route(CONFIRM, methods=["GET", "POST"])
@web.csrf_protected
def confirm() -> Response:
    """Land from the link: move its token out of the address (7.80), then take a name. Only the POST spends it."""
    _insist_open()
    if request.method == "GET" and "token" in request.args:
        response = web.see_other(CONFIRM)
        web.set_cookie(response, COOKIE, web.single("token")[:64], max_age_s=COOKIE_S)
        return response
    raw_token = web.read_cookie(COOKIE) or ""
    proof = requests.find(raw_token)
    if proof is None:
        return _dead(200 if request.method == "GET" else 400)
    if request.method == "GET":
        return _page(proof)
    try:
        return _asked(raw_token, proof) if settings().registration.approval else _made(raw_token, proof)
    except (BadInput, Conflict) as error:
        return _page(proof, error=error)


@pages.get("/sign-up/waiting")
def waiting() -> Response:
    """Say that somebody will look at it, and how they will hear of it."""
    _insist_open()
    return web.page("sign_up_waiting.html")


def _asked(raw_token: str, proof: Proof) -> Response:
    name, note = web.single("display_name"), web.single("note")
    if not requests.ask(raw_token, proof, display_name=name, note=note):
        return _dead(400)
    response = web.see_other("/sign-up/waiting")
    web.delete_cookie(response, COOKIE)
    return response


def _made(raw_token: str, proof: Proof) -> Response:
    """Make the person, who chooses a password on the next page; until then nobody can sign in."""
    user = requests.create(raw_token, proof, display_name=web.single("display_name"))
    if user is None:
        return _dead(400)
    response = web.see_other(invitations.PATH)
    raw_invitation = invitations.hand_over(user, return_to_client=proof.client_id)
    web.set_cookie(response, invitation_views.COOKIE, raw_invitation, max_age_s=invitation_views.COOKIE_S)
    web.delete_cookie(response, COOKIE)
    return response


def _address_page(
    status: int = 200,
    *,
    sent: bool = False,
    email: str = "",
    error: str | None = None,
    retry_after_s: int | None = None,
) -> Response:
    """Show the form for an address; `client` and `txn` say where somebody came from, and are only passed on."""
    txn, client = web.single("txn"), landing.ours(web.single("client")[:64])
    return web.page(
        "sign_up.html",
        status,
        sent=sent,
        email=email,
        error=error,
        retry_after_s=retry_after_s,
        client=client or "",
        app=landing.name_of(client),
        txn=txn if re.fullmatch(r"[A-Za-z0-9._~-]{16,160}", txn) else "",
        domains=settings().registration.email_domains,
        approval=settings().registration.approval,
    )


def _page(proof: Proof, *, error: IdpError | None = None) -> Response:
    return web.page(
        "sign_up_confirm.html",
        400 if error else 200,
        address=proof.address,
        display_name=web.single("display_name") if error else "",
        note=web.single("note") if error else "",
        approval=settings().registration.approval,
        error=error.public if error else None,
    )


def _dead(status: int) -> Response:
    return web.page("sign_up_dead.html", status)


def _insist_open() -> None:
    if not requests.is_open():
        raise NotFound(gettext("Nobody can make an account here by themselves. Ask your organisation to invite you."))
