"""The modules of the Basic, Hybrid and Implicit plans. Each function is one module of the suite and is named after it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from tests.oauth.conformance import checks
from tests.oauth.conformance.suite import CALLBACK, Outcome, Run
from tests.oauth.conftest import CHALLENGE, VERIFIER

LONG_STATE = "s" * 128

# --- the answers ----------------------------------------------------------------------------------------------------


def oidcc_server(run: Run) -> None:
    """The happy flow; no ID token says the person's name unasked."""
    outcome = run.flow()
    for claims in (outcome.front, outcome.back):
        assert claims is None or "name" not in claims
    if outcome.back and "at_hash" in outcome.back:
        assert outcome.back["at_hash"] == checks.hash_of(outcome.tokens["access_token"], run.client.alg)


oidcc_server_client_secret_post = oidcc_server


def oidcc_response_type_missing(run: Run) -> None:
    """Without response_type there is no mode either: the error stands in the query."""
    run.refused("invalid_request", "unsupported_response_type", mode=_fallback(run), response_type=None)


def oidcc_idtoken_signature(run: Run) -> None:
    """Who registers no algorithm gets RS256, with a kid (looked at by every check of an ID token)."""
    assert run.client.alg == "RS256"
    run.flow()


def oidcc_idtoken_unsigned(run: Run) -> None:
    """The suite skips this where `none` is not offered; it is not."""
    assert "none" not in run.provider.metadata["id_token_signing_alg_values_supported"]


def oidcc_ensure_request_without_nonce_succeeds_for_code_flow(run: Run) -> None:
    """No nonce sent, none returned."""
    run.flow(nonce=None)


def oidcc_ensure_request_without_nonce_fails(run: Run) -> None:
    """Where an ID token comes through the browser, the nonce is not optional."""
    run.refused("invalid_request", nonce=None)


def oidcc_ensure_post_request_succeeds(run: Run) -> None:
    """The authorization request as a form."""
    run.flow(method="POST")


# --- UserInfo and scopes --------------------------------------------------------------------------------------------


def oidcc_userinfo_get(run: Run) -> None:
    """GET, token in the header."""
    outcome = run.flow()
    _userinfo(run, outcome)


def oidcc_userinfo_post_header(run: Run) -> None:
    """POST, token in the header."""
    outcome = run.flow()
    _userinfo(run, outcome, method="POST")


def oidcc_userinfo_post_body(run: Run) -> None:
    """POST, token in the form."""
    outcome = run.flow()
    _userinfo(run, outcome, method="POST", in_body=True)


def oidcc_scope_profile(run: Run) -> None:
    """scope=openid profile."""
    _scope(run, "openid profile")


def oidcc_scope_email(run: Run) -> None:
    """scope=openid email."""
    _scope(run, "openid email")


def oidcc_scope_address(run: Run) -> None:
    """scope=openid address."""
    _scope(run, "openid address")


def oidcc_scope_phone(run: Run) -> None:
    """scope=openid phone."""
    _scope(run, "openid phone")


def oidcc_scope_all(run: Run) -> None:
    """All of them."""
    _scope(run, "openid address email phone profile")


def oidcc_ensure_other_scope_order_succeeds(run: Run) -> None:
    """openid need not be the first."""
    _scope(run, "email openid")


def oidcc_claims_essential(run: Run) -> None:
    """name as an essential claim: of UserInfo where there is one, else of the ID token."""
    alone = run.variant.response_type == "id_token"
    outcome = run.flow(claims=json.dumps({"id_token" if alone else "userinfo": {"name": {"essential": True}}}))
    if alone:
        assert outcome.claims["name"]
        return
    assert _userinfo(run, outcome)["name"]
    assert "name" not in outcome.claims


# --- the person and their session -----------------------------------------------------------------------------------


def oidcc_display_page(run: Run) -> None:
    """display=page."""
    run.flow(display="page")


