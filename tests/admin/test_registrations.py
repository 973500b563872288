"""Requests for an account in the console: administrators decide, with two factors and a reason."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from idp import users
from idp.db import committing
from idp.joining import requests
from idp.joining.requests import Proof
from tests.authn.signing_in import Browser, browser, make_person, new_secret

SECRET = new_secret()
PATH = "/admin/registrations"


@pytest.fixture
def setup() -> dict[str, Any]:
    return {"registration": {"enabled": True}}


def make_request(address: str = "noor@example.org", name: str = "Noor <b>Ebele</b>") -> str:
    proof = Proof(address, address)
    with committing():
        assert requests.ask(requests._issue(proof), proof, display_name=name, note="Night shifts")
    return requests.waiting()[-1].public_id


def signed_in(app: Flask, *roles: str) -> Browser:
    make_person("staff", roles=roles, secret=SECRET)
    here = browser(app).sign_in("staff", secret=SECRET)
    here.goals = ()
    return here


def test_an_administrator_agrees_and_the_person_is_invited(app: Flask, mailbox, audit_trail) -> None:
    public_id = make_request()
    here = signed_in(app, "administrator").get(PATH)
    assert "noor@example.org" in here.answer.text and "Night shifts" in here.answer.text
    assert "<b>Ebele" not in here.answer.text, "what a stranger typed is text"
    here.post(f"{PATH}/approve", request=public_id)
    assert "An invitation is on its way" in here.answer.text and "Nobody is waiting" in here.answer.text
    assert users.find_by_login("noor@example.org")
    assert mailbox()[-1].subject == "You are invited to set up your account"
    assert "account_request.approved" in audit_trail


def test_a_refusal_wants_a_reason(app: Flask, mailbox) -> None:
    public_id = make_request()
    here = signed_in(app, "administrator").get(PATH)
    here.post(f"{PATH}/deny", request=public_id, reason="")
    assert here.answer.status_code == 400 and "reason is missing" in here.answer.text
    assert 'aria-invalid="true"' in here.answer.text
    here.post(f"{PATH}/deny", request=public_id, reason="Not one of our clinics.")
    assert "A message with the reason" in here.answer.text and "Not one of our clinics." in mailbox()[-1].body


def test_what_was_decided_meanwhile_is_said(app: Flask) -> None:
    first, second = make_request(), make_request("other@example.org", "Other")
    here = signed_in(app, "administrator").get(PATH)
    with committing():
        requests.deny(first, reason="No.", actor="test")
    here.post(f"{PATH}/approve", request=first)
    assert here.answer.status_code == 409 and "decided this already" in here.answer.text
    assert "other@example.org" in here.answer.text and users.find_by_login("noor@example.org") is None
    here.post(f"{PATH}/approve", request="nonsense")
    assert here.answer.status_code == 404 and second in here.answer.text


@pytest.mark.parametrize("role", ["help_desk", "auditor", "nurse"])
def test_attack_127_others_may_not_decide(app: Flask, role: str) -> None:
    public_id = make_request()
    here = signed_in(app, role).get("/admin/" if role != "nurse" else "/recover/password")
    assert here.client.get(PATH).status_code == 403
    csrf = Browser(here.client).get("/recover/password").csrf()
    for action in ("approve", "deny"):
        sent = here.client.post(f"{PATH}/{action}", data={"csrf": csrf, "request": public_id, "reason": "x"})
        assert sent.status_code == 403
    assert len(requests.waiting()) == 1
