"""Passwords of people: checking, counting, changing, upgrading (C-4…C-9, N-10, N-11, ASVS 6.4.1, attacks 87, 91, 96, 143)."""

import dataclasses
import threading

import pytest
import sqlalchemy as sa

from idp import users
from idp.authn.factors import password
from idp.authn.factors.password import PasswordRefused, WrongPassword
from idp.authn.factors.password_table import EarlierPassword, Password
from idp.authn.factors.password_table import row_of as stored
from idp.config import settings
from idp.db import committing, db
from idp.errors import BadInput, Conflict, Unavailable
from tests.conftest import fresh_key, in_threads

FIRST, SECOND = "Quiet-Lamp-93-Orbit", "Brave-Fern-41-Canal"
SSHA = "{SSHA}xzWj8EWSVORK/NxhYVlw8mj2HozRunfO"  # of «correct horse»


def person(username="alice", raw=FIRST):
    with committing():
        user = users.create(username=username, display_name="Somebody Else")
        if raw:
            password.set_password(user, raw, actor=user.sub)
    return user


def check(user, raw):
    with committing():
        return password.verify(user, raw)


def reconfigure(app, **sections):
    changed = settings()
    for section, values in sections.items():
        changed = dataclasses.replace(changed, **{section: dataclasses.replace(getattr(changed, section), **values)})
    app.extensions["idp.settings"] = changed


def row_of(user):
    db.session.rollback()
    return db.session.execute(sa.select(Password.__table__).where(Password.user_id == user.id)).one()


def test_the_right_password_and_no_other(app, audit_trail):
    alice = person()
    assert check(alice, FIRST)
    for wrong in (SECOND, FIRST + " ", FIRST.lower(), "", FIRST[:-1]):
        assert not check(alice, wrong)
    assert audit_trail.events() == ["user.created", "password.set"]


@pytest.mark.parametrize("raw", ["x" * 1000, "x" * 1_000_000, "a\x00b", "\ud800", "😀" * 64, ""])
def test_c1_attack_87_no_password_breaks_the_check(app, raw):
    alice, nothing = person(), person("bob", raw=None)
    assert [check(user, raw) for user in (alice, nothing, None)] == [False, False, False]


def test_c5_what_is_stored_is_sealed_and_bound_to_its_person(app, audit_trail):
    alice, bob = person(), person("bob", SECOND)
    row = row_of(alice)
    assert b"$2b$" not in bytes(row.sealed_hash)
    with committing():
        moved = sa.update(Password).where(Password.user_id == bob.id)
        db.session.execute(moved.values(sealed_hash=row.sealed_hash))
    assert not check(bob, FIRST)
    assert not check(bob, SECOND)
    assert audit_trail.events().count("password.unreadable") == 2


def test_c5_a_new_sealing_key_keeps_every_password(app):
    alice = person()
    keys = settings().secrets.sealing_keys
    reconfigure(app, secrets={"sealing_keys": (fresh_key("s2"), *keys)})
    assert check(alice, FIRST)


def test_c6_a_malformed_hash_is_refused_and_reported(app, audit_trail):
    alice = person()
    with committing():
        db.session.execute(sa.update(Password).values(sealed_hash=b"nonsense"))
    assert not check(alice, FIRST)
    assert "password.unreadable" in audit_trail
    assert row_of(alice).failures == 1


def test_c5_without_its_pepper_a_password_is_refused_and_reported(app):
    alice = person()
    reconfigure(app, secrets={"peppers": (fresh_key("other"),)})
    assert not check(alice, FIRST)
    reason = db.session.execute(sa.text("SELECT reason FROM audit_events WHERE event = 'password.unreadable'")).scalar()
    assert reason == "pepper_missing"


