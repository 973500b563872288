"""Client certificates (RFC 8705): applications that prove themselves by TLS, and tokens that are bound to a certificate.

Our own server cannot tell us what certificate a client showed, so a proxy in front takes it and passes it on in the header that
`mtls.header` names. That header is believed as X-Forwarded-For is: because the proxy removes it from what comes from outside, and only
where proxies are trusted at all (attack 45). A header that cannot be read proves nothing; two of them are not one.
"""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749 import InvalidRequestError
from flask import g

from idp import certificates, crypto, web
from idp.certificates import BadCertificate, Certificate
from idp.clients import Client, key_sets, profiles, tls_metadata
from idp.config import settings

X5T = "x5t#S256"
ALIASED = {
    # metadata: where the proxy asks for a certificate, if that is another host (RFC 8705 section 5)
    "token_endpoint": "/token",
    "userinfo_endpoint": "/userinfo",
    "introspection_endpoint": "/introspect",
    "revocation_endpoint": "/revoke",
    "pushed_authorization_request_endpoint": "/par",
    "device_authorization_endpoint": "/device_authorization",
}

Confirmation = dict[str, str]


def methods() -> tuple[str, ...]:
    """Return the ways of authentication by certificate that work here."""
    return profiles.tls_methods(settings().mtls)


def metadata() -> dict[str, Any]:
    """RFC 8705 sections 3.3 and 5; nothing where no proxy passes certificates on."""
    if not methods():
        return {}
    there = settings().mtls.url
    aliases = {name: f"{there}{path}" for name, path in ALIASED.items()}
    return {"tls_client_certificate_bound_access_tokens": True} | ({"mtls_endpoint_aliases": aliases} if there else {})


# --- who it is ----------------------------------------------------------------------------------------------------


def problem(client: Client) -> str | None:
    """Say why the certificate of this request does not prove the client, for its developer; None if it does."""
    try:
        certificate = _presented()
        if certificate is None:
            return (
                f"The client is registered for {client.token_endpoint_auth_method}, and no client certificate arrived."
            )
        if client.token_endpoint_auth_method == profiles.TLS_CLIENT_AUTH:
            _check_name(certificate, client)
        else:
            _check_own(certificate, client)
    except (BadCertificate, key_sets.NoKeys) as wrong:
        return f"The client certificate is refused: {wrong}."
    return None


def _check_name(certificate: Certificate, client: Client) -> None:
    """RFC 8705 section 2.1: issued by an authority that the operator trusts, to the name that the client registered."""
    certificates.check_chain(certificate, settings().mtls.trusted_ca)
    called = ((kind, getattr(client, name)) for name, kind in tls_metadata.SUBJECTS.items() if getattr(client, name))
    kind, wanted = next(called, ("", ""))
    if not wanted or not certificates.is_called(certificate, kind, wanted):
        raise BadCertificate(f"its {kind} is not the one that the client registered")


def _check_own(certificate: Certificate, client: Client) -> None:
    """RFC 8705 section 2.2: the very certificate that stands in the client's keys. No authority is asked, the dates count."""
    raw = certificates.der(certificate)
    if not _has(key_sets.find(client, suits=lambda keys: _has(keys, raw)), raw):
        raise BadCertificate("it stands in no x5c of the client's keys")
    certificates.check_dates(certificate)


def _has(keys: key_sets.Keys, raw: bytes) -> bool:
    known = (tls_metadata.certificate_in(key) for key in keys)
    return any(found is not None and certificates.der(found) == raw for found in known)


# --- what is bound to it (section 3) ------------------------------------------------------------------------------


def insist(client: Client) -> None:
    """Refuse a token request that could not be answered with a bound token, before anything of it is used up.

    Raises InvalidRequestError.
    """
    if client.tls_client_certificate_bound_access_tokens and _thumbprint() is None:
        raise InvalidRequestError(
            "The client registered for tokens that are bound to its certificate, and no client certificate arrived."
        )


def confirmation(client: Client) -> Confirmation | None:
    """Return the `cnf` of a token for this client, None for one that is not bound. Raises InvalidRequestError."""
    if not client.tls_client_certificate_bound_access_tokens:
        return None
    insist(client)
    return {X5T: _thumbprint() or ""}


def confirms(cnf: Confirmation | None) -> bool:
    """Say whether this request comes with the certificate that a token is bound to; a binding that is not understood never holds."""
    if not cnf:
        return True
    shown = _thumbprint()
    return shown is not None and set(cnf) == {X5T} and crypto.same(cnf[X5T], shown)


def _thumbprint() -> str | None:
    try:
        certificate = _presented()
    except BadCertificate:
        return None
    return certificates.thumbprint(certificate) if certificate else None


def _presented() -> Certificate | None:
    """Return the certificate that the proxy passed on, None if the client showed none. Raises BadCertificate."""
    if "client_certificate" not in g:
        wanted = settings().mtls
        is_on = wanted.header and settings().server.trusted_proxies
        text = (web.call().header(wanted.header.upper().replace("-", "_")) or "") if is_on else ""
        g.client_certificate = certificates.read(text, wanted.header_format) if text else None
    found: Certificate | None = g.client_certificate
    return found
