"""Assertions: what RFC 7521 and RFC 7523 section 3 ask of every JWT that speaks for somebody, whoever it is.

Client assertions (client_assertion.py) and authorization grants (trusted_issuers.py) differ in who signs and in what they prove; who
they must be for, how long they may live and that each is good for one request is the same, and stands here once.
"""

from __future__ import annotations

from typing import Any

from idp import clock, jws
from idp.clients import Client, profiles
from idp.config import settings
from idp.jws import BadSignature, Unverified
from idp.oauth import once

MAX_AHEAD_S = 300  # how far `exp` may lie ahead
CLOCKS_S = 10  # what a stranger's clock may be ahead of ours: must be forgiven up to here, must not beyond 60 s (F-27)
MAX_JTI = 512


def check_type(assertion: Unverified, *kinds: str) -> None:
    """An assertion may say what it is; what says that it is something else is not one (RFC 8725 section 3.11)."""
    typ = assertion.header.get("typ", "jwt").lower().removeprefix("application/")
    if typ not in ("jwt", *kinds):
        raise BadSignature(f"typ must be JWT or {' or '.join(kinds)}, or be absent")


def check_audience(claims: dict[str, Any], client: Client) -> None:
    """`aud` is this server alone, under a name that the client's profile allows (X-1, attack 34)."""
    profile, audience = client.profile, claims.get("aud")
    allowed = [address for name in profile.assertion_audiences for address in _addresses(name)]
    if profile.assertion_audience_in_list and isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    if not isinstance(audience, str) or audience not in allowed:
        raise BadSignature("aud must be the issuer of this server, and nobody else (RFC 7523bis)")


def _addresses(name: str) -> list[str]:
    """The token endpoint may stand at a second host, where the proxy asks for certificates (RFC 8705 section 5)."""
    issuer, there = settings().server.issuer, settings().mtls.url
    if name == profiles.ISSUER:
        return [issuer]
    return [f"{issuer}/token", *([f"{there}/token"] if there else [])]


def check_times(claims: dict[str, Any]) -> int:
    """RFC 7523 section 3: return `exp`. A forgiving clock never lets an assertion live longer."""
    now, expires_at = clock.epoch(), jws.whole_seconds(claims, "exp")
    if expires_at is None or expires_at <= now:
        raise BadSignature("exp is missing or past")
    if expires_at > now + MAX_AHEAD_S + CLOCKS_S:
        raise BadSignature(f"exp must not be more than {MAX_AHEAD_S} seconds ahead")
    for name in ("iat", "nbf"):
        if (jws.whole_seconds(claims, name) or 0) > now + CLOCKS_S:
            raise BadSignature(f"{name} is in the future; look at the clock of who made it")
    return expires_at


def check_jti(claims: dict[str, Any]) -> str:
    """Return `jti`, which RFC 7523 makes optional and replay makes necessary (attack 33)."""
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 1 <= len(jti) <= MAX_JTI:
        raise BadSignature(f"jti must be text of 1 to {MAX_JTI} characters")
    return jti


def burn(kind: str, maker: str, jti: str, *, expires_at: int) -> None:
    """Use an assertion up in one atomic step, after everything else was judged. A `jti` is unique for its maker, not for the world."""
    if not once.burn(f"{kind} {maker} {jti}", lifetime_s=expires_at - clock.epoch() + CLOCKS_S):
        raise BadSignature("its jti was used before; every assertion is good for one request")
