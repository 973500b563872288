"""A person's own record, and what to do about what was not them."""

from __future__ import annotations

import json
import re

import pytest
import sqlalchemy as sa
from flask import Flask

from idp import audit, users
from idp.account import told
from idp.account.activity import A_PAGE, DISPUTES_PER_DAY
from idp.audit import Event
from idp.db import db
from idp.users import User
from tests.account.conftest import make_client
from tests.authn.signing_in import Browser, browser, make_person

PAGE = "/account/activity"
NOT_ME = "/account/not-me"


def numbers(page: str) -> list[int]:
    return [int(found) for found in re.findall(r'name="entry" value="(\d+)"', page)]


def test_it_tells_what_happened_in_plain_words(app: Flask, alice: Browser, user: User) -> None:
    browser(app).open().give_password("alice", "wrong")
    users.set_roles(user.sub, ["physician", "auditor"], actor="_somebody")
    client = make_client("footpath")
    audit.record(Event.TOKEN_ISSUED, subject=user.sub, actor=client.client_id, client_id=client.client_id)
    db.session.commit()
    page = alice.get(PAGE).answer.text
    for words in (
        "You signed in.",
        "A sign-in failed.",
        "Password and code",
        "Firefox on Linux",
        "127.0.0.1",
        "footpath",
    ):
        assert words in page
    assert page.count("Not by you") == 1 and "You received a role." in page
    assert numbers(page) == sorted(numbers(page), reverse=True)


def test_it_is_paged_and_nothing_is_lost_or_told_twice(alice: Browser, user: User) -> None:
    for number in range(2 * A_PAGE + 3):
        audit.record(Event.USER_UPDATED if number % 2 else Event.TOKEN_ISSUED, subject=user.sub)
    db.session.commit()
    whole = db.session.scalars(
        sa.text("SELECT id FROM audit_events WHERE subject = :sub ORDER BY id DESC"), {"sub": user.sub}
    ).all()
    assert walked(alice, PAGE) == list(whole)
    profile = db.session.scalars(
        sa.text(
            "SELECT id FROM audit_events WHERE subject = :sub AND (event LIKE 'user.%' OR event LIKE 'email.%') ORDER BY id DESC"
        ),
        {"sub": user.sub},
    ).all()
    assert walked(alice, f"{PAGE}?kind=profile") == list(profile)


def walked(alice: Browser, url: str) -> list[int]:
    """Every entry from a page on, by following «Older»."""
    found: list[int] = []
    while url:
        page = alice.client.get(url).text
        assert 0 < len(numbers(page)) <= A_PAGE
        found += numbers(page)
        link = re.search(r'href="([^"]+)" rel="next"', page)
        url = link[1].replace("&amp;", "&") if link else ""
    return found


@pytest.mark.parametrize(
    "query", ["kind=nothing", "kind=login.*", "before=x", "before=-1", "before=" + "9" * 40, "before=%00"]
)
def test_what_cannot_be_meant_is_refused(alice: Browser, query: str) -> None:
    assert alice.client.get(f"{PAGE}?{query}").status_code in (400, 404)


def test_attack_126_the_record_of_somebody_else_stays_theirs(alice: Browser, user: User, audit_trail) -> None:
    bob = make_person("bob")
    theirs = db.session.scalar(sa.text("SELECT max(id) FROM audit_events WHERE subject = :sub"), {"sub": bob.sub})
    assert theirs not in numbers(alice.get(PAGE).answer.text)
    statuses = [
        alice.get(PAGE).post(NOT_ME, entry=number).answer.status_code for number in (str(theirs), "999999", "", "0")
    ]
    assert statuses == [404, 404, 404, 404] and "activity.disputed" not in audit_trail


def test_that_was_not_me_is_written_down_and_leads_to_what_helps(alice: Browser, user: User) -> None:
    number = numbers(alice.get(PAGE).answer.text)[0]
    alice.post(NOT_ME, entry=str(number))
    assert (alice.place, alice.answer.status_code) == (NOT_ME, 200)
    page = alice.answer.text
    for way in (
        "/account/sessions/end-others",
        "/account/password",
        "/account/security",
        "/account/apps",
        "help@example.org",
    ):
        assert way in page
    found = db.session.execute(
        sa.text("SELECT subject, outcome, details FROM audit_events WHERE event = 'activity.disputed'")
    ).one()
    disputed = db.session.execute(
        sa.text("SELECT event, event_id FROM audit_events WHERE id = :id"), {"id": number}
    ).one()
    details = json.loads(found.details)
    assert (found.subject, found.outcome) == (user.sub, "failure") and Event.ACTIVITY_DISPUTED.alarm
    assert (details["disputed_event"], details["disputed_id"]) == (disputed.event, disputed.event_id)


def test_nobody_fills_the_record_with_complaints(alice: Browser, user: User) -> None:
    number = str(numbers(alice.get(PAGE).answer.text)[0])
    token = alice.csrf()
    statuses = [
        alice.client.post(NOT_ME, data={"csrf": token, "entry": number}).status_code
        for _ in range(DISPUTES_PER_DAY + 1)
    ]
    assert statuses == [303] * DISPUTES_PER_DAY + [429]


def test_attack_71_a_complaint_needs_our_form(alice: Browser) -> None:
    assert alice.client.post(NOT_ME, data={"entry": "1"}).status_code == 403


def test_attack_132_what_a_browser_wrote_is_not_repeated(app: Flask, alice: Browser) -> None:
    other = browser(app)
    other.client.environ_base["HTTP_USER_AGENT"] = "<script>alert(1)</script>\u2028 Firefox/1"
    other.open().give_password("alice", "wrong")
    assert "<script>alert" not in alice.get(PAGE).answer.text and "alert(1)" not in alice.answer.text


def test_every_kind_names_nouns_that_exist_and_no_noun_twice() -> None:
    nouns = [noun for _, mine in told.KINDS.values() for noun in mine]
    assert len(nouns) == len(set(nouns))
    assert told.kind_of("login.failed") == "sign-in" and told.kind_of("server.started") is None


def test_no_event_of_a_person_is_told_in_the_auditor_s_words() -> None:
    """Only events that are about no person at all may lack a sentence of their own."""
    not_theirs = {"audit", "clock", "client", "registration", "registration_token", "config", "error", "server", "key"}
    not_theirs |= {"account_request"}  # there is no person yet
    single = {Event.AUTHORIZATION_PUSHED, Event.DEVICE_CODE_REJECTED, Event.DEVICE_STARTED, Event.LOGIN_STARTED}
    single |= {Event.TOKEN_INTROSPECTED, Event.SPRAY_SUSPECTED}
    missing = (
        {event for event in Event if event.value.partition(".")[0] not in not_theirs} - single - set(told._SENTENCES)
    )
    assert missing == set()


def test_every_noun_of_a_person_s_events_has_a_kind() -> None:
    assert {event.value for event in told._SENTENCES if told.kind_of(event.value) is None} == set()