@pytest.mark.parametrize("change", ["cost", "pepper"])
def test_c4_an_old_hash_is_upgraded_after_success_and_untouched_by_failure(app, audit_trail, change):
    alice = person()
    before = row_of(alice)
    if change == "cost":
        reconfigure(app, passwords={"bcrypt_cost": 5})
    else:
        reconfigure(app, secrets={"peppers": (fresh_key("p2"), *settings().secrets.peppers)})
    assert not check(alice, SECOND)
    assert row_of(alice).sealed_hash == before.sealed_hash
    assert check(alice, FIRST)
    after = row_of(alice)
    assert (after.cost, after.pepper_id) == ((5, "p1") if change == "cost" else (4, "p2"))
    assert after.stamp == before.stamp  # the same password: recovery links and open sign-ins stay good
    assert check(alice, FIRST)
    assert audit_trail.events().count("password.rehashed") == 1


def test_c4_race_twenty_sign_ins_upgrade_once(app, audit_trail):
    alice = person()
    reconfigure(app, passwords={"bcrypt_cost": 5})
    identifier = alice.id

    def work(_number):
        with committing():
            return password.verify(db.session.get(users.User, identifier), FIRST)

    assert in_threads(20, app, work) == [True] * 20
    assert audit_trail.events().count("password.rehashed") == 1


def test_a_foreign_hash_opens_once_and_is_ours_from_then_on(app, audit_trail):
    alice = person(raw=None)
    with committing():
        password.import_hash(alice, SSHA, actor="cli")
    assert password.state(alice).scheme == "ldap_salted_sha1"
    assert not check(alice, "wrong horse")
    assert password.state(alice).scheme == "ldap_salted_sha1"
    assert check(alice, "correct horse")
    assert password.state(alice).scheme == "bcrypt-hmac-sha256"
    assert check(alice, "correct horse")
    assert not password.must_change(alice)
    assert audit_trail.events() == ["user.created", "password.imported", "password.rehashed", "password.below_policy"]


def test_attack_89_an_imported_password_that_everybody_knows_must_be_changed(app):
    import passlib.hash

    alice = person(raw=None)
    with committing():
        password.import_hash(alice, passlib.hash.ldap_salted_sha1.hash("password1"))
    assert check(alice, "password1")
    assert password.must_change(alice)


def test_a_foreign_hash_never_replaces_a_password(app):
    alice = person()
    with pytest.raises(Conflict):
        password.import_hash(alice, SSHA)
    with pytest.raises(BadInput, match="Supported"):
        password.import_hash(person("bob", raw=None), "md5$a$b")


# --- counting ------------------------------------------------------------------------------------------------


def test_n10_at_the_hard_limit_the_password_is_disabled_even_for_who_knows_it(app, audit_trail):
    reconfigure(app, factors={"failure_hard_limit": 5})
    alice = person()
    for _ in range(5):
        assert not check(alice, SECOND)
    assert not check(alice, FIRST)
    assert not password.enrolled(alice)
    assert audit_trail.events().count("factor.disabled") == 1
    with committing():
        password.set_password(alice, SECOND, actor=alice.sub)
    assert password.enrolled(alice)
    assert check(alice, SECOND)


def test_n11_a_success_forgets_the_failures(app):
    alice = person()
    for _ in range(3):
        check(alice, SECOND)
    assert row_of(alice).failures == 3
    assert check(alice, FIRST)
    assert row_of(alice).failures == 0


def test_n10_race_no_failure_is_lost_and_no_late_guess_is_accepted(app, audit_trail):
    reconfigure(app, factors={"failure_hard_limit": 12}, passwords={"hash_concurrency": 4})
    identifier = person().id

    def work(number):
        with committing():
            return password.verify(db.session.get(users.User, identifier), SECOND)

    assert in_threads(20, app, work) == [False] * 20
    assert audit_trail.events().count("factor.disabled") == 1
    user = db.session.get(users.User, identifier)
    assert row_of(user).failures == 12
    assert not check(user, FIRST)


def test_n10_a_right_guess_that_comes_after_the_limit_is_refused(app, monkeypatch):
    """It was already being checked when the limit was reached."""
    alice = person()
    real = password.hashing.check

    def slow(*arguments):
        checked = real(*arguments)
        in_threads(1, app, lambda _: _disable())
        return checked

    def _disable():
        with committing():
            db.session.execute(sa.text("UPDATE passwords SET disabled_at = changed_at"))

    monkeypatch.setattr(password.hashing, "check", slow)
    assert not check(alice, FIRST)


