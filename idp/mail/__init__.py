"""mail — outgoing mail, through an outbox in the database: staged with the change that causes it, delivered later, retried.

Sign-in never waits for a mail server, and a rolled-back change sends no mail.

letter.py   a template in its reader's language → subject, text and HTML
outbox.py   the sealed rows, delivery over SMTP, retries
"""

from __future__ import annotations

from idp.mail import letter, outbox
from idp.mail.letter import Letter
from idp.mail.outbox import MAX_ATTEMPTS, OutgoingMail, connect, deliver_pending, forget_old, opened, stage

__all__ = [
    "MAX_ATTEMPTS",
    "Letter",
    "OutgoingMail",
    "connect",
    "deliver_pending",
    "forget_old",
    "opened",
    "send",
    "stage",
]


def send(address: str, template: str, /, *, locale: str | None = None, **values: object) -> None:
    """Stage a mail in the caller's transaction, in the language of `locale` (BCP 47), else of the `user` among the values, else
    the one that is spoken now. Nothing that a stranger typed belongs into the values: mail programs make links of anything.
    """
    reader = getattr(values.get("user"), "locale", None)
    outbox.stage(address, letter.write(template, locale=locale or reader, **values))