def oidcc_display_popup(run: Run) -> None:
    """display=popup."""
    run.flow(display="popup")


def oidcc_prompt_login(run: Run) -> None:
    """prompt=login: the person signs in a second time, and auth_time tells."""
    first = run.flow()
    run.travel(2)
    second = run.flow(prompt="login")
    assert run.agent.signed_in == 2
    assert second.claims["auth_time"] > first.claims["auth_time"] and second.claims["sub"] == first.claims["sub"]


def oidcc_prompt_none_not_logged_in(run: Run) -> None:
    """prompt=none without a session: an error, with the long state intact."""
    run.refused(*checks.UI_ERRORS, prompt="none", state=LONG_STATE)
    assert run.agent.signed_in == 0


def oidcc_prompt_none_logged_in(run: Run) -> None:
    """prompt=none with a session: no page, the same authentication."""
    _same_twice(run, prompt="none")


def oidcc_max_age_1(run: Run) -> None:
    """max_age=1 after two seconds: a new sign-in, and a later auth_time."""
    first = run.flow()
    run.travel(2)
    second = run.flow(max_age="1")
    assert run.agent.signed_in == 2
    assert second.claims["auth_time"] > first.claims["auth_time"]
    assert second.claims["iat"] - second.claims["auth_time"] <= 10


def oidcc_max_age_10000(run: Run) -> None:
    """max_age=10000: no new sign-in, auth_time present and the same."""
    _same_twice(run, max_age="10000")


def oidcc_id_token_hint(run: Run) -> None:
    """prompt=none with the ID token of before."""
    first = run.flow()
    run.travel(2)
    second = run.flow(prompt="none", id_token_hint=first.raw_id_token)
    _is_same(run, first, second)


def oidcc_login_hint(run: Run) -> None:
    """A hint about a person who does not exist disturbs nobody."""
    run.flow(login_hint=f"buffy@{urlsplit(run.issuer).hostname}")


def oidcc_ui_locales(run: Run) -> None:
    """A language that we do not speak."""
    run.flow(ui_locales="se")


def oidcc_claims_locales(run: Run) -> None:
    """And claims in it."""
    run.flow(claims_locales="se")


def oidcc_ensure_request_with_acr_values_succeeds(run: Run) -> None:
    """All acr values that we offer; the ID token says one of them."""
    offered = run.provider.metadata["acr_values_supported"]
    assert run.flow(acr_values=" ".join(offered)).claims["acr"] in offered


# --- requests that are odd ------------------------------------------------------------------------------------------


def oidcc_ensure_request_with_unknown_parameter_succeeds(run: Run) -> None:
    """What is not understood is ignored."""
    run.flow(extra="foobar")


def oidcc_ensure_registered_redirect_uri(run: Run) -> None:
    """An address that is not registered: told to the person, who is sent nowhere."""
    shown = run.open(run.request(redirect_uri=f"{CALLBACK}/Zx9"))
    checks.error_page(shown, "redirect_uri")


def oidcc_ensure_request_with_valid_pkce_succeeds(run: Run) -> None:
    """S256."""
    params = run.request(code_challenge=CHALLENGE, code_challenge_method="S256")
    run.complete(params | {"verifier": VERIFIER}, run.open(params))


def oidcc_request_uri_unsigned_supported_correctly_or_rejected_as_unsupported(run: Run) -> None:
    """The suite skips this where `none` is not offered. Sent all the same, it is refused and not ignored."""
    assert "none" not in run.provider.metadata["request_object_signing_alg_values_supported"]
    run.refused("request_uri_not_supported", request_uri="https://suite.example.org/requesturi.jwt#Zx9")


def oidcc_unsigned_request_object_supported_correctly_or_rejected_as_unsupported(run: Run) -> None:
    """As above, by value."""
    assert "none" not in run.provider.metadata["request_object_signing_alg_values_supported"]
    run.refused("invalid_request_object", request=_unsigned(run, run.request()))


