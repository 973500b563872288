"""audit.text — what may enter the trail, and in which bytes: cleaning, the guard against secrets, the canonical form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from typing import Any

import orjson

DETAILS_BYTES = 4096  # bound of one event's details, as canonical JSON
VALUE_CHARS = 512  # bound of one text inside them
_DEPTH = 4
_ITEMS = 64
_JSON_SAFE_INT = 2**53 - 1

_SECRET_WORDS = frozenset(
    [
        "password",
        "passwords",
        "passwd",
        "pwd",
        "passphrase",
        "secret",
        "secrets",
        "code",
        "codes",
        "token",
        "tokens",
        "otp",
        "totp",
        "pin",
        "assertion",
        "cookie",
        "cookies",
        "authorization",
        "bearer",
        "credential",
        "credentials",
        "verifier",
        "apikey",
        "jwt",
        "seed",
        "pepper",
    ]
)
_SECRET_NAMES = frozenset({"private_key", "sealing_key", "api_key", "id_token_hint", "csrf"})
# a name that ends so speaks about a secret and does not carry it: token_type, secret_age_s, codes_count
_HARMLESS_ENDINGS = frozenset(
    [
        "type",
        "kind",
        "count",
        "id",
        "ids",
        "digest",
        "family",
        "age",
        "status",
        "method",
        "methods",
        "at",
        "s",
        "days",
        "length",
        "rule",
        "rules",
    ]
)
_WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+")
_REMOVED = "[removed: looked like a secret]"


class SecretRefused(ValueError):
    """A detail's name says that it carries a secret; the trail is read by people who must not have it."""


def clean(text: str, limit: int) -> str:
    """Make foreign text safe for a line of a log: control, bidi, separator and unpaired characters become `\\u{…}`.

    What is longer than `limit` characters is cut; an attacker chooses the length of a User-Agent.
    """
    text = text[:limit]
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else f"\\u{{{ord(char):x}}}" for char in text)[:limit]


def guard(name: str, value: object) -> None:
    """Refuse a detail whose name announces a password, secret, code or token. Raises SecretRefused."""
    if _announces_secret(name) and not isinstance(value, bool):
        raise SecretRefused(f"the audit detail {name!r} sounds like a secret; record its kind or its digest instead")


@lru_cache(maxsize=1024)
def _announces_secret(name: str) -> bool:
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or (words[-1] in _HARMLESS_ENDINGS and len(words) > 1):
        return False
    return "_".join(words) in _SECRET_NAMES or not _SECRET_WORDS.isdisjoint(words)


def details_json(details: Mapping[str, Any]) -> str:
    """Return an event's details as bounded canonical JSON; what does not fit is dropped and `truncated` says so."""
    if not details:
        return "{}"
    tidy = _tidy_mapping(details, 0)
    encoded = canonical(tidy)
    if len(encoded) <= DETAILS_BYTES:
        return encoded.decode()
    kept: dict[str, Any] = {"truncated": True}
    for name in sorted(tidy):
        if len(canonical(kept | {name: tidy[name]})) <= DETAILS_BYTES:
            kept[name] = tidy[name]
    return canonical(kept).decode()


def canonical(value: Mapping[str, Any]) -> bytes:
    """Return the one spelling of a JSON object: sorted names, no spaces, UTF-8 (RFC 8785 for the values that we admit).

    No floats are admitted and names are ASCII, so any JCS implementation yields the same bytes.
    """
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def spaced(words: str) -> str:
    """Return words with one space between them and none around: the one spelling of `amr`."""
    return " ".join(words.split())


def rfc3339(moment: datetime) -> str:
    """Return UTC time with microseconds, as the chain spells it."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def _tidy_mapping(mapping: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    tidy: dict[str, Any] = {}
    for raw_name, value in list(mapping.items())[:_ITEMS]:
        name = _plain_name(str(raw_name))
        guard(name, value)
        tidy[name] = _tidy(value, depth + 1)
    return tidy


@lru_cache(maxsize=1024)
def _plain_name(raw_name: str) -> str:
    return clean(raw_name, 64).encode("ascii", "backslashreplace").decode()


def _tidy(value: Any, depth: int) -> Any:
    if type(value) is str:
        return _tidy_text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, int) and abs(value) <= _JSON_SAFE_INT:
        return value
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, Mapping):
        return _tidy_mapping(value, depth) if depth < _DEPTH else "…"
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [_tidy(item, depth + 1) for item in list(items)[:_ITEMS]] if depth < _DEPTH else "…"
    return _tidy_text(str(value))


def _tidy_text(text: str) -> str:
    if "PRIVATE KEY" in text or ("eyJ" in text and text.count(".") >= 2):
        return _REMOVED
    return clean(text, VALUE_CHARS)
