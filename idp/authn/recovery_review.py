"""recovery_review — after a recovery: what was added to the account lately, and was it you? Owns `recovery_reviews`.

Whoever took an account over may have left something behind: an authenticator of theirs, an address to which the next recovery would go.
A recovery ends sessions and replaces secrets, but such things stay valid. So the person who recovered is shown, at the end of
their next complete sign-in, what was bound or verified in the 30 days before it, and can take it away. It is asked once.

A planted authenticator could give the answer for its thief. So nobody answers with what the question is about: a sign-in in which
something of the list was used leads to other ways of signing in. One exception keeps people in who have nothing older, as in their first
weeks: with a password that was chosen in the recovery, which the thief does not know, what is new will do.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, ForeignKey, delete, exists, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from idp import audit, clock, mail, users, web
from idp.authn import factors
from idp.authn.factors import password
from idp.authn.factors.base import Authenticator
from idp.authn.flow import LoginFlow
from idp.db import UtcDateTime, db
from idp.record import Record
from idp.users import User, UserEmail

PATH = "/recover/review"
LATELY_S = 30 * 86400


class RecoveryReview(db.Model):  # type: ignore[name-defined,misc]
    """A person who has not yet looked through what was added before `since`, the moment of their recovery."""

    __tablename__ = "recovery_reviews"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    since: Mapped[datetime] = mapped_column(UtcDateTime)


class Added(Record):
    """Something that was added lately: an authenticator, or an address; `key` names it in the form."""

    key: str
    label: str
    at: datetime
    last_used_at: datetime | None = None
    is_address: bool = False


def owe(user: User, *, since: datetime | None = None) -> None:
    """Ask this person at the end of their next sign-in; not where nothing was added lately. `since`: when the recovery began, if not now."""
    since = since or clock.now()
    if not _added(user, since):
        return
    try:
        with db.session.begin_nested():
            db.session.add(RecoveryReview(user_id=user.id, since=since))
            db.session.flush()
    except IntegrityError:
        pass  # they are asked already


def owed(user: User) -> bool:
    """Say whether this person has to be asked."""
    return _since(user) is not None


def owed_clause(user_id: ColumnElement[int]) -> ColumnElement[bool]:
    """Return the same as a part of a statement."""
    return exists().where(RecoveryReview.user_id == user_id)


def added(user: User) -> list[Added]:
    """Return what was added in the 30 days before the recovery, the newest first; nothing where nobody has to be asked."""
    since = _since(user)
    return _added(user, since) if since else []


def may_answer(user: User, found: LoginFlow) -> bool:
    """Say whether this sign-in rests on nothing that the question is about (attacks 114 and 117)."""
    since = _since(user)
    if since is None:
        return True
    asked = {one.key for one in _added(user, since)}
    if found.is_fresh and not asked & set(found.used):
        return True
    chosen = password.state(user)
    knows_new = "pwd" in found.methods and chosen is not None and chosen.changed_at >= since
    return found.is_fresh and knows_new and not _has_other(user, asked)


def address_for(user: User) -> str | None:
    """Return where a link to a new password goes: while the question is open, not to an address that it is about, if there is another."""
    since = _since(user)
    asked = {one.key for one in _added(user, since)} if since else set()
    older = [one for one in user.emails if users.addresses.can_recover(one) and f"address:{one.id}" not in asked]
    return older[0].address if asked and older else user.recovery_email


def refused(user: User) -> None:
    """Note that somebody wanted to answer with what the question is about."""
    audit.record(audit.Event.RECOVERY_REFUSED, subject=user.sub, reason="review_by_what_was_added")


def remove(user: User, keys: Iterable[str]) -> int:
    """Take away what the person does not know, of what was added; return how much it was. Every address hears of it, those that go too.

    Raises Conflict, and takes nothing, when no address would stay that can let the person back in.
    """
    users.lock(user.sub)
    unknown = [one for one in added(user) if one.key in set(keys)]
    tell = user.verified_emails
    addresses = [int(one.key.partition(":")[2]) for one in unknown if one.is_address]
    users.addresses.take_away(user, addresses)
    removed = len(addresses) + sum(_remove(user, one) for one in unknown if not one.is_address)
    for address in tell if removed else []:
        mail.send(address, "additions_removed", user=user, seen=web.context())
    return removed


def done(user: User, *, removed: int) -> None:
    """Note that the person has looked. Asked once: of two tabs one writes it down."""
    looked = db.session.execute(delete(RecoveryReview).where(RecoveryReview.user_id == user.id))
    if looked.rowcount == 1:  # type: ignore[attr-defined]
        audit.record(audit.Event.RECOVERY_REVIEWED, subject=user.sub, actor=user.sub, removed=removed)


def _since(user: User) -> datetime | None:
    return db.session.scalar(select(RecoveryReview.since).where(RecoveryReview.user_id == user.id))


def _added(user: User, until: datetime) -> list[Added]:
    found = [_of_authenticator(one) for one in factors.authenticators(user)] + [_of_address(one) for one in user.emails]
    lately = [one for one in found if until - timedelta(seconds=LATELY_S) <= one.at <= until]
    return sorted(lately, key=lambda one: one.at, reverse=True)


def _of_authenticator(one: Authenticator) -> Added:
    return Added(f"{one.factor}:{one.public_id}", one.label, one.created_at, one.last_used_at)


def _of_address(one: UserEmail) -> Added:
    return Added(f"address:{one.id}", one.address, one.verified_at or one.created_at, is_address=True)


def _remove(user: User, one: Added) -> bool:
    kind, _, name = one.key.partition(":")
    factor = factors.find(kind)
    return factor is not None and factor.remove(user, name, actor=user.sub, reason="unknown_to_its_person")


def _has_other(user: User, asked: set[str]) -> bool:
    """Say whether the person could prove something that is not asked about: an older second step, or a code."""
    others = [
        one for one in factors.authenticators(user) if one.usable and f"{one.factor}:{one.public_id}" not in asked
    ]
    return any(factor is not None and factor.enrolled(user) for factor in (factors.find(one.factor) for one in others))
