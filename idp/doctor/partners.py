"""Those outside whom we believe: their keys and certificates are there and can be used."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from idp import certificates, clients, clock
from idp.clients import key_sets, profiles
from idp.config import Settings, TrustedIssuer
from idp.doctor.finding import Finding

_EXPIRES_SOON = timedelta(days=30)


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


def client_certificates(settings: Settings) -> Iterator[Finding]:
    """The header about certificates comes from the proxy alone, the authorities can be read, and nobody waits for what is off."""
    mtls = settings.mtls
    left = _proven_by_certificate(profiles.tls_methods(mtls))
    if left:
        yield Finding("mtls", "fail", f"{', '.join(left[:5])} cannot authenticate: client certificates do not reach this server",
                      "set mtls.header (and mtls.trusted_ca for tls_client_auth) and let the proxy in front pass them on; "
                      "this server's own TLS cannot")  # fmt: skip
    if not mtls.header:
        return
    yield Finding(
        "mtls", "ok", f"client certificates are taken from {mtls.header}; the proxy must remove it from requests"
    )
    if settings.server.bind in ("0.0.0.0", "::"):  # noqa: S104
        yield Finding("mtls", "warn", f"whoever reaches port {settings.server.port} can claim any certificate in {mtls.header}",
                      "let only the proxy reach it: server.bind to a private address, or a firewall")  # fmt: skip
    if mtls.trusted_ca:
        yield from _authorities(mtls.trusted_ca)


def _authorities(file: str) -> Iterator[Finding]:
    try:
        anchors = certificates.trust_anchors(file)
    except certificates.BadCertificate as problem:
        yield Finding("mtls", "fail", f"no client certificate can be verified: {problem}",
                      "name a PEM file with certificates of authorities in mtls.trusted_ca")  # fmt: skip
        return
    for anchor in anchors:
        name, last = anchor.subject.rfc4514_string()[:100], anchor.not_valid_after_utc
        if last < clock.now() + _EXPIRES_SOON:
            yield Finding(
                "mtls", "warn", f"the authority {name} expires on {last:%Y-%m-%d}", "put its successor beside it"
            )
    yield Finding("mtls", "ok", f"{len(anchors)} authorities prove client certificates")


def _proven_by_certificate(possible: tuple[str, ...]) -> list[str]:
    impossible = set(profiles.TLS_METHODS) - set(possible)
    every = clients.search(limit=10_000).clients
    return [client.client_id for client in every if client.token_endpoint_auth_method in impossible]
