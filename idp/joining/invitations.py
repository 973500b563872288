"""joining.invitations — a single-use link to a first password.

The link's token has 256 random bits; its digest lies in the person's one row, so that a link that is sent again replaces the last
one (C-32). It is good for days and as long as the person has no password. Opening it changes nothing (7.118): the form that sends
the password back proves the address, and is taken once.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import CursorResult, ForeignKey, String, delete, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from idp import audit, clients, clock, crypto, mail, users, web
from idp.authn.factors import password
from idp.config import settings
from idp.db import UtcDateTime, db
from idp.errors import BadInput, Conflict, IdpError
from idp.joining import landing
from idp.language import gettext
from idp.record import Record
from idp.users import User, UserEmail

PATH = "/invitation"
KEPT = timedelta(days=30)  # how long we can still tell why a link does not work

WAITING, ACCEPTED, EXPIRED, REVOKED = "waiting", "accepted", "expired", "revoked"
UNKNOWN = "unknown"


class Invitation(db.Model):  # type: ignore[name-defined,misc]
    """The one invitation of a person; sending it again writes over it."""

    __tablename__ = "invitations"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    email_id: Mapped[int]  # where it went; that address may be removed meanwhile, and then the link proves nothing
    token_digest: Mapped[str] = mapped_column(String(64), unique=True)
    client_id: Mapped[str | None] = mapped_column(String(64))  # the application that they go on to
    invited_by: Mapped[str | None] = mapped_column(String(100))
    sent_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    accepted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    @property
    def state(self) -> str:
        """Waiting, accepted, revoked or expired."""
        if self.accepted_at:
            return ACCEPTED
        if self.revoked_at:
            return REVOKED
        return WAITING if self.expires_at > clock.now() else EXPIRED


class Looked(Record):
    """What a link is worth: `state` waiting is good; whoever holds an older link of ours may learn why it is not."""

    state: str
    user: User | None = None
    email: UserEmail | None = None
    digest: str = ""
    client_id: str | None = None


def invite(user: User, *, actor: str | None, return_to_client: str | None = None) -> Invitation:
    """Mail a person a link to their first password; an earlier link is dead from now on.

    Raises Conflict for who has a password, is disabled, or has no address; BadInput for an application that nobody knows.
    """
    email = _recipient(user)
    if return_to_client and clients.find(return_to_client) is None:
        raise BadInput({"client": [gettext("There is no such application.")]})
    again = find(user) is not None
    raw_token = _issue(user, email, actor=actor, client_id=return_to_client)
    audit.record(audit.Event.INVITATION_SENT, subject=user.sub, actor=actor, again=again)
    found = _found(user)
    _mail(user, email, raw_token, found.client_id)
    return found


def hand_over(user: User, *, return_to_client: str | None = None) -> str:
    """Return the token of an invitation for somebody who has just proved their address and is here: it is not mailed."""
    return _issue(user, _recipient(user), actor=user.sub, client_id=return_to_client)


def find(user: User) -> Invitation | None:
    """Return the person's invitation, whatever became of it, or None."""
    wanted = select(Invitation).where(Invitation.user_id == user.id)
    return db.session.scalars(wanted, execution_options={"populate_existing": True}).one_or_none()


def waiting(*, limit: int = 500) -> list[tuple[User, Invitation]]:
    """Return who has not accepted yet, the oldest first; the expired ones too."""
    open_ones = Invitation.accepted_at.is_(None) & Invitation.revoked_at.is_(None)
    wanted = select(User, Invitation).join(Invitation, Invitation.user_id == User.id).where(open_ones)
    return [(user, one) for user, one in db.session.execute(wanted.order_by(Invitation.sent_at).limit(limit))]


def revoke(user: User, *, actor: str | None) -> bool:
    """Take an invitation back: its link is dead. False when there was none to take back."""
    live = (Invitation.user_id == user.id) & Invitation.accepted_at.is_(None) & Invitation.revoked_at.is_(None)
    if _changed(update(Invitation).where(live).values(revoked_at=clock.now())) != 1:
        return False
    audit.record(audit.Event.INVITATION_REVOKED, subject=user.sub, actor=actor)
    return True


