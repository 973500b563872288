"""oidcc-3rdparty-init-login-certification-test-plan, with an initial access token as the suite can be given one."""

from datetime import timedelta

import pytest

from idp import clock
from idp.clients import registration_tokens
from idp.db import committing
from tests.oauth.conformance import registration_modules as modules


@pytest.fixture
def initial_token(provider):
    with provider.app.app_context(), committing():
        _, raw_token = registration_tokens.create(
            label="suite", scopes=("openid", "profile"), uses=1, expires_at=clock.now() + timedelta(hours=1)
        )
    return raw_token


def test_oidcc_3rd_party_init_login(provider, begin, initial_token):
    run = begin(provider)
    modules.oidcc_3rd_party_init_login(run, initial_token)
    modules.unregister_all(run)


def test_oidcc_3rd_party_init_login_nohttps(provider, begin, initial_token):
    modules.oidcc_3rd_party_init_login_nohttps(begin(provider), initial_token)
