"""recovery — getting back in after a password or a username was forgotten. Owns Redis `recovery:*`.

Request: the answer and the work are the same whether or not the account exists (7.86); a link goes to the address that we have verified,
never to one that somebody typed (7.115). Redeem: the link's token has 256 random bits, its digest lives 15 minutes in Redis, bound to
the password's stamp. Up to three links of a person are alive, so that a stranger's requests spoil none (7.90); all die when one is used
or the password changes (C-32). Beyond three mails in a quarter of an hour the answer is the same and no mail goes out (7.112). Finish: a new password under the policy, never a new second
factor (N-25); every session ends; every verified address hears of it (N-26); the person signs in themselves.

Getting back in without the second factor is not possible here: a recovery code takes its place at sign-in.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import select

from idp import audit, clock, crypto, kv, limits, mail, sessions, users, web
from idp.authn import identify, notices, recovery_review
from idp.authn.factors import password
from idp.config import settings
from idp.db import db
from idp.errors import Conflict
from idp.limits import Verdict
from idp.record import Record
from idp.users import User, UserEmail

TOKEN_S = 900
MAILS, MAILS_WINDOW_S = 3, 900  # that many to one person
PATH = "/recover/password/new"
_NOBODY = "nobody@example.invalid"

_KEEP = kv.Script(
    """
    redis.call('LPUSH', KEYS[1], ARGV[1])
    redis.call('LTRIM', KEYS[1], 0, ARGV[2] - 1)
    redis.call('EXPIRE', KEYS[1], ARGV[3])
    """
)


class Ticket(Record):
    """A live recovery token: whose it is, and for which choice of a password."""

    user: User
    digest: str
    stamp: str


def attempt() -> Verdict:
    """Count a request on its address alone: a limit on an account that could be seen would tell who has which names (7.86)."""
    return limits.attempt("recovery", account=None, address=web.context().address or "")


def request_password(identifier: str) -> None:
    """Mail a link to the person's primary verified address, if there is such a person; do the same work if not."""
    found = users.find_by_login(identifier)
    user = _within_limit("recovery:password", _reachable(found), identifier)
    raw_token = _issue(user)
    link = f"{settings().server.issuer}{PATH}?token={raw_token}"
    _mail_or_pretend(user, "recovery", link=link, minutes=TOKEN_S // 60)
    _record(audit.Event.RECOVERY_REQUESTED, user, found, identifier)


def send_link(user: User, *, actor: str) -> bool:
    """Mail a link to a person on behalf of an operator, who does not see it. False when they have no address that may recover (6.4.6)."""
    if _reachable(user) is None:
        return False
    link = f"{settings().server.issuer}{PATH}?token={_issue(user)}"
    mail.send(
        recovery_review.address_for(user) or "",
        "recovery",
        user=user,
        seen=web.context(),
        link=link,
        minutes=TOKEN_S // 60,
    )
    audit.record(audit.Event.RECOVERY_REQUESTED, subject=user.sub, actor=actor)
    return True


def request_username(email: str) -> None:
    """Mail the username to a verified address, if it is one."""
    found = users.find_by_login(email)
    typed = users.canonical_username(email)
    theirs = found is not None and any(users.canonical_username(one) == typed for one in found.verified_emails)
    user = _within_limit("recovery:username", _reachable(found if theirs else None), email)
    _mail_or_pretend(user, "username_reminder")
    _record(audit.Event.USERNAME_REMINDED, user, found, email)


def find(raw_token: str) -> Ticket | None:
    """Say whose a token is, if it is a live one and the password has not changed since. Spends nothing (7.118)."""
    digest = crypto.digest(raw_token) if 0 < len(raw_token) <= 64 and raw_token.isascii() else ""
    kept = kv.client().get(_token_key(digest)) if digest else None
    if not kept:
        return None
    told: dict[str, str] = json.loads(str(kept))
    user = users.find_by_sub(told["sub"])
    live = kv.client().lrange(_live_key(told["sub"]), 0, -1)
    if user is None or not user.is_active or digest not in live or password.stamp(user) != told["stamp"]:
        return None
    return Ticket(user, digest, told["stamp"])


def finish(ticket: Ticket, raw_password: str) -> bool:
    """Spend the token and replace the password. False when somebody spent it first (7.110): then nothing is changed."""
    user, sub, began_at = ticket.user, ticket.user.sub, clock.now()
    db.session.refresh(user, with_for_update=True)  # a sign-in with the old password is over, or starts over
    if not _replaced(user, raw_password, ticket):
        db.session.rollback()
        audit.record(audit.Event.RECOVERY_REFUSED, subject=sub, reason="spent")
        return False
    kv.client().delete(_live_key(user.sub))
    identify.forgive(user)
    sessions.end_all(user.sub, cause="password_reset")
    audit.record(audit.Event.RECOVERY_COMPLETED, subject=user.sub, actor=user.sub)
    recovery_review.owe(user, since=began_at)
    notices.tell(user, "password_changed")
    return True


def _replaced(user: User, raw_password: str, ticket: Ticket) -> bool:
    """Replace the password of the ticket's choice, and burn the link only then: where no hash can be made now (503) it stays good."""
    try:
        password.set_password(user, raw_password, actor=user.sub, vetted=True, expected_stamp=ticket.stamp)
    except Conflict:
        return False
    return bool(kv.client().getdel(_token_key(ticket.digest)))


def _reachable(user: User | None) -> User | None:
    if user is None:
        db.session.scalars(select(UserEmail).where(UserEmail.user_id == 0)).all()  # the same work (7.86)
    return user if user and user.is_active and user.recovery_email else None


def _within_limit(name: str, user: User | None, identifier: str) -> User | None:
    """Count a mail to a person, and make nobody of them when it would be one too many. Nobody is counted too: the same work."""
    account = user.sub if user else identify.account_of_nobody(identifier)
    return user if limits.spend(name, account, count=MAILS, window_s=MAILS_WINDOW_S).allowed else None


def _issue(user: User | None) -> str:
    """Make a token beside the person's earlier ones; of more than three the oldest dies. For nobody the writes lead nowhere."""
    raw_token = crypto.random_token()
    digest, sub = crypto.digest(raw_token), user.sub if user else f"?{crypto.random_token(24)}"
    told = json.dumps({"sub": sub, "stamp": password.stamp(user)})
    kv.client().set(_token_key(digest), told, ex=TOKEN_S)
    _KEEP([_live_key(sub)], [digest, MAILS, TOKEN_S])
    return raw_token


def _mail_or_pretend(user: User | None, template: str, **values: Any) -> None:
    """Stage the mail; for nobody stage one too and take it back, so that both cost the same."""
    with db.session.begin_nested() as savepoint:
        address = (recovery_review.address_for(user) if user else None) or _NOBODY
        mail.send(address, template, user=user, seen=web.context(), **values)
        db.session.flush()
        if user is None:
            savepoint.rollback()


def _record(event: audit.Event, user: User | None, found: User | None, identifier: str) -> None:
    if user is not None:
        audit.record(event, subject=user.sub)
        return
    digest = identify.account_of_nobody(identifier)
    reason = "no_mail_sent" if _reachable(found) else "nobody_to_write_to"
    audit.record(event, outcome="failure", reason=reason, identifier_digest=digest)


def _token_key(digest: str) -> str:
    return kv.key("recovery", "token", digest)


def _live_key(sub: str) -> str:
    return kv.key("recovery", "of", sub)
