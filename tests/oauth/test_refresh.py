"""Refresh tokens: rotation, reuse, binding, expiry (RFC 6749 section 6, RFC 9700 section 4.14, OIDC Core 12)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from idp import sessions, users
from idp.db import committing, db
from idp.oauth import consent, tokens
from tests.conftest import CLAIMS_API, ISSUER, in_threads
from tests.oauth.conftest import claims_of


@pytest.fixture
def signed_in(alice, sign_in_as):
    return sign_in_as(alice)


def test_oidc_core_12_2_a_refresh_says_the_same_about_the_same_person(rp, signed_in, travel, audit_trail):
    first = rp.sign_in()
    travel(30)
    second = rp.refresh(first.refresh_token)
    assert second.status == 200 and second.refresh_token != first.refresh_token
    before, after = claims_of(first.id_token), claims_of(second.id_token)
    for name in ("iss", "sub", "aud", "azp", "auth_time", "acr", "amr", "sid"):
        assert before[name] == after[name], name
    assert after["iat"] > before["iat"] and "nonce" not in after
    assert "token.refreshed" in audit_trail


def test_rfc9700_4_14_2_a_reused_refresh_token_revokes_its_family(rp, signed_in, audit_trail):
    first = rp.sign_in(scope="openid offline_access")
    second = rp.refresh(first.refresh_token)
    assert rp.refresh(first.refresh_token).error == "invalid_grant"
    assert rp.refresh(second.refresh_token).error == "invalid_grant"
    assert rp.userinfo(second.access_token).status_code == 401
    assert "token.refresh_reused" in audit_trail


@pytest.mark.parametrize(
    "asked", [{"scope": "openid profile email address"}, {"resource": "https://unknown.example.org"}]
)
def test_attack_53_a_reused_one_is_an_alarm_whatever_else_is_asked(rp, signed_in, audit_trail, asked):
    first = rp.sign_in(scope="openid offline_access")
    second = rp.refresh(first.refresh_token)
    assert rp.refresh(first.refresh_token, **asked).error == "invalid_grant"
    assert rp.refresh(second.refresh_token).error == "invalid_grant"
    assert "token.refresh_reused" in audit_trail


def test_attack_56_of_twenty_refreshes_one_succeeds_and_the_family_is_revoked(app, rp, signed_in, audit_trail):
    raw = rp.sign_in().refresh_token

    def refresh(_number):
        return replace(rp, http=app.test_client()).refresh(raw)

    answers = in_threads(20, app, refresh)
    good = [answer for answer in answers if answer.status == 200]
    assert len(good) == 1
    assert {answer.error for answer in answers if answer.status != 200} == {"invalid_grant"}
    assert replace(rp, http=app.test_client()).refresh(good[0].refresh_token).error == "invalid_grant"
    assert "token.refresh_reused" in audit_trail


def test_two_families_do_not_share_their_fate(rp, signed_in):
    one, other = rp.sign_in(), rp.sign_in()
    rp.refresh(one.refresh_token)
    assert rp.refresh(one.refresh_token).error == "invalid_grant"
    assert rp.refresh(other.refresh_token).status == 200


def test_attack_54_another_client_cannot_use_it_and_burns_nothing(rp, make_rp, signed_in, audit_trail):
    raw = rp.sign_in().refresh_token
    assert make_rp(client_name="Other").refresh(raw).error == "invalid_grant"
    assert rp.refresh(raw).status == 200
    assert "token.refresh_reused" not in audit_trail


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"scope": "openid claims.read"}, "invalid_scope"),
        ({"scope": "admin"}, "invalid_scope"),
        ({"resource": "https://patients.example.org/api"}, "invalid_target"),
    ],
)
def test_attack_54_a_wrong_request_does_not_burn_the_token(rp, signed_in, wrong, error):
    raw = rp.sign_in().refresh_token
    assert rp.refresh(raw, **wrong).error == error
    assert rp.refresh(raw).status == 200


def test_rfc6749_6_scope_may_shrink_and_grow_back_to_what_was_granted(rp, signed_in):
    first = rp.sign_in()
    second = rp.refresh(first.refresh_token, scope="openid")
    assert second.scope == "openid"
    assert rp.refresh(second.refresh_token).scope == "openid profile email"


def test_rfc8707_2_2_the_resource_parameter_picks_the_audience(rp, signed_in):
    first = rp.sign_in(scope="openid profile claims.read", resource=CLAIMS_API)
    assert claims_of(first.access_token)["aud"] == CLAIMS_API and first.scope == "claims.read"
    second = rp.refresh(first.refresh_token, resource=f"{ISSUER}/userinfo")
    assert second.scope == "openid profile"
    assert rp.userinfo(second.access_token).get_json()["name"] == "Alice Adams"


def test_f9_idle_expiry(rp, signed_in, travel, app):
    raw = rp.sign_in(scope="openid offline_access").refresh_token
    travel(app.extensions["idp.settings"].oauth.refresh_idle_s + 1)
    assert rp.refresh(raw).error == "invalid_grant"


def test_f9_every_use_renews_the_idle_limit_until_the_absolute_one(rp, signed_in, travel, app):
    oauth = app.extensions["idp.settings"].oauth
    raw = rp.sign_in(scope="openid offline_access").refresh_token
    spent_s = 0
    while spent_s + oauth.refresh_idle_s - 60 < oauth.refresh_absolute_s:
        travel(oauth.refresh_idle_s - 60)
        spent_s += oauth.refresh_idle_s - 60
        answer = rp.refresh(raw)
        assert answer.status == 200
        raw = answer.refresh_token
    travel(oauth.refresh_idle_s - 60)
    assert rp.refresh(raw).error == "invalid_grant"


def test_an_online_family_ends_with_the_session_s_absolute_limit(rp, signed_in, travel, app):
    raw = rp.sign_in().refresh_token
    travel(app.extensions["idp.settings"].sessions.absolute_s + 1)
    assert rp.refresh(raw).error == "invalid_grant"


def test_o41_signing_out_ends_online_families_and_spares_offline_ones(rp, signed_in):
    online, offline = rp.sign_in(), rp.sign_in(scope="openid offline_access")
    with committing():
        sessions.end(signed_in.sid, cause="logout")
    assert rp.refresh(online.refresh_token).error == "invalid_grant"
    assert rp.userinfo(online.access_token).status_code == 401
    assert rp.refresh(offline.refresh_token).status == 200


def test_attack_124_signing_out_here_does_not_end_what_hangs_on_another_browser(
    app, make_rp, alice, signed_in, sign_in_as
):
    elsewhere = app.test_client()
    sign_in_as(alice, browser=elsewhere)
    other = make_rp(browser=elsewhere)
    kept = other.sign_in()
    with committing():
        sessions.end(signed_in.sid, cause="logout")
    assert other.refresh(kept.refresh_token).status == 200


@pytest.mark.parametrize("cause", ["user_disabled", "password_reset", "password_changed", "recovered"])
@pytest.mark.parametrize("session_is_gone", [False, True])
def test_attack_55_losing_the_account_ends_offline_families_too(
    rp, alice, signed_in, cause, session_is_gone, audit_trail
):
    offline = rp.sign_in(scope="openid offline_access")
    if session_is_gone:
        with committing():
            sessions.end(signed_in.sid, cause="logout")
    with committing():
        sessions.end_all(alice.sub, cause=cause)
    assert rp.refresh(offline.refresh_token).error == "invalid_grant"
    assert rp.userinfo(offline.access_token).status_code == 401
    assert "token.revoked" in audit_trail


def test_the_session_in_which_the_password_was_changed_keeps_its_tokens(rp, alice, signed_in):
    mine = rp.sign_in()
    with committing():
        sessions.end_all(alice.sub, cause="password_changed", except_sid=signed_in.sid)
    assert rp.refresh(mine.refresh_token).status == 200


def test_attack_119_disabling_a_person_ends_everything(rp, alice, signed_in):
    online, offline = rp.sign_in(), rp.sign_in(scope="openid offline_access")
    with committing():
        users.disable(alice.sub, reason="left", actor="test")
    for answer in (online, offline):
        assert rp.refresh(answer.refresh_token).error == "invalid_grant"
        assert rp.userinfo(answer.access_token).status_code == 401


def test_attack_55_withdrawing_consent_ends_what_was_issued_on_it(partner, alice, signed_in):
    with committing():
        consent.grant(alice.sub, _request(partner), sid=signed_in.sid)
    answer = partner.sign_in(scope="openid")
    with committing():
        assert consent.revoke(alice.sub, partner.client.client_id, actor=alice.sub)
    assert partner.refresh(answer.refresh_token).error == "invalid_grant"


def test_a_deleted_client_s_tokens_are_dead(rp, make_rp, signed_in):
    from idp import clients

    answer = rp.sign_in()
    with committing():
        clients.delete(rp.client.client_id)
    assert rp.refresh(answer.refresh_token).error == "invalid_client"
    assert rp.userinfo(answer.access_token).status_code == 401


def test_a_client_without_the_grant_type_gets_no_refresh_token(make_rp, signed_in):
    plain = make_rp(grant_types=["authorization_code"], scope="openid")
    answer = plain.sign_in(scope="openid")
    assert answer.refresh_token is None
    assert plain.refresh("x" * 43).error == "unauthorized_client"


@pytest.mark.parametrize("raw", ["x", "x" * 43, "\x00", "a.b.c"])
def test_a_made_up_refresh_token_is_refused(rp, raw):
    assert rp.refresh(raw).error in ("invalid_grant", "invalid_request")


def test_the_database_knows_digests_only(rp, signed_in):
    import sqlalchemy as sa

    raw = rp.sign_in().refresh_token
    rows = db.session.execute(sa.text("SELECT * FROM refresh_tokens")).all()
    assert raw not in str(rows) and len(rows) == 1


def test_prune_forgets_what_ended_and_nothing_else(rp, signed_in, travel, app):
    rp.sign_in()
    with committing():
        assert tokens.prune() == 0
    travel(app.extensions["idp.settings"].sessions.absolute_s + 86400 + 1)
    with committing():
        assert tokens.prune() == 1
    import sqlalchemy as sa

    assert db.session.execute(sa.text("SELECT count(*) FROM refresh_tokens")).scalar_one() == 0


def _request(partner):
    from idp.oauth.authorization_request import AuthorizationRequest, ReplyTo

    reply = ReplyTo(partner.client.client_id, partner.redirect_uri, "query", None)
    return AuthorizationRequest(reply=reply, redirect_uri_sent=True, scopes=("openid",), resources=())