def look(raw_token: str) -> Looked:
    """Say what a link is worth. Changes nothing (7.118)."""
    digest = crypto.digest(raw_token) if 0 < len(raw_token) <= 64 and raw_token.isascii() else ""
    found = db.session.scalars(select(Invitation).where(Invitation.token_digest == digest)).one_or_none()
    if found is None:
        return Looked(UNKNOWN)
    user = db.session.get_one(User, found.user_id)
    email = next((one for one in user.emails if one.id == found.email_id), None)
    state = found.state
    if state in (WAITING, EXPIRED) and (email is None or not user.is_active):
        state = REVOKED
    if state in (WAITING, EXPIRED) and password.stamp(user):
        state = ACCEPTED
    return Looked(state, user, email, digest, found.client_id)


def send_again(found: Looked) -> None:
    """Mail a fresh link to the address that holds an expired one; to nobody else."""
    if found.state == EXPIRED and found.user:
        invite(found.user, actor=found.user.sub)


def accept(found: Looked, raw_password: str, *, username: str | None = None) -> bool:
    """Take the link: the address is proved, the password set, the username chosen. False when somebody was faster.

    The password must have passed `password.violations`. Nothing is changed when it fails. Raises BadInput or Conflict for the
    username, Conflict for an address that belongs to somebody else by now.
    """
    user, email = found.user, found.email
    assert user is not None and email is not None
    try:
        taken = _take(user, email, found.digest, raw_password, username)
    except IdpError:
        db.session.rollback()
        raise
    if not taken:
        db.session.rollback()
        audit.record(audit.Event.INVITATION_REFUSED, subject=user.sub, reason="spent")
        return False
    audit.record(audit.Event.INVITATION_ACCEPTED, subject=user.sub, actor=user.sub)
    mail.send(email.address, "account_ready", user=user, seen=web.context())
    return True


def prune() -> int:
    """Forget invitations that were over a month ago."""
    over = clock.now() - KEPT
    past = or_(Invitation.accepted_at < over, Invitation.revoked_at < over, Invitation.expires_at < over)
    return _changed(delete(Invitation).where(past))


def _take(user: User, email: UserEmail, digest: str, raw_password: str, username: str | None) -> bool:
    """Hash first, while nothing is locked; of many who write the password, one goes on to burn the link."""
    sub = user.sub
    try:
        password.set_password(user, raw_password, actor=sub, vetted=True, expected_stamp="")
    except Conflict:
        return False
    now = clock.now()
    live = (Invitation.token_digest == digest) & Invitation.accepted_at.is_(None) & Invitation.revoked_at.is_(None)
    if _changed(update(Invitation).where(live, Invitation.expires_at > now).values(accepted_at=now)) != 1:
        return False
    users.verify_email(sub, email.id, actor=sub)
    if username is not None:
        users.rename_oneself(sub, username)
    return True


def _issue(user: User, email: UserEmail, *, actor: str | None, client_id: str | None) -> str:
    """Write a new token over the person's invitation; the application of the last one stays unless another is named."""
    before = find(user)
    raw_token, now = crypto.random_token(), clock.now()
    values = {
        "email_id": email.id,
        "token_digest": crypto.digest(raw_token),
        "client_id": client_id or (before.client_id if before else None),
        "invited_by": actor,
        "sent_at": now,
        "expires_at": now + timedelta(days=settings().accounts.invitation_days),
        "accepted_at": None,
        "revoked_at": None,
    }
    _write(user, values)
    return raw_token


def _found(user: User) -> Invitation:
    found = find(user)
    assert found is not None
    return found


def _recipient(user: User) -> UserEmail:
    if not user.is_active:
        raise Conflict(gettext("This person is disabled."))
    if password.stamp(user):
        raise Conflict(gettext("This person has a password already, and can sign in."))
    chosen = next((one for one in user.emails if one.is_primary), user.emails[0] if user.emails else None)
    if chosen is None:
        raise Conflict(gettext("This person has no e-mail address."))
    return chosen


def _write(user: User, values: dict[str, object]) -> None:
    if _changed(update(Invitation).where(Invitation.user_id == user.id).values(**values)) == 1:
        return
    try:
        with db.session.begin_nested():
            db.session.add(Invitation(user_id=user.id, **values))
    except IntegrityError:
        raise Conflict(gettext("This person is being invited by somebody else just now.")) from None


def _mail(user: User, email: UserEmail, raw_token: str, client_id: str | None) -> None:
    mail.send(
        email.address,
        "invitation",
        user=user,
        link=f"{settings().server.issuer}{PATH}?token={raw_token}",
        days=settings().accounts.invitation_days,
        app=landing.name_of(client_id),
    )


def _changed(statement: object) -> int:
    result = db.session.execute(statement, execution_options={"synchronize_session": False})  # type: ignore[call-overload]
    assert isinstance(result, CursorResult)
    return result.rowcount
