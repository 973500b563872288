"""The code flow end to end, and what makes a code good for one call (RFC 6749 4.1, RFC 7636, OIDC Core 3.1)."""

from __future__ import annotations

import pytest

from idp import clock
from tests.conftest import CLAIMS_API, ISSUER, in_threads
from tests.oauth.conftest import REDIRECT_URI, VERIFIER, answer_in, claims_of, header_of


@pytest.fixture
def signed_in(alice, sign_in_as):
    return sign_in_as(alice)


def test_oidc_core_3_1_the_code_flow_ends_with_an_id_token_about_the_person(rp, alice, signed_in, audit_trail):
    told = rp.callback()
    assert told["state"] == "state-1" and told["iss"] == ISSUER  # RFC 9207
    answer = rp.redeem(told["code"])
    assert answer.status == 200 and answer.token_type == "Bearer" and answer.expires_in == 600
    id_token = claims_of(answer.id_token)
    assert id_token["iss"] == ISSUER and id_token["sub"] == alice.sub
    assert id_token["aud"] == id_token["azp"] == rp.client.client_id
    assert id_token["nonce"] == "nonce-1" and id_token["sid"] == signed_in.sid
    assert id_token["acr"] == "urn:idp:acr:2fa" and id_token["amr"] == ["pwd", "otp", "mfa"]
    assert id_token["auth_time"] == int(signed_in.auth_time.timestamp())
    assert 0 < id_token["exp"] - id_token["iat"] <= 300
    assert header_of(answer.id_token)["kid"] and header_of(answer.id_token)["alg"] == "ES256"
    for event in ("session.presented", "authorization.granted", "code.redeemed"):
        assert event in audit_trail


def test_rfc9068_2_the_access_token_says_for_whom_and_what_it_is(rp, alice, signed_in):
    answer = rp.sign_in()
    token = claims_of(answer.access_token)
    assert header_of(answer.access_token)["typ"] == "at+jwt"
    assert token["iss"] == ISSUER and token["sub"] == alice.sub and token["client_id"] == rp.client.client_id
    assert token["aud"] == f"{ISSUER}/userinfo"
    assert token["scope"] == answer.scope == "openid profile email"
    assert token["exp"] - token["iat"] == 600 and token["jti"]
    assert token["acr"] and token["amr"] and token["auth_time"]


def test_two_tokens_in_one_second_differ(rp, signed_in):
    first, second = rp.sign_in(), rp.sign_in()
    assert claims_of(first.access_token)["jti"] != claims_of(second.access_token)["jti"]


def test_o26_a_client_that_registered_no_alg_gets_rs256(partner, make_rp, signed_in):
    rp = make_rp(
        client_name="Other",
        first_party=False,
        redirect_uris=["https://other.example.org/cb"],
        id_token_signed_response_alg="RS256",
    )
    assert rp.client.id_token_signed_response_alg == partner.client.id_token_signed_response_alg == "RS256"


def test_o26_rs256_id_tokens_are_signed_with_rs256(make_rp, signed_in):
    answer = make_rp(id_token_signed_response_alg="RS256").sign_in()
    assert header_of(answer.id_token)["alg"] == "RS256"
    assert header_of(answer.access_token)["alg"] == "ES256"


def test_o20_no_nonce_sent_no_nonce_returned(rp, signed_in):
    assert "nonce" not in claims_of(rp.sign_in(nonce=None).id_token)


@pytest.mark.parametrize("length", [64, 384, 4096])
def test_o20_nonce_and_state_come_back_byte_for_byte(rp, signed_in, length):
    echo = ("aB3-._~ +/%&=?#üß€\"<>'" * length)[:length].strip() or "x"
    told = rp.callback(state=echo, nonce=echo)
    assert told["state"] == echo
    assert claims_of(rp.redeem(told["code"]).id_token)["nonce"] == echo


def test_o20_what_is_too_long_is_refused_and_never_cut(rp, signed_in):
    assert rp.callback(nonce="n" * 4097)["error"] == "invalid_request"


def test_without_openid_there_is_no_id_token(rp, signed_in):
    answer = rp.sign_in(scope="claims.read")
    assert answer.id_token is None and claims_of(answer.access_token)["aud"] == CLAIMS_API


def test_x3_a_client_with_an_explicit_exception_needs_no_pkce(make_rp, signed_in):
    plain = make_rp(require_pkce=False)
    code = plain.code(code_challenge=None, code_challenge_method=None, nonce=None)
    assert plain.redeem(code, code_verifier=None).status == 200


@pytest.mark.parametrize("auth", ["basic", "post"])
def test_o23_both_ways_of_sending_a_secret(make_rp, signed_in, auth):
    rp = make_rp(token_endpoint_auth_method=f"client_secret_{auth}")
    assert rp.redeem(rp.code(), auth=auth).status == 200