def test_a_password_that_is_replaced_while_it_is_checked_does_not_open(app, monkeypatch):
    alice = person()
    identifier, real = alice.id, password.hashing.check

    def slow(*arguments):
        checked = real(*arguments)
        monkeypatch.setattr(password.hashing, "check", real)
        in_threads(1, app, lambda _: _replace())
        return checked

    def _replace():
        with committing():
            user = db.session.get(users.User, identifier)
            password._replace(user, stored(user), password.hashing.make(SECOND, password._recipe()), handed_over=False)

    monkeypatch.setattr(password.hashing, "check", slow)
    assert not check(alice, FIRST)


def test_c7_a_disabled_person_takes_the_same_path_and_is_seen_as_disabled(app):
    alice = person()
    identifier = alice.sub

    def work(_number):
        with committing():
            users.disable(identifier, reason="left", actor=None)

    in_threads(1, app, work)
    assert check(alice, FIRST)
    assert not alice.is_active  # reloaded: the caller sees what is true now


def test_c7_nobody_costs_the_same_statements_as_somebody(app):
    alice = person()
    seen = []

    def note(_conn, _cursor, statement, *_rest):
        seen.append(statement.split()[0] + " " + ("passwords" if "passwords" in statement else ""))

    def run(user):
        seen.clear()
        check(user, SECOND)
        return [statement for statement in seen if "passwords" in statement]

    sa.event.listen(db.engine, "before_cursor_execute", note)
    try:
        assert run(alice) == run(None) == run(person("bob", raw=None))
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", note)


# --- changing ------------------------------------------------------------------------------------------------


def test_c9_attack_96_none_of_the_last_five_and_the_sixth_again(app):
    alice = person(raw="Quiet-Lamp-0-Orbit")
    for number in range(1, 6):
        for earlier in range(max(0, number - 5), number):
            with pytest.raises(PasswordRefused, match="last 5"):
                password.set_password(alice, f"Quiet-Lamp-{earlier}-Orbit", actor=alice.sub)
        with committing():
            password.set_password(alice, f"Quiet-Lamp-{number}-Orbit", actor=alice.sub)
    assert [v.rule for v in password.violations(alice, "Quiet-Lamp-1-Orbit")] == ["history"]
    assert password.violations(alice, "Quiet-Lamp-0-Orbit") == []
    assert db.session.scalar(sa.select(sa.func.count()).select_from(EarlierPassword)) == 4


def test_attack_96_the_present_password_is_refused_even_without_a_history(app):
    reconfigure(app, passwords={"history": 0})
    alice = person()
    assert [v.rule for v in password.violations(alice, FIRST)] == ["history"]
    with committing():
        password.set_password(alice, SECOND, actor=alice.sub)
    assert password.violations(alice, FIRST) == []


def test_history_survives_an_upgrade_and_foreign_hashes_count(app):
    alice = person(raw=None)
    with committing():
        password.import_hash(alice, SSHA)
        password.set_password(alice, FIRST, actor=alice.sub)
    reconfigure(app, passwords={"min_length": 8, "min_upper": 0, "min_digits": 0})
    assert [v.rule for v in password.violations(alice, "correct horse")] == ["history"]


def test_every_broken_rule_comes_with_the_refusal(app):
    alice = person(raw=None)
    with pytest.raises(PasswordRefused) as refused:
        password.set_password(alice, "alice", actor=alice.sub)
    assert [v.rule for v in refused.value.violations] == [
        "length",
        "upper",
        "digit",
        "special",
        "username",
        "blocklist",
    ]
    assert len(refused.value.fields["new_password"]) == 6
    assert password.stamp(alice) == ""


