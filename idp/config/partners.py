"""Settings about those outside whose word or certificate we believe: what does not go together."""

from __future__ import annotations

from collections.abc import Iterator

from idp.config.schema import Settings, TrustedIssuer

ASSERTION_ALGS = ("ES256", "ES384", "RS256", "RS384", "PS256", "EdDSA")

Problem = tuple[str, str, str]


def problems(built: Settings) -> Iterator[Problem]:
    """Yield (section, key, what is wrong and how to mend it)."""
    owned = {scope for resource in built.resources for scope in resource.scopes}
    for trusted in built.trusted_issuers:
        for key, told in _of_issuer(trusted, owned, plain=built.development):
            yield "trusted_issuers", key, told
        if trusted.issuer == built.server.issuer:
            yield "trusted_issuers", "issuer", "is this server itself; its own tokens are traded by token exchange (RFC 8693)"
    names = [trusted.issuer for trusted in built.trusted_issuers]
    if len(set(names)) != len(names):
        yield "trusted_issuers", "issuer", "stands in two tables; every issuer has one"


def _of_issuer(trusted: TrustedIssuer, owned: set[str], *, plain: bool) -> Iterator[tuple[str, str]]:
    if not trusted.issuer:
        yield "issuer", "is missing: the `iss` of the assertions"
    if not trusted.jwks or (trusted.jwks.startswith("http://") and not plain):
        yield "jwks", "must be a file with a JWK Set, or an https URL"
    if not trusted.clients:
        yield "clients", "must name the client ids that may bring its assertions"
    if not trusted.scopes or not set(trusted.scopes) <= owned:
        yield "scopes", "must name scopes of [[resources]]; nobody signs in to anything on an assertion"
    if not trusted.algs or not set(trusted.algs) <= set(ASSERTION_ALGS):
        yield "algs", f"must be among {', '.join(ASSERTION_ALGS)}"
