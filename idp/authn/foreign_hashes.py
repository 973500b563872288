"""foreign_hashes — password hashes of other systems: recognised, brought into one spelling, verified by libpass.

They are kept as they came (sealed like ours) until their person signs in, and then replaced by ours. Understood are bcrypt
($2a$, $2b$, $2y$), argon2, PBKDF2 (Passlib, Django, LDAP, Keycloak), scrypt (Passlib, Django), {SSHA}, {SSHA256}, {SSHA512}, and
Django's names around them. A hash that would take unbounded time or memory to verify is refused like an unknown one.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import unicodedata
from typing import Any

from idp.errors import BadInput

SUPPORTED = "bcrypt, argon2, PBKDF2 (Passlib, Django, LDAP, Keycloak's JSON), scrypt (Passlib, Django), {SSHA}, {SSHA256}, {SSHA512}"
MAX_HASH_LENGTH = 4096
_MAX_ROUNDS = {"bcrypt": 16, "pbkdf2": 5_000_000, "scrypt": 20, "argon2": 64}
_MAX_MEMORY_KIB = 1 << 20

# How a stored hash begins → the handler of libpass that verifies it
_HANDLERS: tuple[tuple[str, str], ...] = (
    ("$2a$", "bcrypt"),
    ("$2b$", "bcrypt"),
    ("$2y$", "bcrypt"),
    ("$argon2", "argon2"),
    ("$pbkdf2-sha512$", "pbkdf2_sha512"),
    ("$pbkdf2-sha256$", "pbkdf2_sha256"),
    ("$pbkdf2$", "pbkdf2_sha1"),
    ("$scrypt$", "scrypt"),
    ("pbkdf2_sha256$", "django_pbkdf2_sha256"),
    ("pbkdf2_sha1$", "django_pbkdf2_sha1"),
    ("bcrypt_sha256$", "django_bcrypt_sha256"),
    ("{SSHA512}", "ldap_salted_sha512"),
    ("{SSHA256}", "ldap_salted_sha256"),
    ("{SSHA}", "ldap_salted_sha1"),
)

# Other spellings of the same → ours; the first that fits, once more after it
_RESPELLINGS: tuple[tuple[str, str], ...] = (
    (r"\{(?:crypt|bcrypt|argon2|blf-crypt)\}", ""),
    (r"\{pbkdf2-sha512\}", "$pbkdf2-sha512$"),
    (r"\{pbkdf2-sha256\}", "$pbkdf2-sha256$"),
    (r"\{pbkdf2(?:-sha1)?\}", "$pbkdf2$"),
    (r"\{ssha(256|512|)\}", r"{SSHA\1}"),
    (r"bcrypt\$\$?(?=2[aby]\$)", "$"),
    (r"argon2\$(?=argon2)", "$"),
)


class MalformedHash(Exception):
    """A stored hash that nothing can verify."""


def recognise(text: str) -> str:
    """Return a hash in the spelling in which we keep it.

    Raises BadInput that names what is supported: an unknown scheme, a malformed hash, one that is too costly to verify.
    """
    try:
        normal = _respelt(text.strip()) if len(text) <= MAX_HASH_LENGTH else ""
        _check_cost(_parsed(normal))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, MalformedHash):
        raise BadInput(
            {"password_hash": [f"This password hash is of no kind that we can verify. Supported: {SUPPORTED}."]}
        ) from None
    return normal


def scheme_of(normal: str) -> str:
    """Return the handler's name of a recognised hash. Raises MalformedHash."""
    for prefix, name in _HANDLERS:
        if normal.startswith(prefix):
            return name
    raise MalformedHash("unknown scheme")


def matches(raw: str, normal: str) -> bool:
    """Say whether a password fits: as it was typed, or in NFC when that is different. Raises MalformedHash."""
    name = scheme_of(normal)
    return any(_fits(name, form, normal) for form in dict.fromkeys((raw, unicodedata.normalize("NFC", raw))))


