"""Encrypted ID tokens and UserInfo, for clients that registered for it (OIDC Core 2, 5.3.2, 10.2; OIDC Registration 2).

Signed first and encrypted then, for the client's own public key. Where the key cannot be had the answer is an error: what a client
asked to have encrypted never leaves in the clear.
"""

from __future__ import annotations

from authlib.oauth2 import OAuth2Error

from idp import jwe
from idp.clients import Client, key_sets


class NoEncryptionKey(OAuth2Error):  # type: ignore[misc]
    """The client's answers are to be encrypted, and its key cannot be had. No RFC has a code of its own for it."""

    error = "invalid_request"


def id_token(client: Client, raw_jwt: str) -> str:
    """Return the ID token as this client wants it. Raises NoEncryptionKey."""
    return _sealed(
        client, raw_jwt, client.id_token_encrypted_response_alg, client.id_token_encrypted_response_enc, cty="JWT"
    )


def userinfo(client: Client, said: str, *, is_jwt: bool) -> str:
    """Return the UserInfo answer as this client wants it; JSON too can be encrypted. Raises NoEncryptionKey."""
    alg, enc = client.userinfo_encrypted_response_alg, client.userinfo_encrypted_response_enc
    return _sealed(client, said, alg, enc, cty="JWT" if is_jwt else None)


def _sealed(client: Client, text: str, alg: str, enc: str, *, cty: str | None) -> str:
    if not alg:
        return text
    try:
        keys = key_sets.find(client, suits=lambda found: jwe.find_key(found, alg) is not None)
        return jwe.encrypt(text, keys, alg=alg, enc=enc or jwe.ENCS[0], cty=cty)
    except (key_sets.NoKeys, jwe.CannotEncrypt) as trouble:
        raise NoEncryptionKey(f"The answer cannot be encrypted for the client: {trouble}.") from None
