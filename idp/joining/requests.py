"""joining.requests — asking for an account without an invitation. Owns Redis `joining:sign-up:*`. Off unless a setting says otherwise.

Begin: the answer and the work are the same whether or not an address is known (7.86); each address gets one mail, a stranger's with a
link, a known one's saying that there is an account. Nothing that a stranger typed is in those mails. Confirm: the link came back, and
only its form spends it (7.118); then there is a request that somebody decides, or, where the settings say so, a person. A request
that is agreed to becomes a person without a password and an invitation: until then nothing exists that could sign in.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy import CursorResult, Index, Select, String, delete, func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from idp import audit, clients, clock, crypto, kv, language, limits, mail, users, web
from idp.config import settings
from idp.db import UtcDateTime, db
from idp.errors import BadInput, Conflict, NotFound
from idp.joining import invitations, landing
from idp.joining.invitations import Invitation
from idp.language import gettext
from idp.record import Record
from idp.users import Name, User, UserEmail

PATH = "/sign-up"
CONFIRM = "/sign-up/confirm"
TOKEN_S = 86400  # N-24: a mailed code is good for 24 hours at most
MAILS, MAILS_WINDOW_S = 3, 3600  # to one address
STAFF_TOLD_S = 3600  # administrators hear of waiting requests once in so long
KEPT = timedelta(days=30)  # a decided request names a person who may not be one of ours

WAITING, APPROVED, DENIED = "waiting", "approved", "denied"


class AccountRequest(db.Model):  # type: ignore[name-defined,misc]
    """Somebody who proved an address and waits for a decision; one that is waiting for each address."""

    __tablename__ = "account_requests"
    __table_args__ = (
        Index(
            "uq_account_requests_waiting",
            "canonical",
            unique=True,
            sqlite_where=text("status = 'waiting'"),
            postgresql_where=text("status = 'waiting'"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    address: Mapped[str] = mapped_column(String(254))
    canonical: Mapped[str] = mapped_column(String(320))
    display_name: Mapped[str] = mapped_column(String(200))
    note: Mapped[str] = mapped_column(String(500))
    locale: Mapped[str | None] = mapped_column(String(35))
    client_id: Mapped[str | None] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16), default=WAITING)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=clock.now)
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    decided_by: Mapped[str | None] = mapped_column(String(100))
    reason: Mapped[str | None] = mapped_column(String(200))


class Proof(Record):
    """What a link carries: an address that proved to be its holder's."""

    address: str
    canonical: str
    client_id: str | None = None


def is_open() -> bool:
    """Say whether strangers may ask for an account here."""
    return settings().registration.enabled


def checked(raw_address: str) -> Name:
    """Return the address that somebody gave. Raises BadInput: no address, or of a domain that is not asked here."""
    name = users.checked_email(raw_address)
    allowed = [domain.lower().lstrip("@") for domain in settings().registration.email_domains]
    if allowed and name.canonical.rpartition("@")[2] not in allowed:
        told = gettext("Only addresses of %(domains)s get an account here.", domains=", ".join(allowed))
        raise BadInput({"email": [told]})
    return name


