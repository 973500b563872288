"""What applications may do, and taking it back."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask

from idp import clock, oauth, sessions
from idp.clients import Client
from idp.db import db
from idp.oauth.tokens import Family
from idp.users import User
from tests.account.conftest import make_client
from tests.authn.signing_in import Browser

PAGE = "/account/apps"


def authorize(user: User, client: Client, *scopes: str, offline: bool = False) -> Family:
    asked = oauth.resources.Asked(("openid", *scopes), ())
    family = oauth.tokens.open_family(
        sessions.of(user.sub)[0], client_id=client.client_id, granted=asked, claims={}, offline=offline
    )
    oauth.tokens.issue(family)
    db.session.commit()
    return family


def allow(user: User, client: Client, *scopes: str) -> None:
    db.session.add(
        oauth.consent.ConsentRow(sub=user.sub, client_id=client.client_id, scopes=list(scopes), granted_at=clock.now())
    )
    db.session.commit()


def test_nothing_allowed_is_said(alice: Browser) -> None:
    page = alice.get(PAGE).answer.text
    assert "None. You are asked before" in page and "None has access at the moment." in page


def test_attack_55_a_permission_is_shown_and_taken_back_with_all_that_hung_on_it(
    alice: Browser, user: User, audit_trail
) -> None:
    client = make_client("footpath")
    family = authorize(user, client, "claims.read")
    allow(user, client, "claims.read")
    page = alice.get(PAGE)
    token = page.csrf()
    assert "footpath" in page.answer.text and "See claims and their status" in page.answer.text
    page.post(f"{PAGE}/revoke", client_id=client.client_id)
    assert "has no access to your account any more" in page.answer.text and "footpath" not in page.answer.text
    assert oauth.consent.of(user.sub) == []
    found = oauth.tokens.find_family(family.id)
    assert found and not found.is_live
    assert "consent.revoked" in audit_trail
    assert page.post(f"{PAGE}/revoke", client_id=client.client_id, csrf=token).answer.status_code == 404


def test_services_of_the_house_are_listed_and_lose_their_tokens_too(alice: Browser, user: User) -> None:
    client = make_client("claims", first_party=True)
    family = authorize(user, client, offline=True)
    page = alice.get(PAGE).answer.text
    assert page.index("Services of your organisation") < page.index("<bdi>claims</bdi>")
    assert "Also when you are signed out" in page
    alice.post(f"{PAGE}/revoke", client_id=client.client_id)
    found = oauth.tokens.find_family(family.id)
    assert found and not found.is_live and "<bdi>claims</bdi>" not in alice.get(PAGE).answer.text


def test_a_permission_without_tokens_says_so(alice: Browser, user: User) -> None:
    allow(user, make_client("quiet"), "claims.read")
    page = alice.get(PAGE).answer.text
    assert "None until you open it again" in page and "Not lately" in page


def test_attack_126_what_somebody_else_allowed_stays_theirs(alice: Browser, user: User, app: Flask) -> None:
    from tests.authn.signing_in import make_person

    bob, client = make_person("bob"), make_client("footpath")
    allow(bob, client, "claims.read")
    assert "footpath" not in alice.get(PAGE).answer.text
    statuses = [
        alice.get("/").post(f"{PAGE}/revoke", client_id=client_id).answer.status_code
        for client_id in (client.client_id, "no-such-client")
    ]
    assert statuses == [404, 404] and len(oauth.consent.of(bob.sub)) == 1


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "Bank‮elpmaxe"])
def test_attack_64_a_name_stays_a_name(alice: Browser, user: User, name: str) -> None:
    client = make_client("plain")
    authorize(user, client)
    db.session.execute(sa.text("UPDATE clients SET client_name = :name"), {"name": name})
    db.session.commit()
    assert "<script>alert" not in alice.get(PAGE).answer.text
