"""recovery_review — after a recovery: what was added to the account lately, and was it you? Owns `recovery_reviews`.

Whoever took an account over may have left something behind: an authenticator of theirs, an address to which the next recovery would go.
A recovery ends sessions and replaces secrets, but such things stay valid. So the person who recovered is shown, at the end of
their next complete sign-in, what was bound or verified in the 30 days before it, and can take it away. It is asked once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from idp import audit, clock, users
from idp.authn import factors, notices
from idp.authn.factors.base import Authenticator
from idp.db import UtcDateTime, db
from idp.errors import IdpError
from idp.users import User, UserEmail

PATH = "/recover/review"
LATELY_S = 30 * 86400


class RecoveryReview(db.Model):  # type: ignore[name-defined,misc]
    """A person who has not yet looked through what was added before `since`, the moment of their recovery."""

    __tablename__ = "recovery_reviews"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    since: Mapped[datetime] = mapped_column(UtcDateTime)


@dataclass(frozen=True)
class Added:
    """Something that was added lately: an authenticator, or an address; `key` names it in the form."""

    key: str
    label: str
    at: datetime
    last_used_at: datetime | None = None
    is_address: bool = False


def owe(user: User) -> None:
    """Ask this person at the end of their next sign-in; not where nothing was added lately."""
    now = clock.now()
    if not _added(user, now):
        return
    try:
        with db.session.begin_nested():
            db.session.add(RecoveryReview(user_id=user.id, since=now))
            db.session.flush()
    except IntegrityError:
        pass  # they are asked already


def owed(user: User) -> bool:
    """Say whether this person has to be asked."""
    return _since(user) is not None


def added(user: User) -> list[Added]:
    """Return what was added in the 30 days before the recovery, the newest first; nothing where nobody has to be asked."""
    since = _since(user)
    return _added(user, since) if since else []


def remove(user: User, keys: Iterable[str]) -> int:
    """Take away what the person does not know, of what was added; return how much it was. They are told."""
    unknown = [one for one in added(user) if one.key in set(keys)]
    removed = sum(_remove(user, one) for one in unknown)
    if removed:
        notices.tell(user, "additions_removed")
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
    if not one.is_address:
        factor = factors.find(kind)
        return factor is not None and factor.remove(user, name, actor=user.sub, reason="unknown_to_its_person")
    try:
        users.addresses.take_away(user, int(name))
    except IdpError:  # the primary one while no other is proved: nobody would be reached any more
        return False
    return True
