"""page — GET /demo, in demo mode only: the mails that were sent and the codes that phones would show.

Codes are computed from the facts that `idp demo` wrote, not from the database: sealed secrets stay sealed.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyotp
from flask import Blueprint, Flask, Response
from sqlalchemy import select

from idp import clock, crypto, mail, web
from idp.db import db
from idp.demo import facts
from idp.errors import BadInput

STEP_S = 30
MAILS = 30

views = Blueprint("demo", __name__)


def install(app: Flask) -> None:
    """Register the page. Called by create_app in demo mode and in no other; elsewhere /demo is 404."""
    if not app.extensions["idp.settings"].demo:
        raise RuntimeError("the demo page is for demo mode only")
    app.register_blueprint(views)


@views.get("/demo")
def codes_and_mails() -> Response:
    """Everybody's authenticator app and mailbox on one page."""
    known = facts.load(_path())
    places = [("Claims service", known.claims_url), ("Patient service", known.patients_url)] if known else []
    people = known.people if known else ()
    return web.page(
        "demo_mailbox.html",
        urls=[{"name": name, "url": url} for name, url in places],
        codes=[_code(person) for person in people if person.totp_secret],
        waiting=[person for person in people if not person.totp_secret],
        mails=_mails(),
    )


@views.post("/demo/authenticator")
@web.csrf_protected
def adopt() -> Response:
    """Become the authenticator app of somebody who is enrolling: take the secret from the enrolment page."""
    known = facts.load(_path())
    person = known.person(web.single("username")) if known else None
    if known is None or person is None:
        raise BadInput({"username": ["is nobody of this demo"]})
    secret = web.single("secret").replace(" ", "").replace("-", "").upper()
    try:
        pyotp.TOTP(secret).at(clock.epoch())
    except ValueError:
        raise BadInput({"secret": ["is not the text that the enrolment page shows"]}) from None
    facts.save(_path(), known.with_person(replace(person, totp_secret=secret)))
    return web.see_other("/demo")


def _path() -> Path:
    return Path(os.environ.get("DEMO_FACTS", "var/demo.json"))


def _code(person: facts.Person) -> dict[str, Any]:
    now = clock.epoch()
    return {
        "display_name": person.display_name,
        "username": person.username,
        "code": pyotp.TOTP(person.totp_secret).at(now),
        "seconds_left": STEP_S - now % STEP_S,
    }


def _mails() -> list[dict[str, Any]]:
    """Newest first, as text; one that does not open any more says so."""
    newest = select(mail.OutgoingMail).order_by(mail.OutgoingMail.id.desc()).limit(MAILS)
    return [
        {"subject": one.subject, "to": one.recipient, "when": one.created_at, "body": _text_of(one)}
        for one in db.session.scalars(newest)
    ]


def _text_of(one: mail.OutgoingMail) -> str:
    try:
        return mail.opened(one).text
    except crypto.SealBroken as error:
        return str(error)
