"""Passkeys as a factor: enrolment, proof, and everything that attack 106 tries, below the pages."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, text

from idp import audit, users
from idp.authn import factors
from idp.authn.factors import passkey, passkey_store
from idp.authn.factors.base import Accepted, Refused
from idp.authn.factors.passkey import Enrolled, Identified
from idp.authn.factors.passkey_store import Passkey
from idp.db import db
from idp.errors import BadInput
from idp.users import User
from tests.authn.authenticator import BE, BS, UP, UV, Attester, Authenticator, unb64
from tests.authn.signing_in import make_person
from tests.conftest import in_threads

FLOW = "flow-1"
MODEL = "11111111-2222-3333-4444-555555555555"


def enrolled_by(user: User, key: Authenticator, *, flow: str = FLOW, **lies: Any) -> Enrolled | Refused:
    """Enrol a passkey as the page does. Commits."""
    outcome = passkey.enrol(user, flow, key.create(passkey.creation_options(user, flow), **lies))
    db.session.commit()
    return outcome


def identified_by(key: Authenticator, *, flow: str = FLOW, **lies: Any) -> Identified | Refused:
    """Sign in with nothing but the passkey. Commits."""
    outcome = passkey.identify(flow, key.get(passkey.request_options(flow), **lies))
    db.session.commit()
    return outcome


def proved_by(user: User, key: Authenticator, *, flow: str = FLOW, **lies: Any) -> Accepted | Refused:
    """Prove a passkey after the password. Commits."""
    raw = key.get(passkey.request_options(flow, user=user), **lies)
    outcome = passkey.verify(user, {"flow": flow, "credential": raw})
    db.session.commit()
    return outcome


def stored(user: User) -> Passkey:
    db.session.expire_all()
    return db.session.scalars(select(Passkey).where(Passkey.user_id == user.id)).one()


@pytest.fixture
def alice(app: Flask) -> User:
    return make_person("alice")


@pytest.fixture
def key(alice: User) -> Authenticator:
    """Alice's authenticator, with a passkey that counts."""
    made = Authenticator()
    assert isinstance(enrolled_by(alice, made), Enrolled)
    return made


# --- enrolment -------------------------------------------------------------------------------------------------


def test_c22_the_options_name_nobody_and_ask_for_no_attestation(alice: User) -> None:
    options = passkey.creation_options(alice, FLOW)
    assert len(unb64(options["challenge"])) == 32 and len(unb64(options["user"]["id"])) == 64
    assert options["rp"] == {"id": "localhost", "name": "localhost"} and options["attestation"] == "none"
    assert {one["alg"] for one in options["pubKeyCredParams"]} == {-7, -8, -257}, "C-27"
    assert options["authenticatorSelection"]["userVerification"] == "preferred", "N-16"
    assert options["user"]["id"] == passkey.creation_options(alice, "another")["user"]["id"], "one handle a person"
    assert alice.username.encode() not in unb64(options["user"]["id"]) and options["timeout"] == 600_000


def test_what_an_authenticator_says_of_itself_is_kept(alice: User, audit_trail: Any, mailbox: Any) -> None:
    synced = Authenticator(
        synced=True, aaguid="ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4", transports=("hybrid", "internal")
    )
    outcome = enrolled_by(alice, synced)
    assert isinstance(outcome, Enrolled) and outcome.amr == ("swk", "user")
    kept = stored(alice)
    assert (kept.backup_eligible, kept.backed_up, kept.uv_initialized, kept.attestation) == (True, True, True, "none")
    assert (kept.label, kept.transports, kept.webauthn_id) == (
        "Google Password Manager",
        "hybrid internal",
        synced.credential_id,
    )
    told = audit.search(audit.Query(subject=alice.sub, event="factor.enrolled"), limit=1).entries[0].details
    assert (told["aaguid"], told["backup_eligible"], told["backed_up"]) == (synced.aaguid, True, True)
    assert "passkey was added" in mailbox()[-1].subject and synced.credential_id.hex() not in str(told)


