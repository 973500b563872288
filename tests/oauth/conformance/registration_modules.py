"""The modules of the plans that register their client themselves: Dynamic, and third-party-initiated login."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet

from idp import keys
from idp.db import committing
from tests.oauth.conformance import checks
from tests.oauth.conformance.browser import Shown
from tests.oauth.conformance.suite import CALLBACK, Client, Run
from tests.oauth.signing import Published, key, sign

HOST = "https://suite.example.org"
OURS = {
    "client_id",
    "client_secret",
    "client_secret_expires_at",
    "registration_access_token",
    "registration_client_uri",
}


# --- registering ----------------------------------------------------------------------------------------------------


def register(run: Run, *, initial_token: str | None = None, rsa: Any = None, **changes: Any) -> dict[str, Any]:
    """Register as the suite does, and check the answer; the run goes on with this client."""
    said = _registered(post(run, initial_token=initial_token, **changes))
    run.registered.append(said)
    run.client = Client(
        client_id=said["client_id"],
        secret=said.get("client_secret"),
        redirect_uri=said["redirect_uris"][0],
        alg=said["id_token_signed_response_alg"],
        key=rsa or _key(),
        kid=rsa.kid if rsa else None,  # keys that the suite registers by value have none
    )
    return said


def post(run: Run, *, initial_token: str | None = None, **changes: Any) -> Any:
    """POST the metadata that the suite sends, changed; None takes a member away."""
    public = {name: value for name, value in _key().as_dict(private=False).items() if name != "kid"}
    good = {
        "client_name": "Conformance suite a1B2c3",
        "grant_types": ["authorization_code"],
        "jwks": {"keys": [public | {"alg": "RS256", "use": "sig"}]},
        "token_endpoint_auth_method": run.variant.client_auth,
        "response_types": [run.variant.response_type],
        "redirect_uris": [CALLBACK],
        "contacts": ["certification@example.org"],
    }
    body = {name: value for name, value in {**good, **changes}.items() if value is not None}
    headers = {"Authorization": f"Bearer {initial_token}"} if initial_token else {}
    path = run.provider.metadata["registration_endpoint"].removeprefix(run.issuer)
    return run.provider.http().post(path, json=body, headers=headers, base_url=run.issuer)


def _key() -> Any:
    return key("2048", "suite")


def _registered(answer: Any) -> dict[str, Any]:
    said = answer.get_json()
    assert answer.status_code == 201 and answer.mimetype == "application/json" and "error" not in said, said
    assert said["client_id"] and said["registration_access_token"]
    assert urlsplit(said["registration_client_uri"]).scheme == "https"
    assert "client_secret" not in said or isinstance(said["client_secret_expires_at"], int)
    return dict(said)


def _refused(answer: Any, *errors: str) -> None:
    assert answer.status_code == 400 and answer.mimetype == "application/json"
    assert answer.get_json()["error"] in errors
    checks.described(answer.get_json())


# --- Dynamic: tokens and UserInfo -----------------------------------------------------------------------------------


def oidcc_discovery_endpoint_verification(run: Run) -> None:
    """What a dynamic provider owes beside the rest."""
    checks.discovery(run.provider.metadata, run.issuer)
    kinds = [" ".join(sorted(kind.split())) for kind in run.provider.metadata["response_types_supported"]]
    assert {"code", "id_token", "id_token token"} <= set(kinds)
    assert {"authorization_code", "implicit"} <= set(run.provider.metadata["grant_types_supported"])


def oidcc_server(run: Run) -> None:
    """Registered without a word about algorithms or scopes, and with keys that have no kid."""
    register(run)
    assert "name" not in run.flow().claims


def oidcc_idtoken_rs256(run: Run) -> None:
    """id_token_signed_response_alg=RS256."""
    register(run, id_token_signed_response_alg="RS256")
    assert run.client.alg == "RS256"
    run.flow()


def oidcc_idtoken_unsigned(run: Run) -> None:
    """The suite skips this where `none` is not offered. Asked for all the same, it is refused."""
    assert "none" not in run.provider.metadata["id_token_signing_alg_values_supported"]
    _refused(post(run, id_token_signed_response_alg="none"), "invalid_client_metadata")


def oidcc_userinfo_rs256(run: Run) -> None:
    """userinfo_signed_response_alg=RS256: a JWT with iss and aud and without a nonce."""
    assert "RS256" in run.provider.metadata["userinfo_signing_alg_values_supported"]
    register(run, userinfo_signed_response_alg="RS256")
    outcome = run.flow()
    answer = run.userinfo(outcome.tokens["access_token"])
    assert answer.status_code == 200 and answer.mimetype == "application/jwt"
    known = KeySet.import_key_set(run.provider.keys())
    claims = jwt.decode(answer.get_data(as_text=True), known, algorithms=["RS256"]).claims
    assert claims["iss"] == run.issuer and claims["aud"] in (run.client.client_id, [run.client.client_id])
    assert claims["sub"] == outcome.claims["sub"] and "nonce" not in claims


# --- Dynamic: redirect URIs -----------------------------------------------------------------------------------------


def oidcc_ensure_redirect_uri_in_authorization_request(run: Run) -> None:
    """Two addresses registered and none sent."""
    register(run, redirect_uris=[CALLBACK, f"{CALLBACK}?second=1"])
    checks.error_page(run.open(run.request(redirect_uri=None)), "redirect_uri")


def oidcc_redirect_uri_query_ok(run: Run) -> None:
    """An address with a query, sent as registered: the query survives."""
    register(run, redirect_uris=[f"{CALLBACK}?foo=bar"])
    run.flow()


def oidcc_redirect_uri_query_mismatch(run: Run) -> None:
    """Sent with another query."""
    register(run, redirect_uris=[f"{CALLBACK}?foo=bar"])
    checks.error_page(run.open(run.request(redirect_uri=f"{CALLBACK}?bar=foo")), "redirect_uri")


def oidcc_redirect_uri_query_added(run: Run) -> None:
    """Registered without a query and sent with one."""
    register(run)
    checks.error_page(run.open(run.request(redirect_uri=f"{CALLBACK}?foo=bar")), "redirect_uri")


def oidcc_redirect_uri_regfrag(run: Run) -> None:
    """An address with a fragment cannot be registered."""
    _refused(post(run, redirect_uris=[f"{CALLBACK}#fragment"]), "invalid_redirect_uri", "invalid_request")


# --- Dynamic: what people are shown ---------------------------------------------------------------------------------


def oidcc_registration_policy_uri(run: Run) -> None:
    """policy_uri: people find it before they agree."""
    _is_linked(run, "policy_uri")


def oidcc_registration_tos_uri(run: Run) -> None:
    """tos_uri: likewise."""
    _is_linked(run, "tos_uri")


def oidcc_registration_logo_uri(run: Run) -> None:
    """logo_uri: linked to. That pages of strangers are never loaded into ours is on purpose (attack 65)."""
    _is_linked(run, "logo_uri")


def _is_linked(run: Run, name: str) -> None:
    uri = f"{HOST}/{name}"
    assert register(run, **{name: uri})[name] == uri
    run.agent.decides = False
    page = run.open(run.request())
    assert isinstance(page, Shown) and f'href="{html.escape(uri)}"' in page.html
    assert "Conformance suite a1B2c3" in page.html


# --- Dynamic: keys and sectors --------------------------------------------------------------------------------------


def oidcc_registration_jwks_uri(run: Run, published: Published) -> None:
    """Keys by reference."""
    rsa = key("2048", "by-reference")
    published.show({"keys": [rsa.as_dict(private=False)]})
    register(run, rsa=rsa, jwks=None, jwks_uri=published.url)
    run.flow()


def oidcc_registration_sector_uri(run: Run, published: Published) -> None:
    """A sector document that lists the address."""
    assert "pairwise" in run.provider.metadata["subject_types_supported"]
    published.show([CALLBACK])
    said = register(run, subject_type="pairwise", sector_identifier_uri=published.url)
    assert (said["subject_type"], said["sector_identifier_uri"]) == ("pairwise", published.url)


def oidcc_registration_sector_bad(run: Run, published: Published) -> None:
    """One that does not."""
    published.show(["https://example.com/op"])
    answer = post(run, subject_type="pairwise", sector_identifier_uri=published.url)
    _refused(answer, "invalid_client_metadata")


def oidcc_server_rotate_keys(run: Run) -> None:
    """After a rotation there is a new key, and the old one is still there."""
    before = run.provider.keys()
    checks.key_set(before)
    with run.provider.app.app_context(), committing():
        keys.rotate("RS256")
    after = run.provider.keys()
    checks.key_set(after)
    assert {one["kid"] for one in before["keys"]} < {one["kid"] for one in after["keys"]}


def oidcc_refresh_token_rp_key_rotation(run: Run, published: Published) -> None:
    """The client changes its key, and refreshes with an assertion of the new one a minute later."""
    first, second = key("2048", "before"), key("2048", "after")
    published.show({"keys": [first.as_dict(private=False)]})
    wishes = {"jwks": None, "jwks_uri": published.url, "grant_types": ["authorization_code", "refresh_token"]}
    register(run, rsa=first, **wishes)
    outcome = run.flow(scope="openid offline_access", prompt="consent")
    published.show({"keys": [second.as_dict(private=False)]})
    run.client = Client(run.client.client_id, None, CALLBACK, run.client.alg, second, second.kid)
    run.travel(60)
    refreshed(run, outcome)


def refreshed(run: Run, outcome: Any, **form: str) -> dict[str, Any]:
    """Refresh, and compare the ID tokens."""
    token = outcome.tokens["refresh_token"]
    said = checks.token_response(run.token(grant_type="refresh_token", refresh_token=token, **form))
    claims = run.check_id_token(said["id_token"], nonce=None)
    assert all(claims[name] == outcome.claims[name] for name in ("iss", "sub", "aud", "auth_time"))
    assert run.userinfo(said["access_token"]).status_code == 200
    return said


def oidcc_refresh_token(run: Run) -> None:
    """As in the Basic plan, with two clients that registered themselves."""
    grants = ["authorization_code", "refresh_token"]
    register(run, grant_types=grants)
    first = run.client
    outcome = run.flow(scope="openid offline_access", prompt="consent")
    refreshed(run, outcome, scope="openid offline_access")
    register(run, grant_types=grants, client_name="Conformance suite, second client")
    said = refreshed(run, run.flow(scope="openid offline_access", prompt="consent"))
    run.client = first
    checks.token_error(run.token(grant_type="refresh_token", refresh_token=said["refresh_token"]), "invalid_grant")


def oidcc_ensure_client_assertion_with_iss_aud_succeeds(run: Run) -> None:
    """The issuer as the audience of the assertion."""
    register(run)
    fields = run.answer(run.open(run.request()))
    said = checks.token_response(run.redeem(fields["code"], audience=run.issuer))
    assert said["id_token"]


def oidcc_request_uri_unsigned(run: Run, published: Published) -> None:
    """The request lies at an address that was registered, and nobody signed it (`request_uri_by_reference = "any"`)."""
    _by_reference(run, published, lambda inside: checks.unsigned(f"x.{checks.encoded(inside)}.x"))


def oidcc_request_uri_signed_rs256(run: Run, published: Published) -> None:
    """The same, signed with RS256 as it was registered, and with a fragment that is no hash of it, as the suite once had."""
    assert "RS256" in run.provider.metadata["request_object_signing_alg_values_supported"]

    def signed(inside: dict[str, str]) -> str:
        whole = inside | {"iss": run.client.client_id, "aud": run.issuer}
        return sign(whole, run.client.key, alg="RS256", kid=None)

    _by_reference(run, published, signed, fragment=f"#{'A' * 43}", request_object_signing_alg="RS256")


def _by_reference(
    run: Run, published: Published, write: Callable[[dict[str, str]], str], *, fragment: str = "", **wishes: Any
) -> None:
    assert run.provider.metadata["request_uri_parameter_supported"] is True
    published.url += f"requesturi/{'x' * 96}{fragment}"
    said = register(run, request_uris=[published.url], **wishes)
    assert said["request_uris"] == [published.url]
    inside = run.request()
    published.body, published.headers = write(inside).encode(), {"Content-Type": "application/jose"}
    outer = {name: inside[name] for name in ("client_id", "response_type", "scope", "redirect_uri")}
    run.complete(inside, run.open(outer | {"request_uri": published.url}))
    assert published.calls == 1


def oidcc_ensure_request_object_with_redirect_uri(run: Run) -> None:
    """The suite skips this where unsigned request objects are not offered."""
    assert "none" not in run.provider.metadata["request_object_signing_alg_values_supported"]


# --- third-party-initiated login ------------------------------------------------------------------------------------


def oidcc_3rd_party_init_login(run: Run, initial_token: str) -> None:
    """initiate_login_uri is registered, returned, and still there when the client reads itself."""
    uri = f"{HOST}/test/a/idp/initiate_login"
    said = register(run, initial_token=initial_token, initiate_login_uri=uri)
    assert said["initiate_login_uri"] == uri
    path = said["registration_client_uri"].removeprefix(run.issuer)
    headers = {"Authorization": f"Bearer {said['registration_access_token']}"}
    read = checks.document(run.provider.http().get(path, headers=headers, base_url=run.issuer))
    assert read["initiate_login_uri"] == uri and read["client_id"] == said["client_id"]


def oidcc_3rd_party_init_login_nohttps(run: Run, initial_token: str) -> None:
    """Without https it is refused."""
    answer = post(run, initial_token=initial_token, initiate_login_uri="http://suite.example.org/initiate_login")
    _refused(answer, "invalid_client_metadata")


def unregister_all(run: Run) -> None:
    """What the suite does at the end of each module."""
    for said in run.registered:
        path = said["registration_client_uri"].removeprefix(run.issuer)
        headers = {"Authorization": f"Bearer {said['registration_access_token']}"}
        assert run.provider.http().delete(path, headers=headers, base_url=run.issuer).status_code == 204
