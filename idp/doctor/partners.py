"""Those outside whom we believe: their keys and certificates are there and can be used."""

from __future__ import annotations

from collections.abc import Iterator

from idp import clients
from idp.clients import key_sets
from idp.config import Settings, TrustedIssuer
from idp.doctor.finding import Finding


def trusted_issuers(settings: Settings) -> Iterator[Finding]:
    """Keys of issuers whose assertions are believed can be had, and the applications that bring them exist."""
    for trusted in settings.trusted_issuers:
        try:
            found = _keys(trusted)
        except key_sets.NoKeys as problem:
            yield Finding("issuers", "fail", f"assertions of {trusted.issuer} cannot be checked: {problem}",
                          "name a JWK Set with public keys in trusted_issuers.jwks")  # fmt: skip
        else:
            yield Finding("issuers", "ok", f"assertions of {trusted.issuer} are believed, {len(found)} keys")
        if missing := [client_id for client_id in trusted.clients if clients.find(client_id) is None]:
            yield Finding("issuers", "warn", f"{', '.join(missing)} may bring assertions of {trusted.issuer} and is not registered",
                          "register it with `idp client create --client-id`, or take it out of trusted_issuers.clients")  # fmt: skip


def _keys(trusted: TrustedIssuer) -> key_sets.Keys:
    if trusted.jwks.startswith(("https://", "http://")):
        return key_sets.find_at(trusted.jwks, suits=lambda _: True)
    return key_sets.in_file(trusted.jwks)