@pytest.mark.parametrize("alg", [-7, -8, -257])
def test_c27_each_algorithm_that_is_offered_works(alice: User, alg: int) -> None:
    key = Authenticator(alg=alg)
    assert isinstance(enrolled_by(alice, key), Enrolled)
    outcome = identified_by(key)
    assert isinstance(outcome, Identified) and outcome.user.sub == alice.sub and outcome.amr == ("hwk", "user")


def test_several_passkeys_have_several_names_and_exclude_each_other(alice: User) -> None:
    keys = [Authenticator(), Authenticator(), Authenticator(transports=("usb",))]
    for one in keys:
        enrolled_by(alice, one)
    assert [one.label for one in passkey.authenticators(alice)] == ["Passkey", "Passkey 2", "Security key"]
    excluded = {one["id"] for one in passkey.creation_options(alice, FLOW)["excludeCredentials"]}
    assert {unb64(one) for one in excluded} == {one.credential_id for one in keys}
    replaced = passkey.authenticators(alice)[0].public_id
    options = passkey.creation_options(alice, FLOW, replaces=replaced)
    assert {unb64(one["id"]) for one in options["excludeCredentials"]} == {one.credential_id for one in keys[1:]}


def test_twenty_are_enough(alice: User) -> None:
    for _ in range(passkey.MOST):
        assert isinstance(enrolled_by(alice, Authenticator()), Enrolled)
    assert enrolled_by(alice, Authenticator()) == Refused("too_many")


REGISTRATION_LIES: list[tuple[dict[str, Any], str]] = [
    ({"origin": "https://localhost.example.com"}, "wrong_origin"),
    ({"origin": "http://localhost:9999"}, "wrong_origin"),
    ({"rp_id": "example.com"}, "not_verified"),
    ({"crossOrigin": True}, "cross_origin"),
    ({"crossOrigin": "false"}, "cross_origin"),
    ({"topOrigin": "https://example.com"}, "cross_origin"),
    ({"type": "webauthn.get"}, "wrong_ceremony"),
    ({"challenge": "AAAAAAAAAAAAAAAAAAAAAA"}, "not_verified"),
    ({"flags": UV}, "not_verified"),
    ({"flags": UP | UV | BS}, "not_verified"),
    ({"fmt": "packed"}, "not_verified"),
    ({"fmt": "made-up"}, "not_verified"),
]


@pytest.mark.parametrize(("lies", "reason"), REGISTRATION_LIES)
def test_attack_106_a_registration_that_lies_is_refused(alice: User, lies: dict[str, Any], reason: str) -> None:
    assert enrolled_by(alice, Authenticator(), **lies) == Refused(reason)
    assert not passkey.bound(alice)


def test_c22_a_credential_id_has_1023_bytes_at_most(alice: User) -> None:
    assert isinstance(enrolled_by(alice, Authenticator(credential_id=b"x" * 1023)), Enrolled)
    assert enrolled_by(alice, Authenticator(credential_id=b"y" * 1024)) == Refused("not_verified")


def test_c27_an_algorithm_that_was_not_offered_is_refused(alice: User) -> None:
    assert enrolled_by(alice, Authenticator(alg=-35)) == Refused("not_verified")


def test_c22_a_credential_belongs_to_one_person(alice: User, key: Authenticator) -> None:
    bob = make_person("bob")
    assert enrolled_by(bob, dataclasses.replace(key)) == Refused("enrolled_already")
    assert enrolled_by(alice, key) == Refused("enrolled_already")
    outcome = identified_by(key)
    assert isinstance(outcome, Identified) and outcome.user.sub == alice.sub


