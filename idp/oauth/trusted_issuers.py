"""Trusted issuers: whose signed word about a person is good for an access token (RFC 7523 sections 2.1 and 3; `[[trusted_issuers]]`).

An operator says who is believed, which applications may bring their assertions, what `sub` means here and what may be had. Everything
else is refused, and the sentence says to the application's developer what to mend: `read` judges an assertion without using it up, so
that a request which is wrong elsewhere costs nothing.
"""

from __future__ import annotations

from typing import Any

from idp import jws, users
from idp.clients import Client, key_sets
from idp.config import TrustedIssuer, settings
from idp.jws import BadSignature, Unverified
from idp.oauth import assertions
from idp.record import Record

TYPE = "authorization-grant+jwt"  # of RFC 7523bis; accepted, never demanded
MAX_SUB = 320


class Vouched(Record):
    """A good assertion that was not used up yet: who says so, about whom, and until when."""

    by: TrustedIssuer
    sub: str  # as its issuer calls the person
    jti: str
    expires_at: int  # epoch seconds

    def burn(self) -> None:
        """Use it up, once, whoever else is trying. Raises BadSignature for everybody after the first (attack 33)."""
        assertions.burn("grant", self.by.issuer, self.jti, expires_at=self.expires_at)

    def find_person(self) -> users.User | None:
        """Return the active person who is meant, or None: unknown and disabled are alike (attack 119)."""
        user = _FINDERS[self.by.subject](self.sub)
        return user if user is not None and user.is_active else None


def read(raw_assertion: str, client: Client) -> Vouched:
    """Judge an assertion that this client brings. Raises BadSignature, or key_sets.NoKeys."""
    assertion = jws.read(raw_assertion)
    claims, trusted = assertion.claims, _trusted(assertion, client)
    assertions.check_type(assertion, TYPE)
    _check_signature(assertion, trusted, client)
    assertions.check_audience(claims, client)
    expires_at = assertions.check_times(claims)
    return Vouched(trusted, _sub(claims), assertions.check_jti(claims), expires_at)


def _trusted(assertion: Unverified, client: Client) -> TrustedIssuer:
    issuer = assertion.claims.get("iss")
    if issuer == client.client_id:
        told = "use grant_type client_credentials, with an assertion as client authentication (RFC 7521 section 6.2)"
        raise BadSignature(f"its issuer is the client, which speaks for nobody but itself: {told}")
    found = next((one for one in settings().trusted_issuers if one.issuer == issuer), None)
    if found is None or client.client_id not in found.clients:
        raise BadSignature(
            "its issuer is none whose assertions this client may bring; the operator sets trusted_issuers"
        )
    return found


def _check_signature(assertion: Unverified, trusted: TrustedIssuer, client: Client) -> None:
    """The issuer's table says what it signs with, and the client's profile how strong that must be (X-2, attack 36)."""
    algs = [alg for alg in trusted.algs if alg in client.profile.client_algs]
    if assertion.header["alg"] not in algs:
        raise BadSignature(f"alg must be {' or '.join(algs)}")  # before any key is fetched
    jws.verify(assertion, _keys(trusted, assertion), algs=algs)


def _keys(trusted: TrustedIssuer, assertion: Unverified) -> key_sets.Keys:
    """The keys that the settings name, and never what the assertion's own header points to (attack 37)."""
    if trusted.jwks.startswith(("https://", "http://")):
        return key_sets.find_at(trusted.jwks, suits=lambda found: jws.has_key_for(assertion, found))
    return key_sets.in_file(trusted.jwks)


def _sub(claims: dict[str, Any]) -> str:
    sub = claims.get("sub")
    if not isinstance(sub, str) or not 1 <= len(sub) <= MAX_SUB:
        raise BadSignature(f"sub must be text of 1 to {MAX_SUB} characters")
    return sub


# --- who is meant -------------------------------------------------------------------------------------------------


def _by_username(sub: str) -> users.User | None:
    """A username and nothing that it could be confused with: find_by_login would take an address as well."""
    user = users.find_by_login(sub)
    return user if user is not None and user.canonical_username == users.canonical_username(sub) else None


def _by_email(sub: str) -> users.User | None:
    """An address that the person proved to be theirs."""
    user, address = users.find_by_login(sub), users.canonical_username(sub)
    verified = user is not None and any(email.verified_at and email.canonical == address for email in user.emails)
    return user if verified else None


_FINDERS = {"sub": users.find_by_sub, "username": _by_username, "email": _by_email}
