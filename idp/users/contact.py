"""users.contact — where a person can be reached beside their e-mail addresses: the claims of the scopes `phone` and `address`.

Kept in the column `contact` as OIDC Core 5.1 and 5.1.1 write them. Nobody signs in with any of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from idp import audit, clock
from idp.db import db
from idp.errors import BadInput
from idp.language import gettext
from idp.users.checks import checked_text
from idp.users.model import User
from idp.users.people import lock

ADDRESS = ("street_address", "locality", "region", "postal_code", "country")  # OIDC Core 5.1.1
_PHONE = re.compile(r"\+[1-9][0-9 ().-]{5,24}(;ext=[0-9]{1,8})?")  # E.164, spelt for people


def set_contact(
    sub: str,
    *,
    phone: str | None = None,
    phone_verified: bool = False,
    address: Mapping[str, str] | None = None,
    actor: str | None,
) -> User:
    """Replace a person's telephone number and postal address; empty takes them away.

    Raises NotFound; BadInput for a number that is not international, or an unknown member of the address.
    """
    wanted = _phone(phone, verified=phone_verified) | _address(address or {})
    user = lock(sub)
    if (user.contact or {}) != wanted:
        user.contact, user.updated_at = wanted or None, clock.now()
        db.session.flush()
        audit.record(audit.Event.USER_UPDATED, subject=sub, actor=actor, fields=["contact"])
    return user


def _phone(raw: str | None, *, verified: bool) -> dict[str, Any]:
    number = (raw or "").strip()
    if number and not _PHONE.fullmatch(number):
        raise BadInput({"phone": [gettext("A telephone number begins with + and the country: +1 555 0100.")]})
    return {"phone_number": number, "phone_number_verified": verified} if number else {}


def _address(raw: Mapping[str, str]) -> dict[str, Any]:
    strangers = sorted(raw.keys() - set(ADDRESS))
    if strangers:
        raise BadInput({"address": [f"An address has {', '.join(ADDRESS)}; not {strangers[0][:40]}."]})
    parts = {name: checked_text(name, raw[name], limit=200) for name in ADDRESS if raw.get(name)}
    if not parts:
        return {}
    place = ", ".join(parts[name] for name in ("locality", "region", "postal_code") if name in parts)
    lines = (parts.get("street_address"), place, parts.get("country"))
    return {"address": {"formatted": "\n".join(line for line in lines if line)} | parts}
