"""Alice, signed in, and her other browsers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask

from idp import clients
from idp.clients import Client
from idp.db import db
from idp.users import User
from tests.authn.signing_in import Browser, browser, make_person, new_secret

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPAD = "Mozilla/5.0 (iPad; CPU OS 19_1 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1"
SECRET = new_secret()


@pytest.fixture
def user(app: Flask) -> User:
    return make_person(secret=SECRET, roles=("physician",))


@pytest.fixture
def alice(app: Flask, user: User) -> Browser:
    """Alice, signed in, on her page."""
    here = browser(app)
    here.client.environ_base["HTTP_USER_AGENT"] = FIREFOX
    return here.sign_in(secret=SECRET).get("/")


@pytest.fixture
def elsewhere(app: Flask, travel: Callable[[float], None]) -> Callable[..., Browser]:
    """Sign somebody in, in another browser, with the next code of their app."""

    def signed_in(username: str = "alice", secret: str = SECRET) -> Browser:
        travel(30)
        other = browser(app)
        other.client.environ_base["HTTP_USER_AGENT"] = IPAD
        other.sign_in(username, secret=secret)
        assert other.secret
        return other

    return signed_in


def sid_of(one: Browser) -> str:
    return one.secret.split(".")[0]


def make_client(name: str, *, first_party: bool = False, client_uri: str = "") -> Client:
    page = {"client_uri": client_uri} if client_uri else {}
    made, _ = clients.create(
        {"client_name": name, "redirect_uris": [f"https://{name}.example.org/cb"], "first_party": first_party, **page}
    )
    db.session.commit()
    return made
