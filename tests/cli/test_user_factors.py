"""`idp user factors`, `idp user remove-factor`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask
from sqlalchemy import select

from idp import audit, mail, users
from idp.authn import factors
from idp.authn.factors import recovery_code, totp
from idp.db import db
from tests.cli.conftest import Idp

Answer = Callable[..., Any]
SECRETS = ("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
WHY = ("--reason", "lost phone, called back on the known number", "--yes")


def ada(answer: Answer) -> users.User:
    answer("user", "create", "ada", "--name", "Dr. Ada Example", "--email", "ada@example.org", "--email-verified")
    user = users.find_by_login("ada")
    assert user is not None
    for label, secret in zip(("Phone", "Tablet"), SECRETS, strict=True):
        totp.bind(user, secret, actor=None, label=label)
    recovery_code.issue(user)
    db.session.commit()
    return user


def labels(user: users.User) -> list[str]:
    db.session.rollback()
    return [one.label for one in factors.authenticators(user)]


def last_subject() -> str:
    rows = db.session.scalars(select(mail.OutgoingMail).order_by(mail.OutgoingMail.id)).all()
    return mail.opened(rows[-1]).subject


def test_factors_lists_what_is_bound_and_no_secret(answer: Answer, inside: Flask) -> None:
    ada(answer)
    told = answer("user", "factors", "ada")
    assert [(one["factor"], one["label"], one["state"]) for one in told["factors"]] == [
        ("totp", "Phone", "usable"),
        ("totp", "Tablet", "usable"),
        ("recovery_code", "Recovery codes", "usable"),
    ]
    assert told["factors"][2]["detail"] == "10 codes left" and told["trusted_browsers"] == []
    assert not any(secret in str(told) for secret in SECRETS)


def test_remove_factor_takes_one_with_reason_and_notice(answer: Answer, inside: Flask) -> None:
    user = ada(answer)
    phone = totp.authenticators(user)[0].public_id
    assert answer("user", "remove-factor", "ada", phone, *WHY)["removed"] == 1
    assert labels(user) == ["Tablet", "Recovery codes"]
    (event,) = audit.search(audit.Query(subject=user.sub, event="factor.removed")).entries
    assert event.reason == WHY[1] and event.actor
    assert last_subject() == "A second step was removed from your account"


def test_remove_factor_takes_everything(answer: Answer, inside: Flask) -> None:
    user = ada(answer)
    assert answer("user", "remove-factor", "ada", "--all", *WHY)["removed"] == 3
    assert labels(user) == []
    assert last_subject() == "The second steps of your account were removed"


def test_remove_factor_of_an_unknown_id_removes_nothing(answer: Answer, inside: Flask, idp: Idp) -> None:
    user = ada(answer)
    phone = totp.authenticators(user)[0].public_id
    db.session.rollback()
    refused = idp("user", "remove-factor", "ada", phone, "nothing", *WHY, fails=1)
    assert "idp user factors" in refused.output and len(labels(user)) == 3
    idp("user", "remove-factor", "ada", *WHY, fails=1)
    idp("user", "remove-factor", "ada", phone, "--yes", fails=2)  # a reason is obligatory
