"""What a person owes and has: one question to the database, and the same answer as each factor gives by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import event, update

from idp import clock, users
from idp.authn import recovery_case, recovery_review
from idp.authn.factors import FACTORS, password, recovery_code, totp
from idp.authn.factors.password_table import Password
from idp.authn.factors.totp import TotpAuthenticator
from idp.authn.recovery_case import RecoveryCase
from idp.authn.standing import standing_of
from idp.db import db
from idp.users import User
from tests.authn.signing_in import make_person, new_secret


@pytest.fixture(autouse=True)
def a_request(app: Flask) -> Iterator[None]:
    with app.test_request_context("/"):
        yield


@contextmanager
def asked() -> Iterator[list[str]]:
    """Collect the statements that reach the database."""
    seen: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(db.engine, "before_cursor_execute", note)


def used_case(user: User) -> None:
    now = clock.now()
    db.session.add(
        RecoveryCase(
            user_id=user.id, state=recovery_case.USED, reason="r", proof="video", proof_note="n", remove_factors=True,
            four_eyes=False, opened_by="cli:ops", opened_at=now, expires_at=now + timedelta(hours=1),
        )
    )  # fmt: skip


def test_it_is_one_statement_whatever_the_person_has(app: Flask) -> None:
    user = make_person(secret=new_secret())
    recovery_code.issue(user)
    assert user.roles == [] and user.id
    with asked() as statements:
        standing_of(user)
    assert len([one for one in statements if one.startswith("SELECT")]) == 1, statements


def test_somebody_with_a_password_alone(app: Flask) -> None:
    found = standing_of(make_person())
    assert (found.second, found.lasting, found.ever_bound, found.review) == ((), False, False, False)
    assert not found.must_change and not found.should_change


@pytest.mark.parametrize("disabled", [False, True])
def test_every_factor_says_the_same_alone_and_as_a_part(app: Flask, disabled: bool) -> None:
    user, other = make_person(secret=new_secret()), make_person("bob")
    recovery_code.issue(other)
    if disabled:
        db.session.execute(update(TotpAuthenticator).values(disabled_at=clock.now()))
    for person in (user, other):
        found = standing_of(person)
        enrolled = {factor.name for factor in FACTORS if factor.enrolled(person)}
        assert set(found.second) == enrolled or found.lasting
        assert found.ever_bound is any(factor.bound(person) for factor in FACTORS) is True
    assert standing_of(user).second == (() if disabled else ("totp",))
    assert standing_of(other).second == ("recovery_code",) and not standing_of(other).lasting


def test_what_is_spent_removed_or_somebody_elses_does_not_count(app: Flask) -> None:
    user, other = make_person(), make_person("bob", secret=new_secret())
    codes = recovery_code.issue(user)
    assert standing_of(user).second == ("recovery_code",)
    for raw_code in codes:
        assert recovery_code.redeem(user, raw_code)
    assert standing_of(user).second == () and standing_of(user).ever_bound
    (app_of_other,) = totp.authenticators(other)
    totp.remove(other, app_of_other.public_id, actor=None)
    assert not standing_of(other).ever_bound


def test_who_was_helped_once_had_a_factor_once(app: Flask) -> None:
    user = make_person()
    used_case(user)  # not even flushed: it is seen all the same
    assert standing_of(user).ever_bound and recovery_case.was_helped(user)
    assert not standing_of(make_person("bob")).ever_bound


def test_the_duties_of_a_password(app: Flask) -> None:
    user, stranger = make_person(), make_person("bob", raw_password=None)
    for change_by, must, due in (
        (None, True, (True, False)),
        (clock.now() - timedelta(seconds=1), False, (True, False)),
        (clock.now() + timedelta(days=1), False, (False, True)),
        (clock.now() + timedelta(days=1), True, (True, False)),
        (None, False, (False, False)),
    ):
        db.session.execute(update(Password).values(change_by=change_by, must_change=must))
        found = standing_of(user)
        assert (found.must_change, found.should_change) == due
        assert due == (password.must_change(user), password.should_change(user))
    nobodys = standing_of(stranger)
    assert not nobodys.must_change and not nobodys.should_change


def test_a_review_is_owed_until_it_is_done(app: Flask) -> None:
    user = make_person(secret=new_secret())
    recovery_review.owe(user)
    assert standing_of(user).review and recovery_review.owed(user)
    recovery_review.done(user, removed=0)
    assert not standing_of(user).review


def test_c7_the_status_is_read_anew_and_a_person_is_asked_for_once(app: Flask) -> None:
    user = make_person()
    assert users.find_by_sub(user.sub) is user
    with asked() as statements:
        assert users.find_by_sub(user.sub) is user
    assert statements == []
    db.session.execute(update(User).values(status=users.DISABLED).execution_options(synchronize_session=False))
    assert user.is_active, "as it was read"
    with asked() as for_somebody:
        users.read_status(user)
    with asked() as for_nobody:
        users.read_status(None)
    assert not user.is_active and for_somebody == for_nobody
