"""The profile `legacy`: hybrid and implicit answers for old applications, where the settings allow it (OIDC Core 3.2, 3.3, X-3, F-4)."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import html
import re
from urllib.parse import parse_qsl, urlsplit

import pytest

from idp import clients, config, sessions
from idp.clients import InvalidMetadata
from idp.db import committing
from tests.conftest import CLAIMS_API, ISSUER
from tests.oauth.conftest import CHALLENGE, REDIRECT_URI, answer_in, claims_of, csrf_in, header_of

HYBRID = ["code id_token", "code token", "code id_token token"]
IMPLICIT = ["id_token", "id_token token"]
LEGACY = {
    "security_profile": "legacy",
    "response_types": ["code", *HYBRID, *IMPLICIT],
    "grant_types": ["authorization_code", "implicit", "refresh_token"],
}


@pytest.fixture
def db_url(sqlite_url):
    """Nothing here depends on the database system."""
    return sqlite_url


@pytest.fixture
def setup(setup):
    """An installation that allows the profile."""
    return setup | {"oauth": {"allow_legacy": True}}


@pytest.fixture
def signed_in(alice, sign_in_as):
    return sign_in_as(alice)


@pytest.fixture
def old(make_rp):
    """An old application that sends no PKCE."""
    return make_rp(**LEGACY, defaults={"code_challenge": None, "code_challenge_method": None})


def fragment(response) -> dict[str, str]:
    """The answer in the fragment, and nothing in the query."""
    assert response.status_code == 303 and response.location.startswith(REDIRECT_URI + "#"), response.location
    assert not urlsplit(response.location).query
    return dict(parse_qsl(urlsplit(response.location).fragment, keep_blank_values=True))


def half_hash(raw: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(raw.encode()).digest()[:16]).rstrip(b"=").decode()


# --- answers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", HYBRID + IMPLICIT)
def test_multiple_response_types_exactly_what_was_asked_comes_in_the_fragment(old, signed_in, kind):
    told = fragment(old.authorize(response_type=kind))
    expected = {"state", "iss"} | ({"code"} & set(kind.split())) | ({"id_token"} & set(kind.split()))
    if "token" in kind.split():
        expected |= {"access_token", "token_type", "expires_in", "scope"}
    assert set(told) == expected
    assert told["state"] == "state-1" and told["iss"] == ISSUER


@pytest.mark.parametrize("kind", [kind for kind in HYBRID + IMPLICIT if "id_token" in kind])
def test_oidc_core_3_3_2_11_hashes_bind_what_travels_together(old, signed_in, alice, kind):
    told = fragment(old.authorize(response_type=kind))
    claims = claims_of(told["id_token"])
    assert claims["nonce"] == "nonce-1" and claims["aud"] == old.client.client_id and claims["sub"] == alice.sub
    assert claims.get("c_hash") == (half_hash(told["code"]) if "code" in told else None)
    assert claims.get("at_hash") == (half_hash(told["access_token"]) if "access_token" in told else None)
    assert header_of(told["id_token"])["kid"] and "auth_time" in claims and claims["sid"]


@pytest.mark.parametrize("kind", ["id_token code", "token id_token", "token code id_token"])
def test_multiple_response_types_5_the_order_of_words_means_nothing(old, signed_in, kind):
    assert "id_token" in fragment(old.authorize(response_type=kind))


@pytest.mark.parametrize("kind", HYBRID)
def test_oidc_core_3_3_3_the_code_is_redeemed_without_pkce(old, signed_in, kind):
    told = fragment(old.authorize(response_type=kind))
    answer = old.redeem(told["code"], code_verifier=None)
    assert answer.status == 200 and answer.refresh_token
    assert claims_of(answer.id_token)["nonce"] == "nonce-1"
    if "id_token" in told:
        front, back = claims_of(told["id_token"]), claims_of(answer.id_token)
        assert (front["iss"], front["sub"]) == (back["iss"], back["sub"])


def test_pkce_holds_for_who_sends_it(old, signed_in):
    told = fragment(
        old.authorize(response_type="code id_token", code_challenge=CHALLENGE, code_challenge_method="S256")
    )
    assert old.redeem(told["code"], code_verifier=None).error == "invalid_grant"
    plain = old.authorize(response_type="code id_token", code_challenge="x" * 43, code_challenge_method="plain")
    assert fragment(plain)["error"] == "invalid_request"


def test_oidc_core_5_4_claims_are_in_the_id_token_only_where_nothing_else_fetches_them(old, signed_in):
    assert claims_of(fragment(old.authorize(response_type="id_token"))["id_token"])["name"] == "Alice Adams"
    for kind in ("id_token token", "code id_token"):
        assert "name" not in claims_of(fragment(old.authorize(response_type=kind))["id_token"])


# --- access tokens ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["id_token token", "code token"])
def test_f8_access_tokens_are_short_and_for_one_audience(old, signed_in, kind):
    told = fragment(old.authorize(response_type=kind, scope="openid claims.read"))
    claims = claims_of(told["access_token"])
    assert claims["aud"] == CLAIMS_API and claims["scope"] == "claims.read" == told["scope"]
    assert int(told["expires_in"]) <= 300 and claims["exp"] - claims["iat"] == int(told["expires_in"])
    assert told["token_type"] == "Bearer"
    assert old.userinfo(told["access_token"]).status_code == 401


def test_the_access_token_opens_userinfo(old, signed_in, alice):
    told = fragment(old.authorize(response_type="id_token token"))
    assert old.userinfo(told["access_token"]).get_json()["sub"] == alice.sub


def test_a_sign_out_ends_it(old, signed_in, app):
    told = fragment(old.authorize(response_type="id_token token"))
    with committing():
        sessions.end(signed_in.sid, cause="logout")
    assert old.userinfo(told["access_token"]).status_code == 401


@pytest.mark.parametrize("kind", HYBRID + IMPLICIT)
def test_oidc_core_11_never_a_refresh_token_by_the_browser(old, signed_in, kind):
    told = fragment(old.authorize(response_type=kind, scope="openid offline_access"))
    assert "refresh_token" not in told


def test_oidc_core_11_offline_access_means_nothing_without_a_code(make_rp, signed_in):
    partner = make_rp(**LEGACY, first_party=False)
    for kind, is_asked in (("id_token", False), ("code id_token", True)):
        page = partner.http.get(partner.authorize(response_type=kind, scope="openid offline_access").location)
        assert ("while you are not signed in" in page.get_data(as_text=True)) == is_asked


# --- response modes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", HYBRID + IMPLICIT)
def test_multiple_response_types_tokens_never_go_into_the_query(old, signed_in, kind):
    told = fragment(old.authorize(response_type=kind, response_mode="query"))
    assert told["error"] == "invalid_request" and not {"code", "id_token", "access_token"} & set(told)


@pytest.mark.parametrize("kind", HYBRID + IMPLICIT)
def test_form_post_carries_all_of_it(old, signed_in, kind):
    response = old.authorize(response_type=kind, response_mode="form_post")
    fields = {
        name: html.unescape(value)
        for name, value in re.findall(
            r'<input type="hidden" name="([^"]+)" value="([^"]*)"', response.get_data(as_text=True)
        )
    }
    assert ("code" in fields) == ("code" in kind.split()) and ("id_token" in fields) == ("id_token" in kind.split())
    assert fields["iss"] == ISSUER and fields["state"] == "state-1"
    assert "no-store" in response.headers["Cache-Control"]


def test_a_code_may_have_a_fragment_too_and_usually_has_the_query(old, signed_in):
    assert "code" in answer_in(old.authorize())
    assert "code" in fragment(old.authorize(response_mode="fragment"))


# --- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in HYBRID + IMPLICIT if "id_token" in kind])
def test_oidc_core_3_2_2_1_nonce_is_required_with_an_id_token(old, signed_in, kind):
    told = fragment(old.authorize(response_type=kind, nonce=None))
    assert told["error"] == "invalid_request" and "nonce" in told["error_description"]


def test_nonce_may_be_absent_where_no_id_token_is(old, signed_in):
    assert "code" in fragment(old.authorize(response_type="code token", nonce=None))


@pytest.mark.parametrize("kind", [kind for kind in HYBRID + IMPLICIT if "id_token" in kind])
def test_oidc_core_3_2_2_1_openid_is_required_with_an_id_token(old, signed_in, kind):
    assert fragment(old.authorize(response_type=kind, scope="profile"))["error"] == "invalid_request"


@pytest.mark.parametrize("kind", HYBRID + IMPLICIT)
def test_errors_come_back_as_the_answer_would_have(old, signed_in, kind):
    told = fragment(old.authorize(response_type=kind, scope="openid patients.read"))
    assert told["error"] == "invalid_scope" and told["iss"] == ISSUER and told["state"] == "state-1"


def test_prompt_none_without_a_session(old, client):
    told = fragment(old.authorize(response_type="id_token", prompt="none"))
    assert told["error"] == "login_required"


def test_f4_token_alone_is_nobodys(old, rp, signed_in):
    for app in (old, rp):
        told = answer_in(app.authorize(response_type="token"))
        assert told["error"] == "unsupported_response_type"


@pytest.mark.parametrize("kind", HYBRID + IMPLICIT)
def test_attack_7_f4_everybody_else_has_the_code_only(rp, signed_in, kind):
    told = answer_in(rp.authorize(response_type=kind))
    assert told["error"] == "unsupported_response_type"


def test_a_legacy_client_has_what_it_registered_and_no_more(make_rp, signed_in):
    implicit = {"security_profile": "legacy", "response_types": ["id_token"], "grant_types": ["implicit"]}
    only = make_rp(**implicit, scope="openid profile")
    assert "id_token" in fragment(only.authorize(response_type="id_token", scope="openid"))
    for kind in ("code", "code id_token", "id_token token"):
        assert answer_in(only.authorize(response_type=kind, scope="openid"))["error"] == "unsupported_response_type"
    assert only.redeem("x").error == "unauthorized_client"


def test_consent_is_asked_as_for_everybody(make_rp, signed_in):
    partner = make_rp(**LEGACY, first_party=False)
    asked = partner.authorize(response_type="id_token token")
    page = partner.http.get(asked.location)
    answer = partner.http.post(asked.location, data={"decision": "allow", "csrf": csrf_in(page)})
    assert "id_token" in fragment(answer)


def test_it_is_written_down(old, signed_in, audit_trail):
    old.authorize(response_type="id_token token")
    assert "authorization.granted" in audit_trail and "token.issued" in audit_trail


# --- registration and discovery -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"response_types": ["token"]}, "response_types"),
        ({"response_types": ["id_token"], "grant_types": ["authorization_code"]}, "grant_types"),
        ({"response_types": ["code id_token"], "grant_types": ["implicit"]}, "grant_types"),
        ({"response_types": ["code"], "grant_types": ["authorization_code", "implicit"]}, "response_types"),
        ({"redirect_uris": ["http://rp.example.org/cb"]}, "redirect_uris"),
        ({"redirect_uris": []}, "redirect_uris"),
        ({"token_endpoint_auth_method": "none", "require_pkce": False}, "require_pkce"),
    ],
)
def test_oidc_registration_2_response_types_and_grants_belong_together(make_rp, changes, field):
    with pytest.raises(InvalidMetadata) as refused:
        make_rp(**(LEGACY | changes))
    assert field in refused.value.fields


def test_x3_pkce_is_the_default_for_everybody_else_and_for_public_clients(make_rp):
    assert make_rp(**LEGACY).client.require_pkce is False
    assert make_rp(**LEGACY, token_endpoint_auth_method="none", first_party=False).client.require_pkce is True
    assert make_rp().client.require_pkce is True


def test_f4_other_profiles_cannot_register_them(make_rp):
    with pytest.raises(InvalidMetadata) as refused:
        make_rp(response_types=["code id_token"], grant_types=["authorization_code", "implicit"])
    assert {"response_types", "grant_types"} <= set(refused.value.fields)


def test_discovery_says_so_where_it_is_allowed(client):
    document = client.get("/.well-known/openid-configuration").get_json()
    assert document["response_types_supported"] == ["code", *HYBRID, *IMPLICIT]
    assert document["response_modes_supported"] == ["query", "form_post", "fragment"]
    assert "implicit" in document["grant_types_supported"]


def test_without_the_setting_nobody_has_it(app, make_rp, signed_in, client):
    old = make_rp(**LEGACY)
    settings = app.extensions["idp.settings"]
    app.extensions["idp.settings"] = dataclasses.replace(
        settings, oauth=dataclasses.replace(settings.oauth, allow_legacy=False)
    )
    assert config.settings().oauth.allow_legacy is False
    assert answer_in(old.authorize(response_type="id_token"))["error"] == "unsupported_response_type"
    with pytest.raises(InvalidMetadata) as refused:
        clients.create({"client_name": "Old", "redirect_uris": [REDIRECT_URI], **LEGACY})
    assert refused.value.fields == {"security_profile": ["must be one of oidc"]}
    document = client.get("/.well-known/openid-configuration").get_json()
    assert document["response_types_supported"] == ["code"] and "implicit" not in document["grant_types_supported"]
