"""A password that somebody has is judged again at each sign-in (peers 3.16): N-1, N-5, attack 89, PCI DSS 8.3.9."""

from __future__ import annotations

import dataclasses
import io

import pytest
import sqlalchemy as sa

from idp import users
from idp.authn import corpus, policy
from idp.authn.factors import password
from idp.authn.factors.password_table import Password
from idp.config import RolePolicy, settings
from idp.db import committing, db
from tests.authn.signing_in import NEW_PASSWORD, PASSWORD, browser, code_of, make_person, new_secret
from tests.conftest import in_threads

DAY_S = 86400
SECRET = new_secret()
LONGER = "Much-Longer-Than-Thirty-Characters-77"


def reconfigure(app, *, policies=(), **sections):
    changed = dataclasses.replace(settings(), policies=policies)
    for section, values in sections.items():
        changed = dataclasses.replace(changed, **{section: dataclasses.replace(getattr(changed, section), **values)})
    app.extensions["idp.settings"] = changed


def check(user, raw=PASSWORD):
    with committing():
        return password.verify(user, raw)


def breach(app, tmp_path, *words):
    corpus.build(io.BytesIO("\n".join(words).encode()), tmp_path / "corpus")
    reconfigure(app, passwords={"breach_corpus": str(tmp_path / "corpus")})


def row_of(user):
    db.session.rollback()
    return db.session.execute(sa.select(Password.__table__).where(Password.user_id == user.id)).one()


def reasons(event):
    return db.session.scalars(sa.text("SELECT reason FROM audit_events WHERE event = :event"), {"event": event}).all()


# --- what is kept --------------------------------------------------------------------------------------------


def test_a_good_password_is_judged_once_and_then_nothing_is_written(app):
    alice = make_person()
    first = row_of(alice)
    assert first.judged_policy == policy.of(alice).password.version and first.failing is None
    check(alice)
    assert row_of(alice).judged_at == first.judged_at


def test_stricter_rules_are_found_at_the_next_sign_in_and_give_time(app, audit_trail, travel):
    alice = make_person()
    reconfigure(app, passwords={"min_length": 30, "grace_days": 10})
    assert check(alice)
    state = password.state(alice)
    assert state.failing == ("length",) and not state.must_change and password.should_change(alice)
    assert (state.change_by - state.changed_at).days == 10
    travel(5 * DAY_S)
    check(alice)
    assert password.state(alice).change_by == state.change_by, "signing in again buys no time"
    travel(5 * DAY_S)
    assert password.must_change(alice) and not password.should_change(alice)
    assert audit_trail.events().count("password.below_policy") == 1 and reasons("password.below_policy") == ["length"]


def test_rules_that_are_relaxed_again_are_forgiven(app):
    alice = make_person()
    reconfigure(app, passwords={"min_length": 30})
    check(alice)
    reconfigure(app, passwords={"min_length": 12})
    check(alice)
    state = password.state(alice)
    assert (state.failing, state.change_by, state.must_change) == ((), None, False)


def test_without_grace_it_must_be_changed_at_once(app):
    alice = make_person()
    reconfigure(app, passwords={"min_length": 30, "grace_days": 0})
    assert check(alice) and password.must_change(alice)


def test_a_wrong_password_is_judged_by_nobody(app):
    alice = make_person()
    before = row_of(alice)
    reconfigure(app, passwords={"min_length": 30})
    assert not check(alice, "Wrong-Horse-42-Battery")
    after = row_of(alice)
    assert (after.judged_policy, after.failing) == (before.judged_policy, before.failing)


def test_n1_losing_the_second_factor_rule_does_not_leave_a_short_password_behind(app):
    """Eight characters were enough while two factors were owed; now the password stands alone and fifteen are."""
    reconfigure(app, passwords={"preset": "nist_800_63b_4"})
    alice = make_person(raw_password="quietlam")
    assert check(alice, "quietlam") and not password.state(alice).failing
    reconfigure(app, passwords={"preset": "nist_800_63b_4"}, factors={"require_second": False})
    assert check(alice, "quietlam") and password.must_change(alice)
    assert password.state(alice).failing == ("length", "alone")
    assert [violation.rule for violation in password.violations(alice, "quiet lamp orb")] == ["length"]


def test_a_role_brings_its_rules_to_the_next_sign_in(app):
    alice = make_person()
    table = RolePolicy(roles=("billing",), min_length=30)
    reconfigure(app, policies=(table,))
    assert check(alice) and not password.state(alice).failing
    with committing():
        users.set_roles(alice.sub, ["billing"], actor=None)
    assert check(alice) and password.state(alice).failing == ("length",)


def test_attack_89_a_leaked_password_must_be_replaced_at_once(app, audit_trail, tmp_path):
    alice = make_person()
    breach(app, tmp_path, PASSWORD, "another")
    assert check(alice), "it is theirs all the same"
    assert password.must_change(alice) and password.state(alice).failing == ("blocklist",)
    assert audit_trail.events().count("password.compromised") == 1
    assert [
        violation.rule for violation in password.violations(make_person("bob", raw_password=NEW_PASSWORD), PASSWORD)
    ] == ["blocklist"]