def test_a_public_client_proves_itself_with_its_verifier(make_rp, signed_in):
    rp = make_rp(token_endpoint_auth_method="none")
    assert rp.redeem(rp.code()).status == 200
    assert rp.redeem(rp.code(), code_verifier="w" * 43).error == "invalid_grant"


# --- codes (F-5, F-6, attacks 23 to 30) ---------------------------------------------------------------------------


def test_attack_23_rfc6749_4_1_2_a_replayed_code_revokes_what_was_issued_from_it(rp, signed_in, audit_trail):
    code = rp.code()
    first = rp.redeem(code)
    assert rp.redeem(code).error == "invalid_grant"
    assert rp.userinfo(first.access_token).status_code == 401
    assert rp.refresh(first.refresh_token).error == "invalid_grant"
    assert "code.replayed" in audit_trail


def test_o25_a_replay_after_minutes_still_revokes(rp, signed_in, travel):
    code = rp.code()
    first = rp.redeem(code)
    travel(120)
    assert rp.redeem(code).error == "invalid_grant"
    assert rp.userinfo(first.access_token).status_code == 401


@pytest.mark.parametrize(
    "wrong",
    [
        {"code_verifier": "w" * 43},
        {"code_verifier": None},
        {"redirect_uri": "https://rp.example.org/other"},
        {"redirect_uri": None},
    ],
)
def test_attack_24_x8_an_invalid_replay_harms_nobody(rp, signed_in, wrong, audit_trail):
    code = rp.code()
    first = rp.redeem(code)
    assert rp.redeem(code, **wrong).error == "invalid_grant"
    assert rp.userinfo(first.access_token).status_code == 200
    assert "code.replayed" not in audit_trail


def test_attack_24_another_client_s_replay_harms_nobody(rp, make_rp, signed_in):
    other = make_rp(client_name="Other")
    code = rp.code()
    first = rp.redeem(code)
    assert other.redeem(code).error == "invalid_grant"
    assert rp.userinfo(first.access_token).status_code == 200


def test_attack_26_a_code_is_bound_to_its_client(rp, make_rp, signed_in):
    other = make_rp(client_name="Other")
    assert other.redeem(rp.code()).error == "invalid_grant"


def test_attack_26_another_client_s_attempt_burns_nothing(rp, make_rp, signed_in, audit_trail):
    code, stranger = rp.code(), make_rp()
    assert stranger.redeem(code).error == "invalid_grant"
    answer = rp.redeem(code)
    assert answer.status == 200 and "code.replayed" not in audit_trail
    assert stranger.redeem(code).error == "invalid_grant"
    assert rp.refresh(answer.refresh_token).status == 200


def test_attack_26_the_right_client_has_one_call(rp, make_rp, signed_in, audit_trail):
    for wrong in ({"code_verifier": "w" * 43}, {"redirect_uri": "https://rp.example.org/other"}):
        code = rp.code()
        assert rp.redeem(code, **wrong).error == "invalid_grant"
        assert rp.redeem(code).error == "invalid_grant"


@pytest.mark.parametrize("record", [b"{", b"[]", b"7", b'{"client_id": "?"}'])
def test_attack_26_half_a_record_is_no_code(rp, signed_in, app, record):
    from idp import kv
    from idp.oauth import codes

    raw_code = rp.code()
    kv.client().set(codes._keys(raw_code)[0], record.replace(b"?", rp.client.client_id.encode()))
    answer = rp.redeem(raw_code)
    assert (answer.status, answer.error) == (400, "invalid_grant")


def test_a_code_is_good_for_one_call_even_one_that_fails(rp, signed_in):
    code = rp.code()
    assert rp.redeem(code, code_verifier="w" * 43).error == "invalid_grant"
    assert rp.redeem(code).error == "invalid_grant"


def test_attack_26_the_redirect_uri_must_be_repeated(make_rp, signed_in):
    rp = make_rp(redirect_uris=[REDIRECT_URI, "https://rp.example.org/cb2"])
    assert rp.redeem(rp.code(), redirect_uri="https://rp.example.org/cb2").error == "invalid_grant"
    assert rp.redeem(rp.code(), redirect_uri=None).error == "invalid_grant"


def test_rfc6749_3_1_2_3_a_client_with_one_redirect_uri_may_leave_it_out(rp, signed_in):
    assert rp.redeem(rp.code(redirect_uri=None), redirect_uri=None).status == 200


def test_attack_27_a_code_dies_after_sixty_seconds(rp, signed_in, travel):
    code = rp.code()
    travel(61)
    assert rp.redeem(code).error == "invalid_grant"


