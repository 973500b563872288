"""Mails that tell a person what happened to their account, to every address they have verified (N-20, N-26)."""

from __future__ import annotations

from typing import Any

from idp import mail, web
from idp.users import User


def tell(user: User, template: str, **values: Any) -> None:
    """Stage a notice to each verified address, with the commit of what it tells of."""
    for address in user.verified_emails:
        mail.send(address, template, user=user, seen=web.context(), **values)
