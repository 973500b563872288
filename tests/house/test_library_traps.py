"""What our libraries do that we must not rely on (traps 1 to 10): an upgrade that changes one of them makes itself known here.

Each test pins the library. That our own code does not step into the trap is shown here where nothing else shows it; else the docstring
names the test that does.
"""

from __future__ import annotations

import importlib.util
import inspect
import time
from types import SimpleNamespace

import authlib.oauth2
import bcrypt
import pyotp
import pytest
import webauthn
from authlib.integrations.flask_oauth2.requests import FlaskOAuth2Request
from authlib.oauth2.rfc6749 import AuthorizationCodeGrant, InvalidClientError, InvalidRequestError
from authlib.oauth2.rfc6749.grants.base import AuthorizationEndpointMixin
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from authlib.oauth2.rfc7636 import CodeChallenge
from flask import Flask, request
from joserfc import errors as jose_errors
from joserfc import jwk, jws, jwt

from idp.authn.factors import totp
from idp.oauth import pkce
from idp.oauth.grants import GRANTS
from tests.oauth.conftest import CHALLENGE, VERIFIER

FAR_S = 30 * 365 * 86_400
KEY = jwk.ECKey.generate_key("P-256")


def a_request(form, **known):
    """What Authlib's grants look at."""
    return SimpleNamespace(payload=BasicOAuth2Payload(form), form=form, **known)


# --- trap 1: PKCE -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [{"code_challenge_method": "plain"}, {}])
def test_trap_1_authlib_lets_plain_and_an_absent_method_begin_and_we_do_not(method):
    begun = a_request({"code_challenge": VERIFIER} | method)
    CodeChallenge(required=True).validate_code_challenge(SimpleNamespace(request=begun), None)
    with pytest.raises(InvalidRequestError):
        pkce.check_challenge(CHALLENGE, method.get("code_challenge_method"), required=False)


def test_trap_1_authlib_takes_a_missing_method_for_plain():
    """Ours knows S256 only: tests/oauth/test_code_flow.py, attacks 28 to 30."""
    code = SimpleNamespace(code_challenge=VERIFIER, code_challenge_method=None)
    redeemed = a_request({"code_verifier": VERIFIER}, auth_method="client_secret_basic", authorization_code=code)
    CodeChallenge(required=True).validate_code_verifier(SimpleNamespace(request=redeemed), None)


def test_trap_1_required_asks_only_public_clients_and_only_at_the_end():
    extension = CodeChallenge(required=True)
    extension.validate_code_challenge(SimpleNamespace(request=a_request({})), None)
    code = SimpleNamespace(code_challenge=None, code_challenge_method=None)
    confidential = a_request({}, auth_method="client_secret_basic", authorization_code=code)
    extension.validate_code_verifier(SimpleNamespace(request=confidential), None)
    public = a_request({}, auth_method="none", authorization_code=code)
    with pytest.raises(InvalidRequestError):
        extension.validate_code_verifier(SimpleNamespace(request=public), None)
    with pytest.raises(InvalidRequestError):
        pkce.check_challenge(None, None, required=True)


# --- traps 2 and 3: parameters ------------------------------------------------------------------------------------


def test_trap_2_in_authlib_s_request_the_query_wins_over_the_form():
    """Ours refuses a query: test_trap_2_a_query_string_is_refused in tests/oauth/test_token_endpoint.py."""
    form = {"grant_type": "authorization_code", "client_id": "good", "code": "c"}
    with Flask(__name__).test_request_context(
        "/token?grant_type=password&client_id=evil", method="POST", data=form, base_url="https://op.example.org"
    ):
        merged = FlaskOAuth2Request(request._get_current_object())
        assert (merged.payload.grant_type, merged.payload.client_id) == ("password", "evil")
        assert merged.form["code"] == "c"


