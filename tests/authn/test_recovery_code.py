"""Recovery codes: 65 bits, forgiving to type, good once."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from sqlalchemy import text

from idp.authn.factors import recovery_code
from idp.authn.factors.base import Accepted, Refused
from idp.db import db
from idp.users import User
from tests.authn.signing_in import make_codes, make_person
from tests.conftest import fresh_key, in_threads


def test_c30_a_set_has_ten_codes_of_65_bits_in_groups(app: Flask) -> None:
    codes = make_codes(make_person())
    assert len(set(codes)) == 10
    assert all(re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{3}", one) for one in codes)
    assert len(recovery_code.ALPHABET) ** recovery_code.LENGTH == 2**65


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("abcde-fghjk-mnp", "ABCDEFGHJKMNP"),
        (" ABCDE FGHJK MNP ", "ABCDEFGHJKMNP"),
        ("o0O1i-IlL23-456", "0001111123456"),
        ("ＡＢＣ", ""),
        ("A" * 65, ""),
    ],
)
def test_c31_what_is_forgiven(typed: str, meant: str) -> None:
    assert recovery_code.normalised(typed) == meant


def test_c30_a_code_is_good_once_however_it_is_typed(app: Flask) -> None:
    user = make_person()
    first, second, *_ = make_codes(user)
    assert recovery_code.verify(user, {"code": first.lower().replace("-", " ")}) == Accepted()
    assert [recovery_code.redeem(user, again) for again in (first, first.lower())] == [False, False]
    assert recovery_code.redeem(user, second)
    assert recovery_code.remaining(user) == 8


def test_attack_108_of_20_threads_with_one_code_one_is_let_in(app: Flask) -> None:
    user = make_person()
    user_id, code = user.id, make_codes(user)[0]

    def redeem(_: int) -> bool:
        done = recovery_code.redeem(db.session.get_one(User, user_id), code)
        db.session.commit()
        return done

    assert in_threads(20, app, redeem).count(True) == 1
    assert recovery_code.remaining(user) == 9


def test_codes_of_somebody_else_are_no_good(app: Flask) -> None:
    code = make_codes(make_person())[0]
    other = make_person("bob")
    make_codes(other)
    assert recovery_code.verify(other, {"code": code}) == Refused("wrong_code")


def test_the_table_does_not_tell_the_codes(app: Flask) -> None:
    codes = make_codes(make_person())
    kept = str(db.session.execute(text("SELECT * FROM recovery_codes")).all())
    assert not any(code in kept or recovery_code.normalised(code) in kept for code in codes)


def test_n23_a_new_set_replaces_the_old_one_and_is_told_by_mail(app: Flask, mailbox) -> None:
    user = make_person()
    old, new = make_codes(user), make_codes(user)
    assert not recovery_code.redeem(user, old[0]) and recovery_code.redeem(user, new[0])
    assert [mail.subject for mail in mailbox()] == ["You have new recovery codes"] * 2


def test_using_a_code_is_written_down_and_told_by_mail(app: Flask, mailbox, audit_trail) -> None:
    user = make_person()
    codes = make_codes(user)
    for code in codes[:-1]:
        recovery_code.redeem(user, code)
    assert recovery_code.verify(user, {"code": codes[-1]}) == Accepted()
    db.session.commit()
    assert "recovery_code.used" in audit_trail and "It was your last one" in mailbox()[-1].body
    assert not recovery_code.enrolled(user) and recovery_code.bound(user)


def test_codes_survive_a_new_sealing_key(make_app, sqlite_url: str) -> None:
    old, new = fresh_key("old"), fresh_key("new")
    with make_app(sqlite_url, secrets={"sealing_keys": (old,)}).app_context():
        code = make_codes(make_person())[0]
    with make_app(sqlite_url, secrets={"sealing_keys": (new, old)}).app_context():
        assert recovery_code.redeem(db.session.query(User).one(), code)
