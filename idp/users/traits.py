"""users.traits — what else is known of a person: the claims of the scope `profile` that have no column (OIDC Core 5.1).

Kept in the column `traits` as the claims are written. Nobody signs in with any of it, nothing is decided by it, and addresses of pages
and pictures are never fetched: they are passed on as text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from idp import clock
from idp.errors import BadInput
from idp.language import gettext
from idp.users.checks import checked_text
from idp.users.model import User

_YEAR = re.compile(r"[0-9]{4}")
_DAY = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_LEAP_YEAR = 2000  # stands in for a year that was left out (0000, OIDC Core 5.1)
_OLDEST = 1850


def of(user: User) -> dict[str, str]:
    """Return what is known, by claim."""
    return dict(user.traits or {})


def merged(user: User, changes: Mapping[str, str]) -> dict[str, str] | None:
    """Return a person's traits with some changed; an empty value takes one away."""
    return {name: value for name, value in (of(user) | dict(changes)).items() if value} or None


def checked(field: str, raw: Any) -> str:
    """Return a trait as it may be stored, "" for none. Raises BadInput."""
    return TRAITS[field](field, str(raw or ""))


def _birthdate(field: str, raw: str) -> str:
    """A day (YYYY-MM-DD), a day without its year (0000-MM-DD), or a year (OIDC Core 5.1); never in the future."""
    text = raw.strip()
    if text and not (_is_past_year(text) or _is_past_day(text)):
        raise BadInput({field: [gettext("A date of birth looks like 1980-04-23; 0000-04-23 leaves the year out.")]})
    return text


def _is_past_year(text: str) -> bool:
    return bool(_YEAR.fullmatch(text)) and _OLDEST <= int(text) <= clock.now().year


def _is_past_day(text: str) -> bool:
    parts = _DAY.fullmatch(text)
    if not parts:
        return False
    year, month, day = map(int, parts.groups())
    try:
        born = date(year or _LEAP_YEAR, month, day)
    except ValueError:
        return False
    return year == 0 or (year >= _OLDEST and born <= clock.now().date())


def _address(field: str, raw: str) -> str:
    """The address of a page: https, a host, nobody's name or password in it."""
    text = checked_text(field, raw, limit=500)
    if not text:
        return ""
    odd = any(character.isspace() or character in "\"'<>\\`" for character in text)
    if odd or not _is_https(text):
        raise BadInput({field: [gettext("This must be an address that begins with https://")]})
    return text


def _is_https(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc and (parts.port or 1) > 0
    except ValueError:
        return False


def _line(limit: int) -> Callable[[str, str], str]:
    return lambda field, raw: checked_text(field, raw, limit=limit)


TRAITS: dict[str, Callable[[str, str], str]] = {
    "middle_name": _line(100),
    "nickname": _line(100),
    "profile": _address,
    "picture": _address,
    "website": _address,
    "gender": _line(40),
    "birthdate": _birthdate,
}
