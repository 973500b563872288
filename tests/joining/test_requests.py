"""Asking for an account: the same for strangers and for those we know, an address proved first, and then a decision."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask

from idp import audit, kv, users
from idp.authn.factors import password
from idp.db import committing, db
from idp.errors import BadInput, Conflict
from idp.joining import invitations, requests
from tests import cost
from tests.authn.signing_in import PASSWORD, Browser, make_person
from tests.conftest import in_threads


@pytest.fixture
def setup() -> dict[str, Any]:
    return {"registration": {"enabled": True}}


def browser(app: Flask) -> Browser:
    return Browser(app.test_client(), goals=("/", "/authorize/resume"))


def ask(app: Flask, address: str = "noor@example.org") -> Browser:
    return browser(app).get("/sign-up").post(email=address)


def link_of(mail: Any) -> str:
    found = re.search(r"http://localhost(/sign-up/confirm\?token=\S+)", mail.body)
    assert found, mail.body
    return found[1]


def confirmed(app: Flask, mailbox: Any, name: str = "Noor Ebele") -> Browser:
    return browser(app).get(link_of(mailbox()[-1])).post(display_name=name, note="Night shifts")


# --- off ------------------------------------------------------------------------------------------------------


class TestOff:
    @pytest.fixture
    def setup(self) -> dict[str, Any]:
        return {}

    def test_it_is_off_unless_somebody_switches_it_on(self, app: Flask) -> None:
        here = browser(app)
        for path in ("/sign-up", "/sign-up/confirm", "/sign-up/waiting"):
            assert here.get(path).answer.status_code == 404
        assert "No account yet" not in here.get("/login").answer.text
        with app.test_request_context():
            from idp.oauth import authorization_request

            assert "create" not in authorization_request.prompts()


# --- the way in ----------------------------------------------------------------------------------------------


def test_an_address_a_name_a_decision_and_then_an_invitation(app: Flask, mailbox, audit_trail) -> None:
    make_person("admin", roles=("administrator",))
    assert "No account yet" in browser(app).get("/login").answer.text
    assert "Look in your mail" in ask(app).answer.text
    assert [one.recipient for one in mailbox()] == ["noor@example.org"]
    here = browser(app).get(link_of(mailbox()[-1]))
    assert here.path == "/sign-up/confirm", "attack 80: the token is out of the address"
    assert here.post(display_name="Noor Ebele", note="Night shifts").place == "/sign-up/waiting"
    assert users.find_by_login("noor@example.org") is None, "nothing exists that could sign in"
    assert [(one.recipient, one.subject) for one in mailbox()[1:]] == [
        ("admin@example.org", "Somebody asks for an account")
    ]
    (waiting,) = requests.waiting()
    assert (waiting.address, waiting.display_name, waiting.note) == ("noor@example.org", "Noor Ebele", "Night shifts")
    with committing():
        user = requests.approve(waiting.public_id, actor="test")
    assert user.email == "noor@example.org" and not password.enrolled(user) and user.roles == []
    invited = mailbox()[-1]
    assert invited.recipient == "noor@example.org" and "/invitation?token=" in invited.body
    path = re.search(r"http://localhost(/invitation\?token=\S+)", invited.body)[1]  # type: ignore[index]
    assert browser(app).get(path).post(new_password=PASSWORD).place.startswith("/enrol")
    events = audit_trail.events()
    for event in ("started", "confirmed", "approved"):
        assert f"account_request.{event}" in events


def test_a_refusal_has_a_reason_that_is_told(app: Flask, mailbox, audit_trail) -> None:
    ask(app)
    confirmed(app, mailbox)
    (waiting,) = requests.waiting()
    with pytest.raises(BadInput):
        requests.deny(waiting.public_id, reason=" ", actor="test")
    with committing():
        requests.deny(waiting.public_id, reason="Not one of our clinics.", actor="test")
    assert "Not one of our clinics." in mailbox()[-1].body and mailbox()[-1].recipient == "noor@example.org"
    assert requests.waiting() == [] and "account_request.denied" in audit_trail
    with pytest.raises(Conflict):
        requests.approve(waiting.public_id, actor="test")
    db.session.rollback()
    ask(app)
    assert "confirm?token=" in mailbox()[-1].body, "who was refused may ask again"


class TestAtOnce:
    @pytest.fixture
    def setup(self) -> dict[str, Any]:
        return {
            "registration": {"enabled": True, "approval": False, "email_domains": ("example.org",), "roles": ("nurse",)}
        }

    def test_without_approval_a_password_comes_next_and_a_second_step(self, app: Flask, mailbox) -> None:
        ask(app)
        here = confirmed(app, mailbox)
        assert here.place == "/invitation" and "noor@example.org" in here.answer.text
        user = users.find_by_login("noor@example.org")
        assert user and user.roles == ["nurse"] and not password.enrolled(user)
        assert here.post(new_password=PASSWORD).place.startswith("/enrol")
        assert [one.subject for one in mailbox()] == ["Confirm your e-mail address", "Your account is set up"]

    def test_attack_110_of_20_threads_with_one_link_one_makes_a_person(self, app: Flask, mailbox) -> None:
        ask(app)
        token = link_of(mailbox()[-1]).partition("token=")[2]

        def make(number: int) -> bool:
            proof = requests.find(token)
            try:
                made = proof is not None and requests.create(token, proof, display_name=f"Noor {number}") is not None
            except Conflict:
                db.session.rollback()
                return False
            db.session.commit()
            return made

        results = in_threads(20, app, make)
        assert results.count(True) == 1 and results.count(False) == 19, results
        assert users.search().total == 1

    @pytest.mark.parametrize("address", ["noor@example.com", "noor@example.org.evil.example", "noor@sub.example.org"])
    def test_other_domains_are_told_at_once_whoever_has_the_address(self, app: Flask, mailbox, address: str) -> None:
        here = ask(app, address)
        assert here.answer.status_code == 400 and "Only addresses of example.org" in here.answer.text
        assert mailbox() == []


# --- nobody learns who is here (7.86) ------------------------------------------------------------------------


def without_tokens(here: Browser) -> tuple[int, str]:
    return here.answer.status_code, re.sub(r'"[^"]*"', "", here.answer.text.partition("request_id")[0])


def test_attack_86_the_answer_is_the_same_for_strangers_and_for_those_we_know(app: Flask, mailbox) -> None:
    make_person("alice")
    gone = make_person("gone")
    users.disable(gone.sub, reason="left", actor=None)
    with committing():
        invited = users.create(username="inv", display_name="Inv", emails=("invited@example.org",), actor="test")
        invitations.invite(invited, actor="test")
    ask(app, "waits@example.org")
    confirmed(app, mailbox)
    before = len(mailbox())
    names = ("alice", "gone", "invited", "waits", "noor")
    seen = {without_tokens(ask(app, f"{name}@example.org")) for name in names}
    assert len(seen) == 1
    subjects = [(one.recipient.partition("@")[0], one.subject) for one in mailbox()[before:]]
    known = "You already have an account"
    assert subjects == [
        ("alice", known),
        ("gone", known),
        ("invited", known),
        ("waits", "Your request is being looked at"),
        ("noor", "Confirm your e-mail address"),
    ]


def test_attack_86_the_work_is_the_same_for_strangers_and_for_those_we_know(app: Flask) -> None:
    make_person("alice")

    def once(address: str) -> None:
        requests.begin(requests.checked(address))
        db.session.rollback()
        kv.client().delete(*kv.client().keys(kv.key("*limits*")))

    known, stranger = (lambda: once("alice@example.org")), (lambda: once("nobody@example.org"))
    assert 0.6 < cost.alike(known, stranger, within=1.6) < 1.6


def test_attack_112_a_mailbox_is_not_flooded_and_nobody_sees_that_it_is_not(app: Flask, mailbox, travel) -> None:
    for _ in range(5):
        assert "on its way" in ask(app).answer.text
    assert len(mailbox()) == 3
    travel(3601)
    ask(app)
    assert len(mailbox()) == 4


def test_one_address_may_try_only_so_often(app: Flask) -> None:
    here = browser(app).get("/sign-up")
    csrf = here.csrf()
    statuses = [
        here.client.post("/sign-up", data={"csrf": csrf, "email": f"n{number}@example.org"}).status_code
        for number in range(65)
    ]
    assert statuses[:60] == [303] * 60 and set(statuses[60:]) == {429}


def test_attack_116_nothing_that_a_stranger_typed_is_in_a_mail(app: Flask, mailbox) -> None:
    make_person("admin", roles=("administrator",))
    ask(app)
    browser(app).get(link_of(mailbox()[-1])).post(display_name="Win at http://evil.example", note="http://evil.example")
    assert not [one for one in mailbox() if "evil" in one.body + one.html + one.subject]
    assert ask(app, "noor@example.org\r\nBcc: eve@example.com").answer.status_code == 400


# --- the link ------------------------------------------------------------------------------------------------


def test_attack_118_a_mail_scanner_spends_nothing(app: Flask, mailbox) -> None:
    ask(app)
    for _ in range(3):
        assert "Who are you?" in browser(app).get(link_of(mailbox()[-1])).answer.text
    assert confirmed(app, mailbox).place == "/sign-up/waiting"


def test_attack_110_a_link_works_once_and_a_bad_name_spends_nothing(app: Flask, mailbox) -> None:
    ask(app)
    here, late = (browser(app).get(link_of(mailbox()[-1])) for _ in range(2))
    for bad in ("", "x" * 201, "Noor\u202eEbele"):
        assert here.post(display_name=bad, note="").answer.status_code == 400
    assert here.post(display_name="Noor", note="").place == "/sign-up/waiting"
    assert "no longer works" in late.post(display_name="Noor", note="").answer.text


def test_attack_110_two_links_of_one_address_make_one_request(app: Flask, mailbox) -> None:
    ask(app)
    ask(app)
    first, second = (browser(app).get(link_of(mail)) for mail in mailbox())
    assert first.post(display_name="Noor", note="").place == "/sign-up/waiting"
    assert "no longer works" in second.post(display_name="Noor", note="").answer.text
    assert len(requests.waiting()) == 1


def test_attack_110_of_20_threads_with_one_link_one_is_taken(app: Flask, mailbox) -> None:
    ask(app)
    token = link_of(mailbox()[-1]).partition("token=")[2]

    def confirm(number: int) -> bool:
        proof = requests.find(token)
        done = proof is not None and requests.ask(token, proof, display_name=f"Noor {number}", note="")
        db.session.commit()
        return done

    results = in_threads(20, app, confirm)
    assert results.count(True) == 1 and results.count(False) == 19, results


def test_of_20_administrators_who_decide_at_once_one_does(app: Flask, mailbox) -> None:
    ask(app)
    confirmed(app, mailbox)
    public_id = requests.waiting()[0].public_id

    def decide(number: int) -> bool:
        try:
            if number % 2:
                requests.deny(public_id, reason="No.", actor="test")
            else:
                requests.approve(public_id, actor="test")
        except Conflict:
            db.session.rollback()
            return False
        db.session.commit()
        return True

    results = in_threads(20, app, decide)
    assert results.count(True) == 1 and results.count(False) == 19, results
    decided = [one.event for one in audit.search(audit.Query(event="account_request.*")).entries]
    assert len([event for event in decided if event.endswith(("approved", "denied"))]) == 1


def test_c32_only_the_digest_of_a_token_is_kept(app: Flask, mailbox) -> None:
    ask(app)
    token = link_of(mailbox()[-1]).partition("token=")[2]
    keys = kv.client().keys(kv.key("joining", "*"))
    assert len(keys) == 1 and token not in str(keys) + str(kv.client().get(keys[0])) and len(token) == 43
    assert 86300 < kv.client().ttl(keys[0]) <= 86400, "N-24"


def test_attack_115_an_address_that_somebody_proved_meanwhile_stays_theirs(app: Flask, mailbox) -> None:
    ask(app, "shared@example.org")
    confirmed(app, mailbox)
    owner = make_person("owner", emails=("Shared@example.org",))
    with pytest.raises(Conflict):
        requests.approve(requests.waiting()[0].public_id, actor="test")
    db.session.rollback()
    assert users.find_by_login("shared@example.org") == owner and len(requests.waiting()) == 1


@pytest.mark.parametrize("forged", ["", "x", "x" * 43, "ü" * 20, "x" * 5000])
def test_forged_links_say_what_to_do_next(app: Flask, forged: str) -> None:
    here = browser(app).get("/sign-up/confirm", query_string={"token": forged})
    assert "no longer works" in here.answer.text and "Ask for a new link" in here.answer.text


def test_attack_71_the_forms_need_our_token(app: Flask) -> None:
    for path in ("/sign-up", "/sign-up/confirm", "/admin/registrations/approve", "/admin/registrations/deny"):
        assert app.test_client().post(path, data={"email": "a@example.org"}).status_code == 403


def test_attack_76_only_a_parked_request_is_a_way_back(app: Flask) -> None:
    for evil in ("https://evil.example", "//evil.example", "x&y=z", "../../evil"):
        text = browser(app).get("/sign-up", query_string={"txn": evil}).answer.text
        assert "resume" not in text and "txn" not in re.sub(r"/language[^ ]*", "", text)


def test_decided_requests_are_forgotten_after_a_month(app: Flask, mailbox, travel) -> None:
    ask(app)
    confirmed(app, mailbox)
    with committing():
        requests.deny(requests.waiting()[0].public_id, reason="No.", actor="test")
    assert requests.prune() == 0
    travel(31 * 86400)
    assert requests.prune() == 1