@pytest.mark.parametrize(
    "raw", ["", "{", "[]", "null", '{"rawId": 1}', '{"rawId": "AA", "response": 1}', "{}" * 20_000, "{" * 30_000]
)
def test_nonsense_is_refused_and_breaks_nothing(alice: User, key: Authenticator, raw: str) -> None:
    passkey.creation_options(alice, FLOW), passkey.request_options(FLOW)
    assert passkey.enrol(alice, FLOW, raw) == Refused("malformed")
    assert passkey.identify(FLOW, raw) == Refused("malformed")
    passkey.request_options(FLOW, user=alice)
    assert passkey.verify(alice, {"flow": FLOW, "credential": raw}) == Refused("malformed")


# --- proof -------------------------------------------------------------------------------------------------------


def test_c23_nobody_learns_who_has_a_passkey(key: Authenticator) -> None:
    options = passkey.request_options(FLOW)
    assert options["allowCredentials"] == [] and options["userVerification"] == "required"
    assert len(unb64(options["challenge"])) == 32 and options["rpId"] == "localhost"


def test_after_a_password_only_that_persons_passkeys_are_allowed(alice: User, key: Authenticator) -> None:
    options = passkey.request_options(FLOW, user=alice)
    assert [unb64(one["id"]) for one in options["allowCredentials"]] == [key.credential_id]
    assert options["userVerification"] == "preferred"


def test_c29_what_a_proof_is_worth(alice: User) -> None:
    bound, synced = Authenticator(), Authenticator(synced=True)
    enrolled_by(alice, bound), enrolled_by(alice, synced)
    assert proved_by(alice, bound) == Accepted(("hwk", "user"))
    assert proved_by(alice, bound, flags=UP) == Accepted(("hwk",))
    assert proved_by(alice, synced) == Accepted(("swk", "user"))
    assert proved_by(alice, synced, flags=UP | BE) == Accepted(("swk",)) and not stored_flags(alice)[1]


def stored_flags(user: User) -> list[bool]:
    return [one.backed_up for one in passkey_store.of(user)]


ASSERTION_LIES: list[tuple[dict[str, Any], str]] = [
    ({"origin": "https://example.com"}, "wrong_origin"),
    ({"rp_id": "example.com"}, "not_verified"),
    ({"crossOrigin": True}, "cross_origin"),
    ({"topOrigin": "http://localhost"}, "cross_origin"),
    ({"type": "webauthn.create"}, "wrong_ceremony"),
    ({"challenge": "AAAAAAAAAAAAAAAAAAAAAA"}, "not_verified"),
    ({"signature": b"0" * 70}, "not_verified"),
    ({"flags": UV}, "not_verified"),
    ({"flags": UP | UV | BE}, "backup_flag_changed"),
    ({"flags": UP | UV | BE | BS}, "backup_flag_changed"),
    ({"flags": UP | UV | BS}, "not_verified"),
    ({"credential_id": b"unknown"}, "unknown_authenticator"),
]


@pytest.mark.parametrize(("lies", "reason"), [*ASSERTION_LIES, ({"flags": UP}, "person_not_verified")])
def test_attack_106_an_assertion_that_lies_identifies_nobody(
    alice: User, key: Authenticator, lies: dict[str, Any], reason: str
) -> None:
    assert identified_by(key, **lies) == Refused(reason)
    assert stored(alice).last_used_at is None and stored(alice).sign_count == 0, "C-28"


@pytest.mark.parametrize(("lies", "reason"), ASSERTION_LIES)
def test_attack_106_nor_is_it_a_second_factor(
    alice: User, key: Authenticator, lies: dict[str, Any], reason: str
) -> None:
    assert proved_by(alice, key, **lies) == Refused(reason)
    assert stored(alice).last_used_at is None


def test_c20_the_user_handle_must_be_there_and_own_the_credential(alice: User, key: Authenticator) -> None:
    assert identified_by(key, with_handle=False) == Refused("wrong_user_handle")
    assert identified_by(key, handle=b"x" * 64) == Refused("wrong_user_handle")
    assert identified_by(key, handle=b"") == Refused("wrong_user_handle")
    assert proved_by(alice, key, handle=b"x" * 64) == Refused("wrong_user_handle")
    assert proved_by(alice, key, with_handle=False) == Accepted(("hwk", "user"))


