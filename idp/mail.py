"""mail — outgoing mail, through an outbox in the database: staged with the change that causes it, delivered later, retried.

A template `templates/mail/<name>.txt` begins with "Subject: …" and an empty line; the rest is the body. Sign-in never waits
for a mail server, and a rolled-back change sends no mail.
"""

from __future__ import annotations

import logging
import re
import smtplib
import ssl
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr

from flask import render_template
from sqlalchemy import Index, String, Text, delete, select, update
from sqlalchemy.orm import Mapped, mapped_column

from idp import clock
from idp.config import settings
from idp.db import UtcDateTime, db

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 12  # with doubling waits from 30 s: about a day


class OutgoingMail(db.Model):  # type: ignore[misc,name-defined]
    """One mail to one recipient; `sent_at` is None until the SMTP server has accepted it."""

    __tablename__ = "mail_outbox"
    __table_args__ = (Index("ix_mail_outbox_sent_at_next_attempt_at", "sent_at", "next_attempt_at"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    recipient: Mapped[str] = mapped_column(String(320))
    subject: Mapped[str] = mapped_column(String(200))
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime] = mapped_column(UtcDateTime)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    last_error: Mapped[str | None] = mapped_column(String(200), default=None)


def send(address: str, template: str, **values: object) -> None:
    """Stage a mail to a verified address in the caller's transaction."""
    text = render_template(
        f"mail/{template}.txt", support=settings().support, issuer=settings().server.issuer, **values
    )
    head, _, body = text.partition("\n\n")
    subject = _one_line(head.removeprefix("Subject:"))[:200]
    now = clock.now()
    db.session.add(
        OutgoingMail(
            recipient=_one_line(address), subject=subject, body=body.strip() + "\n", created_at=now, next_attempt_at=now
        )
    )


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
        _hand_over(mail)
    except (OSError, smtplib.SMTPException) as error:
        mail.last_error = _one_line(f"{type(error).__name__}: {error}")[:200]
        log.warning("mail %s was not taken by the server: %s", mail_id, mail.last_error)
        return False
    mail.sent_at, mail.last_error = clock.now(), None
    return True


def _attempts_of(mail_id: int) -> int:
    return db.session.scalar(select(OutgoingMail.attempts).where(OutgoingMail.id == mail_id)) or 0


def _hand_over(mail: OutgoingMail) -> None:
    with connect() as server:
        server.send_message(_message(mail))


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


def _message(mail: OutgoingMail) -> EmailMessage:
    message = EmailMessage()
    message["From"] = settings().mail.sender
    message["To"] = mail.recipient
    message["Subject"] = mail.subject
    message["Date"] = formatdate(mail.created_at.timestamp())
    message["Message-ID"] = make_msgid(domain=parseaddr(settings().mail.sender)[1].rpartition("@")[2] or "localhost")
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.body)
    return message


def _one_line(text: str) -> str:
    """Fold anything that could start another header (attack 116)."""
    return re.sub(r"[\x00-\x1f\x7f\u2028\u2029]+", " ", text).strip()
