"""TOTP: RFC 6238's own numbers, one use a step, sealed secrets, a hard limit."""

from __future__ import annotations

import contextvars
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import parse_qs, unquote, urlsplit

import pyotp
import pytest
from flask import Flask, g
from sqlalchemy import select, text

from idp import audit, clock, crypto, kv
from idp.authn.factors import totp, totp_pending
from idp.authn.factors.base import Accepted, Refused
from idp.authn.factors.totp import TotpAuthenticator
from idp.db import db
from idp.errors import BadInput, Conflict
from idp.users import User
from tests.authn.signing_in import code_of, make_person, new_secret
from tests.conftest import in_threads

SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
ASCII = "12345678901234567890123456789012345678901234567890123456789012345678"

RFC6238 = [  # appendix B: time, SHA-1, SHA-256, SHA-512
    (59, "94287082", "46119246", "90693936"),
    (1111111109, "07081804", "68084774", "25091201"),
    (1111111111, "14050471", "67062674", "99943326"),
    (1234567890, "89005924", "91819424", "93441116"),
    (2000000000, "69279037", "90698825", "38618901"),
    (20000000000, "65353130", "77737706", "47863826"),
]


@pytest.mark.parametrize(("at", "sha1", "sha256", "sha512"), RFC6238)
def test_c16_rfc6238_appendix_b(at: int, sha1: str, sha256: str, sha512: str) -> None:
    def code(length: int, digest: object) -> str:
        return totp.code_at(pyotp_secret(ASCII[:length]), at // totp.STEP_S, digits=8, digest=digest)

    assert (code(20, hashlib.sha1), code(32, hashlib.sha256), code(64, hashlib.sha512)) == (sha1, sha256, sha512)


def pyotp_secret(ascii_key: str) -> str:
    import base64

    return base64.b32encode(ascii_key.encode()).decode()


@pytest.mark.parametrize(("steps", "accepted"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_c13_the_window_is_one_step_each_way(steps: int, accepted: bool) -> None:
    with clock.freeze(datetime(2026, 3, 2, 12, 0, 7, tzinfo=UTC)):
        step = totp.match_step(SECRET, code_of(SECRET, steps=steps), window=1)
        assert step == (clock.epoch() // 30 + steps if accepted else None)


def test_c12_only_six_ascii_digits_are_a_code() -> None:
    with clock.freeze(datetime(2026, 3, 2, 12, 0, 7, tzinfo=UTC)):
        code = code_of(SECRET)
        wide = code.translate({ord(digit): 0xFF10 + int(digit) for digit in "0123456789"})
        assert pyotp.TOTP(SECRET).verify(wide, for_time=clock.now()), "the trap is still there"
        bad = (wide, code + "0", code[:5], f"{code}\n", "", "１２３４５６", "-12345", "12345a", f"\u200b{code}")
        assert [totp.match_step(SECRET, typed, window=1) for typed in bad] == [None] * len(bad)


@pytest.fixture(autouse=True)
def time_stands() -> Iterator[None]:
    """A step does not end between a code and its second use."""
    with clock.freeze(clock.now()):
        yield


def alice(app: Flask) -> User:
    return make_person("alice", secret=SECRET)


def typed(code: str) -> dict[str, str]:
    return {"code": code}


def stored(user: User) -> TotpAuthenticator:
    db.session.expire_all()
    return db.session.scalars(select(TotpAuthenticator).where(TotpAuthenticator.user_id == user.id)).one()


def test_c10_a_secret_has_160_bits(app: Flask) -> None:
    assert len(totp.begin_enrolment(make_person()).secret_base32) == 32


def test_attack_101_a_code_is_good_once_also_with_a_space_or_from_the_step_before(app: Flask) -> None:
    user = alice(app)
    assert totp.verify(user, typed(code_of(SECRET))) == Accepted()
    again = [code_of(SECRET), f"{code_of(SECRET)[:3]} {code_of(SECRET)[3:]}", code_of(SECRET, steps=-1)]
    assert [totp.verify(user, typed(code)) for code in again] == [Refused("replayed")] * 3
    assert totp.verify(user, typed(code_of(SECRET, steps=1))) == Accepted()


def test_attack_102_of_20_threads_with_one_code_one_is_let_in(app: Flask) -> None:
    user_id, code = alice(app).id, code_of(SECRET)

    def attempt(_: int) -> object:
        outcome = totp.verify(db.session.get_one(User, user_id), typed(code))
        db.session.commit()
        return outcome

    results = in_threads(20, app, attempt)
    assert (results.count(Accepted()), results.count(Refused("replayed"))) == (1, 19)


def test_c14_the_secret_is_sealed_and_bound_to_its_person_and_row(app: Flask) -> None:
    user, other = alice(app), make_person("bob", secret=new_secret())
    sealed = stored(user).sealed_secret
    assert SECRET.encode() not in sealed
    db.session.execute(text("UPDATE totp_authenticators SET sealed_secret = :it"), {"it": sealed})
    with pytest.raises(crypto.SealBroken):
        totp.verify(other, typed(code_of(SECRET)))


def test_a_person_may_have_several_apps(app: Flask) -> None:
    user, second = alice(app), new_secret()
    totp.bind(user, second, actor=None, label="Tablet")
    assert totp.verify(user, typed(code_of(second))) == Accepted()
    assert totp.verify(user, typed(code_of(SECRET))) == Accepted()


# --- enrolment ------------------------------------------------------------------------------------------------


def test_c14_a_pending_secret_opens_nothing_until_one_code_confirms_it(app: Flask, audit_trail) -> None:
    user = make_person()
    pending = totp.begin_enrolment(user)
    assert not totp.enrolled(user)
    assert totp.verify(user, typed(code_of(pending.secret_base32))) == Refused("not_enrolled")
    assert not totp.confirm(user, pending.id, "000000")
    assert totp.confirm(user, pending.id, code_of(pending.secret_base32))
    db.session.commit()
    assert totp.enrolled(user) and "factor.enrolled" in audit_trail


def test_the_code_that_confirmed_does_not_sign_in_too(app: Flask) -> None:
    user = make_person()
    pending = totp.begin_enrolment(user)
    code = code_of(pending.secret_base32)
    totp.confirm(user, pending.id, code)
    assert totp.verify(user, typed(code)) == Refused("replayed")


def test_c14_a_secret_is_shown_while_it_is_pending_and_never_again(app: Flask) -> None:
    user = make_person()
    pending = totp.begin_enrolment(user)
    assert totp.find_pending(user, pending.id) == pending
    kept = [kv.client().get(key) for key in kv.client().keys(kv.key("*")) if kv.client().type(key) == "string"]
    assert kept and pending.secret_base32 not in str(kept)
    totp.confirm(user, pending.id, code_of(pending.secret_base32))
    assert totp.find_pending(user, pending.id) is None


def test_attack_99_nobody_confirms_what_somebody_else_enrols(app: Flask) -> None:
    pending = totp.begin_enrolment(make_person())
    other = make_person("bob")
    assert not totp.confirm(other, pending.id, code_of(pending.secret_base32))
    assert not totp.bound(other)


def test_20_threads_confirm_one_enrolment_once(app: Flask) -> None:
    user = make_person()
    user_id, pending = user.id, totp.begin_enrolment(user)
    code = code_of(pending.secret_base32)

    def confirm(_: int) -> bool:
        done = totp.confirm(db.session.get_one(User, user_id), pending.id, code)
        db.session.commit()
        return done

    assert in_threads(20, app, confirm).count(True) == 1
    assert stored(user).last_step > 0


def test_n20_every_verified_address_hears_of_an_enrolment(app: Flask, mailbox) -> None:
    user = make_person(emails=("alice@example.org", "second@example.com"))
    pending = totp.begin_enrolment(user)
    totp.confirm(user, pending.id, code_of(pending.secret_base32))
    db.session.commit()
    assert sorted(mail.recipient for mail in mailbox()) == ["alice@example.org", "second@example.com"]


def test_c14_the_uri_names_issuer_and_person_and_is_drawn_here(app: Flask) -> None:
    user = make_person("alice+x@example.org", emails=())
    pending = totp.begin_enrolment(user)
    parts = urlsplit(pending.otpauth_uri)
    assert unquote(parts.path) == "/localhost:alice+x@example.org"
    assert parse_qs(parts.query) == {"secret": [pending.secret_base32], "issuer": ["localhost"]}
    assert "alice%2Bx%40example.org" in pending.otpauth_uri
    assert pending.qr_svg.startswith("<svg") and "http" not in pending.qr_svg and "style=" not in pending.qr_svg
    assert "".join(pending.secret_groups) == pending.secret_base32 and {len(g) for g in pending.secret_groups} == {4}


def confirmed(user: User, **more: str) -> str:
    pending = totp.begin_enrolment(user)
    assert totp.confirm(user, pending.id, code_of(pending.secret_base32), **more)
    return totp.authenticators(user)[-1].label


def test_an_app_is_named_when_it_is_enrolled(app: Flask) -> None:
    user = make_person()
    assert confirmed(user) == "Authenticator app"
    assert confirmed(user, label=" Ward tablet ") == "Ward tablet"
    assert confirmed(user, label="  ") == "Authenticator app 2"


def test_the_name_of_a_further_app_is_in_its_uri(app: Flask) -> None:
    user = make_person()
    confirmed(user)
    assert unquote(urlsplit(totp.begin_enrolment(user).otpauth_uri).path) == "/localhost:alice (Authenticator app 2)"


def test_on_a_phone_the_phone_is_proposed(app: Flask) -> None:
    agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1"
    with app.test_request_context("/", headers={"User-Agent": agent}):
        g.pop("request_context", None)
        assert totp_pending.proposed_label([]) == "iPhone"
        assert totp_pending.proposed_label(["iPhone"]) == "iPhone 2"


def test_a_bad_name_does_not_spend_the_enrolment(app: Flask) -> None:
    user = make_person()
    pending = totp.begin_enrolment(user)
    with pytest.raises(BadInput):
        totp.confirm(user, pending.id, code_of(pending.secret_base32), label="a\nb")
    assert totp.confirm(user, pending.id, code_of(pending.secret_base32), label="Phone")


def test_nobody_has_more_apps_than_they_can_tell_apart(app: Flask) -> None:
    user = make_person()
    for number in range(totp.MOST):
        totp.bind(user, new_secret(), actor=None, label=str(number))
    pending = totp.begin_enrolment(user)
    with pytest.raises(Conflict, match="Remove one first"):
        totp.confirm(user, pending.id, code_of(pending.secret_base32))


# --- the hard limit -------------------------------------------------------------------------------------------


def wrong_code() -> str:
    near = {code_of(SECRET, steps=step) for step in (-2, -1, 0, 1, 2)}
    return next(code for code in ("000000", "111111", "222222", "333333", "444444", "555555") if code not in near)


def test_attack_101_a_spent_code_in_fullwidth_digits_or_in_another_browser_is_refused(app: Flask) -> None:
    user = alice(app)
    code = code_of(SECRET)
    assert totp.verify(user, typed(code)) == Accepted()
    wide = code.translate({ord(digit): 0xFF10 + int(digit) for digit in "0123456789"})
    db.session.commit()
    again = contextvars.Context().run(_verified_elsewhere, app, user.id, [code, wide, f" {code}"])
    assert again == [Refused("replayed"), Refused("malformed"), Refused("replayed")]


def _verified_elsewhere(app: Flask, user_id: int, codes: list[str]) -> list[object]:
    with app.app_context():
        return [totp.verify(db.session.get_one(User, user_id), typed(code)) for code in codes]


def test_attack_100_n10_fifty_failures_in_a_row_disable_the_app_and_a_good_code_comes_too_late(
    app: Flask, mailbox
) -> None:
    user = alice(app)
    for _ in range(50):
        assert totp.verify(user, typed(wrong_code())) == Refused("wrong_code")
    db.session.commit()
    assert not totp.enrolled(user) and totp.bound(user)
    assert totp.verify(user, typed(code_of(SECRET))) == Refused("not_enrolled")
    disabled = audit.search(audit.Query(subject=user.sub, event="factor.disabled")).entries
    assert len(disabled) == 1
    assert [mail.subject for mail in mailbox()] == ["Your authenticator app was switched off"]


def test_n11_only_a_good_code_ends_a_row_of_failures(app: Flask) -> None:
    user = alice(app)
    for _ in range(49):
        totp.verify(user, typed(wrong_code()))
    assert stored(user).failures == 49
    assert totp.verify(user, typed(code_of(SECRET))) == Accepted()
    assert stored(user).failures == 0


def test_a_replayed_or_malformed_code_is_no_guess(app: Flask) -> None:
    user = alice(app)
    totp.verify(user, typed(code_of(SECRET)))
    totp.verify(user, typed(code_of(SECRET)))
    totp.verify(user, typed("abc"))
    assert stored(user).failures == 0


def test_20_threads_with_wrong_codes_are_all_counted(app: Flask) -> None:
    user = alice(app)
    user_id, code = user.id, wrong_code()

    def attempt(_: int) -> None:
        totp.verify(db.session.get_one(User, user_id), typed(code))
        db.session.commit()

    assert in_threads(20, app, attempt) == [None] * 20
    assert stored(user).failures == 20
