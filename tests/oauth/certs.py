"""Real certificates: an authority, what it issues, what a client signs itself, and the headers in which a proxy passes them on."""

from __future__ import annotations

import base64
import datetime
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from joserfc.jwk import ECKey

HEADER = "Client-Cert"


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def thumbprint(self) -> str:
        return base64.urlsafe_b64encode(self.certificate.fingerprint(hashes.SHA256())).rstrip(b"=").decode()

    @property
    def rfc9440(self) -> dict[str, str]:
        """The header of RFC 9440."""
        return {HEADER: f":{base64.b64encode(self.der).decode()}:"}

    @property
    def nginx(self) -> dict[str, str]:
        """The header that nginx makes of $ssl_client_escaped_cert."""
        return {HEADER: quote(self.pem, safe="-_.~!*'()/")}

    def jwk(self, *, chain: list[str] | None = None) -> dict[str, Any]:
        """The public key with the certificate in x5c."""
        public = ECKey.import_key(self.key.public_key().public_bytes(Encoding.PEM, _spki())).as_dict(private=False)
        return json.loads(json.dumps(public)) | {"x5c": chain or [base64.b64encode(self.der).decode()]}


def _spki() -> Any:
    from cryptography.hazmat.primitives.serialization import PublicFormat

    return PublicFormat.SubjectPublicKeyInfo


def issue(
    name: str,
    by: Pair | None = None,
    *,
    ca: bool = False,
    names: tuple[x509.GeneralName, ...] = (),
    days: float = 30,
    began_days_ago: float = 1,
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH,
) -> Pair:
    """Make a certificate; without `by` it signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject, signer = x509.Name.from_rfc4514_string(name), by.key if by else key
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=began_days_ago))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if ca:
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    else:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return Pair(builder.sign(signer, hashes.SHA256()), key)


@lru_cache(maxsize=8)
def authority(name: str = "CN=Clinic CA,O=Clinic") -> Pair:
    """An authority; the same name is the same one."""
    return issue(name, ca=True)
