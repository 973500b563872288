"""What is known of a person: what they change themselves, and what only the organisation does (settings accounts.own_fields)."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from typing import Any

from flask import Response, request

from idp import audit, language, users, web
from idp.account.frame import mine, page, pages
from idp.authn import guard
from idp.config import settings
from idp.db import db
from idp.errors import BadInput, Forbidden
from idp.language import Later, gettext, lazy_gettext
from idp.record import Record
from idp.users import ADDRESS, User

PAGE = "/account/profile"


class Field(Record):
    """One line of the form. `setting` is the word in accounts.own_fields that opens it."""

    name: str
    label: Later
    autocomplete: str
    type: str = "text"
    hint: Later | None = None
    setting: str = ""

    @property
    def is_own(self) -> bool:
        """Whether the person may change it."""
        return (self.setting or self.name) in settings().accounts.own_fields


_PAGE_HINT = lazy_gettext("An address that begins with https://")
FIELDS = (
    Field("display_name", lazy_gettext("Full name"), "name"),
    Field("given_name", lazy_gettext("Given name"), "given-name"),
    Field("middle_name", lazy_gettext("Middle name"), "additional-name"),
    Field("family_name", lazy_gettext("Family name"), "family-name"),
    Field("nickname", lazy_gettext("What colleagues call you"), "nickname"),
    Field("gender", lazy_gettext("Gender"), "sex"),
    Field("birthdate", lazy_gettext("Date of birth"), "bday", hint=lazy_gettext("Like 1980-04-23.")),
    Field("profile", lazy_gettext("Page about you"), "url", "url", _PAGE_HINT),
    Field("picture", lazy_gettext("Address of a picture of you"), "photo", "url", _PAGE_HINT),
    Field("website", lazy_gettext("Website"), "url", "url", _PAGE_HINT),
    Field("phone", lazy_gettext("Telephone"), "tel", "tel", lazy_gettext("With + and the country: +1 555 0100.")),
    Field("street_address", lazy_gettext("Street"), "street-address", setting="address"),
    Field("locality", lazy_gettext("City"), "address-level2", setting="address"),
    Field("region", lazy_gettext("State or province"), "address-level1", setting="address"),
    Field("postal_code", lazy_gettext("Postal code"), "postal-code", setting="address"),
    Field("country", lazy_gettext("Country"), "country-name", setting="address"),
    Field("locale", lazy_gettext("Language"), "language"),
    Field("zoneinfo", lazy_gettext("Time zone"), "", hint=lazy_gettext("Type a city: America/Chicago.")),
)
_CONTACT = frozenset({"phone", *ADDRESS})


@pages.get(PAGE)
@guard.login_required
def profile_page() -> Response:
    """Show what is known, what of it the person may change, and who changes the rest."""
    _, user = mine()
    return _form(user, _values(user))


@pages.post(PAGE)
@web.csrf_protected
@guard.login_required
def save_profile() -> Response:
    """Save the person's own fields. A form that names any other field is refused whole (7.127)."""
    _, user = mine()
    own = [field.name for field in FIELDS if field.is_own]
    foreign = sorted(request.form.keys() - {"csrf", *own})
    if foreign:
        audit.record(
            audit.Event.REQUEST_REFUSED, subject=user.sub, actor=user.sub, reason="field_not_own", fields=foreign[:5]
        )
        raise Forbidden(gettext("Only your organisation can change this."))
    sent = {name: web.single(name) for name in own if name in request.form}
    try:
        with db.session.begin_nested():  # all of it, or nothing
            _save(user, sent)
    except BadInput as error:
        return _form(user, _values(user) | sent, errors=error.fields)
    if tag := language.best([sent.get("locale", "")]):
        web.choose_language(tag)
    return web.see_other(f"{PAGE}?done=profile")


def _save(user: User, sent: Mapping[str, str]) -> None:
    before = _values(user)
    changes: dict[str, str | None] = {name: text for name, text in sent.items() if name not in _CONTACT}
    if "locale" in sent and language.best([before["locale"]]) == (sent["locale"] or None):
        del changes["locale"]  # es-MX, which the organisation gave, stays es-MX
    users.update(user.sub, actor=user.sub, **changes)
    contact = before | dict(sent)
    if any(contact[name] != before[name] for name in _CONTACT):
        known = user.contact or {}
        kept = contact["phone"].strip() == known.get("phone_number")
        users.set_contact(
            user.sub,
            phone=contact["phone"],
            phone_verified=kept and bool(known.get("phone_number_verified")),
            address={name: contact[name] for name in ADDRESS},
            actor=user.sub,
        )


def _values(user: User) -> dict[str, str]:
    contact: dict[str, Any] = user.contact or {}
    found: dict[str, Any] = users.traits.of(user) | {"phone": contact.get("phone_number")} | contact.get("address", {})
    for name in ("display_name", "given_name", "family_name", "locale", "zoneinfo"):
        found[name] = getattr(user, name)
    return {field.name: found.get(field.name) or "" for field in FIELDS}


def _form(user: User, values: Mapping[str, str], *, errors: Mapping[str, list[str]] | None = None) -> Response:
    shown = [
        {
            "name": field.name,
            "label": field.label,
            "type": field.type,
            "autocomplete": field.autocomplete,
            "hint": field.hint,
            "value": values[field.name],
            "is_own": field.is_own,
            "invalid": field.name in (errors or {}),
        }
        for field in FIELDS
    ]
    return page(
        "account_profile.html",
        "profile",
        status=400 if errors else 200,
        fields=shown,
        error=next(iter(errors.items())) if errors else None,
        errors=[sentence for sentences in (errors or {}).values() for sentence in sentences],
        username=user.username,
        npi=user.npi,
        roles=user.roles,
        languages=language.SUPPORTED,
        spoken=language.best([values["locale"]]) or "",
        zones=_zones(),
    )


def _zones() -> list[str]:
    """Return the zones that people know: a region and a city."""
    odd = ("Etc/", "SystemV/", "US/", "posix/", "right/")
    return sorted(name for name in zoneinfo.available_timezones() if "/" in name and not name.startswith(odd))
