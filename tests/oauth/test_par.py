"""POST /par and what becomes of a pushed request (RFC 9126, F-29, attacks 20, 21)."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest

from idp import clock, kv
from idp.oauth import par
from tests.conftest import CLAIMS_API, in_threads
from tests.oauth.conftest import Answer, answer_in, basic, claims_of, csrf_in
from tests.oauth.signing import assertion_claims, jwks, key, proof, publishing, sign


@pytest.fixture
def db_url(sqlite_url):
    """Nothing here depends on the database system."""
    return sqlite_url


@pytest.fixture
def signed_in(alice, sign_in_as):
    return sign_in_as(alice)


def push(rp, *, headers=None, **changes):
    """Push a good request with some changes, authenticated as registered."""
    headers = headers if headers is not None else {"Authorization": basic(rp.client.client_id, rp.raw_secret or "")}
    return Answer(rp.http.post("/par", data=rp.params(**changes), headers=headers))


def follow(rp, request_uri, *, browser=None, **more):
    """What the browser does with it: only client_id and request_uri."""
    query = {"client_id": rp.client.client_id, "request_uri": request_uri, **more}
    return (browser or rp.http).get(f"/authorize?{urlencode(query)}")


def gone(response) -> bool:
    """A page of ours says so; nobody is sent anywhere."""
    return response.status_code == 400 and "Location" not in response.headers


def test_rfc9126_2_2_the_answer(rp, client, audit_trail):
    answer = push(rp)
    assert answer.status == 201 and answer.response.headers["Cache-Control"] == "no-store"
    assert answer.request_uri.startswith("urn:ietf:params:oauth:request_uri:")
    assert len(answer.request_uri) - len(par.PREFIX) >= 43  # 256 bits
    assert 5 <= answer.expires_in < 600
    assert "authorization.pushed" in audit_trail
    document = client.get("/.well-known/openid-configuration").get_json()
    assert document["pushed_authorization_request_endpoint"].endswith("/par")


def test_rfc9126_4_the_browser_carries_a_name_and_nothing_else(rp, signed_in):
    told = answer_in(follow(rp, push(rp).request_uri))
    assert told["state"] == "state-1" and rp.redeem(told["code"]).status == 200


def test_rfc9126_4_what_stands_beside_the_name_is_not_looked_at(rp, signed_in):
    request_uri = push(rp, scope="openid").request_uri
    evil = {"redirect_uri": "https://evil.example.com/", "scope": "openid profile", "state": "evil", "prompt": "login"}
    told = answer_in(follow(rp, request_uri, **evil))
    assert told["state"] == "state-1"
    assert rp.redeem(told["code"]).scope == "openid"


def test_f29_the_name_is_used_up_by_the_answer_and_not_by_a_page(rp, signed_in, alice, sign_in_as, app):
    request_uri = push(rp, prompt="login").request_uri
    for _ in range(3):
        assert "/login" in follow(rp, request_uri).location  # loading again does no harm
    fresh = push(rp).request_uri
    assert "code" in answer_in(follow(rp, fresh))
    assert gone(follow(rp, fresh))
    other = app.test_client()
    sign_in_as(alice, browser=other)
    assert gone(follow(rp, fresh, browser=other))


def test_f29_of_two_open_pages_one_is_answered(partner, signed_in):
    request_uri = push(partner).request_uri
    first, second = (follow(partner, request_uri).location for _ in range(2))
    pages = {address: csrf_in(partner.http.get(address)) for address in (first, second)}
    for address, expected in ((first, "code"), (second, "error")):
        sent = partner.http.post(address, data={"decision": "allow", "csrf": pages[address]})
        assert expected in answer_in(sent)
    assert gone(follow(partner, request_uri))


def test_f29_a_denial_is_an_answer_too(partner, signed_in):
    request_uri = push(partner).request_uri
    address = follow(partner, request_uri).location
    sent = partner.http.post(address, data={"decision": "deny", "csrf": csrf_in(partner.http.get(address))})
    assert answer_in(sent)["error"] == "access_denied"
    assert gone(follow(partner, request_uri))


def test_f29_of_twenty_browsers_at_once_one_has_the_code(app, rp, alice, sign_in_as):
    request_uri = push(rp).request_uri
    browsers = [app.test_client() for _ in range(20)]
    for browser in browsers:
        sign_in_as(alice, browser=browser)

    def go(number: int) -> bool:
        return "code=" in (follow(rp, request_uri, browser=browsers[number]).location or "")

    assert sum(in_threads(20, app, go)) == 1


def test_f29_a_sign_in_may_take_longer_than_the_name_lives(rp, alice, sign_in_as):
    request_uri = push(rp).request_uri
    assert "/login" in follow(rp, request_uri).location
    txn = _parked()
    with clock.travel(300):
        sign_in_as(alice)
        assert "code" in answer_in(rp.http.get(f"/authorize/resume?txn={txn}"))
        assert gone(follow(rp, request_uri))


def _parked() -> str:
    """The name of the only parked request, which the sign-in keeps in its flow."""
    found = (
        re.search(r"txn=([\w.~-]+)", str(kv.client().get(name))) for name in kv.client().scan_iter(kv.key("flow*"))
    )
    (txn,) = {match[1] for match in found if match}
    return txn


# --- attack 20 ----------------------------------------------------------------------------------------------------


def test_attack_20_guessed_foreign_and_expired_names(rp, make_rp, signed_in):
    request_uri = push(rp).request_uri
    other = make_rp(client_name="Other")
    assert gone(follow(other, request_uri))
    assert gone(follow(rp, par.PREFIX + "x" * 43))
    assert gone(follow(rp, request_uri + "x"))
    assert gone(follow(rp, par.PREFIX + request_uri.removeprefix(par.PREFIX).swapcase()))
    assert gone(rp.http.get(f"/authorize?{urlencode({'request_uri': request_uri})}"))
    with clock.travel(91):
        assert gone(follow(rp, request_uri))
    assert "code" in answer_in(follow(rp, request_uri))  # none of that used it up


def test_attack_20_an_address_is_never_fetched(rp, signed_in):
    with publishing({}) as site:
        for request_uri in (site.url, site.url.replace("http:", "https:"), "https://rp.example.org/request.jwt"):
            assert answer_in(rp.authorize(request_uri=request_uri))["error"] == "request_uri_not_supported"
        assert site.calls == 0


# --- attack 21 and the endpoint -----------------------------------------------------------------------------------


def test_attack_21_verb_authentication_and_request_uri(rp, client):
    assert client.get("/par").status_code == 405
    assert push(rp, headers={}).status == 401
    assert push(rp, headers={"Authorization": basic(rp.client.client_id, "x" * 43)}).error == "invalid_client"
    assert push(rp, request_uri=par.PREFIX + "x").error == "invalid_request"
    assert push(rp, request_uri="https://rp.example.org/r").error == "invalid_request"
    answer = Answer(client.post("/par?client_id=x", data=rp.params()))
    assert answer.error == "invalid_request"


def test_attack_6_nothing_is_pushed_twice_in_one_request(rp):
    assert push(rp, state=["a", "b"]).error == "invalid_request"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"redirect_uri": "https://evil.example.com/cb"}, "invalid_request"),
        ({"redirect_uri": "https://rp.example.org/cb/"}, "invalid_request"),
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": "patients.read"}, "invalid_scope"),
        ({"resource": "https://x.example.org"}, "invalid_target"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"claims": "{"}, "invalid_request"),
        ({"request": "x.y.z"}, "invalid_request_object"),
    ],
)
def test_rfc9126_2_3_what_authorize_would_refuse_is_refused_at_once(rp, changes, error):
    answer = push(rp, **changes)
    assert answer.status == 400 and answer.error == error and answer.request_uri is None


def test_rfc9126_2_1_a_public_client_may_push_and_proves_nothing_by_it(make_rp, signed_in):
    spa = make_rp(token_endpoint_auth_method="none", client_name="SPA")
    answer = push(spa, headers={})
    assert answer.status == 201
    assert "code" in answer_in(follow(spa, answer.request_uri))


def test_rfc9126_2_1_with_private_key_jwt(make_rp, signed_in):
    rp = make_rp(token_endpoint_auth_method="private_key_jwt", jwks=jwks(key()))
    answer = push(rp, headers={}, **proof(sign(assertion_claims(rp.client.client_id), key())))
    assert answer.status == 201
    told = answer_in(follow(rp, answer.request_uri))
    assert rp.redeem(told["code"], **proof(sign(assertion_claims(rp.client.client_id), key()))).status == 200


def test_a_resource_is_kept(rp, signed_in):
    request_uri = push(rp, resource=[CLAIMS_API], scope="openid claims.read").request_uri
    told = answer_in(follow(rp, request_uri))
    assert claims_of(rp.redeem(told["code"]).access_token)["aud"] == CLAIMS_API


def test_rfc9126_secrets_are_not_kept_with_the_request(make_rp):
    rp = make_rp(token_endpoint_auth_method="client_secret_post")
    assert push(rp, headers={}, client_secret=rp.raw_secret).status == 201
    kept = [str(kv.client().get(name)) for name in kv.client().scan_iter(kv.key("pushed", "*"))]
    assert len(kept) == 1 and rp.raw_secret not in kept[0]


def test_rfc9126_6_a_client_that_promised_to_push_cannot_do_otherwise(make_rp, signed_in):
    rp = make_rp(require_pushed_authorization_requests=True)
    told = rp.callback()
    assert told["error"] == "invalid_request" and "/par" in told["error_description"]
    assert "code" in answer_in(follow(rp, push(rp).request_uri))


def test_rfc9126_a_post_to_authorize_works_as_well(rp, signed_in):
    form = {"client_id": rp.client.client_id, "request_uri": push(rp).request_uri}
    sent = rp.http.post("/authorize", data=form)
    assert "code" in answer_in(rp.http.get(sent.location))
