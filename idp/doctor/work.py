"""What runs by itself: mail, background jobs, the audit's sealer."""

from __future__ import annotations

import os
import smtplib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from sqlalchemy import func, select

from idp import audit, clock, jobs, kv, mail
from idp.config import Settings
from idp.db import db
from idp.doctor.finding import Finding
from idp.oauth import backchannel

_PATIENCE = timedelta(minutes=10)


def mailing(settings: Settings) -> Iterator[Finding]:
    """The mail server takes mail, and the outbox is not stuck."""
    if not settings.mail.smtp_host:
        yield Finding("mail", "ok" if settings.development else "warn", "no mail server is set: mails stay in the outbox",
                      "" if settings.development else "set mail.smtp_host, or nobody can recover a password")  # fmt: skip
    else:
        yield _server(settings)
    waiting = select(func.count(), func.min(mail.OutgoingMail.created_at)).where(mail.OutgoingMail.sent_at.is_(None))
    count, oldest = db.session.execute(waiting).one()
    if settings.mail.smtp_host and count and oldest < clock.now() - _PATIENCE:
        yield Finding("mail", "warn", f"{count} mails wait, the oldest since {oldest:%Y-%m-%d %H:%M}Z",
                      "look for «was not taken by the server» in the log of `idp serve`")  # fmt: skip


def _server(settings: Settings) -> Finding:
    where = f"{settings.mail.smtp_host}:{settings.mail.smtp_port}"
    try:
        with mail.connect() as server:
            server.noop()
    except (OSError, smtplib.SMTPException) as error:
        return Finding("mail", "fail", f"{where} does not take our mail: {error}",
                       "check mail.smtp_host, smtp_port, smtp_tls and the account")  # fmt: skip
    return Finding("mail", "ok", f"{where} answers ({settings.mail.smtp_tls})")


def telling(settings: Settings) -> Iterator[Finding]:
    """Applications hear of sessions that ended."""
    troubled = backchannel.troubled()
    for client_id, count in troubled.items():
        yield Finding("logout", "warn", f"{client_id} could not be told of {count} sessions that ended",
                      f"`idp client deliveries {client_id}` says what it answered")  # fmt: skip
    if not troubled:
        yield Finding("logout", "ok", "every application was told of the sessions that ended")


def background(settings: Settings) -> Iterator[Finding]:
    """Each job succeeded not long ago."""
    try:
        statuses = jobs.statuses()
    except kv.Unavailable:
        yield Finding("jobs", "warn", "unknown: they note their success in Redis", "start Redis first")
        return
    if all(status.succeeded_at is None for status in statuses):
        yield Finding("jobs", "warn", "no background job has run here yet", "start `idp serve`; it runs them")
        return
    for status in statuses:
        if status.error:
            yield Finding("jobs", "fail", f"{status.name} fails on {status.node}: {status.error}",
                          "the log of `idp serve` has the details; it is tried again by itself")  # fmt: skip
        elif status.overdue:
            yield Finding("jobs", "warn", f"{status.name} has not succeeded for too long", "is `idp serve` running?")
    if not any(status.error or status.overdue for status in statuses):
        yield Finding("jobs", "ok", f"{', '.join(status.name for status in statuses)}: all ran in time")


def trail(settings: Settings) -> Iterator[Finding]:
    """The end of the trail fits together, and its checkpoints reach their file."""
    report = audit.verify_tail()
    if not report.ok:
        yield Finding("audit", "fail", f"broken at event {report.first_bad_seq}: {report.problem}",
                      "keep a copy of the database as it is, and compare with `idp audit verify --checkpoints <your copy>`")  # fmt: skip
    else:
        yield Finding(
            "audit", "ok", f"the last {report.events} events fit together; `idp audit verify` looks at all of them"
        )
    if report.unsealed > 1000:
        yield Finding(
            "audit",
            "warn",
            f"{report.unsealed} events wait to be sealed",
            "is `idp serve` running? or run `idp audit seal`",
        )
    file = Path(settings.audit.checkpoint_file) if settings.audit.checkpoint_file else None
    if file is None:
        yield Finding("audit", "warn", "no checkpoint file is set: nobody would notice a missing tail",
                      "set audit.checkpoint_file and ship the file to another machine")  # fmt: skip
    elif not os.access(file if file.exists() else next(p for p in file.resolve().parents if p.is_dir()), os.W_OK):
        yield Finding("audit", "fail", f"{file} cannot be written", "let the user of `idp serve` write there")
