"""users.addresses — people change their own addresses. Owns Redis `email:*`.

A new address gets a link, and is good for nothing until it comes back (attack 115); whoever owns an address already gets a word
instead, and the page says the same. For hours after that the new address receives no way back into the account, and the last one that
does cannot be removed: who has taken over a session cannot take the account with it (attack 114). Every address hears of every change.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import timedelta

from idp import audit, clock, crypto, kv, language, limits, mail, web
from idp.config import settings
from idp.errors import Conflict, TooMany
from idp.language import gettext
from idp.record import Record
from idp.users import people, profile
from idp.users.model import User, UserEmail
from idp.users.names import checked_email

CONFIRM = "/account/emails/confirm"
TOKEN_S = 86400  # N-24: a mailed code is good for 24 hours at most
MOST = 5  # addresses of one person
MAILS, MAILS_WINDOW_S = 6, 3600  # that one person causes


class Ticket(Record):
    """A live link: whose address it proves."""

    sub: str
    email_id: int
    digest: str


def ask(user: User, raw_address: str) -> None:
    """Add an address and mail it a link; one that is somebody else's already gets a word instead, and nobody sees which (7.86).

    Raises BadInput for no address; Conflict for one that the person has, or too many; TooMany.
    """
    name = checked_email(raw_address)
    if len(user.emails) >= MOST:
        raise Conflict(gettext("You have %(most)s addresses. Remove one first.", most=MOST))
    _count(user)
    send_link(user, profile.add_email(user.sub, name.display, actor=user.sub))


def send_again(user: User, email_id: int) -> None:
    """Mail the link of an address that still waits once more; the older link is dead. Raises NotFound, TooMany."""
    email = profile.email_of(user, email_id)
    if email.verified_at is None:
        _count(user)
        send_link(user, email)


def send_link(user: User, email: UserEmail) -> None:
    """Mail the link that proves an address, or a word to its owner."""
    owner = people.find_by_login(email.address)
    taken = owner is not None and owner.sub != user.sub
    raw_token = _issue(user, email)
    link = f"{settings().server.issuer}{CONFIRM}?token={raw_token}"
    template, locale = ("email_taken", owner.locale) if taken and owner else ("email_confirm", user.locale)
    mail.send(email.address, template, locale=locale, link=link, hours=TOKEN_S // 3600)


def find(raw_token: str) -> Ticket | None:
    """Return what a link proves, if it is a live one and the newest of its address. Changes nothing (7.118)."""
    digest = crypto.digest(raw_token) if 0 < len(raw_token) <= 64 and raw_token.isascii() else ""
    kept = kv.client().get(_token_key(digest)) if digest else None
    if not kept:
        return None
    told = json.loads(str(kept))
    newest = kv.client().get(_newest_key(told["email_id"]))
    return Ticket(told["sub"], told["email_id"], digest) if newest and str(newest) == digest else None


def confirm(user: User, ticket: Ticket) -> bool:
    """Spend a link: the address is the person's, and receives no way back in for a while. False when it was spent or is not theirs.

    Raises Conflict for an address that has become somebody else's, NotFound for one that was removed.
    """
    if ticket.sub != user.sub or not kv.client().getdel(_token_key(ticket.digest)):
        audit.record(audit.Event.EMAIL_LINK_REFUSED, subject=ticket.sub, actor=user.sub, reason="spent")
        return False
    email = profile.verify_email(user.sub, ticket.email_id, actor=user.sub)
    email.recovers_at = clock.now() + timedelta(hours=settings().accounts.email_cooldown_hours)
    tell(user, "email_added", address=email.address, until=email.recovers_at)
    return True


def make_primary(user: User, email_id: int) -> None:
    """Make a proved address the primary one, and tell every address. Raises NotFound; Conflict while it is not proved."""
    before = user.email
    email = profile.make_primary(user.sub, email_id, actor=user.sub)
    if email.address != before:
        tell(user, "email_primary", address=email.address, before=before)


def remove(user: User, email_id: int) -> None:
    """Remove an address, and tell it and the others.

    Raises NotFound; Conflict for the primary one, for the only one, and for the last one that may receive a way back in.
    """
    user = people.lock(user.sub)
    email = profile.email_of(user, email_id)
    others = [one for one in user.emails if one.id != email_id and one.verified_at]
    if email.verified_at:
        _keep_a_way_back(user, email, others)
        tell(user, "email_removed", address=email.address)
    profile.remove_email(user.sub, email_id, actor=user.sub)


def take_away(user: User, email_ids: Collection[int]) -> None:
    """Remove addresses that somebody else planted, the primary one too: the oldest that can let the person back in is it then.

    All or none. Raises NotFound; Conflict when none would stay that can let them back in now (attack 114).
    """
    user = people.lock(user.sub)
    going = [profile.email_of(user, email_id) for email_id in email_ids]
    heir = next((one for one in user.emails if one.id not in email_ids and can_recover(one)), None)
    if heir is None and any(one.verified_at or one.is_primary for one in going):
        raise Conflict(
            gettext("One address that can let you back in has to stay. Untick one, or ask the service desk for help.")
        )
    if heir is not None and any(one.is_primary for one in going):
        profile.make_primary(user.sub, heir.id, actor=user.sub)
    for one in going:
        profile.remove_email(user.sub, one.id, actor=user.sub)


def _keep_a_way_back(user: User, email: UserEmail, others: list[UserEmail]) -> None:
    """Refuse to remove what could let a person back in while nothing else could (attack 114)."""
    if not others:
        raise Conflict(
            gettext("This is your only address. Add another one first: without one nobody can help you back in.")
        )
    if can_recover(email) and not any(can_recover(one) for one in others):
        when = language.moment(min(one.recovers_at for one in others if one.recovers_at), user.zoneinfo)
        raise Conflict(
            gettext("You can remove this address from %(when)s on: until then it is your only way back in.", when=when)
        )


def can_recover(email: UserEmail) -> bool:
    """Say whether a way back into the account may go to this address now."""
    return email.verified_at is not None and (email.recovers_at is None or email.recovers_at <= clock.now())


def tell(user: User, template: str, **values: object) -> None:
    """Stage a notice to every proved address of a person (N-26)."""
    seen = web.context()
    for address in user.verified_emails:
        mail.send(address, template, locale=user.locale, user=user, seen=seen, **values)


def _count(user: User) -> None:
    verdict = limits.spend("email:mails", user.sub, count=MAILS, window_s=MAILS_WINDOW_S)
    if not verdict.allowed:
        raise TooMany(retry_after_s=verdict.retry_after_s)


def _issue(user: User, email: UserEmail) -> str:
    raw_token = crypto.random_token()
    digest = crypto.digest(raw_token)
    kv.client().set(_token_key(digest), json.dumps({"sub": user.sub, "email_id": email.id}), ex=TOKEN_S)
    kv.client().set(_newest_key(email.id), digest, ex=TOKEN_S)
    return raw_token


def _token_key(digest: str) -> str:
    return kv.key("email", "token", digest)


def _newest_key(email_id: int) -> str:
    return kv.key("email", "newest", str(email_id))