def oidcc_ensure_request_object_with_redirect_uri(run: Run) -> None:
    """As above; and a foreign redirect_uri beside the object is never used."""
    assert "none" not in run.provider.metadata["request_object_signing_alg_values_supported"]
    inside = run.request()
    shown = run.open(inside | {"redirect_uri": f"{CALLBACK}/Zx9", "request": _unsigned(run, inside)})
    checks.error_page(shown, "redirect_uri")


# --- codes and refresh tokens ---------------------------------------------------------------------------------------


def oidcc_codereuse(run: Run) -> None:
    """A code is good once."""
    outcome = run.flow()
    checks.token_error(run.redeem(outcome.fields["code"]), "invalid_grant")


def oidcc_codereuse_30seconds(run: Run) -> None:
    """Also later; and what it brought dies with it."""
    outcome = run.flow()
    run.travel(30)
    checks.token_error(run.redeem(outcome.fields["code"]), "invalid_grant")
    assert run.userinfo(outcome.tokens["access_token"]).status_code == 401


def oidcc_refresh_token(run: Run) -> None:
    """Refreshing keeps what an ID token says of the sign-in, for one client and for the other; never across them."""
    assert "refresh_token" in run.provider.metadata["grant_types_supported"]
    _refreshed(run)
    first = run.client
    run.client = run.provider.client(run.variant, client_name="Conformance suite, second client")
    foreign = _refreshed(run, scope=None)
    run.client = first
    checks.token_error(run.token(grant_type="refresh_token", refresh_token=foreign), "invalid_grant")


def _refreshed(run: Run, scope: str | None = "openid offline_access") -> str:
    first = run.flow(scope="openid offline_access", prompt="consent")
    run.travel(1)
    narrowed = {"scope": scope} if scope else {}
    answer = run.token(grant_type="refresh_token", refresh_token=first.tokens["refresh_token"], **narrowed)
    said = checks.token_response(answer)
    assert said["access_token"] != first.tokens["access_token"]
    claims = run.check_id_token(said["id_token"], nonce=None)
    assert all(claims[name] == first.claims[name] for name in ("iss", "sub", "aud", "azp", "auth_time"))
    assert claims["iat"] > first.claims["iat"]
    assert run.userinfo(said["access_token"]).status_code == 200
    return str(said["refresh_token"])


# --- inside ---------------------------------------------------------------------------------------------------------


def _fallback(run: Run) -> str:
    return "form_post" if run.variant.form_post else "query"


def _userinfo(run: Run, outcome: Outcome, **how: Any) -> dict[str, Any]:
    assert outcome.access_token
    said = checks.document(run.userinfo(outcome.access_token, **how))
    checks.standard_claims(said)
    assert said["sub"] == outcome.claims["sub"]
    return said


def _scope(run: Run, scope: str) -> None:
    outcome = run.flow(scope=scope)
    if outcome.access_token is None:
        checks.claims_of_scopes(outcome.claims, scope)
        return
    checks.claims_of_scopes(_userinfo(run, outcome), scope)
    unasked = {name for word in scope.split() for name in checks.CLAIMS_OF_SCOPE[word]} - {"sub"}
    for claims in (outcome.front, outcome.back):
        assert not unasked & (claims or {}).keys(), "claims of scopes are UserInfo's to tell (OIDC Core 5.4)"


def _same_twice(run: Run, **changes: str) -> None:
    first = run.flow()
    run.travel(2)
    _is_same(run, first, run.flow(**changes))


def _is_same(run: Run, first: Outcome, second: Outcome) -> None:
    assert run.agent.signed_in == 1, "nobody was asked again"
    assert (first.claims["sub"], first.claims["auth_time"]) == (second.claims["sub"], second.claims["auth_time"])


def _unsigned(run: Run, inside: dict[str, str]) -> str:
    body = inside | {"iss": run.client.client_id, "aud": run.issuer}
    return checks.unsigned(f"x.{checks.encoded(body)}.x")