def begin(name: Name, *, client_id: str | None = None) -> None:
    """Mail a link to a stranger, and a word to who is known already; the same work for both (7.86)."""
    template, known = _template(name)
    account = _digest_of(name.canonical)
    allowed = limits.spend("sign-up:mail", account, count=MAILS, window_s=MAILS_WINDOW_S).allowed
    raw_token = _issue(Proof(name.display, name.canonical, landing.ours(client_id)))
    link = f"{settings().server.issuer}{CONFIRM}?token={raw_token}"
    with db.session.begin_nested() as savepoint:
        mail.send(name.display, template, link=link, hours=TOKEN_S // 3600)
        db.session.flush()
        if not allowed:
            savepoint.rollback()
    reason = None if allowed and not known else "known_already" if allowed else "no_mail_sent"
    audit.record(audit.Event.ACCOUNT_REQUEST_STARTED, reason=reason, identifier_digest=account)


def find(raw_token: str) -> Proof | None:
    """Return what a link proves, if it is a live one. Changes nothing (7.118)."""
    kept = kv.client().get(_key(raw_token)) if 0 < len(raw_token) <= 64 and raw_token.isascii() else None
    return Proof(**json.loads(str(kept))) if kept else None


def ask(raw_token: str, proof: Proof, *, display_name: str, note: str) -> bool:
    """Spend the link and put the request before the staff. False when the link was spent, or one waits already.

    Raises BadInput for a name or a note that cannot be kept; then nothing is spent.
    """
    row = AccountRequest(
        public_id=crypto.random_token(12),
        address=proof.address,
        canonical=proof.canonical,
        display_name=users.checked_text("name", display_name, limit=200, required=True),
        note=users.checked_text("note", note, limit=500),
        locale=language.current(),
        client_id=proof.client_id,
    )
    if not _spend(raw_token):
        return _refused()
    try:
        with db.session.begin_nested():
            db.session.add(row)
    except IntegrityError:
        return _refused()
    audit.record(
        audit.Event.ACCOUNT_REQUEST_CONFIRMED, identifier_digest=_digest_of(proof.canonical), request=row.public_id
    )
    _tell_staff()
    return True


def create(raw_token: str, proof: Proof, *, display_name: str) -> User | None:
    """Spend the link and make a person with a proved address and no password yet. None when the link was spent.

    Raises BadInput for the name, Conflict for an address that is somebody's by now; then nothing is spent.
    """
    with db.session.begin_nested() as savepoint:
        user: User | None = users.create(
            username=proof.address,
            display_name=display_name,
            emails=(proof.address,),
            roles=settings().registration.roles,
            email_verified=True,
            actor=None,
        )
        if not _spend(raw_token):
            savepoint.rollback()
            user = None
    if user is None:
        _refused()
        return None
    digest = _digest_of(proof.canonical)
    audit.record(audit.Event.ACCOUNT_REQUEST_CONFIRMED, subject=user.sub, actor=user.sub, identifier_digest=digest)
    return user


# --- deciding ------------------------------------------------------------------------------------------------


def waiting(*, limit: int = 200) -> list[AccountRequest]:
    """Return the requests that wait for a decision, the oldest first."""
    wanted = select(AccountRequest).where(AccountRequest.status == WAITING)
    return list(db.session.scalars(wanted.order_by(AccountRequest.id).limit(limit)))


def get(public_id: str) -> AccountRequest:
    """Return a request. Raises NotFound."""
    wanted = select(AccountRequest).where(AccountRequest.public_id == public_id)
    found = db.session.scalars(wanted, execution_options={"populate_existing": True}).one_or_none()
    if found is None:
        raise NotFound(gettext("There is no such request."))
    return found


def approve(public_id: str, *, actor: str) -> User:
    """Agree to a request: a person without a password, and an invitation to set one.

    Raises NotFound; Conflict when it is decided already, or when the address has become somebody's; then nothing is changed.
    """
    with db.session.begin_nested():
        row = _decide(public_id, APPROVED, actor)
        user = users.create(
            username=row.address,
            display_name=row.display_name,
            emails=(row.address,),
            roles=settings().registration.roles,
            email_verified=True,
            actor=actor,
        )
        user.locale = row.locale
        known = row.client_id if row.client_id and clients.find(row.client_id) else None
        invitations.invite(user, actor=actor, return_to_client=known)
        audit.record(audit.Event.ACCOUNT_REQUEST_APPROVED, subject=user.sub, actor=actor, request=public_id)
    return user


def deny(public_id: str, *, reason: str, actor: str) -> AccountRequest:
    """Refuse a request, and tell its sender why. Raises NotFound; BadInput without a reason; Conflict when it is decided already."""
    told = users.checked_text("reason", reason, limit=200, required=True)
    with db.session.begin_nested():
        row = _decide(public_id, DENIED, actor, reason=told)
        mail.send(row.address, "sign_up_denied", locale=row.locale, reason=told)
        digest = _digest_of(row.canonical)
        audit.record(
            audit.Event.ACCOUNT_REQUEST_DENIED, actor=actor, reason=told, request=public_id, identifier_digest=digest
        )
    return row


def prune() -> int:
    """Forget requests that were decided a month ago."""
    return _changed(delete(AccountRequest).where(AccountRequest.decided_at < clock.now() - KEPT))


def _decide(public_id: str, status: str, actor: str, *, reason: str | None = None) -> AccountRequest:
    """Take the decision; of two who decide at once, one does."""
    get(public_id)
    values = {"status": status, "decided_at": clock.now(), "decided_by": actor, "reason": reason}
    open_one = (AccountRequest.public_id == public_id) & (AccountRequest.status == WAITING)
    if _changed(update(AccountRequest).where(open_one).values(**values)) != 1:
        raise Conflict(gettext("Somebody has decided this already."))
    return get(public_id)


# --- the mails -----------------------------------------------------------------------------------------------


def _template(name: Name) -> tuple[str, bool]:
    """Choose the mail; the same three looks whatever they find."""
    person = users.find_by_login(name.display)
    invited = db.session.scalar(_count_invited(name.canonical)) or 0
    asked = db.session.scalar(
        select(func.count())
        .select_from(AccountRequest)
        .where(AccountRequest.canonical == name.canonical, AccountRequest.status == WAITING)
    )
    if person is not None or invited:
        return "sign_up_known", True
    return ("sign_up_asked", True) if asked else ("sign_up", False)


def _count_invited(canonical: str) -> Select[int]:
    mine = Invitation.accepted_at.is_(None) & Invitation.revoked_at.is_(None) & (UserEmail.canonical == canonical)
    return select(func.count()).select_from(Invitation).join(UserEmail, UserEmail.id == Invitation.email_id).where(mine)


def _tell_staff() -> None:
    """Tell administrators that requests wait, once in a while; what a stranger wrote stays out of the mail."""
    if not limits.spend("sign-up:staff", "all", count=1, window_s=STAFF_TOLD_S).allowed:
        return
    link = f"{settings().server.issuer}/admin/registrations"
    for person in users.search(role=users.ADMINISTRATOR, status=users.ACTIVE, limit=20).items:
        if person.email:
            mail.send(person.email, "sign_up_waiting", user=person, link=link, seen=web.context())


def _issue(proof: Proof) -> str:
    raw_token = crypto.random_token()
    kv.client().set(_key(raw_token), json.dumps(asdict(proof)), ex=TOKEN_S)
    return raw_token


def _spend(raw_token: str) -> bool:
    return bool(kv.client().getdel(_key(raw_token)))


def _refused() -> bool:
    audit.record(audit.Event.ACCOUNT_REQUEST_REFUSED, reason="spent")
    return False


def _key(raw_token: str) -> str:
    return kv.key("joining", "sign-up", crypto.digest(raw_token))


def _digest_of(canonical: str) -> str:
    return "?" + crypto.mac("identifier", canonical)


def _changed(statement: object) -> int:
    result = db.session.execute(statement, execution_options={"synchronize_session": False})  # type: ignore[call-overload]
    assert isinstance(result, CursorResult)
    return result.rowcount
