"""Registration and authentication with the numbers of WebAuthn Level 3, section 16, through our own verification."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from flask import Flask

from idp import crypto, kv
from idp.authn.factors import passkey
from idp.authn.factors.base import Accepted, Refused
from idp.authn.factors.passkey import Enrolled
from idp.db import db
from idp.users import User
from tests.authn import webauthn_vectors as vectors
from tests.authn.authenticator import b64
from tests.authn.signing_in import make_person
from tests.authn.webauthn_vectors import Vector

FLOW = "flow"


@pytest.fixture
def example_org(make_app: Callable[..., Flask], sqlite_url: str) -> Any:
    """The provider at the vectors' origin."""
    with make_app(sqlite_url, server={"issuer": "https://example.org"}).app_context():
        yield
        db.session.rollback()


def hexed(text: str) -> str:
    return b64(bytes.fromhex(text))


def expect_challenge(ceremony: str, user: User, challenge: str) -> None:
    """Put the vector's challenge where ours would be."""
    kept = f"{user.sub}|{base64.b64encode(bytes.fromhex(challenge)).decode()}"
    kv.client().set(kv.key("webauthn", ceremony, crypto.digest(FLOW)), kept)


def enrolled(user: User, vector: Vector) -> Enrolled | Refused:
    expect_challenge("create", user, vector.create_challenge)
    sent = {
        "clientDataJSON": hexed(vector.create_client_data),
        "attestationObject": hexed(vector.attestation_object),
    }
    return passkey.enrol(user, FLOW, credential(vector, sent))


def proved(user: User, vector: Vector, **changes: str) -> Accepted | Refused:
    expect_challenge("second", user, vector.get_challenge)
    sent = {
        "clientDataJSON": hexed(vector.get_client_data),
        "authenticatorData": hexed(vector.authenticator_data),
        "signature": hexed(changes.get("signature", vector.signature)),
    }
    return passkey.verify(user, {"flow": FLOW, "credential": credential(vector, sent)})


def credential(vector: Vector, response: dict[str, str]) -> str:
    known = hexed(vector.credential_id)
    return json.dumps({"id": known, "rawId": known, "type": "public-key", "response": response})


GOOD = [
    (vectors.NONE_ES256, "none", ("swk",)),
    (vectors.SELF_ES256, "packed", ("swk",)),
    (vectors.PACKED_ES256, "packed", ("swk", "user")),
    (vectors.LONG_ID, "none", ("swk", "user")),
    (vectors.PACKED_RS256, "packed", ("swk",)),
    (vectors.PACKED_ED25519, "packed", ("hwk",)),
]


@pytest.mark.parametrize(("vector", "fmt", "amr"), GOOD, ids=[one[0].section for one in GOOD])
def test_webauthn_16_registration_and_authentication(
    example_org: None, vector: Vector, fmt: str, amr: tuple[str, ...]
) -> None:
    user = make_person()
    made = enrolled(user, vector)
    assert isinstance(made, Enrolled), made
    assert (made.passkey.attestation, made.passkey.webauthn_id.hex()) == (fmt, vector.credential_id)
    wrong = vector.signature[:-2] + ("00" if vector.signature[-2:] != "00" else "01")
    assert proved(user, vector, signature=wrong) == Refused("not_verified")
    assert proved(user, vector) == Accepted(amr)


@pytest.mark.parametrize("vector", [vectors.CROSS_ORIGIN, vectors.TOP_ORIGIN], ids=lambda one: one.section)
def test_webauthn_16_in_a_frame_of_another_page_we_refuse_what_is_otherwise_valid(
    example_org: None, vector: Vector
) -> None:
    assert enrolled(make_person(), vector) == Refused("cross_origin")


def test_webauthn_16_1_the_chain_leads_to_the_root_and_to_no_other(
    make_app: Callable[..., Flask], sqlite_url: str, tmp_path: Path
) -> None:
    root = tmp_path / "root.pem"
    root.write_bytes(x509.load_der_x509_certificate(bytes.fromhex(vectors.ROOT)).public_bytes(Encoding.PEM))
    named = {"passkey_aaguids": (vectors.PACKED_AAGUID,), "passkey_attestation_roots": (str(root),)}
    with make_app(sqlite_url, server={"issuer": "https://example.org"}, factors=named).app_context():
        user = make_person()
        assert enrolled(user, vectors.NONE_ES256) == Refused("model_not_allowed")
        assert enrolled(user, vectors.SELF_ES256) == Refused("model_not_allowed")
        made = enrolled(user, vectors.PACKED_ES256)
        assert isinstance(made, Enrolled) and made.passkey.aaguid == vectors.PACKED_AAGUID


def test_webauthn_16_6_the_long_id_is_derived_as_the_specification_says() -> None:
    """It is no number of ours: the ids that are written out come from the same derivation, and its ends are those of the document."""
    assert vectors.derived(3, "packed.RS256", 32) == vectors.PACKED_RS256.credential_id
    assert vectors.derived(5, "packed.EdDSA", 32) == vectors.PACKED_ED25519.credential_id
    assert vectors.LONG_ID.credential_id.startswith("3a761a4e1674ad6c4305869435c0eee9")
    assert vectors.LONG_ID.credential_id.endswith("053639f98577058f995bdbd41cefdb")
