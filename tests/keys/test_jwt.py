"""keys: signing and verifying our own tokens (O-7; attacks 46-50, 60; RFC 7515, 7519, 8725)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

import pytest
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet

from idp import clock, keys
from idp.config import settings
from idp.db import committing, db
from idp.keys import ring
from tests import cost
from tests.conftest import in_threads

ALL = ("ES256", "RS256", "PS256", "ES384", "EdDSA")
ISSUER = "http://localhost"


@pytest.fixture
def app(make_app, sqlite_url):
    """Tokens do not know which database keeps the keys."""
    built = make_app(sqlite_url, oauth={"signing_algs": ALL})
    with built.app_context():
        yield built
        db.session.rollback()


def part(raw, number):
    segment = raw.split(".")[number]
    return json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))


def b64(raw):
    return base64.urlsafe_b64encode(raw if isinstance(raw, bytes) else json.dumps(raw).encode()).rstrip(b"=").decode()


def forge(header, claims, alg="ES256"):
    """Sign anything at all with our genuine key."""
    key = ring.present().active[alg]
    head = {"alg": alg, "kid": key.kid, "typ": "JWT"} if header is None else header
    segment = f"{b64(head)}.{b64(claims)}"
    return f"{segment}.{b64(key.sign(segment.encode()))}"


def header(**changes):
    return {"alg": "ES256", "kid": ring.present().active["ES256"].kid, "typ": "JWT", **changes}


@pytest.mark.parametrize("alg", ALL)
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_another_library_accepts_what_we_sign(ready, alg):
    raw = keys.sign({"sub": "s1", "exp": clock.epoch() + 60}, typ="at+jwt", alg=alg)
    token = joserfc_jwt.decode(raw, KeySet.import_key_set(keys.public_jwks()), algorithms=[alg])
    assert token.claims["sub"] == "s1"
    assert token.header == {"alg": alg, "typ": "at+jwt", "kid": part(raw, 0)["kid"]}
    assert keys.verify(raw, typ="at+jwt", algs=[alg])["sub"] == "s1"


def test_the_first_algorithm_of_the_settings_is_the_default_and_iss_is_added(ready):
    raw = keys.sign({"sub": "s1"}, typ="JWT")
    assert part(raw, 0)["alg"] == settings().oauth.signing_algs[0]
    assert part(raw, 1) == {"iss": ISSUER, "sub": "s1"}


def test_values_that_are_not_json_are_refused(ready):
    with pytest.raises(TypeError):
        keys.sign({"at": clock.now()}, typ="JWT")


def test_without_a_key_nothing_is_signed(app):
    with pytest.raises(keys.NoSigningKey):
        keys.sign({}, typ="JWT")


# --- published


def test_o_7_attack_60_the_published_set_has_public_members_only(ready):
    found = keys.public_jwks()["keys"]
    assert len(found) == len({key["kid"] for key in found}) == len(ALL)
    for key in found:
        assert not {"d", "p", "q", "dp", "dq", "qi", "k", "oth"} & set(key)
        assert key["use"] == "sig"
        assert key["alg"] in ALL
        assert key["kty"] != "oct"


def test_the_kid_is_the_thumbprint_of_rfc_7638(ready):
    for key in KeySet.import_key_set(keys.public_jwks()).keys:
        assert key.kid == key.thumbprint()


def test_rsa_keys_have_2048_bits(ready):
    (rsa,) = [key for key in keys.public_jwks()["keys"] if key["alg"] == "RS256"]
    assert len(base64.urlsafe_b64decode(rsa["n"] + "==")) == 256


def test_the_document_is_ready_to_send_and_its_etag_follows_the_keys(ready):
    first = keys.jwks_document()
    assert json.loads(first.body) == keys.public_jwks()
    assert first.etag[0] == first.etag[-1] == '"'
    assert keys.jwks_document() is first
    with committing():
        keys.rotate("ES256")
    assert keys.jwks_document().etag != first.etag


# --- the ring


def test_no_signing_call_imports_a_key(ready, monkeypatch):
    keys.warm()

    def never(_der):
        raise AssertionError("a key was imported while signing")

    monkeypatch.setattr(ring, "import_private", never)
    for alg in ALL:
        for _ in range(20):
            keys.sign({"sub": "s1"}, typ="JWT", alg=alg)


def test_a_rotation_imports_only_the_new_key(ready, monkeypatch):
    keys.warm()
    imported = []
    original = ring.import_private
    monkeypatch.setattr(ring, "import_private", lambda der: imported.append(1) or original(der))
    with committing():
        keys.rotate("RS256")
    keys.sign({}, typ="JWT", alg="RS256")
    assert len(imported) == 1


def test_signing_is_fast(ready):
    keys.warm()
    with cost.within(200 * 0.01):  # about 0.1 ms each; one RSA import alone would be 40 ms
        for _ in range(200):
            keys.sign({"sub": "s1", "iss": ISSUER}, typ="at+jwt", alg="ES256")


def test_the_header_is_built_once_per_key_and_type(ready):
    key = ring.present().active["ES256"]
    assert key.header("at+jwt") is key.header("at+jwt")
    assert key.header("JWT") != key.header("at+jwt")


def test_the_table_is_looked_at_about_once_a_second_however_much_is_signed(ready):
    import sqlalchemy as sa

    keys.warm()
    statements = []
    sa.event.listen(db.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    for _ in range(500):
        keys.verify(keys.sign({}, typ="JWT", alg="ES256"), typ="JWT")
    assert len(statements) <= 3


def test_another_worker_sees_a_rotation_within_about_a_second(ready, make_app, monkeypatch):
    other = make_app(settings().database.url, secrets={"sealing_keys": settings().secrets.sealing_keys})
    with other.app_context():
        keys.warm()
    with committing():
        keys.rotate("ES256")
    raw = keys.sign({"sub": "s1"}, typ="JWT", alg="ES256")
    with other.app_context():
        assert part(keys.sign({}, typ="JWT", alg="ES256"), 0)["kid"] != part(raw, 0)["kid"]
        time.sleep(ring.LOOK_FOR_UNKNOWN_S)
        assert keys.verify(raw, typ="JWT")["sub"] == "s1"  # an unknown kid is looked for at once
        time.sleep(ring.LOOK_EVERY_S)
        assert part(keys.sign({}, typ="JWT", alg="ES256"), 0)["kid"] == part(raw, 0)["kid"]


def test_what_is_not_committed_signs_nothing(ready):
    before = part(keys.sign({}, typ="JWT", alg="ES256"), 0)["kid"]
    keys.rotate("ES256")
    assert part(keys.sign({}, typ="JWT", alg="ES256"), 0)["kid"] == before
    db.session.rollback()


def test_signing_goes_on_while_the_database_is_away(ready, monkeypatch):
    from sqlalchemy.exc import OperationalError

    keys.warm()

    def away():
        raise OperationalError("SELECT", {}, Exception("away"))

    monkeypatch.setattr(db.engine, "connect", away)
    ring.invalidate()
    assert keys.sign({}, typ="JWT")


def test_twenty_threads_sign_and_verify(ready):
    def work(number):
        return [keys.verify(keys.sign({"n": number}, typ="JWT", alg=alg), typ="JWT")["n"] for alg in ALL]

    assert in_threads(20, ready, work) == [[number] * 5 for number in range(20)]


# --- forged


@pytest.mark.parametrize("alg", ["none", "None", "nOnE", "HS256", "RS256", "ES384", ""])
def test_attack_46_another_alg_in_the_header_is_refused(ready, alg):
    raw = forge(header(alg=alg), {"iss": ISSUER})
    for token in (raw, raw.rpartition(".")[0] + "."):
        with pytest.raises(keys.InvalidToken):
            keys.verify(token, typ="JWT")


def test_attack_47_a_public_key_is_no_hmac_secret(ready):
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    (jwk,) = [key for key in keys.public_jwks()["keys"] if key["alg"] == "RS256"]
    public = KeySet.import_key_set({"keys": [jwk]}).keys[0].get_op_key("verify")
    for secret in (
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(jwk).encode(),
        base64.urlsafe_b64decode(jwk["n"] + "=="),
    ):
        segment = f"{b64({'alg': 'HS256', 'kid': jwk['kid'], 'typ': 'JWT'})}.{b64({'iss': ISSUER})}"
        raw = f"{segment}.{b64(hmac.new(secret, segment.encode(), hashlib.sha256).digest())}"
        with pytest.raises(keys.InvalidToken):
            keys.verify(raw, typ="JWT")


@pytest.mark.parametrize("typ", ["JWT", "logout+jwt", "secevent+jwt", "AT+JWT", ""])
def test_attack_48_a_token_of_another_type_is_refused(ready, typ):
    raw = keys.sign({"sub": "s1"}, typ=typ)
    with pytest.raises(keys.InvalidToken):
        keys.verify(raw, typ="at+jwt")
    assert keys.verify(raw, typ=None)["sub"] == "s1"


def test_attack_49_a_changed_token_is_refused_everywhere(ready):
    raw = keys.sign({"sub": "s1"}, typ="JWT")
    for number in range(0, len(raw), 3):
        changed = raw[:number] + ("A" if raw[number] != "A" else "B") + raw[number + 1 :]
        with pytest.raises(keys.InvalidToken):
            keys.verify(changed, typ="JWT")


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "http://evil.example.org"},
        {"iss": ISSUER + "/"},
        {"iss": None},
        {"iss": [ISSUER]},
        {"iss": ISSUER, "nbf": 2**40},
        {"iss": ISSUER, "iat": 2**40},
    ],
)
def test_attack_49_another_issuer_or_another_time_is_refused(ready, claims):
    with pytest.raises(keys.InvalidToken):
        keys.verify(forge(None, claims), typ="JWT")


def test_a_token_without_iss_is_refused(ready):
    with pytest.raises(keys.InvalidToken):
        keys.verify(forge(None, {"sub": "s1"}), typ="JWT")


def test_attack_49_expiry_is_checked_on_demand_without_leeway(ready, travel):
    raw = keys.sign({"exp": clock.epoch() + 60, "iat": clock.epoch()}, typ="JWT")
    assert keys.verify(raw, typ="JWT", unexpired=True)
    travel(61)
    assert keys.verify(raw, typ="JWT")  # a hint may be old
    with pytest.raises(keys.InvalidToken):
        keys.verify(raw, typ="JWT", unexpired=True)
    with pytest.raises(keys.InvalidToken):
        keys.verify(keys.sign({}, typ="JWT"), typ="JWT", unexpired=True)


def test_attack_48_the_audience_is_checked_on_demand(ready):
    one, several = keys.sign({"aud": "claims"}, typ="JWT"), keys.sign({"aud": ["claims", "x"]}, typ="JWT")
    for raw in (one, several):
        assert keys.verify(raw, typ="JWT", audience="claims")
        with pytest.raises(keys.InvalidToken):
            keys.verify(raw, typ="JWT", audience="patients")
    with pytest.raises(keys.InvalidToken):
        keys.verify(keys.sign({}, typ="JWT"), typ="JWT", audience="claims")


@pytest.mark.parametrize(
    "changes",
    [
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"b64": False, "crit": ["b64"]},
        {"jku": "https://evil.example.org"},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"x5u": "https://evil.example.org"},
        {"zip": "DEF"},
        {"cty": "JWT"},
        {"kid": "../../dev/null"},
        {"kid": "' OR 1=1 --"},
        {"kid": None},
        {"typ": 7},
    ],
)
def test_attack_50_a_header_that_we_would_not_write_is_refused(ready, changes):
    with pytest.raises(keys.InvalidToken):
        keys.verify(forge(header(**changes), {"iss": ISSUER}), typ="JWT")


@pytest.mark.parametrize("missing", ["alg", "kid", "typ"])
def test_attack_50_a_header_without_its_members_is_refused(ready, missing):
    head = header()
    del head[missing]
    with pytest.raises(keys.InvalidToken):
        keys.verify(forge(head, {"iss": ISSUER}), typ=None)


@pytest.mark.parametrize(
    "claims",
    [
        b'{"iss":"http://localhost","sub":"a","sub":"b"}',
        b'{"iss":"http://localhost","exp":NaN}',
        b'{"iss":"http://localhost","exp":Infinity}',
        b'{"iss":"http://localhost","exp":"9999999999"}',
        b'{"iss":"http://localhost","exp":9999999999.5}',
        b'{"iss":"http://localhost","exp":1e300}',
        b'{"iss":"http://localhost","exp":99999999999999999999999}',
        b'{"iss":"http://localhost","exp":true}',
        b'{"iss":"http://localhost","exp":-1}',
        b'{"iss":"http://localhost","exp":null}',
        b'["iss"]',
        b"nonsense",
        b"\xff\xfe",
        b"[" * 5000,
    ],
)
def test_attack_50_claims_that_two_parsers_could_read_differently_are_refused(ready, claims):
    with pytest.raises(keys.InvalidToken):
        keys.verify(forge(None, claims), typ="JWT")


def test_attack_50_duplicate_header_members_are_refused(ready):
    kid = ring.present().active["ES256"].kid
    head = f'{{"alg":"none","alg":"ES256","kid":"{kid}","typ":"JWT"}}'.encode()
    with pytest.raises(keys.InvalidToken):
        keys.verify(forge(head, {"iss": ISSUER}), typ="JWT")


@pytest.mark.parametrize(
    "raw",
    ["", ".", "..", "a.b", "a.b.c.d", "a.b.c", "é.b.c", "a b.c.d", "a=.b.c", "eyJ.eyJ.eyJ", "x" * 20_000, "a.b.c\n"],
)
def test_what_is_no_token_is_refused(ready, raw):
    with pytest.raises(keys.InvalidToken):
        keys.verify(raw, typ=None)


def test_a_token_has_one_spelling(ready):
    raw = keys.sign({"sub": "s1"}, typ="JWT")
    head, body, signature = raw.split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = signature[:-1] + alphabet[alphabet.index(signature[-1]) ^ 1]
    assert base64.urlsafe_b64decode(twin + "==") == base64.urlsafe_b64decode(signature + "==")
    for other in (f"{head}.{body}.{twin}", f"{head}.{body}.{signature}=", f" {raw}", f"{raw}\n"):
        with pytest.raises(keys.InvalidToken):
            keys.verify(other, typ="JWT")


def test_the_key_of_another_alg_does_not_verify(ready):
    with pytest.raises(keys.InvalidToken):
        keys.verify(keys.sign({}, typ="JWT", alg="RS256"), typ="JWT", algs=["ES256"])


def test_an_invalid_token_tells_the_caller_nothing(ready):
    with pytest.raises(keys.InvalidToken) as refused:
        keys.verify("a.b.c", typ="JWT")
    assert refused.value.public == "The token is not valid."
    assert refused.value.status == 401
