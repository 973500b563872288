"""Settings about those outside whose word or certificate we believe: what does not go together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from idp.config.protocol import TrustedIssuer
from idp.config.schema import Settings

ASSERTION_ALGS = ("ES256", "ES384", "RS256", "RS384", "PS256", "EdDSA")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")
_OTHERS = ("authorization", "cookie", "host", "content-type", "content-length", "forwarded", "user-agent", "origin")

Problem = tuple[str, str, str]


def problems(built: Settings) -> Iterator[Problem]:
    """Yield (section, key, what is wrong and how to mend it)."""
    owned = {scope for resource in built.resources for scope in resource.scopes}
    for trusted in built.trusted_issuers:
        for key, told in _of_issuer(trusted, owned, plain=built.development):
            yield "trusted_issuers", key, told
        if trusted.issuer == built.server.issuer:
            yield (
                "trusted_issuers",
                "issuer",
                "is this server itself; its own tokens are traded by token exchange (RFC 8693)",
            )
    for key, told in _of_mtls(built):
        yield "mtls", key, told
    names = [trusted.issuer for trusted in built.trusted_issuers]
    if len(set(names)) != len(names):
        yield "trusted_issuers", "issuer", "stands in two tables; every issuer has one"


def _of_mtls(built: Settings) -> Iterator[tuple[str, str]]:
    """RFC 8705: a header about certificates is worth what keeps strangers from sending it (attack 45)."""
    mtls, plain = built.mtls, built.development
    if not mtls.header:
        if mtls.trusted_ca or mtls.url:
            yield "header", "is missing: only a proxy that takes client certificates can pass them on to this server"
        return
    if not _HEADER.fullmatch(mtls.header) or mtls.header.lower() in _OTHERS:
        yield "header", "must be the name of a header of its own, such as Client-Cert; underscores do not get through"
    if built.server.trusted_proxies < 1:
        told = "needs server.trusted_proxies: this server's own TLS cannot pass client certificates on, a proxy in front can"
        yield "header", told
    url = urlsplit(mtls.url)
    wrong = url.scheme not in (("https", "http") if plain else ("https",)) or not url.hostname or url.path
    if mtls.url and (wrong or url.query or url.fragment or url.username):
        yield "url", "must be https and a host only, such as https://mtls.login.example.org"
    if mtls.url == built.server.issuer:
        yield "url", "is the issuer itself; leave it out"


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
