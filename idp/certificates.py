"""certificates — X.509 certificates of others (RFC 5280): read strictly, compared by what they hold, verified against authorities we were given.

Nothing is fetched: no issuer, no revocation list. Who wants certificates checked for revocation lets the proxy do it, which speaks TLS.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store, VerificationError

from idp import clock
from idp.crypto import base64url

Certificate = x509.Certificate

MAX_CHARS = 16_384
RFC9440, URL_ENCODED_PEM = "rfc9440", "url_encoded_pem"

_BYTES = re.compile(r":([A-Za-z0-9+/]+={0,2}):")  # a byte sequence of RFC 8941, and nothing beside it
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*")
_DEEPEST = 4
_MORE_NAMES = {"emailAddress": NameOID.EMAIL_ADDRESS, "serialNumber": NameOID.SERIAL_NUMBER}


class BadCertificate(Exception):
    """Not a certificate, or not a good one; the text says why, for the client's developer."""


def read(text: str, form: str) -> Certificate:
    """Read the one certificate of a header (RFC 9440 section 2.1, or PEM as URLs encode it). Raises BadCertificate."""
    if len(text) > MAX_CHARS:
        raise BadCertificate("it is too long")
    return from_der(_bytes_in(text)) if form == RFC9440 else _from_pem(unquote_to_bytes(text))


def from_der(raw: bytes) -> Certificate:
    """Read a certificate. Raises BadCertificate."""
    return _parsed(x509.load_der_x509_certificate, raw)


def _from_pem(raw: bytes) -> Certificate:
    if not _PEM.fullmatch(raw):
        raise BadCertificate("it is not one certificate in PEM, encoded as in a URL")
    return _parsed(x509.load_pem_x509_certificate, raw)


def _bytes_in(text: str) -> bytes:
    found = _BYTES.fullmatch(text.strip())
    try:
        return base64.b64decode(found[1] if found else "-", validate=True)
    except ValueError:
        raise BadCertificate("it is not one byte sequence between colons (RFC 9440)") from None


def _parsed(load: Callable[[bytes], Certificate], raw: bytes) -> Certificate:
    """The library looks into some parts only when asked; so it is asked here."""
    try:
        found = load(raw)
        _ = found.subject, found.extensions, found.public_key()
    except Exception:  # ValueError, UnsupportedAlgorithm, and what else a parser of strangers' bytes raises
        raise BadCertificate("it is not an X.509 certificate that can be read") from None
    return found


def thumbprint(certificate: Certificate) -> str:
    """Return `x5t#S256` (RFC 8705 section 3.1): SHA-256 of the DER form, base64url."""
    return base64url(certificate.fingerprint(SHA256()))


def der(certificate: Certificate) -> bytes:
    """Return the certificate's DER form: equal bytes are the same certificate."""
    return certificate.public_bytes(Encoding.DER)


def public_key_der(certificate: Certificate) -> bytes:
    """Return SubjectPublicKeyInfo."""
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


# --- whom it names ------------------------------------------------------------------------------------------------


def distinguished_name(text: str) -> x509.Name:
    """Read a subject as RFC 4514 writes it, the most special part first: "CN=gateway,O=Clinic,C=US". Raises ValueError."""
    name = x509.Name.from_rfc4514_string(text, _MORE_NAMES)
    if not list(name):
        raise ValueError("an empty name is nobody's")
    return name


def is_called(certificate: Certificate, kind: str, wanted: str) -> bool:
    """Say whether it names `wanted`: `subject_dn`, or a subject alternative name `san_dns`, `san_uri`, `san_ip`, `san_email`.

    Wildcards are not expanded: a certificate for *.example.org proves no client.
    """
    if kind == "subject_dn":
        return certificate.subject == distinguished_name(wanted)
    return _comparable(kind, wanted) in {_comparable(kind, name) for name in _alternative_names(certificate, kind)}


def _alternative_names(certificate: Certificate, kind: str) -> list[str]:
    kinds: dict[str, Any] = {
        "san_dns": x509.DNSName,
        "san_uri": x509.UniformResourceIdentifier,
        "san_ip": x509.IPAddress,
        "san_email": x509.RFC822Name,
    }
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(name) for name in names.get_values_for_type(kinds[kind])]


def _comparable(kind: str, name: str) -> str:
    """Host names have no case, addresses several spellings (RFC 5280 section 4.2.1.6); a URI is compared as it is."""
    if kind == "san_dns":
        return name.lower()
    if kind == "san_ip":
        return str(ipaddress.ip_address(name))
    local, at, domain = name.rpartition("@")
    return f"{local}{at}{domain.lower()}" if kind == "san_email" else name


# --- whether it is good -------------------------------------------------------------------------------------------


def check_dates(certificate: Certificate) -> None:
    """Raises BadCertificate before the first and after the last day."""
    now = clock.now()
    if now < certificate.not_valid_before_utc:
        raise BadCertificate(f"it is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}")
    if now > certificate.not_valid_after_utc:
        raise BadCertificate(f"it expired on {certificate.not_valid_after_utc:%Y-%m-%d}")


def check_chain(certificate: Certificate, authorities: str) -> None:
    """Verify it as a client's, issued by an authority of this PEM file (RFC 5280 section 6). Raises BadCertificate.

    A name in the subject alone is enough, as RFC 8705 section 2.1.2 has it; all else is as the public web demands it.
    """
    builder = PolicyBuilder().store(Store(trust_anchors(authorities))).time(clock.now()).max_chain_depth(_DEEPEST)
    leaf = ExtensionPolicy.webpki_defaults_ee().may_be_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, None)
    builder = builder.extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=leaf)
    try:
        builder.build_client_verifier().verify(certificate, [])
    except VerificationError:
        raise BadCertificate(
            "it is expired, not for clients, or not issued by an authority that is trusted here"
        ) from None


def trust_anchors(file: str) -> list[Certificate]:
    """Return the authorities of a PEM file, read again when it has changed. Raises BadCertificate."""
    try:
        return _anchors(file, Path(file).stat().st_mtime_ns)
    except (OSError, ValueError) as error:
        raise BadCertificate(f"the file with the authorities cannot be used: {type(error).__name__}") from None


@lru_cache(maxsize=16)
def _anchors(file: str, _changed_at: int) -> list[Certificate]:
    return x509.load_pem_x509_certificates(Path(file).read_bytes())
