"""Client metadata, RFC 7591 section 2: one pure function for every way in."""

from __future__ import annotations

import pytest

from idp.clients import InvalidMetadata, profiles
from idp.clients.metadata import normalise

WEB = {"client_name": "Claims", "redirect_uris": ["https://rp.example.org/cb"]}


def fields(**changes):
    return normalise(WEB | changes, loopback_names=False)


def refused(**changes) -> dict[str, list[str]]:
    with pytest.raises(InvalidMetadata) as error:
        fields(**changes)
    return error.value.fields


def test_rfc7591_2_what_is_left_out_has_a_safe_default():
    found = fields()
    assert found["token_endpoint_auth_method"] == "client_secret_basic"
    assert found["grant_types"] == ("authorization_code",)
    assert found["response_types"] == ("code",)
    assert found["require_pkce"] is True
    assert found["first_party"] is False
    assert found["security_profile"] == "oidc"
    assert found["scope"] == "openid profile email address phone"


def test_normalising_twice_changes_nothing():
    once = fields(scope="openid claims.read", contacts=["dev@example.org"], default_max_age=0)
    assert normalise(once, loopback_names=False) == once


def test_x2_id_tokens_are_rs256_unless_the_client_is_ours_or_says_otherwise():
    assert fields()["id_token_signed_response_alg"] == "RS256"
    assert fields(first_party=True)["id_token_signed_response_alg"] == "ES256"
    assert fields(id_token_signed_response_alg="ES256")["id_token_signed_response_alg"] == "ES256"
    assert "id_token_signed_response_alg" in refused(id_token_signed_response_alg="none")
    assert "id_token_signed_response_alg" in refused(id_token_signed_response_alg="HS256")


def test_a_misspelt_field_is_found_today():
    assert "post_logout_redirect_uri" in refused(post_logout_redirect_uri="https://rp.example.org/")


def test_attack_66_a_client_cannot_choose_its_own_id_through_metadata():
    assert "client_id" in refused(client_id="admin")
    assert "trusted" in refused(trusted=True)


@pytest.mark.parametrize("profile", [row.name for row in profiles.PROFILES if row.name != "oidc"])
def test_a_profile_without_teeth_is_named_and_refused(profile):
    assert refused(security_profile=profile) == {"security_profile": ["must be one of oidc"]}


def test_f4_no_implicit_and_no_password_grant():
    assert "grant_types" in refused(grant_types=["authorization_code", "implicit"])
    assert "grant_types" in refused(grant_types=["password"])
    assert "response_types" in refused(response_types=["code", "token"])


def test_attack_4_and_o11_bad_redirect_uris_are_refused_with_the_rfc7591_code():
    with pytest.raises(InvalidMetadata) as error:
        fields(redirect_uris=["https://rp.example.org/cb#x", "javascript:alert(1)"])
    assert error.value.code == "invalid_redirect_uri"
    assert len(error.value.fields["redirect_uris"]) == 2


def test_redirect_uris_are_needed_for_codes_only():
    assert "redirect_uris" in refused(redirect_uris=[])
    machine = {"client_name": "Batch", "grant_types": ["client_credentials"]}
    assert normalise(machine, loopback_names=False)["scope"] == ""


def test_attack_69_not_more_than_twenty_redirect_uris():
    assert "redirect_uris" in refused(redirect_uris=[f"https://rp.example.org/{n}" for n in range(21)])


def test_attack_43_a_public_client_has_no_grant_that_rests_on_a_secret():
    public = {"token_endpoint_auth_method": "none"}
    assert "grant_types" in refused(grant_types=["authorization_code", "client_credentials"], **public)
    assert "require_pkce" in refused(require_pkce=False, **public)


def test_x3_pkce_can_be_waived_only_by_saying_so():
    assert fields(require_pkce=False)["require_pkce"] is False
    assert "require_pkce" in refused(require_pkce="no")


def test_rfc8252_8_6_a_public_client_on_the_device_is_never_first_party():
    app = {
        "token_endpoint_auth_method": "none",
        "application_type": "native",
        "redirect_uris": ["http://127.0.0.1/cb"],
        "first_party": True,
    }
    assert "first_party" in refused(**app)
    assert fields(token_endpoint_auth_method="none", first_party=True)["first_party"] is True


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "Cla\u202eims", "Cla\nims", "Cl\u200baims", "a\x00b", 5])
def test_attack_64_a_name_cannot_disguise_itself(name):
    assert "client_name" in refused(client_name=name)


def test_names_of_people_s_languages_are_welcome():
    assert fields(client_name="Krankenhaus Süd – 病院")["client_name"] == "Krankenhaus Süd – 病院"


@pytest.mark.parametrize(
    "scope", ["openid\tprofile", "openid\nadmin", "openid  profile", 'openid "x"', "o\u00fcpenid", 3]
)
def test_attack_9_scopes_are_rfc6749_tokens(scope):
    assert "scope" in refused(scope=scope)


def test_offline_access_needs_refresh_tokens():
    assert "scope" in refused(scope="openid offline_access")
    granted = fields(scope="openid offline_access", grant_types=["authorization_code", "refresh_token"])
    assert "offline_access" in granted["scope"]


def test_o42_backchannel_logout_goes_to_https():
    assert fields(backchannel_logout_uri="https://rp.example.org/bcl")["backchannel_logout_uri"]
    assert "backchannel_logout_uri" in refused(backchannel_logout_uri="http://rp.example.org/bcl")
    assert "backchannel_logout_uri" in refused(backchannel_logout_uri="https://rp.example.org/bcl#x")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("contacts", ["not an address"]),
        ("contacts", "dev@example.org"),
        ("resources", ["claims"]),
        ("resources", ["https://claims.example.org/#x"]),
        ("client_uri", "javascript:alert(1)"),
        ("tos_uri", "http://rp.example.org/tos"),
        ("default_max_age", -1),
        ("default_max_age", True),
        ("first_party", "yes"),
        ("redirect_uris", ["https://rp.example.org/cb"] * 2),
        ("redirect_uris", "https://rp.example.org/cb"),
        ("token_endpoint_auth_method", "tls_client_auth"),
        ("application_type", "desktop"),
        ("grant_types", []),
        ("grant_types", ["refresh_token"]),
    ],
)
def test_every_field_says_what_is_wrong_with_it(field, value):
    assert field in refused(**{field: value})