def test_attack_89_an_imported_password_that_is_made_from_the_name_must_be_replaced(app):
    import passlib.hash

    alice = make_person(raw_password=None)
    with committing():
        password.import_hash(alice, passlib.hash.ldap_salted_sha1.hash("alice2026!"))
    assert row_of(alice).judged_policy is None
    assert check(alice, "alice2026!") and password.must_change(alice)
    assert "username" in password.state(alice).failing


def test_pci_8_3_9_a_password_that_stands_alone_lasts_ninety_days(app, travel, audit_trail):
    alone = {"passwords": {"preset": "pci_dss_4"}, "factors": {"require_second": False}}
    reconfigure(app, **alone)
    alice = make_person()
    travel(89 * DAY_S)
    assert check(alice) and not password.must_change(alice)
    travel(DAY_S)
    assert check(alice) and password.must_change(alice) and password.state(alice).failing == ("age",)
    assert reasons("password.below_policy") == ["age"]


def test_pci_8_3_7_none_of_the_last_four(app):
    reconfigure(app, passwords={"preset": "pci_dss_4", "history": 0})
    alice = make_person(raw_password="quiet lamp 0 orbit")
    for number in range(1, 4):
        with committing():
            password.set_password(alice, f"quiet lamp {number} orbit", actor=alice.sub)
    assert [v.rule for v in password.violations(alice, "quiet lamp 0 orbit")] == ["history"]
    with committing():
        password.set_password(alice, "quiet lamp 4 orbit", actor=alice.sub)
    assert password.violations(alice, "quiet lamp 0 orbit") == []


def test_race_twenty_sign_ins_find_the_same_and_one_writes_it_down(app, audit_trail):
    identifier = make_person().id
    reconfigure(app, passwords={"min_length": 30})

    def work(_number):
        with committing():
            return password.verify(db.session.get(users.User, identifier), PASSWORD)

    assert in_threads(20, app, work) == [True] * 20
    assert audit_trail.events().count("password.below_policy") == 1


def test_a_password_that_was_replaced_meanwhile_is_not_blamed(app, monkeypatch):
    alice = make_person()
    identifier, real = alice.id, password.password_review.judge

    def slow(*arguments):
        found = real(*arguments)
        monkeypatch.setattr(password.password_review, "judge", real)
        in_threads(1, app, lambda _: _replace())
        return found

    def _replace():
        with committing():
            user = db.session.get(users.User, identifier)
            password.set_password(user, LONGER, actor=user.sub)

    reconfigure(app, passwords={"min_length": 30})
    monkeypatch.setattr(password.password_review, "judge", slow)
    assert not check(alice)
    assert password.state(alice).failing == () and not password.must_change(alice)


# --- what the person sees ------------------------------------------------------------------------------------


@pytest.fixture
def user(app):
    return make_person(secret=SECRET)


def test_whoever_falls_short_is_told_what_lacks_and_until_when_and_may_go_on(app, user, travel):
    reconfigure(app, passwords={"min_length": 30, "grace_days": 10})
    here = browser(app).sign_in(secret=SECRET)
    assert here.place == "/password/change" and not here.secret, "asked before the session begins"
    assert "stricter now" in here.answer.text and "At least 30 characters" in here.answer.text
    assert here.post(later="1").place == "/" and here.secret
    travel(31)
    again = browser(app).sign_in(secret=SECRET)
    assert again.place == "/password/change", "told at every sign-in"
    assert again.post(new_password=LONGER).place == "/"
    travel(31)
    assert browser(app).open().give_password(raw_password=LONGER).post(code=code_of(SECRET)).place == "/"


def test_after_the_time_is_up_there_is_no_later(app, user, travel):
    reconfigure(app, passwords={"min_length": 30, "grace_days": 1})
    browser(app).sign_in(secret=SECRET).post(later="1")
    travel(DAY_S + 31)
    here = browser(app).sign_in(secret=SECRET)
    assert "the time to change it is over" in here.answer.text and "Not now" not in here.answer.text
    assert here.post(later="1").answer.status_code == 400 and not here.secret
    assert here.post(new_password=LONGER).place == "/" and here.secret


def test_attack_89_a_leaked_password_opens_nothing_but_its_own_replacement(app, user, tmp_path):
    breach(app, tmp_path, PASSWORD)
    here = browser(app).sign_in(secret=SECRET)
    assert here.place == "/password/change" and "attackers try first" in here.answer.text
    assert here.post(later="1").answer.status_code == 400
    assert here.get("/").place != "/" and not here.secret
    assert here.open().give_password().post(code=code_of(SECRET, steps=1)).place == "/password/change"
    assert here.post(new_password=PASSWORD).answer.status_code == 400
    assert here.post(new_password=NEW_PASSWORD).place == "/" and here.secret


def test_a_password_from_somebody_else_says_so(app, user):
    with committing():
        raw = password.issue_temporary(user, actor="_desk")
    here = browser(app).open().give_password(raw_password=raw).post(code=code_of(SECRET))
    assert "Somebody else has known your present password" in here.answer.text and "Not now" not in here.answer.text