def test_attack_99_the_passkey_of_somebody_else_is_no_second_factor(alice: User, key: Authenticator) -> None:
    bob, theirs = make_person("bob"), Authenticator()
    enrolled_by(bob, theirs)
    assert proved_by(alice, theirs, handle=key.handle) == Refused("unknown_authenticator")
    assert proved_by(alice, theirs) == Refused("unknown_authenticator")


def test_a_passkey_that_was_switched_off_proves_nothing(alice: User, key: Authenticator) -> None:
    db.session.execute(text("UPDATE passkeys SET disabled_at = created_at"))
    db.session.commit()
    assert not passkey.enrolled(alice) and passkey.bound(alice)
    assert isinstance(identified_by(key), Refused)
    assert proved_by(alice, key) == Refused("unknown_authenticator")


# --- challenges ----------------------------------------------------------------------------------------------------


def test_c17_attack_106_a_challenge_is_good_for_one_attempt_even_a_bad_one(alice: User, key: Authenticator) -> None:
    raw = key.get(passkey.request_options(FLOW))
    assert isinstance(passkey.identify(FLOW, raw), Identified)
    assert passkey.identify(FLOW, raw) == Refused("unknown_challenge")
    raw = key.get(passkey.request_options(FLOW))
    assert passkey.identify(FLOW, "nonsense") == Refused("malformed")
    assert passkey.identify(FLOW, raw) == Refused("unknown_challenge")


def test_c17_a_challenge_belongs_to_its_flow_ceremony_and_person(alice: User, key: Authenticator) -> None:
    bob = make_person("bob")
    first = key.get(passkey.request_options(FLOW))
    assert passkey.identify("flow-2", first) == Refused("unknown_challenge")
    assert passkey.verify(alice, {"flow": FLOW, "credential": first}) == Refused("unknown_challenge")
    second = key.get(passkey.request_options("flow-3", user=alice))
    assert passkey.identify("flow-3", second) == Refused("unknown_challenge")
    assert passkey.verify(bob, {"flow": "flow-3", "credential": second}) == Refused("unknown_challenge")
    created = Authenticator().create(passkey.creation_options(alice, "flow-4"))
    assert passkey.enrol(bob, "flow-4", created) == Refused("unknown_challenge")


def test_c17_the_challenge_of_another_ceremony_does_not_fit(alice: User, key: Authenticator) -> None:
    options = passkey.creation_options(alice, FLOW)
    raw = key.get({**passkey.request_options(FLOW), "challenge": options["challenge"]})
    assert passkey.identify(FLOW, raw) == Refused("not_verified")


def test_c17_challenges_grow_old(app: Flask, alice: User, key: Authenticator) -> None:
    from idp import crypto, kv

    passkey.request_options(FLOW)
    assert 0 < kv.client().ttl(kv.key("webauthn", "first", crypto.digest(FLOW))) <= 600


@pytest.mark.parametrize("ceremony", ["first", "second"])
def test_race_one_assertion_counts_once(app: Flask, alice: User, key: Authenticator, ceremony: str) -> None:
    person = None if ceremony == "first" else alice
    raw = key.get(passkey.request_options(FLOW, user=person))
    sub = alice.sub
    db.session.commit()

    def attempt(_: int) -> bool:
        if person is None:
            outcome: object = passkey.identify(FLOW, raw)
        else:
            outcome = passkey.verify(users.get_by_sub(sub), {"flow": FLOW, "credential": raw})
        db.session.commit()
        return not isinstance(outcome, Refused)

    assert sorted(in_threads(20, app, attempt)) == [False] * 19 + [True]


# --- counters ------------------------------------------------------------------------------------------------------


