"""What applications see of passkeys: acr and amr of ID tokens, and what a request for phr demands (attack 103)."""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from idp import users
from idp.authn.factors import passkey, password, totp
from tests.authn.authenticator import Authenticator
from tests.authn.signing_in import PASSWORD, code_of, new_secret
from tests.authn.signing_in import Browser as Window
from tests.oauth.conftest import REDIRECT_URI, claims_of, committing

TWO, PHR = "urn:idp:acr:2fa", "urn:idp:acr:phr"
SECRET = new_secret()


@pytest.fixture
def key(app, alice):
    """A passkey of Alice, who has a password and an app as well."""
    made = Authenticator()
    with committing():
        person = users.get_by_sub(alice.sub)
        password.set_password(person, PASSWORD, actor=person.sub)
        totp.bind(person, SECRET, actor=None)
        passkey.enrol(person, "f", made.create(passkey.creation_options(person, "f")))
    return made


@pytest.fixture
def window(client):
    """The browser of the relying party's person, on the provider's pages."""
    return Window(client, goals=(urlsplit(REDIRECT_URI).path,))


def asked(window, rp, **wanted):
    return window.get(f"/authorize?{urlencode(rp.params(**wanted), doseq=True)}")


def use(window, key):
    options = window.client.post(
        f"/login/passkey/options?flow={window.flow_id}",
        data={"csrf": window.csrf()},
        headers={"Accept": "application/json"},
    )
    path = "sign-in" if window.place == "/login" else ""
    return window.post(
        f"/login/passkey/{path}?flow={window.flow_id}".replace("/?", "?"), credential=key.get(options.json)
    )


def id_token(window, rp):
    assert window.path.startswith(REDIRECT_URI), window.path
    code = parse_qs(urlsplit(window.path).query)["code"][0]
    return claims_of(rp.redeem(code).id_token)


def test_a_passkey_is_phishing_resistant_in_the_id_token(rp, key, window):
    use(asked(window, rp), key)
    claims = id_token(window, rp)
    assert (claims["acr"], claims["amr"]) == (PHR, ["hwk", "user", "mfa"])


def test_attack_103_a_code_is_told_as_a_code_and_does_not_meet_phr(rp, key, window):
    asked(window, rp, acr_values=PHR).give_password()
    window.get(f"/login/totp?flow={window.flow_id}").post(code=code_of(SECRET))
    assert window.place == "/login/passkey"
    use(window, key)
    assert id_token(window, rp)["acr"] == PHR


def test_phr_among_others_is_a_wish_and_reality_is_told(rp, key, window):
    asked(window, rp, acr_values=f"{PHR} {TWO}").give_password()
    assert window.place == "/login/passkey", "who has one is asked for it first"
    window.get(f"/login/totp?flow={window.flow_id}").post(code=code_of(SECRET))
    assert id_token(window, rp)["acr"] == TWO