@pytest.mark.parametrize("verifier", ["w" * 43, "v" * 42, "v" * 129, "v" * 42 + "!", "v" * 43 + "\n", "ü" * 43, ""])
def test_attack_28_29_30_only_the_right_verifier_redeems(rp, signed_in, verifier):
    answer = rp.redeem(rp.code(), code_verifier=verifier)
    assert answer.error in ("invalid_grant", "invalid_request") and answer.access_token is None


def test_f5_a_verifier_without_a_challenge_is_a_downgrade(make_rp, signed_in):
    plain = make_rp(require_pkce=False)
    code = plain.code(code_challenge=None, code_challenge_method=None)
    assert plain.redeem(code, code_verifier=VERIFIER).error == "invalid_grant"


@pytest.mark.parametrize("code", ["", "x", "a" * 5000, "../../etc", "\x00", "ü"])
def test_a_made_up_code_is_refused(rp, signed_in, code):
    assert rp.redeem(code).error in ("invalid_grant", "invalid_request")


def test_attack_25_of_twenty_redemptions_one_succeeds_and_the_family_is_revoked(app, rp, signed_in, audit_trail):
    code = rp.code()
    rp.http = None  # threads have browsers of their own

    def redeem(_number):
        from dataclasses import replace

        return replace(rp, http=app.test_client()).redeem(code)

    answers = in_threads(20, app, redeem)
    good = [answer for answer in answers if answer.status == 200]
    assert len(good) == 1
    assert {answer.error for answer in answers if answer.status != 200} == {"invalid_grant"}
    rp.http = app.test_client()
    assert rp.refresh(good[0].refresh_token).error == "invalid_grant"
    assert rp.userinfo(good[0].access_token).status_code == 401
    assert "code.replayed" in audit_trail


def test_attack_55_a_code_of_a_session_that_ended_is_worth_nothing(rp, alice, signed_in):
    from idp import sessions
    from idp.db import committing

    code = rp.code()
    with committing():
        sessions.end(signed_in.sid, cause="logout")
    assert rp.redeem(code).error == "invalid_grant"


def test_a_person_who_was_disabled_gets_nothing(rp, alice, signed_in):
    from idp import users
    from idp.db import committing

    code = rp.code()
    with committing():
        users.disable(alice.sub, reason="left", actor="test")
    assert rp.redeem(code).error == "invalid_grant"


# --- response modes -----------------------------------------------------------------------------------------------


def test_o31_form_post_answers_with_a_form_that_nobody_stores(rp, signed_in):
    response = rp.authorize(response_mode="form_post", state='"><script>alert(1)</script>')
    assert response.headers["Cache-Control"] == "no-store"
    assert "form-action 'self' https://rp.example.org;" in response.headers["Content-Security-Policy"]
    assert "<script>alert" not in response.get_data(as_text=True)  # attack 77
    told = answer_in(response)
    assert told["iss"] == ISSUER and rp.redeem(told["code"]).status == 200


def test_o31_errors_travel_by_form_too(rp, signed_in):
    assert answer_in(rp.authorize(response_mode="form_post", scope="nonsense"))["error"] == "invalid_scope"


@pytest.mark.parametrize("mode", ["fragment", "web_message", "jwt", "Query"])
def test_attack_8_a_response_mode_that_is_not_ours(rp, signed_in, mode):
    told = rp.callback(response_mode=mode)
    assert told["error"] == "invalid_request" and "code" not in told


def test_form_post_never_goes_to_an_app_scheme(make_rp, signed_in):
    native = make_rp(
        application_type="native",
        token_endpoint_auth_method="none",
        redirect_uris=["org.example.app:/cb"],
        first_party=False,
    )
    assert native.callback(response_mode="form_post")["error"] == "invalid_request"


def test_o11_a_registered_uri_with_a_query_keeps_it(make_rp, signed_in):
    rp = make_rp(redirect_uris=["https://rp.example.org/cb?tenant=a%20b&x"])
    response = rp.authorize()
    assert response.location.startswith("https://rp.example.org/cb?tenant=a%20b&x&code=")


def test_rfc8252_7_3_a_native_app_is_answered_on_the_port_it_listens_to(make_rp, alice, signed_in):
    native = make_rp(
        application_type="native",
        token_endpoint_auth_method="none",
        redirect_uris=["http://127.0.0.1/cb"],
        first_party=False,
    )
    native.redirect_uri = "http://127.0.0.1:50123/cb"
    response = native.authorize()
    assert response.status_code == 303 and response.location.startswith("/consent?txn=")  # F-16: always asked


def test_auth_time_is_the_session_s(rp, alice, sign_in_as, travel):
    session = sign_in_as(alice)
    travel(100)
    assert claims_of(rp.sign_in().id_token)["auth_time"] == int(session.auth_time.timestamp()) <= clock.epoch() - 99