def test_c21_a_count_that_goes_back_is_refused_and_alarms(alice: User, key: Authenticator, audit_trail: Any) -> None:
    assert isinstance(identified_by(key), Identified) and isinstance(identified_by(key), Identified)
    assert stored(alice).sign_count == 2
    assert identified_by(key, count=2) == Refused("count_regressed")
    assert identified_by(key, count=0) == Refused("count_regressed")
    assert "passkey.count_regressed" in audit_trail and audit.Event.PASSKEY_COUNT_REGRESSED.alarm
    assert stored(alice).sign_count == 2 and isinstance(identified_by(key, count=9), Identified)


def test_c21_a_passkey_that_never_counts_is_normal(alice: User, audit_trail: Any) -> None:
    silent = Authenticator(synced=True, counts=False)
    enrolled_by(alice, silent)
    assert all(isinstance(identified_by(silent), Identified) for _ in range(3))
    assert "passkey.count_regressed" not in audit_trail


def test_c21_the_operator_may_let_it_pass_and_still_hears_of_it(
    make_app: Callable[..., Flask], sqlite_url: str
) -> None:
    app = make_app(sqlite_url, factors={"passkey_count_regression": "report"})
    with app.app_context():
        alice, key = make_person(), Authenticator()
        enrolled_by(alice, key)
        identified_by(key, count=7)
        assert isinstance(identified_by(key, count=3), Identified) and stored(alice).sign_count == 7
        told = audit.search(audit.Query(event="passkey.count_regressed"), limit=5).entries
        assert [(one.outcome, one.details["count"], one.details["kept_count"]) for one in told] == [("success", 3, 7)]


def test_race_one_count_is_claimed_once(app: Flask, alice: User, key: Authenticator) -> None:
    flows = [f"flow-{number}" for number in range(20)]
    raws = [key.get(passkey.request_options(flow), count=5) for flow in flows]
    db.session.commit()

    def attempt(number: int) -> bool:
        outcome = passkey.identify(flows[number], raws[number])
        db.session.commit()
        return isinstance(outcome, Identified)

    assert sorted(in_threads(20, app, attempt)) == [False] * 19 + [True]
    assert stored(alice).sign_count == 5


def test_race_a_person_has_one_handle(app: Flask, alice: User) -> None:
    sub = alice.sub
    db.session.commit()

    def first(_: int) -> bytes:
        handle = passkey_store.handle_of(users.get_by_sub(sub))
        db.session.commit()
        return handle

    handles = in_threads(20, app, first)
    assert len(set(handles)) == 1 and len(handles[0]) == 64


def test_race_one_credential_is_enrolled_once(app: Flask, alice: User) -> None:
    key, sub = Authenticator(), alice.sub
    raws = [key.create(passkey.creation_options(alice, f"flow-{number}")) for number in range(20)]
    db.session.commit()

    def attempt(number: int) -> bool:
        outcome = passkey.enrol(users.get_by_sub(sub), f"flow-{number}", raws[number])
        db.session.commit()
        return isinstance(outcome, Enrolled)

    assert sorted(in_threads(20, app, attempt)) == [False] * 19 + [True]


# --- models --------------------------------------------------------------------------------------------------------


@pytest.fixture
def vendor(make_app: Callable[..., Flask], sqlite_url: str, tmp_path: Path) -> Any:
    """An installation that takes one model of one vendor only."""
    made = Attester(aaguid=MODEL)
    file = tmp_path / "root.pem"
    file.write_bytes(made.root_pem)
    app = make_app(sqlite_url, factors={"passkey_aaguids": (MODEL.upper(),), "passkey_attestation_roots": (str(file),)})
    with app.app_context():
        yield made
        db.session.rollback()


