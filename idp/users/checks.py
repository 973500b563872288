"""users.checks — what a person's fields may hold. Pure: looks at nobody else."""

from __future__ import annotations

import re
import unicodedata
import zoneinfo
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from idp.errors import BadInput
from idp.language import gettext, lazy_gettext
from idp.record import Record
from idp.users.names import Name, checked_email, checked_username
from idp.users.npi import valid_npi

T = TypeVar("T")

_ROLE = re.compile(r"[a-z][a-z0-9_-]{1,31}")
_LOCALE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
_NOBODY = Name("", "")
_LABELS = {  # inside a sentence: “The given name is missing.”
    "display_name": lazy_gettext("display name"),
    "given_name": lazy_gettext("given name"),
    "middle_name": lazy_gettext("middle name"),
    "family_name": lazy_gettext("family name"),
    "nickname": lazy_gettext("nickname"),
    "gender": lazy_gettext("gender"),
    "website": lazy_gettext("website"),
    "profile": lazy_gettext("address of a page"),
    "picture": lazy_gettext("address of a picture"),
    "street_address": lazy_gettext("street"),
    "locality": lazy_gettext("city"),
    "region": lazy_gettext("state or province"),
    "postal_code": lazy_gettext("postal code"),
    "country": lazy_gettext("country"),
    "reason": lazy_gettext("reason"),
}


class Draft(Record):
    """A person as they may be stored, as far as that can be told without looking at others."""

    username: Name
    display_name: str
    given_name: str
    family_name: str
    emails: tuple[Name, ...]  # the first is the primary one; no two the same
    roles: tuple[str, ...]
    npi: str | None


def draft(
    *,
    username: str,
    display_name: str,
    given_name: str = "",
    family_name: str = "",
    emails: Sequence[str] = (),
    roles: Iterable[str] = (),
    npi: str | None = None,
) -> Draft:
    """Check all fields of a new person. Raises one BadInput that names every field that cannot be used, and why."""
    wrong = _Gathered()
    addresses = [wrong(lambda raw=raw: checked_email(raw), _NOBODY) for raw in emails]  # type: ignore[misc]
    found = Draft(
        username=wrong(lambda: checked_username(username), _NOBODY),
        display_name=wrong(lambda: checked_text("display_name", display_name, limit=200, required=True), ""),
        given_name=wrong(lambda: checked_text("given_name", given_name, limit=100), ""),
        family_name=wrong(lambda: checked_text("family_name", family_name, limit=100), ""),
        emails=_without_doubles(addresses),
        roles=wrong(lambda: checked_roles(roles), ()),
        npi=wrong(lambda: checked_npi(npi), None),
    )
    if wrong.fields:
        raise BadInput(wrong.fields)
    return found


def checked_text(field: str, raw: str, *, limit: int, required: bool = False) -> str:
    """Return one line of text, NFC, without spaces around it.

    Raises BadInput: too long, missing, or with control characters, line breaks, bidirectional controls, lone surrogates.
    """
    text = unicodedata.normalize("NFC", raw).strip() if len(raw) <= 10 * limit else raw
    if required and not text:
        raise BadInput({field: [gettext("The %(field)s is missing.", field=_spoken(field))]})
    if len(text) > limit:
        raise BadInput(
            {field: [gettext("The %(field)s has at most %(limit)s characters.", field=_spoken(field), limit=limit)]}
        )
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or _is_bidi(character) for character in text):
        raise BadInput(
            {field: [gettext("The %(field)s must not contain invisible control characters.", field=_spoken(field))]}
        )
    return text


def checked_npi(raw: str | None) -> str | None:
    """Return an NPI, or None for nothing. Raises BadInput."""
    text = (raw or "").strip()
    if text and not valid_npi(text):
        raise BadInput({"npi": [gettext("An NPI has ten digits, begins with 1 or 2 and ends with a check digit.")]})
    return text or None


def checked_roles(raw: Iterable[str]) -> tuple[str, ...]:
    """Return role names, sorted, without doubles. Raises BadInput."""
    roles = sorted({role.strip() for role in raw if role.strip()})
    if any(not _ROLE.fullmatch(role) for role in roles):
        raise BadInput(
            {"roles": [gettext("A role is 2 to 32 lower-case letters, digits, - and _, such as physician.")]}
        )
    return tuple(roles)


def checked_locale(raw: str | None) -> str | None:
    """Return a language tag (BCP 47), or None. Raises BadInput."""
    if raw and not _LOCALE.fullmatch(raw):
        raise BadInput({"locale": [gettext("A language looks like en or es-MX.")]})
    return raw or None


def checked_zoneinfo(raw: str | None) -> str | None:
    """Return the IANA name of a time zone, or None. Raises BadInput."""
    if raw and raw not in zoneinfo.available_timezones():
        raise BadInput({"zoneinfo": [gettext("A time zone looks like America/Chicago.")]})
    return raw or None


def _without_doubles(addresses: Iterable[Name]) -> tuple[Name, ...]:
    first: dict[str, Name] = {}
    for address in addresses:
        first.setdefault(address.canonical, address)
    return tuple(first.values())


def _spoken(field: str) -> str:
    return str(_LABELS.get(field, field.replace("_", " ")))


def _is_bidi(character: str) -> bool:
    return "\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069" or character in "\u200e\u200f\u061c"


class _Gathered:
    """Collects what several checks refuse, so that a person hears of everything at once."""

    def __init__(self) -> None:
        self.fields: dict[str, list[str]] = {}

    def __call__(self, check: Callable[[], T], otherwise: T) -> T:
        try:
            return check()
        except BadInput as error:
            for field, sentences in error.fields.items():
                self.fields.setdefault(field, []).extend(sentences)
            return otherwise