def _fits(name: str, raw: str, normal: str) -> bool:
    encoded = raw.encode("utf-8", "surrogatepass")
    if b"\x00" in encoded:
        return False
    if name == "bcrypt":
        encoded = encoded[:72]  # what every bcrypt before ours did; the full password is kept when the hash is upgraded
    try:
        return bool(_handler(name).verify(encoded, normal))
    except (ValueError, TypeError) as error:
        raise MalformedHash(type(error).__name__) from None


def _handler(name: str) -> Any:
    import passlib.hash  # only where people come from another system

    return getattr(passlib.hash, name)


def _parsed(normal: str) -> Any:
    name = scheme_of(normal)
    found = _handler(name)
    if name == "django_bcrypt_sha256":
        found, normal = _handler("bcrypt"), normal.removeprefix("bcrypt_sha256$")
    return found.from_string(normal)


def _check_cost(parsed: Any) -> None:
    name = parsed.name
    rounds = getattr(parsed, "rounds", 0) or 0
    bound = next((limit for kind, limit in _MAX_ROUNDS.items() if kind in name), None)
    if bound is not None and not 1 <= rounds <= bound:
        raise MalformedHash("too costly")
    if name == "argon2" and parsed.memory_cost > _MAX_MEMORY_KIB:
        raise MalformedHash("too much memory")
    if name == "scrypt" and (1 << rounds) * parsed.block_size * 128 > _MAX_MEMORY_KIB * 256:
        raise MalformedHash("too much memory")


# --- other spellings -----------------------------------------------------------------------------------------


def _respelt(text: str) -> str:
    if text.startswith("{") and text.endswith("}"):
        return _from_keycloak(json.loads(text))
    for pattern, replacement in _RESPELLINGS:
        text = re.sub("^" + pattern, replacement, text, count=1, flags=re.IGNORECASE)
    return _from_django_scrypt(text) if text.startswith("scrypt$") else text


def _from_keycloak(found: dict[str, Any]) -> str:
    """Translate a credential of a Keycloak export: secretData and credentialData, as JSON or as text that holds JSON.

    Keycloak may derive 64 bytes; the first block of PBKDF2 is complete in itself (RFC 8018 section 5.2), and is what we keep.
    """
    secret = _inner(found.get("secretData")) or {"value": found.get("hashedSaltedValue"), "salt": found.get("salt")}
    how = _inner(found.get("credentialData")) or found
    salt, value = _decoded(secret["salt"]), _decoded(secret["value"])
    if how["algorithm"] == "argon2":
        return _argon2(how, salt, value)
    prefix, size = {
        "pbkdf2": ("$pbkdf2$", 20),
        "pbkdf2-sha256": ("$pbkdf2-sha256$", 32),
        "pbkdf2-sha512": ("$pbkdf2-sha512$", 64),
    }[how["algorithm"]]
    return f"{prefix}{int(how['hashIterations'])}${_ab64(salt)}${_ab64(value[:size])}"


def _argon2(how: dict[str, Any], salt: bytes, value: bytes) -> str:
    more = {name: many[0] for name, many in how["additionalParameters"].items()}
    version = {"1.3": 19, "1.0": 16}[more.get("version", "1.3")]
    costs = f"m={int(more['memory'])},t={int(how['hashIterations'])},p={int(more['parallelism'])}"
    return f"$argon2{more['type']}$v={version}${costs}${_b64(salt)}${_b64(value)}"


def _from_django_scrypt(text: str) -> str:
    """Translate ``scrypt$N$salt$r$p$hash``; scrypt ends in PBKDF2, so that its first 32 bytes stand alone too."""
    _, n, salt, r, p, value = text.split("$")
    cost = int(n).bit_length() - 1
    if 1 << cost != int(n):
        raise MalformedHash("N is no power of two")
    return f"$scrypt$ln={cost},r={int(r)},p={int(p)}${_b64(salt.encode())}${_b64(_decoded(value)[:32])}"


def _inner(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise MalformedHash(str(error)) from None


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).rstrip(b"=").decode()


def _ab64(raw: bytes) -> str:
    """Base64 in Passlib's alphabet."""
    return _b64(raw).replace("+", ".")