def test_where_models_are_named_only_they_are_enrolled(vendor: Attester) -> None:
    alice = make_person()
    assert passkey.creation_options(alice, FLOW)["attestation"] == "direct"
    outcome = enrolled_by(alice, Authenticator(aaguid=MODEL), attester=vendor)
    assert isinstance(outcome, Enrolled) and outcome.passkey.attestation == "packed"


def test_a_model_is_proved_by_a_chain_and_by_nothing_else(vendor: Attester) -> None:
    alice, other = make_person(), "99999999-2222-3333-4444-555555555555"
    assert enrolled_by(alice, Authenticator(aaguid=MODEL)) == Refused("model_not_allowed"), "it only says so"
    assert enrolled_by(alice, Authenticator(aaguid=MODEL), fmt="packed-self") == Refused("model_not_allowed")
    assert enrolled_by(alice, Authenticator(aaguid=other), attester=vendor) == Refused("model_not_allowed")
    assert enrolled_by(alice, Authenticator(aaguid=MODEL), attester=Attester(aaguid=MODEL)) == Refused("not_verified")
    vendor.leaf = vendor._certificate("Leaf", vendor.leaf_key, vendor.root_key, "Root", aaguid=other)
    assert enrolled_by(alice, Authenticator(aaguid=MODEL), attester=vendor) == Refused("model_not_allowed")
    assert not passkey.bound(alice)


def test_only_one_file_imports_the_library() -> None:
    root = Path(passkey.__file__).parents[2]
    importing = [
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if "webauthn import" in path.read_text() or "import webauthn" in path.read_text()
    ]
    assert importing == ["authn/factors/passkey.py"]


# --- what a person has bound ---------------------------------------------------------------------------------------


def test_passkeys_are_listed_renamed_and_removed(alice: User, key: Authenticator, audit_trail: Any) -> None:
    one = passkey.authenticators(alice)[0]
    assert (one.factor, one.label, one.detail, one.last_used_at) == ("passkey", "Passkey", "Stays on one device", None)
    identified_by(key)
    assert passkey.rename(alice, one.public_id, "Work laptop")
    again = factors.find_authenticator(alice, one.public_id)
    assert again is not None and again.label == "Work laptop" and again.last_used_at is not None
    with pytest.raises(BadInput):
        passkey.rename(alice, one.public_id, " ")
    assert passkey.remove(alice, one.public_id, actor=alice.sub) and not passkey.bound(alice)
    db.session.commit()
    assert "factor.renamed" in audit_trail and "factor.removed" in audit_trail
    assert identified_by(key) == Refused("unknown_authenticator")


def test_attack_116_nobody_touches_the_passkeys_of_another(alice: User, key: Authenticator) -> None:
    bob, one = make_person("bob"), passkey.authenticators(alice)[0]
    assert not passkey.rename(bob, one.public_id, "mine") and not passkey.remove(bob, one.public_id, actor=bob.sub)
    assert passkey.authenticators(alice)[0].label == "Passkey"


def test_race_a_passkey_is_removed_once(app: Flask, alice: User, key: Authenticator) -> None:
    sub, public_id = alice.sub, passkey.authenticators(alice)[0].public_id
    db.session.commit()

    def attempt(_: int) -> bool:
        done = passkey.remove(users.get_by_sub(sub), public_id, actor=sub)
        db.session.commit()
        return done

    assert sorted(in_threads(20, app, attempt)) == [False] * 19 + [True]


def test_c25_browsers_are_told_what_counts_and_what_is_gone(alice: User, key: Authenticator) -> None:
    second = Authenticator()
    enrolled_by(alice, second)
    passkey.remove(alice, passkey.authenticators(alice)[0].public_id, actor=alice.sub)
    told = passkey.signals(alice)
    assert told is not None and told["rpId"] == "localhost" and unb64(told["userId"]) == key.handle
    assert [unb64(one) for one in told["accepted"]] == [second.credential_id]
    assert [unb64(one) for one in told["removed"]] == [key.credential_id]
    assert passkey.signals(make_person("bob")) is None
