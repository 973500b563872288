"""names — what may be a username or an e-mail address, and which spellings are one name.

Usernames follow PRECIS UsernameCaseMapped (RFC 8265: width-mapped, lower-cased, NFC) and then UTS 39: no mixed scripts, no
letter that passes for an ASCII one. Nothing is case-*folded*: `ß` stays `ß` and `ı` stays `ı`, so that two people never meet.
Two strengths: `checked_…` decides what may be created; `canonical_…` takes whatever was typed and never fails.
"""

from __future__ import annotations

import hashlib
import unicodedata
from functools import lru_cache
from typing import Any

import idna

from idp.errors import BadInput
from idp.language import gettext
from idp.record import Record

MAX_IDENTIFIER = 64  # code points of an assigned identifier
MAX_ADDRESS = 254  # RFC 5321 section 4.5.3.1.3, less the angle brackets
_MAX_TYPED = 1024  # beyond this nobody typed a name; it is only digested
_PUNCTUATION = "._-+'"
_WRITTEN_TOGETHER = (
    {"LATIN", "HAN", "HIRAGANA", "KATAKANA"},
    {"LATIN", "HAN", "HANGUL"},
    {"LATIN", "HAN", "BOPOMOFO"},
)  # UTS 39, «highly restrictive»


class Name(Record):
    """A username or address: as its owner writes it, and as we compare it."""

    display: str
    canonical: str


def canonical_username(raw: str) -> str:
    """Return the one form of a typed username or address: the key for look-ups and for counting attempts (W-9).

    Total and bounded: what no account can be called (nonsense, or longer than any name) becomes `~` and a digest.
    """
    folded = _fold(raw) if len(raw) <= _MAX_TYPED else ""
    if 0 < len(folded) <= MAX_ADDRESS:
        return folded
    return "~" + hashlib.sha256(raw.encode("utf-8", "surrogatepass")).hexdigest()


def checked_username(raw: str) -> Name:
    """Return a username that may be created: an e-mail address or an assigned identifier.

    Raises BadInput: empty, too long, spaces, signs other than ``. _ - + '``, bidirectional controls, zero-width
    characters, several scripts in one name, letters that look like others.
    """
    display = unicodedata.normalize("NFC", raw.strip())
    if "@" in display or "＠" in display:
        return _checked_address_username(display)
    if not 2 <= len(display) <= MAX_IDENTIFIER:
        raise _refused(
            "username",
            gettext("A username has 2 to %(most)s characters, or is an e-mail address.", most=MAX_IDENTIFIER),
        )
    canonical = _enforced(display)
    if not canonical[0].isalnum() or not all(_is_allowed(character) for character in canonical):
        raise _refused(
            "username", gettext("A username begins with a letter or digit and has only letters, digits and . _ - + '")
        )
    _refuse_lookalikes(canonical)
    return Name(display, canonical)


def checked_email(raw: str) -> Name:
    """Return an e-mail address that may be kept (RFC 5321, RFC 6531); nothing is sent or looked up.

    Raises BadInput: no address, line breaks, bidirectional controls, compatibility characters. Plus-addressing is distinct.
    """
    from email_validator import EmailNotValidError, validate_email

    text = raw.strip()
    if len(text) > MAX_ADDRESS:
        raise _refused("email", gettext("An e-mail address has at most %(most)s characters.", most=MAX_ADDRESS))
    try:
        found = validate_email(text, check_deliverability=False)
        local = _profile().enforce(found.local_part)
    except (EmailNotValidError, UnicodeEncodeError):
        raise _refused("email", gettext("This is not an e-mail address that we can write to.")) from None
    return Name(found.normalized, f"{local}@{(found.ascii_domain or found.domain).lower()}")


def _checked_address_username(display: str) -> Name:
    try:
        address = checked_email(display.replace("＠", "@"))
    except BadInput as error:
        raise _refused("username", *error.fields["email"]) from None
    local, _, domain = address.display.rpartition("@")
    for part in (_profile().enforce(local), *domain.lower().split(".")):
        _refuse_lookalikes(part)
    return address


def _enforced(display: str) -> str:
    try:
        canonical: str = _profile().enforce(display)
    except UnicodeEncodeError as error:
        raise _refused("username", _told(error)) from None
    return canonical


def _told(error: UnicodeEncodeError) -> str:
    """Name the character that PRECIS refused, without ever printing a control character."""
    character = error.object[error.start : error.end]
    if error.reason.endswith("/spaces") or character.isspace():
        return gettext("A username must not contain spaces.")
    if error.reason.endswith("precis_ignorable_properties"):
        return gettext("A username must not contain invisible characters.")
    if character:
        return gettext("A username must not contain the character %(code)s.", code=f"U+{ord(character[0]):04X}")
    return gettext("A username must not contain this mixture of writing directions.")


def _is_allowed(character: str) -> bool:
    return character in _PUNCTUATION or unicodedata.category(character)[0] in "LM" or character.isdecimal()


def _refuse_lookalikes(name: str) -> None:
    """Refuse a name that could be mistaken for another (UTS 39): `аdmin` with a Cyrillic а, `асе` all Cyrillic, `ɑdmin`."""
    from confusable_homoglyphs import categories

    scripts = categories.unique_aliases(name) - {"COMMON", "INHERITED"}
    if len(scripts) > 1 and not any(scripts <= allowed for allowed in _WRITTEN_TOGETHER):
        raise _refused("username", gettext("A username must not mix letters of several scripts."))
    if name.isascii():
        return
    foreign = [character for character in name if unicodedata.category(character)[0] == "L"]
    posing = [character for character in foreign if not character.isascii() and _passes_for_ascii(character)]
    if posing and ("LATIN" in scripts or len(posing) == len(foreign)):
        raise _refused(
            "username",
            gettext(
                "A username must not contain letters that look like others, here %(code)s.",
                code=f"U+{ord(posing[0]):04X}",
            ),
        )


def _passes_for_ascii(character: str) -> bool:
    return character in _posing()


@lru_cache(maxsize=1)
def _posing() -> frozenset[str]:
    """Return what passes for an ASCII letter or digit (UTS 39). The whole table takes 8 MB and 0.1 s; this is all that we ask of it."""
    from confusable_homoglyphs.utils import load

    table = load("confusables.json")
    return frozenset(
        character
        for character, twins in table.items()
        if any(twin["c"].isascii() and twin["c"].isalnum() for twin in twins)
    )


def warm() -> None:
    """Load the tables now, so that the first person who chooses a name need not wait for them."""
    from confusable_homoglyphs import categories  # noqa: F401
    from email_validator import validate_email  # noqa: F401

    _posing()
    _profile()


@lru_cache(maxsize=1)
def _profile() -> Any:
    """UsernameCaseMapped (RFC 8265), of which the library knows the tables."""
    from precis_i18n import get_profile

    return get_profile("UsernameCaseMapped")


def _fold(raw: str) -> str:
    """Bring what was typed as near to a canonical form as it goes; equal to it for every name that can exist."""
    typed = raw.strip()
    try:
        folded = _profile().enforce(typed)
    except UnicodeEncodeError:
        compatible = unicodedata.normalize("NFKC", typed)
        seen = (c for c in compatible if unicodedata.category(c)[0] not in "CZ")
        folded = unicodedata.normalize("NFC", "".join(seen).lower())
    local, at, domain = folded.rpartition("@")
    return f"{local}@{_ascii_domain(domain)}" if at else folded


def _ascii_domain(domain: str) -> str:
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return domain


def _refused(field: str, *sentences: str) -> BadInput:
    return BadInput({field: sentences})
