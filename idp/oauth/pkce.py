"""PKCE with S256 and nothing else (RFC 7636, RFC 9700 section 2.1.1).

Authlib's CodeChallenge accepts `plain`, takes a missing method for `plain`, and asks only public clients for a verifier, and
only at the token endpoint. Here a challenge is demanded where the request begins, and only S256 is known.
"""

from __future__ import annotations

from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidRequestError
from authlib.oauth2.rfc7636.challenge import CODE_VERIFIER_PATTERN, create_s256_code_challenge

from idp import crypto

METHOD = "S256"
_CHALLENGE_LENGTH = 43  # SHA-256, base64url, no padding


def check_challenge(challenge: str | None, method: str | None, *, required: bool) -> str:
    """Return the challenge of an authorization request, or "" for a client that may do without. Raises InvalidRequestError."""
    if not challenge:
        if required or method:
            raise InvalidRequestError("code_challenge is missing; this server requires PKCE with S256 (RFC 7636).")
        return ""
    if method != METHOD:
        raise InvalidRequestError("code_challenge_method must be S256; plain and an absent method are refused.")
    if len(challenge) != _CHALLENGE_LENGTH or not CODE_VERIFIER_PATTERN.match(challenge):
        raise InvalidRequestError("code_challenge must be the base64url SHA-256 of the verifier: 43 characters.")
    return challenge


def check_verifier(verifier: str | None, challenge: str) -> None:
    """Hold a verifier against the code's challenge. Raises InvalidGrantError; the absence of either on one side counts (F-5)."""
    if not challenge and not verifier:
        return
    if not challenge:
        raise InvalidGrantError("code_verifier was sent, but the authorization request had no code_challenge.")
    if not verifier:
        raise InvalidGrantError("code_verifier is missing; the authorization request had a code_challenge.")
    if not CODE_VERIFIER_PATTERN.fullmatch(verifier):
        raise InvalidGrantError("code_verifier must be 43 to 128 unreserved characters (RFC 7636 section 4.1).")
    if not crypto.same(create_s256_code_challenge(verifier), challenge):
        raise InvalidGrantError("code_verifier does not fit the code_challenge of the authorization request.")
