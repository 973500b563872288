"""Client metadata about algorithms, subjects and least sign-ins (OIDC Registration 2; X-2, O-26, O-27, O-32)."""

from __future__ import annotations

import pytest

from idp.clients import InvalidMetadata, profiles
from idp.clients.metadata import normalise
from idp.clients.token_metadata import default_alg

WEB = {"client_name": "App", "redirect_uris": ["https://app.example.org/cb"]}


def found(*, algs=("ES256", "RS256"), **changes):
    return normalise(WEB | changes, loopback_names=False, signing_algs=algs)


@pytest.mark.parametrize(
    ("first_party", "algs", "profile", "wanted"),
    [
        (True, ("ES256", "RS256"), "oidc", "ES256"),
        (False, ("ES256", "RS256"), "oidc", "RS256"),
        (True, ("RS256",), "oidc", "RS256"),  # no key for ES256 here
        (True, ("ES256", "RS256"), "smart", "RS256"),
        (False, ("ES256", "RS256", "PS256"), "fapi2", "PS256"),
        (False, ("ES256", "RS256"), "fapi2", "ES256"),
    ],
)
def test_x2_the_default_algorithm(first_party, algs, profile, wanted):
    assert default_alg({"first_party": first_party, "security_profile": profile}, algs) == wanted


def test_o26_a_registration_that_names_none_gets_rs256():
    assert found()["id_token_signed_response_alg"] == "RS256"


@pytest.mark.parametrize("alg", ["none", "HS256", "ES256K", "PS256"])
def test_o27_only_what_there_is_a_key_for(alg):
    for name in ("id_token", "userinfo", "introspection"):
        with pytest.raises(InvalidMetadata):
            found(**{f"{name}_signed_response_alg": alg})


def test_every_profile_has_an_algorithm_that_can_be_kept():
    for profile in profiles.PROFILES:
        assert set(profile.id_token_algs) & {"ES256", "RS256"}


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("subject_type", {"subject_type": "private"}),
        ("sector_identifier_uri", {"sector_identifier_uri": "app.example.org"}),
        ("sector_identifier_uri", {"sector_identifier_uri": "https://app.example.org/x#y"}),
        (
            "sector_identifier_uri",
            {"subject_type": "pairwise", "redirect_uris": ["https://a.example.org/", "https://b.example.org/"]},
        ),
        (
            "sector_identifier_uri",
            {"subject_type": "pairwise", "application_type": "native", "redirect_uris": ["org.example.app:/cb"]},
        ),
        ("require_auth_time", {"require_auth_time": "yes"}),
        ("default_acr_values", {"default_acr_values": "urn:idp:acr:2fa"}),
        ("default_acr_values", {"default_acr_values": [""]}),
        ("authorization_details_types", {"authorization_details_types": [str(n) for n in range(21)]}),
    ],
)
def test_what_cannot_be_registered(field, changes):
    with pytest.raises(InvalidMetadata) as refused:
        found(**changes)
    assert field in refused.value.fields


def test_what_is_registered_comes_back():
    given = {
        "subject_type": "pairwise",
        "require_auth_time": True,
        "default_acr_values": ["urn:idp:acr:2fa"],
        "authorization_details_types": ["payment_release"],
        "userinfo_signed_response_alg": "ES256",
    }
    kept = found(**given)
    assert {name: list(kept[name]) if isinstance(kept[name], tuple) else kept[name] for name in given} == given
    assert normalise(kept, loopback_names=False) == kept
