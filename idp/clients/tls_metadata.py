"""Client metadata about certificates (RFC 8705 sections 2.1.2, 2.2.2 and 3.4): by which name an application is known, and what is bound.

metadata.py merges READERS and RULES into its own.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Callable, Mapping
from typing import Any

from idp import certificates, jws
from idp.clients import profiles

SUBJECTS = {
    # metadata: what is_called compares it with
    "tls_client_auth_subject_dn": "subject_dn",
    "tls_client_auth_san_dns": "san_dns",
    "tls_client_auth_san_uri": "san_uri",
    "tls_client_auth_san_ip": "san_ip",
    "tls_client_auth_san_email": "san_email",
}
BOUND = "tls_client_certificate_bound_access_tokens"

Fields = dict[str, Any]
Problems = list[tuple[str, str]]


def certificate_in(key: Mapping[str, Any]) -> certificates.Certificate | None:
    """Return the certificate of a JWK's `x5c` if it is one of that very key (RFC 7517 section 4.7), else None."""
    chain = key.get("x5c")
    first = chain[0] if isinstance(chain, (list, tuple)) and chain else None
    if not isinstance(first, str):
        return None
    try:
        found = certificates.from_der(base64.b64decode(first, validate=True))
    except (certificates.BadCertificate, binascii.Error, ValueError):
        return None
    return found if certificates.public_key_der(found) == jws.public_key_der(key) else None


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 512:
        raise ValueError("must be text of at most 512 characters")
    return value


def _distinguished_name(value: Any) -> str:
    try:
        certificates.distinguished_name(_text(value))
    except ValueError:
        raise ValueError('must be a name as RFC 4514 writes it, such as "CN=gateway,O=Clinic,C=US"') from None
    return str(value)


def _address(value: Any) -> str:
    try:
        return str(ipaddress.ip_address(_text(value)))
    except ValueError:
        raise ValueError("must be an IP address") from None


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


READERS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "tls_client_auth_subject_dn": (_distinguished_name, ""),
    "tls_client_auth_san_dns": (_text, ""),
    "tls_client_auth_san_uri": (_text, ""),
    "tls_client_auth_san_ip": (_address, ""),
    "tls_client_auth_san_email": (_text, ""),
    BOUND: (_flag, False),
}


def supported(fields: Fields, methods: tuple[str, ...]) -> Problems:
    """What rests on certificates needs a proxy that passes them on, which the operator sets up (`[mtls]`)."""
    method, found = fields["token_endpoint_auth_method"], []
    if method in profiles.TLS_METHODS and method not in methods:
        wanted = "mtls.header and mtls.trusted_ca" if method == profiles.TLS_CLIENT_AUTH else "mtls.header"
        found.append(("token_endpoint_auth_method", f"{method} needs the setting {wanted} of this server"))
    if fields[BOUND] and not methods:
        found.append((BOUND, "needs the setting mtls.header of this server"))
    return found


def _one_name(fields: Fields, _loopback_names: bool) -> Problems:
    """RFC 8705 section 2.1.2: exactly one name, so that nobody can be proven by the weakest of several."""
    named = [name for name in SUBJECTS if fields[name]]
    if fields["token_endpoint_auth_method"] != profiles.TLS_CLIENT_AUTH:
        return [(name, f"has a meaning with {profiles.TLS_CLIENT_AUTH} only") for name in named]
    if len(named) != 1:
        names = ", ".join(SUBJECTS)
        return [("token_endpoint_auth_method", f"{profiles.TLS_CLIENT_AUTH} needs exactly one of {names}")]
    return []


def _own_certificate(fields: Fields, _loopback_names: bool) -> Problems:
    """RFC 8705 section 2.2.2: a self-signed certificate is known by its copy in the client's keys."""
    if fields["token_endpoint_auth_method"] != profiles.SELF_SIGNED_TLS_CLIENT_AUTH or fields["jwks_uri"]:
        return []
    if any(certificate_in(key) for key in (fields["jwks"] or {}).get("keys", ())):
        return []
    return [("jwks", "or jwks_uri is missing, with a key whose x5c holds the client's certificate")]


def _bound(fields: Fields, _loopback_names: bool) -> Problems:
    """RFC 8705 section 3: a token that comes through the browser has no connection that it could be bound to."""
    by_browser = any("token" in kind.split() for kind in fields["response_types"])
    return [(BOUND, "cannot stand beside a response type with token")] if fields[BOUND] and by_browser else []


RULES = (_one_name, _own_certificate, _bound)
