"""prompt=create (Initiating User Registration via OpenID Connect 1.0): where an account is offered, and where none is."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.oauth.conftest import RelyingParty, answer_in, csrf_in


class TestOn:
    @pytest.fixture
    def setup(self) -> dict[str, Any]:
        return {"registration": {"enabled": True}}

    def test_it_leads_to_where_an_account_is_asked_for(self, rp: RelyingParty, client: FlaskClient) -> None:
        sent = rp.authorize(prompt="create")
        where = urlsplit(sent.headers["Location"])
        assert (sent.status_code, where.path) == (303, "/sign-up")
        assert parse_qs(where.query)["client"] == [rp.client.client_id]
        page = client.get(sent.headers["Location"])
        assert "Get an account" in page.text

    def test_attack_76_only_an_application_of_the_house_is_where_it_ends(
        self, partner: RelyingParty, make_rp, client: FlaskClient
    ) -> None:
        page = client.get(partner.authorize(prompt="create").headers["Location"])
        assert "for Partner" not in page.text and f'value="{partner.client.client_id}"' not in page.text
        ours = make_rp(client_name="Claims service", first_party=True)
        page = client.get(ours.authorize(prompt="create").headers["Location"])
        assert "for Claims service" in page.text and f'value="{ours.client.client_id}"' in page.text

    def test_who_has_an_account_goes_on_with_the_same_request(
        self, rp: RelyingParty, client: FlaskClient, alice, sign_in_as
    ) -> None:
        page = client.get(rp.authorize(prompt="create", state="s-17").headers["Location"])
        back = re.search(r'href="(/authorize/resume\?txn=[^"]+)"', page.text)
        assert back
        assert "/login" in client.get(back[1]).headers["Location"]
        sign_in_as(alice)
        answered = answer_in(client.get(back[1]))
        assert answered["state"] == "s-17" and "code" in answered

    def test_o9_a_post_is_offered_one_too(self, rp: RelyingParty, client: FlaskClient) -> None:
        resumed = client.post("/authorize", data=rp.params(prompt="create")).headers["Location"]
        assert urlsplit(client.get(resumed).headers["Location"]).path == "/sign-up"

    def test_somebody_who_is_signed_in_may_make_another_account(
        self, rp: RelyingParty, client: FlaskClient, alice, sign_in_as
    ) -> None:
        sign_in_as(alice)
        assert urlsplit(rp.authorize(prompt="create").headers["Location"]).path == "/sign-up"

    def test_discovery_says_so_and_none_still_stands_alone(self, rp: RelyingParty, client: FlaskClient) -> None:
        assert "create" in client.get("/.well-known/openid-configuration").json["prompt_values_supported"]  # type: ignore[index]
        assert rp.callback(prompt="none create")["error"] == "invalid_request"

    def test_the_mail_leads_to_an_account_and_back_to_the_application(
        self, app: Flask, rp: RelyingParty, client: FlaskClient, mailbox
    ) -> None:
        page = client.get(rp.authorize(prompt="create").headers["Location"])
        form = {"csrf": csrf_in(page), "email": "noor@example.org", "client": rp.client.client_id}
        assert client.post("/sign-up", data=form).status_code == 303
        link = re.search(r"http://localhost(/sign-up/confirm\?token=\S+)", mailbox()[-1].body)
        assert link and client.get(link[1]).headers["Location"] == "/sign-up/confirm"


def test_off_it_is_an_error_that_the_application_hears_and_discovery_does_not_list_it(
    rp: RelyingParty, client: FlaskClient, alice, sign_in_as
) -> None:
    sign_in_as(alice)
    told = rp.callback(prompt="create")
    assert told["error"] == "invalid_request" and "create" in told["error_description"]
    assert "create" not in client.get("/.well-known/openid-configuration").json["prompt_values_supported"]  # type: ignore[index]
