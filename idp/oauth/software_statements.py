"""Software statements: what somebody whom we trust says about a piece of software (RFC 7591 section 2.3, attack 67).

Trusted issuers and the files with their public keys stand in the settings. A statement must be signed by its issuer, must not have
expired, and where it names an audience must name us. What it says wins over what the application says beside it; it is no permission
to register.
"""

from __future__ import annotations

from typing import Any

from authlib.oauth2 import OAuth2Error

from idp import clock, jws
from idp.clients import key_sets
from idp.config import settings

LEEWAY_S = 60
_ABOUT_ITSELF = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti"})


class InvalidStatement(OAuth2Error):  # type: ignore[misc]
    """Broken, expired, for somebody else, or not signed by its issuer."""

    error = "invalid_software_statement"


class UnapprovedStatement(OAuth2Error):  # type: ignore[misc]
    """Of an issuer whom nobody here trusts."""

    error = "unapproved_software_statement"


def read(raw_statement: Any) -> dict[str, Any]:
    """Return the metadata that a statement holds. Raises InvalidStatement or UnapprovedStatement."""
    try:
        found = jws.read(raw_statement if isinstance(raw_statement, str) else "")
        trusted = _trusted().get(str(found.claims.get("iss")))
        if trusted is None:
            raise UnapprovedStatement("The issuer of the software statement is not trusted here.")
        jws.verify(found, key_sets.in_file(trusted), algs=jws.ASYMMETRIC)
        _check_times(found.claims)
    except (jws.BadSignature, key_sets.NoKeys) as problem:
        raise InvalidStatement(f"The software statement is not good: {problem}.") from None
    if not _is_for_us(found.claims.get("aud")):
        raise InvalidStatement("The software statement is for another audience.")
    return {name: value for name, value in found.claims.items() if name not in _ABOUT_ITSELF}


def _check_times(claims: dict[str, Any]) -> None:
    now, expires_at = clock.epoch(), jws.whole_seconds(claims, "exp")
    if expires_at is None or expires_at <= now:
        raise jws.BadSignature("it has expired, or does not say when it does")
    if max(jws.whole_seconds(claims, "nbf") or 0, jws.whole_seconds(claims, "iat") or 0) > now + LEEWAY_S:
        raise jws.BadSignature("it is not valid yet")


def _is_for_us(audience: Any) -> bool:
    ours = {settings().server.issuer, f"{settings().server.issuer}/register"}
    named = audience if isinstance(audience, list) else [audience]
    return audience is None or any(isinstance(one, str) and one in ours for one in named)


def _trusted() -> dict[str, str]:
    entries = (entry.partition(" ") for entry in settings().oauth.software_statement_issuers)
    return {issuer: file.strip() for issuer, _, file in entries}
