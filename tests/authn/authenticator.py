"""A software authenticator and the browser before it: what a test needs of WebAuthn's other side, with every knob that an attacker has."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import NameOID

UP, UV, BE, BS, AT = 0x01, 0x04, 0x08, 0x10, 0x40
NOBODY = "00000000-0000-0000-0000-000000000000"


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Authenticator:
    """One authenticator with one credential at most. Synced ones set `synced`; `counts=False` reports 0 for ever."""

    origin: str = "http://localhost"
    synced: bool = False
    counts: bool = True
    verifies: bool = True
    aaguid: str = NOBODY
    alg: int = -7
    transports: tuple[str, ...] = ("internal",)
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    count: int = 0
    handle: bytes = b""
    rp_id: str = ""
    key: Any = None

    def __post_init__(self) -> None:
        self.key = {
            -7: lambda: ec.generate_private_key(ec.SECP256R1()),
            -8: ed25519.Ed25519PrivateKey.generate,
            -257: lambda: rsa.generate_private_key(65537, 2048),
            -35: lambda: ec.generate_private_key(ec.SECP384R1()),
        }[self.alg]()

    # --- ceremonies

    def create(self, options: dict[str, Any], *, attester: Attester | None = None, **lies: Any) -> str:
        """Answer creation options. `lies` change what is sent: type, origin, challenge, rp_id, flags, crossOrigin, topOrigin, fmt."""
        self.handle = unb64(options["user"]["id"])
        self.rp_id = options["rp"]["id"]
        client = self._client("webauthn.create", options["challenge"], lies)
        attested = bytes.fromhex(self.aaguid.replace("-", "")) + len(self.credential_id).to_bytes(2, "big")
        data = self._data(lies, AT) + attested + self.credential_id + cbor2.dumps(self.cose())
        fmt, statement = lies.get("fmt", "none"), {}
        if attester:
            fmt, statement = "packed", attester.statement(data + hashlib.sha256(client).digest())
        if fmt == "packed-self":
            fmt, statement = "packed", {"alg": self.alg, "sig": self.sign(data + hashlib.sha256(client).digest())}
        made = cbor2.dumps({"fmt": fmt, "attStmt": statement, "authData": data})
        return self._json({"clientDataJSON": b64(client), "attestationObject": b64(made)}, transports=self.transports)

    def get(self, options: dict[str, Any], *, with_handle: bool = True, **lies: Any) -> str:
        """Answer request options. Further lies: handle, signature, credential_id, count."""
        self.rp_id = self.rp_id or options["rpId"]
        self.count += int(self.counts)
        client = self._client("webauthn.get", options["challenge"], lies)
        data = self._data(lies, 0)
        proof = lies.get("signature") or self.sign(data + hashlib.sha256(client).digest())
        response = {"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(proof)}
        if with_handle:
            response["userHandle"] = b64(lies.get("handle", self.handle))
        return self._json(response, credential_id=lies.get("credential_id", self.credential_id))

    # --- parts

    def cose(self) -> dict[int, Any]:
        """The public key as COSE has it."""
        public = self.key.public_key()
        if isinstance(public, ed25519.Ed25519PublicKey):
            raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            return {1: 1, 3: self.alg, -1: 6, -2: raw}
        if isinstance(public, rsa.RSAPublicKey):
            numbers = public.public_numbers()
            return {1: 3, 3: self.alg, -1: numbers.n.to_bytes(256, "big"), -2: numbers.e.to_bytes(3, "big")}
        point = public.public_numbers()
        width = public.curve.key_size // 8
        curve = 1 if width == 32 else 2
        return {1: 2, 3: self.alg, -1: curve, -2: point.x.to_bytes(width, "big"), -3: point.y.to_bytes(width, "big")}

    def sign(self, message: bytes) -> bytes:
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            return self.key.sign(message)
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        return self.key.sign(message, ec.ECDSA(hashes.SHA256() if self.alg == -7 else hashes.SHA384()))

    def _client(self, ceremony: str, challenge: str, lies: dict[str, Any]) -> bytes:
        data = {"type": lies.get("type", ceremony), "challenge": lies.get("challenge", challenge)}
        data["origin"] = lies.get("origin", self.origin)
        data["crossOrigin"] = lies.get("crossOrigin", False)
        if "topOrigin" in lies:
            data["topOrigin"] = lies["topOrigin"]
        return json.dumps(data, separators=(",", ":")).encode()

    def _data(self, lies: dict[str, Any], more: int) -> bytes:
        flags = UP | (UV if self.verifies else 0) | (BE | BS if self.synced else 0) | more
        rp = lies.get("rp_id", self.rp_id)
        count = lies.get("count", self.count)
        return (
            hashlib.sha256(rp.encode()).digest() + bytes([lies.get("flags", flags) | more]) + count.to_bytes(4, "big")
        )

    def _json(self, response: dict[str, Any], *, credential_id: bytes | None = None, **more: Any) -> str:
        credential = b64(credential_id or self.credential_id)
        sent = {"id": credential, "rawId": credential, "type": "public-key", "response": {**response, **more}}
        return json.dumps(sent)


class Attester:
    """A vendor: a root certificate, and a key that vouches for the vendor's authenticators (WebAuthn section 8.2)."""

    def __init__(self, *, aaguid: str | None = None) -> None:
        self.root_key, self.leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self.root = self._certificate("Root", self.root_key, self.root_key, "Root", ca=True)
        self.leaf = self._certificate("Leaf", self.leaf_key, self.root_key, "Root", aaguid=aaguid)

    @property
    def root_pem(self) -> bytes:
        return self.root.public_bytes(serialization.Encoding.PEM)

    def statement(self, message: bytes) -> dict[str, Any]:
        chain = [self.leaf.public_bytes(serialization.Encoding.DER)]
        return {"alg": -7, "sig": self.leaf_key.sign(message, ec.ECDSA(hashes.SHA256())), "x5c": chain}

    @staticmethod
    def _certificate(
        name: str, key: Any, issuer_key: Any, issuer: str, *, ca: bool = False, aaguid: str | None = None
    ) -> Any:
        def named(common: str) -> x509.Name:
            return x509.Name(
                [
                    x509.NameAttribute(NameOID.COUNTRY_NAME, "AA"),
                    x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Vendor"),
                    x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Authenticator Attestation"),
                    x509.NameAttribute(NameOID.COMMON_NAME, common),
                ]
            )

        now = datetime.now(UTC)
        made = x509.CertificateBuilder().subject_name(named(name)).issuer_name(named(issuer))
        made = made.public_key(key.public_key()).serial_number(x509.random_serial_number())
        made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=30))
        made = made.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if aaguid:
            octets = b"\x04\x10" + bytes.fromhex(aaguid.replace("-", ""))
            oid = x509.ObjectIdentifier("1.3.6.1.4.1.45724.1.1.4")
            made = made.add_extension(x509.UnrecognizedExtension(oid, octets), critical=False)
        return made.sign(issuer_key, hashes.SHA256())
