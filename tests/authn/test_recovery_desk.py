"""Help-desk recovery: reason, four eyes, cool-off, a code that works once and never instead of the password (7.117, N-25, ASVS 2.3.5)."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from idp import audit, sessions, users
from idp.authn import factors, recovery_case, recovery_desk, recovery_review, recovery_temporary
from idp.authn.factors import recovery_code, totp
from idp.authn.recovery_case import RecoveryCase
from idp.authn.recovery_desk import Desk
from idp.db import db
from idp.errors import BadInput, Conflict, Forbidden
from idp.users import User
from tests.authn.signing_in import make_codes, make_person, new_secret
from tests.conftest import in_threads

SECRET = new_secret()
FIRST, SECOND = Desk("_first", is_administrator=False), Desk("_second", is_administrator=False)
CHIEF = Desk("_chief", is_administrator=True)
COOL_OFF_S = 1800


@pytest.fixture
def user(app: Flask) -> User:
    found = make_person(secret=SECRET)
    make_codes(found)
    return found


def opened(user: User, *, by: Desk = FIRST, **given: Any) -> RecoveryCase:
    told = {"reason": "Phone was stolen", "proof": "callback", "proof_note": "Extension 417, spoke to her", **given}
    case = recovery_desk.open_case(user, by=by, **told)
    db.session.commit()
    return case


def issued(user: User, travel: Any) -> tuple[RecoveryCase, str]:
    """A case whose code is out."""
    case = opened(user)
    recovery_desk.approve(case, by=SECOND)
    travel(COOL_OFF_S + 1)
    raw_code = recovery_desk.issue(case, by=FIRST)
    db.session.commit()
    return case, raw_code


def events_of(user: User) -> list[tuple[str, str | None]]:
    found = audit.search(audit.Query(subject=user.sub, event="recovery_case.*"), limit=50).entries
    return [(one.event, one.actor) for one in reversed(found)]


# --- the way through ------------------------------------------------------------------------------------------


def test_attack_117_the_whole_way_with_every_step_written_down(app: Flask, user: User, travel) -> None:
    case, raw_code = issued(user, travel)
    assert case.stands == "issued" and len(recovery_code.normalised(raw_code)) == 13, "65 bits"
    assert recovery_temporary.redeem(user, raw_code)
    db.session.commit()
    assert recovery_case.get(case.public_id).stands == "used"
    assert factors.authenticators(user) == [], "what was stolen is gone, recovery codes too"
    assert events_of(user) == [
        ("recovery_case.opened", "_first"),
        ("recovery_case.approved", "_second"),
        ("recovery_case.code_issued", "_first"),
        ("recovery_case.used", user.sub),
    ]
    used = audit.search(audit.Query(event="recovery_case.used")).entries[0]
    assert {"_first", "_second"} <= set(used.details.values()), "who let them in stands in one event"
    assert recovery_review.owed(user)


def test_factors_that_are_only_out_of_reach_stay(app: Flask, user: User, travel) -> None:
    case = opened(user, remove_factors=False, reason="Phone is at home")
    recovery_desk.approve(case, by=SECOND)
    travel(COOL_OFF_S)
    assert recovery_temporary.redeem(user, recovery_desk.issue(case, by=SECOND))
    assert totp.enrolled(user) and recovery_code.enrolled(user)


def test_f9_every_session_ends_with_the_code(app: Flask, user: User, travel) -> None:
    ended: list[str] = []

    def note(_: Any, *, cause: str, **__: Any) -> None:
        ended.append(cause)

    _, raw_code = issued(user, travel)
    with sessions.all_ended.connected_to(note):
        assert recovery_temporary.redeem(user, raw_code)
    assert ended == ["recovered"]


# --- reason and proof -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reason", " "),
        ("proof_note", ""),
        ("proof", "mothers_maiden_name"),
        ("reason", "x" * 501),
        ("reason", "a\u202eb"),
    ],
)
def test_asvs_6_4_4_a_case_says_why_and_how_the_identity_was_checked(
    app: Flask, user: User, field: str, value: str
) -> None:
    with pytest.raises(BadInput) as told:
        opened(user, **{field: value})
    assert list(told.value.fields) == [field]


def test_one_live_case_a_person(app: Flask, user: User) -> None:
    case = opened(user)
    with pytest.raises(Conflict):
        opened(user, by=SECOND)
    recovery_desk.deny(case, by=SECOND, reason="It was not her")
    assert opened(user, by=SECOND).stands == "open"


# --- four eyes ------------------------------------------------------------------------------------------------


def test_attack_117_whoever_opened_a_case_cannot_approve_it(app: Flask, user: User) -> None:
    case = opened(user)
    with pytest.raises(Forbidden):
        recovery_desk.approve(case, by=FIRST)
    with pytest.raises(Conflict):
        recovery_desk.issue(case, by=SECOND)
    assert recovery_case.get(case.public_id).stands == "open"


def test_attack_117_nobody_helps_themselves(app: Flask) -> None:
    desk = make_person("desk", roles=("help_desk",))
    themselves = recovery_desk.desk_of(desk)
    with pytest.raises(Forbidden):
        opened(desk, by=themselves)
    case = opened(desk)
    for act in (recovery_desk.approve, recovery_desk.issue):
        with pytest.raises(Forbidden):
            act(case, by=themselves)
    with pytest.raises(Forbidden):
        recovery_desk.deny(case, by=themselves, reason="no")


def test_attack_117_who_has_rights_over_others_needs_an_administrator(app: Flask) -> None:
    case = opened(make_person("chief", roles=("administrator",)))
    with pytest.raises(Forbidden):
        recovery_desk.approve(case, by=SECOND)
    recovery_desk.approve(case, by=CHIEF)
    assert case.stands == "cooling"


@pytest.mark.parametrize("moment", ["before the code", "with the code in hand"])
def test_attack_117_who_came_to_rights_over_others_meanwhile_needs_an_administrator_too(
    app: Flask, user: User, travel, moment: str
) -> None:
    case = opened(user)
    recovery_desk.approve(case, by=SECOND)
    travel(COOL_OFF_S + 1)
    raw_code = recovery_desk.issue(case, by=FIRST) if moment == "with the code in hand" else ""
    users.set_roles(user.sub, ["administrator"], actor="cli")
    db.session.commit()
    for by in (FIRST, CHIEF):
        with pytest.raises(Forbidden, match="by now"):
            recovery_desk.issue(case, by=by)
        db.session.rollback()
    assert not recovery_temporary.redeem(user, raw_code) and totp.enrolled(user)
    recovery_desk.stop(case, by=FIRST, reason="has rights over others now")
    again = opened(user)
    recovery_desk.approve(again, by=Desk(make_person("head", roles=("administrator",)).sub, is_administrator=True))
    travel(COOL_OFF_S + 1)
    assert recovery_temporary.redeem(user, recovery_desk.issue(again, by=FIRST)), "an administrator agreed to this one"


@pytest.mark.parametrize("roles", [(), ("help_desk",)])
def test_two_eyes_where_the_policy_says_so(make_app, sqlite_url: str, roles: tuple[str, ...]) -> None:
    app = make_app(sqlite_url, recovery={"four_eyes": False, "cool_off_s": 0})
    with app.app_context():
        found = make_person(roles=roles)
        if roles:
            with pytest.raises(Forbidden):
                opened(found)
        chief = Desk(make_person("chief", roles=("administrator",)).sub, is_administrator=True)
        case = opened(found, by=chief)
        assert case.stands == "ready"
        assert recovery_temporary.redeem(found, recovery_desk.issue(case, by=chief))


# --- cool-off, stop, expiry -----------------------------------------------------------------------------------


def test_no_code_before_the_cool_off_is_over(app: Flask, user: User, travel) -> None:
    case = opened(user)
    recovery_desk.approve(case, by=SECOND)
    travel(COOL_OFF_S - 5)
    assert case.stands == "cooling"
    with pytest.raises(Conflict):
        recovery_desk.issue(case, by=FIRST)
    travel(6)
    assert case.stands == "ready" and recovery_desk.issue(case, by=FIRST)


def test_n26_every_verified_address_is_told_with_a_link_that_stops_it(app: Flask, mailbox) -> None:
    found = make_person(emails=("alice@example.org", "second@example.com"))
    case = opened(found)
    recovery_desk.approve(case, by=SECOND)
    db.session.commit()
    told = [(mail.recipient, recovery_case.stop_token(case) in mail.body) for mail in mailbox()]
    assert sorted(told) == [("alice@example.org", True)] * 2 + [("second@example.com", True)] * 2


@pytest.mark.parametrize("progress", ["open", "cooling", "issued"])
def test_a_stopped_case_lets_nobody_in(app: Flask, user: User, travel, progress: str) -> None:
    case = opened(user)
    raw_code = ""
    if progress != "open":
        recovery_desk.approve(case, by=SECOND)
    if progress == "issued":
        travel(COOL_OFF_S)
        raw_code = recovery_desk.issue(case, by=FIRST)
    found = recovery_case.find_by_stop_token(recovery_case.stop_token(case))
    assert found is not None and recovery_case.stop(found, by=user.sub)
    assert not recovery_case.stop(found, by=user.sub), "once"
    assert not recovery_temporary.redeem(user, raw_code)
    with pytest.raises(Conflict):
        recovery_desk.issue(case, by=FIRST)
    assert totp.enrolled(user)


@pytest.mark.parametrize("forged", ["", ".", "x.y", "ü.x", "x" * 200])
def test_a_forged_link_stops_nothing(app: Flask, user: User, forged: str) -> None:
    case = opened(user)
    assert recovery_case.find_by_stop_token(forged) is None
    assert recovery_case.find_by_stop_token(case.public_id + "." + "A" * 43) is None


def test_a_case_that_nobody_finishes_expires(app: Flask, user: User, travel) -> None:
    case = opened(user)
    recovery_desk.approve(case, by=SECOND)
    travel(86401)
    assert case.stands == "expired"
    with pytest.raises(Conflict):
        recovery_desk.issue(case, by=FIRST)
    assert recovery_case.expire_overdue() == 1 and recovery_case.expire_overdue() == 0
    db.session.commit()
    assert events_of(user)[-1] == ("recovery_case.expired", None)
    assert opened(user).stands == "open"


# --- the code -------------------------------------------------------------------------------------------------


def test_the_code_dies_after_ten_minutes_and_a_new_one_can_be_made(app: Flask, user: User, travel) -> None:
    case, raw_code = issued(user, travel)
    travel(601)
    assert not recovery_temporary.redeem(user, raw_code)
    newer = recovery_desk.issue(case, by=SECOND)
    assert recovery_temporary.redeem(user, newer.lower().replace("-", " ")), "typed as people type"


def test_of_two_codes_of_a_case_the_newer_counts(app: Flask, user: User, travel) -> None:
    case, older = issued(user, travel)
    newer = recovery_desk.issue(case, by=SECOND)
    assert not recovery_temporary.redeem(user, older) and recovery_temporary.redeem(user, newer)


def test_attack_99_a_code_is_good_for_its_person_alone(app: Flask, user: User, travel) -> None:
    _, raw_code = issued(user, travel)
    other = make_person("mallory")
    opened(other)
    assert not recovery_temporary.redeem(other, raw_code)
    assert recovery_temporary.redeem(user, raw_code)


def test_a_disabled_person_is_not_let_in(app: Flask, user: User, travel) -> None:
    _, raw_code = issued(user, travel)
    users.disable(user.sub, reason="left", actor=None)
    assert not recovery_temporary.redeem(user, raw_code)


def test_the_code_is_kept_as_a_digest(app: Flask, user: User, travel) -> None:
    case, raw_code = issued(user, travel)
    assert case.code_mac and raw_code not in case.code_mac
    assert recovery_code.normalised(raw_code) not in str(audit.search(audit.Query(subject=user.sub), limit=50).entries)
    assert recovery_temporary.redeem(user, raw_code)
    assert recovery_case.get(case.public_id).code_mac is None


def test_attack_100_guesses_at_the_code_are_throttled(app: Flask, user: User, travel) -> None:
    issued(user, travel)
    with app.test_request_context():
        outcomes = [recovery_temporary.attempt(user, "00000-00000-000") for _ in range(6)]
    assert [getattr(one, "reason", "") for one in outcomes] == ["wrong_code"] * 5 + ["limited"]


# --- races ----------------------------------------------------------------------------------------------------


def committed(work: Any) -> bool:
    """Say whether a transition went through; commit it, as the edge does."""
    try:
        result = work()
    except Conflict:
        db.session.rollback()
        return False
    db.session.commit()
    return result is not False


def test_race_of_20_openers_one_opens_a_case(app: Flask, user: User) -> None:
    sub = user.sub

    def work(number: int) -> bool:
        return committed(lambda: opened(users.get_by_sub(sub), by=Desk(f"_{number}", is_administrator=False)))

    assert in_threads(20, app, work).count(True) == 1


def test_race_of_20_approvals_and_denials_one_counts(app: Flask, user: User) -> None:
    public_id = opened(user).public_id

    def work(number: int) -> bool:
        by, case = Desk(f"_{number}", is_administrator=False), recovery_case.get(public_id)
        if number % 2:
            return committed(lambda: recovery_desk.approve(case, by=by))
        return committed(lambda: recovery_desk.deny(case, by=by, reason="no"))

    assert in_threads(20, app, work).count(True) == 1


def test_race_of_20_issued_codes_one_is_good(app: Flask, user: User, travel) -> None:
    case, _ = issued(user, travel)
    public_id = case.public_id

    def work(_: int) -> str:
        raw_code = recovery_desk.issue(recovery_case.get(public_id), by=SECOND)
        db.session.commit()
        return raw_code

    raw_codes = in_threads(20, app, work)
    assert [recovery_temporary.redeem(user, raw_code) for raw_code in raw_codes].count(True) == 1


def test_race_of_20_uses_of_one_code_one_counts(app: Flask, user: User, travel) -> None:
    _, raw_code = issued(user, travel)
    sub = user.sub

    def work(_: int) -> bool:
        return committed(lambda: recovery_temporary.redeem(users.get_by_sub(sub), raw_code))

    assert in_threads(20, app, work).count(True) == 1
    assert events_of(user).count(("recovery_case.used", sub)) == 1


def test_race_between_stop_and_use_one_counts(app: Flask, user: User, travel) -> None:
    case, raw_code = issued(user, travel)
    public_id, sub = case.public_id, user.sub

    def work(number: int) -> bool:
        if number % 2:
            return committed(lambda: recovery_case.stop(recovery_case.get(public_id), by=sub))
        return committed(lambda: recovery_temporary.redeem(users.get_by_sub(sub), raw_code))

    assert in_threads(20, app, work).count(True) == 1


def test_race_of_20_sweeps_one_writes_the_expiry_down(app: Flask, user: User, travel) -> None:
    opened(user)
    travel(86401)

    def work(_: int) -> int:
        closed = recovery_case.expire_overdue()
        db.session.commit()
        return closed

    assert sum(in_threads(20, app, work)) == 1
