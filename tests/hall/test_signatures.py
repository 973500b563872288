"""signatures: one key, one algorithm, yes or no; and jws as another library writes them (RFC 7518 section 3; attacks 36, 46, 47, 52)."""

from __future__ import annotations

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey

from idp import jws, signatures
from tests.oauth.signing import hmac_signed, key, sign

KINDS = {
    "ES256": "P-256", "ES384": "P-384", "RS256": "2048", "RS384": "2048", "PS256": "2048", "EdDSA": "Ed25519",
}  # fmt: skip


def public(kind):
    return key(kind).as_dict(private=False)


@pytest.mark.parametrize("alg", KINDS)
def test_rfc7518_3_what_another_library_signs_is_good_and_nothing_near_it(alg):
    found = jws.read(sign({"a": 1}, key(KINDS[alg]), alg=alg))
    verify = signatures.verifier(key(KINDS[alg]).public_key, alg)
    assert verify(found.message, found.signature)
    assert not verify(found.message + b" ", found.signature)
    for place in range(0, len(found.signature), 7):
        changed = bytearray(found.signature)
        changed[place] ^= 1
        assert not verify(found.message, bytes(changed))
    for other in (
        b"",
        found.signature[:-1],
        found.signature + b"\0",
        b"\0" * len(found.signature),
        b"\xff" * len(found.signature),
    ):
        assert not verify(found.message, other)


@pytest.mark.parametrize("alg", KINDS)
@pytest.mark.parametrize("kind", ["P-256", "P-384", "P-521", "2048", "Ed25519", "X25519"])
def test_rfc8725_3_1_a_key_serves_the_algorithms_of_its_kind_only(alg, kind):
    if KINDS[alg] == kind:
        assert signatures.verifier(key(kind).public_key, alg)
        return
    with pytest.raises(ValueError):
        signatures.verifier(key(kind).public_key, alg)


@pytest.mark.parametrize("alg", ["none", "None", "HS256", "ES512", "es256", "RS512", "", "Ed25519"])
def test_attack_46_no_other_algorithm_has_a_verifier(alg):
    for kind in ("P-256", "2048", "Ed25519"):
        with pytest.raises(ValueError):
            signatures.verifier(key(kind).public_key, alg)


def test_a_der_signature_is_no_jws_signature():
    """RFC 7518 section 3.4: the two numbers side by side; another encoding of the same would be a second spelling."""
    private = key().private_key
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256

    assert not signatures.verifier(key().public_key, "ES256")(b"m", private.sign(b"m", ec.ECDSA(SHA256())))


@pytest.mark.parametrize(("wrong", "alg"), [("P-384", "ES256"), ("2048", "ES256"), ("P-256", "EdDSA")])
def test_attack_36_a_registered_key_of_another_kind_is_not_tried(wrong, alg):
    found = jws.read(sign({"a": 1}, key(KINDS[alg]), alg=alg))
    with pytest.raises(jws.BadSignature):
        jws.verify(found, [public(wrong)], algs=[alg])


def test_another_key_under_the_same_kid_is_seen_at_once():
    first, second = key("P-256", "first"), ECKey.generate_key("P-256", {"kid": "first"})
    by_first, by_second = (jws.read(sign({"a": 1}, one)) for one in (first, second))
    jws.verify(by_first, [first.as_dict(private=False)], algs=["ES256"])
    jws.verify(by_second, [second.as_dict(private=False)], algs=["ES256"])
    for found, kept in ((by_first, second), (by_second, first)):
        with pytest.raises(jws.BadSignature):
            jws.verify(found, [kept.as_dict(private=False)], algs=["ES256"])


@pytest.mark.parametrize(
    "broken",
    [{"x": "AAAA"}, {"x": None}, {"x": 7}, {"x": ["a"]}, {"y": "!"}, {"crv": "P-256", "x": "A" * 43, "y": "A" * 43}],
)
def test_a_key_that_cannot_be_read_signs_nothing(broken):
    found = jws.read(sign({"a": 1}, key()))
    with pytest.raises(jws.BadSignature):
        jws.verify(found, [public("P-256") | broken], algs=["ES256"])


def test_hmac_is_by_one_of_the_secrets_and_by_none_that_is_empty():
    found = jws.read(hmac_signed({"a": 1}, b"s" * 32))
    jws.verify_hmac(found, [b"o" * 32, b"s" * 32])
    for secrets in ([], [b""], [b"o" * 32], [b"s" * 31]):
        with pytest.raises(jws.BadSignature):
            jws.verify_hmac(found, secrets)
    with pytest.raises(jws.BadSignature):
        jws.verify_hmac(jws.read(hmac_signed({"a": 1}, b"")), [b""])
    with pytest.raises(jws.BadSignature):
        jws.verify_hmac(jws.read(sign({"a": 1}, key())), [b"s" * 32])


@pytest.mark.parametrize("n", [7, None, ["A"], {}, "A+/A", "AQAB=", "A", "AB", "é", "\ud800", "A A="])
def test_rfc7518_6_numbers_of_a_key_are_strict_base64url(n):
    assert jws.key_problem(public("2048") | {"n": n})


def test_attack_52_kinds_of_keys_that_may_be_registered():
    for good in (key(), key("P-384"), key("2048"), key("Ed25519")):
        assert jws.key_problem(good.as_dict(private=False)) is None
    for bad in (key("1024"), ECKey.generate_key("secp256k1"), OKPKey.generate_key("Ed448")):
        assert jws.key_problem(bad.as_dict(private=False))
    assert jws.key_problem(OctKey.generate_key(256).as_dict()) and jws.key_problem(key().as_dict(private=True))