def test_attack_96_changing_wants_the_present_password(app, audit_trail):
    alice = person()
    with pytest.raises(WrongPassword):
        password.change_password(alice, SECOND, SECOND + "!", actor=alice.sub)
    assert row_of(alice).failures == 0  # the refusal was not committed by this test; a view commits it
    before = password.stamp(alice)
    with committing():
        password.change_password(alice, FIRST, SECOND, actor=alice.sub)
    assert password.stamp(alice) != before
    assert not check(alice, FIRST)
    assert check(alice, SECOND)
    assert "password.changed" in audit_trail


def test_asvs_6_4_1_a_password_from_somebody_else_is_for_one_sign_in_and_three_days(app, audit_trail, travel):
    alice = person()
    with committing():
        raw = password.issue_temporary(alice, actor="_admin")
    assert check(alice, raw)
    assert password.must_change(alice)
    assert "password.issued" in audit_trail
    travel(72 * 3600 + 1)
    assert not check(alice, raw)
    with committing():
        password.set_password(alice, SECOND, actor=alice.sub)
    assert not password.must_change(alice)
    travel(365 * 24 * 3600)
    assert check(alice, SECOND)


def test_only_the_person_chooses_a_password_that_stays(app):
    alice = person()
    with committing():
        password.set_password(alice, SECOND, actor="_admin")
    assert password.must_change(alice)
    with committing():
        password.set_password(alice, FIRST + "!", actor=alice.sub)
    assert not password.must_change(alice)


def test_a_stamp_admits_one_change(app):
    alice = person()
    seen = password.stamp(alice)
    with committing():
        password.set_password(alice, SECOND, actor=alice.sub, expected_stamp=seen)
    with pytest.raises(Conflict):
        password.set_password(alice, FIRST + "!", actor=alice.sub, expected_stamp=seen)


def test_race_of_twenty_changes_of_one_stamp_has_one_winner(app, audit_trail):
    alice = person()
    identifier, seen = alice.id, password.stamp(alice)
    db.session.rollback()

    def work(number):
        with committing():
            user = db.session.get(users.User, identifier)
            password.set_password(user, f"Brave-Fern-{number}-Canal", actor=user.sub, vetted=True, expected_stamp=seen)
            return number

    results = in_threads(20, app, work)
    assert [type(result) for result in results].count(int) == 1
    assert {type(result) for result in results if not isinstance(result, int)} == {Conflict}
    winner = next(result for result in results if isinstance(result, int))
    assert check(db.session.get(users.User, identifier), f"Brave-Fern-{winner}-Canal")
    assert audit_trail.events().count("password.changed") == 1


def test_race_of_twenty_first_passwords_has_one_winner(app):
    identifier = person(raw=None).id

    def work(number):
        with committing():
            user = db.session.get(users.User, identifier)
            password.set_password(user, f"Brave-Fern-{number}-Canal", actor=user.sub, vetted=True)
            return number

    results = in_threads(20, app, work)
    replaced = [result for result in results if isinstance(result, int)]
    assert replaced
    assert {type(result) for result in results if not isinstance(result, int)} <= {Conflict}
    assert sum(check(db.session.get(users.User, identifier), f"Brave-Fern-{n}-Canal") for n in replaced) == 1


# --- the pool ------------------------------------------------------------------------------------------------


def test_attack_143_a_full_queue_is_503_and_counts_nothing(app):
    reconfigure(app, passwords={"hash_queue": 1, "hash_concurrency": 1})
    alice = person()
    gate, started = threading.Event(), threading.Event()

    def block():
        started.set()
        gate.wait(60)

    pool = password.pool()
    blockers = [threading.Thread(target=pool.run, args=(block,)) for _ in range(2)]
    for blocker in blockers:
        blocker.start()
    started.wait(60)
    while pool.waiting < 1:
        pass
    with pytest.raises(Unavailable) as busy:
        password.verify(alice, SECOND)
    assert busy.value.retry_after_s > 0
    gate.set()
    for blocker in blockers:
        blocker.join()
    assert row_of(alice).failures == 0
    assert check(alice, FIRST)