def test_trap_3_authlib_counts_a_handful_of_parameters_and_only_at_the_authorization_endpoint():
    """Ours counts all, everywhere: test_trap_3_nothing_comes_twice, and attacks 5 and 6 in tests/oauth/test_authorize.py."""

    def checked(**parameters):
        payload = SimpleNamespace(datalist=parameters, state=None)
        AuthorizationEndpointMixin.validate_no_multiple_request_parameter(SimpleNamespace(payload=payload))

    checked(nonce=["a", "b"], claims=["a", "b"], prompt=["none", "login"], max_age=["0", "9"], acr_values=["a", "b"])
    with pytest.raises(InvalidRequestError):
        checked(state=["a", "b"])
    assert "multiple" not in inspect.getsource(AuthorizationCodeGrant.validate_token_request).lower()


# --- trap 4: codes ------------------------------------------------------------------------------------------------


def test_trap_4_authlib_saves_the_token_before_it_deletes_the_code():
    """Ours takes the code in one step: attack 25 in tests/oauth/test_code_flow.py, twenty redemptions at once."""
    order = []

    class Grant(AuthorizationCodeGrant):
        def authenticate_user(self, authorization_code):
            return "alice"

        def generate_token(self, **_):
            return {}

        def save_token(self, token):
            order.append("save")

        def delete_authorization_code(self, authorization_code):
            order.append("delete")

    code, client = SimpleNamespace(get_scope=lambda: ""), SimpleNamespace(check_grant_type=lambda _: True)
    grant = Grant(SimpleNamespace(authorization_code=code, client=client, user=None), SimpleNamespace())
    grant.create_token_response()
    assert order == ["save", "delete"]


def test_trap_4_none_of_our_grants_falls_back_on_it():
    for grant in GRANTS:
        assert grant.create_token_response.__module__.startswith("idp."), grant


# --- trap 5: client assertions ------------------------------------------------------------------------------------


class Assertion(JWTBearerClientAssertion):
    """Authlib's validator with the memory that its documentation shows: look, then write."""

    def __init__(self):
        super().__init__()
        self.used = set()

    def get_audiences(self):
        return ["https://op.example.org"]

    def validate_jti(self, claims, jti):
        if jti in self.used:
            return False
        self.between()
        self.used.add(jti)
        return True

    def between(self):
        """Where another thread comes in."""


def claims(**changes):
    good = {"iss": "c", "sub": "c", "aud": "https://op.example.org", "exp": int(time.time()) + 60, "jti": "j"}
    return good | changes


@pytest.mark.parametrize(
    "loose",
    [
        lambda: {"aud": ["https://op.example.org", "https://evil.example"]},
        lambda: {"exp": int(time.time()) + FAR_S},
        lambda: {"exp": int(time.time()) - 30},
    ],
    ids=["aud with somebody else", "exp in thirty years", "exp half a minute ago"],
)
def test_trap_5_authlib_accepts_assertions_that_we_refuse(loose):
    """Ours: attacks 34 and 35 (trap 5) in tests/oauth/test_client_assertions.py."""
    Assertion().verify_claims(claims(**loose()))


def test_trap_5_the_documented_jti_check_lets_two_in():
    """Ours is one `SET NX`: test_attack_33_trap_5_of_twenty_at_once_one_is_served."""
    assert "redis.get(key)" in (JWTBearerClientAssertion.validate_jti.__doc__ or "")
    assertion = Assertion()
    inner = iter([lambda: assertion.verify_claims(claims())])
    assertion.between = lambda: next(
        inner, lambda: None
    )()  # the second comes while the first has looked and not written
    assertion.verify_claims(claims())
    assert assertion.used == {"j"}
    with pytest.raises(InvalidClientError):
        assertion.verify_claims(claims())


# --- trap 6: what is not there ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rfc", ["rfc9126", "rfc9449", "rfc8705"])
def test_trap_6_authlib_has_no_par_no_dpop_and_no_mutual_tls(rfc):
    """When it has, look whether our own (idp/oauth/par.py) is still the better one."""
    assert importlib.util.find_spec(f"{authlib.oauth2.__name__}.{rfc}") is None


