"""What a person has bound: listed, renamed, removed, the last one protected (C-15, N-20)."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import text

from idp import audit, clock, crypto
from idp.authn import assurance, factors
from idp.authn.factors import recovery_code, totp
from idp.authn.factors.passkey_store import Passkey
from idp.db import db
from idp.errors import BadInput
from idp.users import User
from tests.authn.signing_in import code_of, make_codes, make_person, new_secret
from tests.conftest import in_threads


def with_two_apps(username: str = "alice") -> User:
    user = make_person(username)
    totp.bind(user, new_secret(), actor=user.sub, label="Phone")
    totp.bind(user, new_secret(), actor=user.sub, label="Tablet")
    make_codes(user)
    return user


def ids(user: User) -> list[str]:
    return [one.public_id for one in factors.authenticators(user)]


def test_everything_bound_is_listed_with_its_name_and_times(app: Flask) -> None:
    phone, tablet, codes = factors.authenticators(with_two_apps())
    assert [(one.factor, one.label) for one in (phone, tablet)] == [("totp", "Phone"), ("totp", "Tablet")]
    assert (codes.factor, codes.detail) == ("recovery_code", "10 codes left")
    assert phone.created_at <= tablet.created_at and phone.last_used_at is None and phone.usable


def test_last_use_and_what_is_left_are_told(app: Flask) -> None:
    user, secret = make_person(), new_secret()
    totp.bind(user, secret, actor=None)
    first, *_ = make_codes(user)
    totp.verify(user, {"code": code_of(secret)})
    recovery_code.verify(user, {"code": first})
    app_now, codes = factors.authenticators(user)
    assert app_now.last_used_at and codes.last_used_at and codes.detail == "9 codes left"


def test_an_app_is_renamed_and_its_name_stays_out_of_the_audit(app: Flask) -> None:
    user = with_two_apps()
    assert factors.rename(user, ids(user)[0], "  Ward phone ")
    db.session.commit()
    assert factors.authenticators(user)[0].label == "Ward phone"
    (event,) = audit.search(audit.Query(subject=user.sub, event="factor.renamed")).entries
    assert event.details == {"authenticator": ids(user)[0], "factor": "totp"}
    assert "Ward phone" not in str(db.session.execute(text("SELECT * FROM audit_events")).all())


@pytest.mark.parametrize("label", ["", "   ", "x" * 61, "a\nb", "a\u202eb"])
def test_a_name_that_cannot_be_shown_is_refused(app: Flask, label: str) -> None:
    user = with_two_apps()
    with pytest.raises(BadInput):
        factors.rename(user, ids(user)[0], label)


def test_nobody_touches_what_somebody_else_has_bound(app: Flask) -> None:
    alice, bob = with_two_apps(), with_two_apps("bob")
    theirs = ids(bob)[0]
    assert not factors.rename(alice, theirs, "Mine") and not totp.remove(alice, theirs, actor=alice.sub)
    assert factors.find_authenticator(alice, theirs) is None and factors.authenticators(bob)[0].label == "Phone"


def test_recovery_codes_have_no_name_and_go_together(app: Flask) -> None:
    user = with_two_apps()
    assert not factors.rename(user, recovery_code.THE_SET, "List")
    assert not recovery_code.remove(user, "other", actor=None)
    assert recovery_code.remove(user, recovery_code.THE_SET, actor=None)
    assert not recovery_code.bound(user) and not recovery_code.remove(user, recovery_code.THE_SET, actor=None)


def test_20_threads_remove_one_app_once(app: Flask) -> None:
    user = with_two_apps()
    user_id, wanted = user.id, ids(user)[0]

    def remove(_: int) -> bool:
        done = totp.remove(db.session.get_one(User, user_id), wanted, actor=None)
        db.session.commit()
        return done

    assert in_threads(20, app, remove).count(True) == 1
    assert len(audit.search(audit.Query(subject=user.sub, event="factor.removed")).entries) == 1


def test_remove_all_leaves_nothing_and_is_told_once(app: Flask, mailbox) -> None:
    user = with_two_apps()
    assert factors.remove_all(user, actor="desk", reason="lost phone, seen in person") == 3
    db.session.commit()
    assert factors.authenticators(user) == [] and not any(factor.bound(user) for factor in factors.FACTORS)
    events = audit.search(audit.Query(subject=user.sub, event="factor.removed")).entries
    assert [(one.actor, one.reason) for one in events] == [("desk", "lost phone, seen in person")] * 3
    assert [mail.subject for mail in mailbox()][-1:] == ["The second steps of your account were removed"]
    assert factors.remove_all(user, actor="desk", reason="again") == 0


# --- the last one stays (C-15) --------------------------------------------------------------------------------


def with_one_app() -> User:
    user = make_person(secret=new_secret())
    make_codes(user)
    return user


def test_c15_the_last_second_factor_stays_where_the_policy_demands_one(app: Flask) -> None:
    user = with_one_app()
    assert factors.must_stay(user, ids(user)[0])
    with pytest.raises(factors.LastFactor, match="Add another first"):
        factors.remove(user, ids(user)[0], actor=user.sub)
    assert totp.enrolled(user)


def test_c15_one_of_two_goes_with_a_notice_and_the_codes_stay(app: Flask, mailbox, audit_trail) -> None:
    user = with_two_apps()
    assert factors.remove(user, ids(user)[0], actor=user.sub)
    db.session.commit()
    assert [one.label for one in factors.authenticators(user)] == ["Tablet", "Recovery codes"]
    assert mailbox()[-1].subject == "A second step was removed from your account" and "Phone" not in mailbox()[-1].body
    assert "factor.removed" in audit_trail
    assert not factors.remove(user, "01999999-0000-7000-8000-000000000000", actor=user.sub)


def test_c15_a_disabled_app_does_not_stand_in_for_the_last_one(app: Flask) -> None:
    user = with_two_apps()
    db.session.execute(text("UPDATE totp_authenticators SET disabled_at = created_at WHERE label = 'Tablet'"))
    db.session.commit()
    phone, tablet, _ = ids(user)
    assert factors.must_stay(user, phone) and not factors.must_stay(user, tablet)


def with_a_passkey(user: User) -> str:
    made = Passkey(
        user_id=user.id, public_id=crypto.uuid7(), label="Laptop", webauthn_id=b"1", public_key=b"k", aaguid="", attestation="none",
        backup_eligible=True, backed_up=True, uv_initialized=True, transports="internal", created_at=clock.now(),
    )  # fmt: skip
    db.session.add(made)
    db.session.commit()
    return made.public_id


@pytest.mark.parametrize(
    ("demanded", "app_stays", "passkey_stays"),
    [
        ({}, False, False),
        ({"allowed": ("passkey",)}, False, True),
        ({"allowed": ("totp",)}, True, False),
        ({"min_acr": assurance.PHISHING_RESISTANT}, False, True),
    ],
)
def test_c15_what_must_stay_follows_the_policy(
    make_app, sqlite_url: str, demanded: dict[str, object], app_stays: bool, passkey_stays: bool
) -> None:
    with make_app(sqlite_url, factors=demanded).app_context():
        user = make_person(secret=new_secret())
        laptop = with_a_passkey(user)
        phone = totp.authenticators(user)[0].public_id
        assert (factors.must_stay(user, phone), factors.must_stay(user, laptop)) == (app_stays, passkey_stays)


def test_c15_of_20_threads_that_remove_the_last_two_one_is_refused(app: Flask) -> None:
    user = with_two_apps()
    user_id, (phone, tablet, _) = user.id, ids(user)

    def remove(number: int) -> object:
        try:
            return factors.remove(db.session.get_one(User, user_id), (phone, tablet)[number % 2], actor=None)
        finally:
            db.session.commit()

    results = in_threads(20, app, remove)
    assert results.count(True) == 1 and any(isinstance(one, factors.LastFactor) for one in results)
    db.session.expire_all()
    assert totp.enrolled(user)


def test_where_nobody_demands_one_the_last_goes_and_the_codes_with_it(make_app, sqlite_url: str) -> None:
    with make_app(sqlite_url, factors={"require_second": False}).app_context():
        user = with_one_app()
        assert factors.remove(user, ids(user)[0], actor=user.sub)
        assert factors.authenticators(user) == [], "codes that stand in for nothing would lock the person out"


def test_an_operator_removes_even_the_last_by_force(app: Flask) -> None:
    user = with_one_app()
    assert factors.remove(user, ids(user)[0], actor="cli", reason="lost, seen in person", by_force=True)
    db.session.commit()
    (event, _) = audit.search(audit.Query(subject=user.sub, event="factor.removed")).entries
    assert event.reason == "lost, seen in person"
