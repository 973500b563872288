"""mail.outbox — mails that wait for the SMTP server, sealed: who reads the database or a backup of it reads no reset link.

A body opens only in its own row and for its own recipient, so that nobody who can write to the table turns a link to themselves.
"""

from __future__ import annotations

import json
import logging
import smtplib
import ssl
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.utils import formatdate, parseaddr

from sqlalchemy import Index, LargeBinary, String, delete, select, update
from sqlalchemy.orm import Mapped, mapped_column

from idp import clock, crypto
from idp.config import settings
from idp.db import UtcDateTime, db
from idp.mail.letter import Letter, one_line

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 12  # with doubling waits from 30 s: about a day


class OutgoingMail(db.Model):  # type: ignore[misc,name-defined]
    """One mail to one recipient; `sent_at` is None until the SMTP server has accepted it."""

    __tablename__ = "mail_outbox"
    __table_args__ = (Index("ix_mail_outbox_sent_at_next_attempt_at", "sent_at", "next_attempt_at"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    message_id: Mapped[str] = mapped_column(String(32), unique=True)  # left half of the header: a retry is known as one
    recipient: Mapped[str] = mapped_column(String(320))
    subject: Mapped[str] = mapped_column(String(200))
    sealed_letter: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime] = mapped_column(UtcDateTime)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    last_error: Mapped[str | None] = mapped_column(String(200), default=None)


def stage(address: str, letter: Letter) -> OutgoingMail:
    """Put a letter into the outbox, sealed for this recipient, in the caller's transaction."""
    recipient, message_id, now = one_line(address), crypto.random_token(18), clock.now()
    letter = replace(letter, subject=one_line(letter.subject)[:200])
    sealed = crypto.seal(json.dumps(asdict(letter)).encode(), aad=_aad(message_id, recipient))
    mail = OutgoingMail(
        message_id=message_id,
        recipient=recipient,
        subject=letter.subject,
        sealed_letter=sealed,
        created_at=now,
        next_attempt_at=now,
    )
    db.session.add(mail)
    return mail


def opened(mail: OutgoingMail) -> Letter:
    """Return what a mail says. Raises crypto.SealBroken: another key, another recipient, changed bytes."""
    kept = json.loads(crypto.unseal(mail.sealed_letter, aad=_aad(mail.message_id, mail.recipient)))
    return Letter(**kept)


def deliver_pending(*, batch: int = 50) -> int:
    """Hand waiting mails to the SMTP server; returns how many it took. The caller commits.

    A mail is claimed by moving its next attempt ahead, in one statement, so that two nodes do not send it twice.
    """
    if not settings().mail.smtp_host:
        return 0
    now = clock.now()
    waiting = select(OutgoingMail.id).where(
        OutgoingMail.sent_at.is_(None), OutgoingMail.next_attempt_at <= now, OutgoingMail.attempts < MAX_ATTEMPTS
    )
    ids = db.session.scalars(waiting.order_by(OutgoingMail.id).limit(batch)).all()
    return sum(_deliver(mail_id, now) for mail_id in ids)


def forget_old() -> int:
    """Drop mails that were sent a week ago, or given up a month ago: they name people. Returns how many."""
    now = clock.now()
    sent = OutgoingMail.sent_at < now - timedelta(days=7)
    given_up = OutgoingMail.sent_at.is_(None) & (OutgoingMail.created_at < now - timedelta(days=30))
    dropped = db.session.execute(delete(OutgoingMail).where(sent | given_up))
    return int(dropped.rowcount)  # type: ignore[attr-defined]


def connect() -> smtplib.SMTP:
    """Open a session with the configured SMTP server, encrypted and authenticated as configured."""
    wanted = settings().mail
    if wanted.smtp_tls == "implicit":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            wanted.smtp_host, wanted.smtp_port, timeout=20, context=ssl.create_default_context()
        )
    else:
        server = smtplib.SMTP(wanted.smtp_host, wanted.smtp_port, timeout=20)
        if wanted.smtp_tls == "starttls":
            server.starttls(context=ssl.create_default_context())
    if wanted.smtp_username:
        server.login(wanted.smtp_username, wanted.smtp_password)
    return server


def _deliver(mail_id: int, now: datetime) -> bool:
    due = (OutgoingMail.id == mail_id) & OutgoingMail.sent_at.is_(None) & (OutgoingMail.next_attempt_at <= now)
    wait = timedelta(seconds=30 * 2 ** min(_attempts_of(mail_id), 11))
    claim = update(OutgoingMail).where(due)
    claimed = db.session.execute(claim.values(next_attempt_at=now + wait, attempts=OutgoingMail.attempts + 1))
    db.session.commit()  # the claim must be seen by others before we talk to the server
    if claimed.rowcount != 1:  # type: ignore[attr-defined]
        return False
    mail = db.session.get_one(OutgoingMail, mail_id)
    try:
        message = _message(mail, opened(mail))
        with connect() as server:
            server.send_message(message)
    except crypto.SealBroken as error:
        return _given_up(mail, f"cannot be sent: {error}")
    except (OSError, smtplib.SMTPException) as error:
        mail.last_error = one_line(f"{type(error).__name__}: {error}")[:200]
        log.warning("mail %s was not taken by the server: %s", mail_id, mail.last_error)
        return False
    mail.sent_at, mail.last_error = clock.now(), None
    return True


def _given_up(mail: OutgoingMail, reason: str) -> bool:
    """A mail that does not open will not open later: say so once and let the others pass."""
    mail.attempts, mail.last_error = MAX_ATTEMPTS, one_line(reason)[:200]
    log.error("mail %s %s", mail.id, mail.last_error)
    return False


def _attempts_of(mail_id: int) -> int:
    return db.session.scalar(select(OutgoingMail.attempts).where(OutgoingMail.id == mail_id)) or 0


def _message(mail: OutgoingMail, letter: Letter) -> EmailMessage:
    """Build the message: text, and the same as HTML beside it (RFC 2046 section 5.1.4), in one language (RFC 3282)."""
    sender = settings().mail.sender
    message = EmailMessage()
    message["From"] = sender
    message["To"] = mail.recipient
    message["Subject"] = letter.subject
    message["Date"] = formatdate(mail.created_at.timestamp())
    message["Message-ID"] = f"<{mail.message_id}@{parseaddr(sender)[1].rpartition('@')[2] or 'localhost'}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    if letter.html:
        message.add_alternative(letter.html, subtype="html")
    message["Content-Language"] = letter.language  # last: earlier Content-… headers move into the parts
    return message


def _aad(message_id: str, recipient: str) -> str:
    return f"mail|{message_id}|{recipient}"
