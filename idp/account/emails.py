"""A person's own addresses and username: added by a link, made primary, removed; changed with a fresh proof only."""

from __future__ import annotations

from collections.abc import Callable

from flask import Response, request

from idp import limits, users, web
from idp.account.frame import mine, page, pages, proof_owed
from idp.authn import guard
from idp.config import settings
from idp.errors import BadInput, Conflict, IdpError, NotFound
from idp.language import gettext
from idp.users import User, addresses

PAGE = "/account/emails"
COOKIE = "email"
COOKIE_S = 3600
TRIES, TRIES_S = 10, 3600  # usernames that one person may try out: an answer tells which are taken


@pages.get(PAGE)
@guard.login_required
def emails_page() -> Response:
    """List the addresses, which of them may let the person back in, and the username."""
    return _page(mine()[1])


@pages.post(f"{PAGE}/add")
@web.csrf_protected
@guard.login_required
def add_email() -> Response:
    """Take a new address, which gets a link."""
    raw_address = web.single("email").strip()
    return _change("asked", lambda user: addresses.ask(user, raw_address), field="email")


@pages.post(f"{PAGE}/send")
@web.csrf_protected
@guard.login_required
def send_email_link() -> Response:
    """Mail the link of an address that waits once more."""
    return _change("asked", lambda user: addresses.send_again(user, _email_id()))


@pages.post(f"{PAGE}/primary")
@web.csrf_protected
@guard.login_required
def make_email_primary() -> Response:
    """Make a proved address the primary one."""
    return _change("primary", lambda user: addresses.make_primary(user, _email_id()))


@pages.post(f"{PAGE}/remove")
@web.csrf_protected
@guard.login_required
def remove_email() -> Response:
    """Remove an address."""
    return _change("removed", lambda user: addresses.remove(user, _email_id()))


@pages.post("/account/username")
@web.csrf_protected
@guard.login_required
def change_username() -> Response:
    """Take another username, where people may choose it themselves."""
    if not settings().accounts.choose_username:
        raise NotFound(gettext("Only your organisation can change usernames here."))
    wanted = web.single("username").strip()
    return _change("username", lambda user: _rename(user, wanted), field="username")


@pages.route(addresses.CONFIRM, methods=["GET", "POST"])
@web.csrf_protected
def confirm_email() -> Response:
    """Land from the link: move its token out of the address (7.80). Only the POST of the person themselves spends it (7.118)."""
    if request.method == "GET" and "token" in request.args:
        response = web.see_other(addresses.CONFIRM)
        web.set_cookie(response, COOKIE, web.single("token")[:64], max_age_s=COOKIE_S)
        return response
    answer: Response = _landed()
    return answer


@guard.login_required
def _landed() -> Response:
    _, user = mine()
    ticket = addresses.find(web.read_cookie(COOKIE) or "")
    email = next((one for one in user.emails if ticket and ticket.sub == user.sub and one.id == ticket.email_id), None)
    if ticket is None or email is None:
        return page("account_email_confirm.html", "emails", status=_status(), address=None, theirs=ticket is None)
    if request.method == "GET":
        return page("account_email_confirm.html", "emails", address=email.address, theirs=True)
    try:
        done = addresses.confirm(user, ticket)
    except (Conflict, NotFound) as error:
        return _page(user, error=error)
    if not done:
        return page("account_email_confirm.html", "emails", status=400, address=None, theirs=True)
    response = web.see_other(f"{PAGE}?done=email-confirmed")
    web.delete_cookie(response, COOKIE)
    return response


def _change(done: str, work: Callable[[User], object], *, field: str | None = None) -> Response:
    """Do one thing for somebody who proved who they are minutes ago, and show the page again."""
    session, user = mine()
    owed = proof_owed(session, PAGE)
    if owed:
        return owed
    try:
        work(user)
    except (BadInput, Conflict, NotFound) as error:
        return _page(user, error=error, field=field)
    return web.see_other(f"{PAGE}?done=email-{done}")


def _rename(user: User, wanted: str) -> None:
    limits.spend("username:change", user.sub, count=TRIES, window_s=TRIES_S).insist()
    before = user.username
    changed = users.rename_oneself(user.sub, wanted)
    if changed.username != before:
        addresses.tell(changed, "username_changed", before=before)


def _page(user: User, *, error: IdpError | None = None, field: str | None = None) -> Response:
    rows = [
        {
            "id": one.id,
            "address": one.address,
            "is_primary": one.is_primary,
            "is_proved": one.verified_at is not None,
            "recovers_at": one.recovers_at if one.verified_at and not addresses.can_recover(one) else None,
        }
        for one in user.emails
    ]
    return page(
        "account_emails.html",
        "emails",
        status=error.status if error else 200,
        emails=rows,
        username=user.username,
        may_rename=settings().accounts.choose_username,
        most=addresses.MOST,
        hours=settings().accounts.email_cooldown_hours,
        error=error.public if error else None,
        field=field,
        typed=web.single(field) if field else "",
    )


def _email_id() -> int:
    sent = web.single("id")
    if not (sent.isascii() and sent.isdigit() and len(sent) <= 12):
        raise NotFound(gettext("There is no such address."))
    return int(sent)


def _status() -> int:
    return 200 if request.method == "GET" else 400
