"""What is taken back while a request is under way is taken back: a consent (attack 55), and a person for whom somebody vouches (119)."""

from __future__ import annotations

import contextvars
import threading
import time
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest
import sqlalchemy as sa

from idp import users
from idp.db import committing, db
from idp.oauth import consent, tokens
from tests.conftest import in_threads
from tests.oauth import test_jwt_bearer as bearer
from tests.oauth.test_consent import asked, decide
from tests.oauth.test_jwt_bearer import gateway, published  # noqa: F401 - fixtures

setup = bearer.setup


@pytest.fixture
def signed_in(alice, sign_in_as):
    return sign_in_as(alice)


@pytest.fixture
def allowed(partner, client, signed_in):
    """A third party whom alice has allowed what it asks for."""
    decide(client, asked(partner.authorize()), "allow")
    return partner


def reasons(client_id):
    """Why each family of an application ended, None for one that lives."""
    row = tokens.FamilyRow
    found = db.session.execute(sa.select(row.revoked_because).where(row.client_id == client_id)).scalars().all()
    db.session.rollback()
    return list(found)


def elsewhere(app, work):
    """Something that another thread does and commits; started, and not waited for."""

    def run():
        with app.app_context(), committing():
            work()

    thread = threading.Thread(target=lambda: contextvars.Context().run(run))
    thread.start()
    return thread


@pytest.fixture
def just_before(app, monkeypatch):
    """Have something done and committed elsewhere just before a function of a room is called the next time."""

    def arm(room, name, work):
        real, left = getattr(room, name), [work]

        def late(*args, **kwargs):
            if left:
                elsewhere(app, left.pop()).join()
            return real(*args, **kwargs)

        monkeypatch.setattr(room, name, late)

    return arm


@pytest.fixture
def just_after(app, monkeypatch):
    """Begin something elsewhere just after a function of a room; returns the threads that do it."""
    begun = []

    def arm(room, name, work):
        real = getattr(room, name)

        def early(*args, **kwargs):
            found = real(*args, **kwargs)
            begun.append(elsewhere(app, work))
            begun[-1].join(0.5)  # it cannot be done before this request is
            assert begun[-1].is_alive()
            return found

        monkeypatch.setattr(room, name, early)
        return begun

    return arm


# --- a consent --------------------------------------------------------------------------------------------------------


def test_attack_55_who_took_it_back_first_is_asked_again(allowed, alice, just_before):
    just_before(consent, "hold", lambda: consent.revoke(alice.sub, allowed.client.client_id, actor=alice.sub))
    asked(allowed.authorize())


def test_attack_55_and_without_a_page_there_is_no_code(allowed, alice, just_before):
    just_before(consent, "hold", lambda: consent.revoke(alice.sub, allowed.client.client_id, actor=alice.sub))
    assert allowed.callback(prompt="none")["error"] == "consent_required"


@pytest.mark.parametrize("scope", ["openid", "openid offline_access"])
def test_attack_55_who_takes_it_back_while_a_code_is_made_ends_that_code(
    partner, client, alice, signed_in, just_after, scope
):
    decide(client, asked(partner.authorize(scope=scope)), "allow")
    begun = just_after(
        tokens, "open_family", lambda: consent.revoke(alice.sub, partner.client.client_id, actor=alice.sub)
    )
    code = partner.code(scope=scope)
    begun[0].join()
    assert partner.redeem(code).error == "invalid_grant"
    assert set(reasons(partner.client.client_id)) == {"consent_revoked"}


def test_attack_55_a_yes_that_is_being_given_is_taken_back_with_its_code(partner, client, alice, signed_in, just_after):
    decide(client, asked(partner.authorize(scope="openid")), "allow")
    begun = just_after(
        tokens, "open_family", lambda: consent.revoke(alice.sub, partner.client.client_id, actor=alice.sub)
    )
    told = decide(client, asked(partner.authorize(scope="openid email")), "allow")
    begun[0].join()
    code = dict(parse_qsl(urlsplit(told.location).query))["code"]
    assert partner.redeem(code).error == "invalid_grant"


def test_attack_55_whoever_asks_in_a_loop_while_it_is_taken_back_is_left_with_nothing(app, allowed, alice):
    cookie = allowed.http.get_cookie("idp_sso", domain="localhost")
    codes, until = [], time.monotonic() + 40

    def work(number):
        if number == 5:
            while len(codes) < 8 and time.monotonic() < until:
                time.sleep(0.01)
            with committing():
                assert consent.revoke(alice.sub, allowed.client.client_id, actor=alice.sub)
            return
        browser = app.test_client()
        browser.set_cookie("idp_sso", cookie.value, domain="localhost")
        thief = replace(allowed, http=browser)
        while time.monotonic() < until:
            told = dict(parse_qsl(urlsplit(thief.authorize(prompt="none").location).query))
            if told.get("error") == "consent_required":
                return
            codes.append(told["code"])
        raise AssertionError("it was never taken back")

    results = in_threads(6, app, work)
    assert not [found for found in results if isinstance(found, Exception)], results
    assert len(codes) >= 8
    assert {allowed.redeem(code).error for code in codes} == {"invalid_grant"}
    assert set(reasons(allowed.client.client_id)) == {"consent_revoked"}


def test_what_is_held_is_one_persons_yes_to_one_application(allowed, alice, bob):
    client_id = allowed.client.client_id
    with committing():
        assert (
            consent.hold(alice.sub, client_id)
            == consent.remembered(alice.sub, client_id)
            == {"openid", "profile", "email"}
        )
        assert consent.hold(bob.sub, client_id) == consent.hold(alice.sub, "another-one") == frozenset()


# --- a person for whom somebody vouches -------------------------------------------------------------------------------


def disabling(person):
    return lambda: users.disable(person.sub, reason="left", actor=None)


def test_attack_119_nobody_is_vouched_for_who_was_disabled_just_now(gateway, alice, just_before):  # noqa: F811
    just_before(users, "hold_active", disabling(alice))
    assert bearer.refused(bearer.ask(gateway))
    assert reasons("gateway") == []


def test_attack_119_a_token_that_was_being_made_is_dead(gateway, alice, rp, just_after):  # noqa: F811
    begun = just_after(tokens, "open_vouched", disabling(alice))
    answer = bearer.ask(gateway)
    begun[0].join()
    assert answer.status == 200 and reasons("gateway") == ["user_disabled"]
    assert rp.introspect(answer.access_token).get_json() == {"active": False}


def test_attack_119_twenty_vouch_while_one_disables(app, gateway, alice):  # noqa: F811
    made = [bearer.assertion() for _ in range(20)]

    def work(number):
        if number == 10:
            with committing():
                disabling(alice)()
            return None
        return bearer.ask(replace(gateway, http=app.test_client()), made[number])

    results = in_threads(20, app, work)
    assert not [found for found in results if isinstance(found, Exception)], results
    answers = [found for found in results if found is not None]
    assert {answer.status for answer in answers} <= {200, 400}
    assert len(reasons("gateway")) == sum(answer.status == 200 for answer in answers)
    assert None not in reasons("gateway")