# --- trap 7: JWT --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [{}, {"jku": "https://evil.example/jwks"}, {"jwk": KEY.as_dict(private=False)}])
def test_trap_7_joserfc_checks_the_signature_and_nothing_else(header):
    """Ours checks the rest: attacks 48 to 50 in tests/keys/test_jwt.py, attack 37 in tests/oauth/test_request_object.py."""
    raw = jwt.encode({"alg": "ES256"} | header, {"exp": 1, "iss": "https://evil.example", "aud": "somebody"}, KEY)
    assert jwt.decode(raw, KEY, algorithms=["ES256"]).claims["exp"] == 1


def test_trap_7_joserfc_refuses_alg_none_and_public_keys_as_secrets():
    """Two things that we would not want to lose; ours: attacks 46 and 47 in tests/keys/test_jwt.py."""
    with pytest.raises(jose_errors.JoseError):
        jws.deserialize_compact("eyJhbGciOiJub25lIn0.e30.", KEY)
    public_pem = KEY.as_pem(private=False)
    with pytest.raises((jose_errors.JoseError, ValueError)):
        jwk.OctKey.import_key(public_pem)


# --- trap 8: bcrypt -----------------------------------------------------------------------------------------------


def test_trap_8_bcrypt_raises_beyond_72_bytes_and_for_a_hash_that_it_cannot_read():
    """Ours hashes 44 bytes of any password and reports a broken hash: C-1, C-6 and attack 87 in tests/authn/test_hashing.py."""
    hashed = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4))
    for broken in (
        lambda: bcrypt.hashpw(b"x" * 73, bcrypt.gensalt(4)),
        lambda: bcrypt.checkpw(b"x" * 73, hashed),
        lambda: bcrypt.checkpw(b"x", b"$2b$04$short"),
    ):
        with pytest.raises(ValueError):
            broken()


# --- trap 9: TOTP -------------------------------------------------------------------------------------------------


def test_trap_9_pyotp_has_no_memory_and_a_window_to_both_sides():
    """Ours: C-13 and attacks 101 and 102 in tests/authn/test_totp.py; full-width digits (C-12) are pinned there with the trap."""
    app = pyotp.TOTP(pyotp.random_base32())
    at = 1_800_000_000
    assert [app.verify(app.at(at), for_time=at) for _ in range(2)] == [True, True]
    steps = range(-2, 3)
    assert [app.verify(app.at(at + 30 * step), for_time=at, valid_window=1) for step in steps] == [
        False,
        True,
        True,
        True,
        False,
    ]


def test_trap_9_pyotp_raises_for_a_short_secret_and_we_refuse_it_at_the_door():
    """Else who was imported with a secret of 80 bits would meet an error at every sign-in."""
    short = "GEZDGNBVGY3TQOJQ"
    with pytest.raises(ValueError, match="112 bits"):
        pyotp.TOTP(short).at(0)
    with pytest.raises(ValueError, match="112 bits"):
        totp.bind(SimpleNamespace(id=1, sub="s"), short, actor=None)


# --- trap 10: WebAuthn --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verify", [webauthn.verify_authentication_response, webauthn.verify_registration_response])
def test_trap_10_webauthn_does_not_ask_for_user_verification_by_itself(verify):
    """Whoever calls it says so, and checks what it has no parameter for (C-19)."""
    parameters = inspect.signature(verify).parameters
    assert parameters["require_user_verification"].default is False
    unknown = ("expected_top_origin", "cross_origin", "user_handle", "allow_credentials", "backup_eligible")
    assert not set(unknown) & set(parameters)


def test_werkzeug_routes_build_their_urls_when_asked(app):
    """We put off what Werkzeug compiles for each rule (idp/app.py); a new version must not make that a wrong URL."""
    with app.test_request_context():
        from flask import url_for

        assert url_for("oauth.registered", client_id="c 1?") == "/register/c%201%3F"
        assert url_for("static", filename="idp.css", v="1") == "/static/idp.css?v=1"
        assert url_for("oauth.token", x="ä") == url_for("oauth.token", x="ä") == "/token?x=%C3%A4"
