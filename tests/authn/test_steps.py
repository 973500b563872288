"""What is owed next: a table of cases (attack 98: no step can be skipped)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from idp import clock
from idp.authn import flow
from idp.authn.assurance import ONE_FACTOR, PHISHING_RESISTANT, TWO_FACTORS, Demand
from idp.authn.flow import LoginFlow
from idp.authn.steps import Standing, Step, enrolments, next_step
from idp.sessions import SsoSession

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PWD, BOTH = ("pwd",), ("pwd", "otp")
KEY, TOUCHED, WITH_KEY = ("hwk", "user"), ("hwk",), ("pwd", "hwk")
PHR = PHISHING_RESISTANT
STRICT = Standing(require_second=True)
WITH_APP = Standing(require_second=True, second=("totp",), lasting=True, ever_bound=True)
ONLY_CODES = Standing(require_second=True, second=("recovery_code",), ever_bound=True)
LENIENT = Standing(require_second=False)
WITH_KEYS = Standing(require_second=True, second=("passkey",), lasting=True, ever_bound=True)
WITH_BOTH = Standing(require_second=True, second=("passkey", "totp"), lasting=True, ever_bound=True)
OLD_APP = Standing(require_second=True, second=("totp",), may_enrol=("passkey",), ever_bound=True)


def at(methods: tuple[str, ...], *, sub: str | None = "alice", acr: str | None = None, **more: object) -> LoginFlow:
    wanted = Demand(return_to="/", acr=acr, then=more.pop("then", ()))  # type: ignore[arg-type]
    return LoginFlow("id", "browser", wanted, NOW, sub=sub, methods=methods, **more)  # type: ignore[arg-type]


def standing(base: Standing, **changes: object) -> Standing:
    return Standing(**{**vars(base), **changes})  # type: ignore[arg-type]


CASES = [
    (at((), sub=None), WITH_APP, Step.PASSWORD, "nobody yet"),
    (at(("otp",)), WITH_APP, Step.PASSWORD, "a code without a password"),
    (at(PWD), WITH_APP, Step.SECOND, "password done"),
    (at(BOTH), WITH_APP, Step.FINISH, "both done"),
    (at(PWD), STRICT, Step.ENROL, "first sign-in"),
    (at(PWD), LENIENT, Step.FINISH, "the policy wants no second factor"),
    (at(PWD), standing(WITH_APP, require_second=False), Step.SECOND, "but who has one is asked for it"),
    (at(PWD, acr=TWO_FACTORS), LENIENT, Step.ENROL, "the application wants two"),
    (at(PWD, acr=ONE_FACTOR), WITH_APP, Step.SECOND, "an application cannot lower the policy (attack 103)"),
    (at(PWD), ONLY_CODES, Step.SECOND, "app disabled, codes left"),
    (at(BOTH), ONLY_CODES, Step.ENROL, "came in with a code: bind an app anew"),
    (at(PWD), standing(STRICT, ever_bound=True), Step.BLOCKED, "a password alone replaces no factor (attack 104)"),
    (at(PWD), standing(LENIENT, ever_bound=True), Step.FINISH, "no second factor wanted, none usable"),
    (at(BOTH, sealed_codes="x"), WITH_APP, Step.CODES, "new codes wait to be saved"),
    (at(BOTH, then=("recovery_codes",)), WITH_APP, Step.CODES, "an errand"),
    (at(BOTH, then=("recovery_codes",), errands=("recovery_codes",)), WITH_APP, Step.FINISH, "errand done"),
    (at(PWD, then=("password_change",)), WITH_APP, Step.SECOND, "errands come after the proof (attack 96)"),
    (at(BOTH, then=("password_change",)), WITH_APP, Step.CHANGE, "password change as an errand"),
    (at(BOTH), standing(WITH_APP, must_change=True), Step.CHANGE, "password change as a duty"),
    (at(PWD), standing(WITH_APP, must_change=True), Step.SECOND, "which comes last"),
    (at(BOTH), standing(WITH_APP, should_change=True), Step.CHANGE, "stricter rules: asked to change it"),
    (
        at(BOTH, errands=("password_later",)),
        standing(WITH_APP, should_change=True),
        Step.FINISH,
        "asked once a sign-in",
    ),
    (at(BOTH, errands=("password_later",)), standing(WITH_APP, must_change=True), Step.CHANGE, "a duty is not put off"),
    (at(BOTH, auth_time=NOW), standing(WITH_APP, should_change=True), Step.FINISH, "a step up does not ask for it"),
    (at(BOTH, then=("enrol_totp",)), WITH_APP, Step.ENROL, "another app"),
    (at(BOTH, then=("enrol_totp",), errands=("enrol_totp",)), WITH_APP, Step.FINISH, "another app done"),
    (at(KEY), WITH_KEYS, Step.FINISH, "a passkey that verified its person is all it takes"),
    (at(("swk", "user")), WITH_BOTH, Step.FINISH, "a synced one too, and no code is asked for (peers 19)"),
    (at(TOUCHED), WITH_KEYS, Step.PASSWORD, "one that did not verify them tells nobody who they are"),
    (at(WITH_KEY), WITH_KEYS, Step.FINISH, "but is a second factor after a password"),
    (at(PWD), WITH_KEYS, Step.SECOND, "a password with a passkey enrolled"),
    (at(PWD, acr=PHR), WITH_BOTH, Step.SECOND, "phishing-resistant, from the password"),
    (at(BOTH, acr=PHR), WITH_BOTH, Step.SECOND, "a code is not enough for it (attack 103)"),
    (at(BOTH, acr=PHR), WITH_APP, Step.ENROL, "no passkey yet: bind one"),
    (at(BOTH, acr=PHR), standing(WITH_APP, may_enrol=("totp",)), Step.BLOCKED, "and none allowed"),
    (at(PWD, acr=PHR), ONLY_CODES, Step.SECOND, "codes first"),
    (at(PWD, acr=PHR), standing(STRICT, ever_bound=True), Step.BLOCKED, "phr opens no way around (attack 104)"),
    (at(KEY, acr=PHR), WITH_BOTH, Step.FINISH, "reached"),
    (at(WITH_KEY, acr=PHR), WITH_BOTH, Step.FINISH, "reached in two steps"),
    (at(BOTH), standing(WITH_BOTH, min_acr=PHR), Step.SECOND, "the policy wants it of every sign-in"),
    (at(BOTH, acr=TWO_FACTORS), standing(WITH_BOTH, min_acr=PHR), Step.SECOND, "no application lowers that"),
    (at(PWD), standing(LENIENT, min_acr=TWO_FACTORS), Step.ENROL, "two of every sign-in"),
    (at(PWD), OLD_APP, Step.SECOND, "an app that the policy no longer allows still proves who it is"),
    (at(BOTH), OLD_APP, Step.ENROL, "and then makes way for what is allowed"),
    (at(PWD, may_bind=True), standing(STRICT, ever_bound=True), Step.ENROL, "after a recovery that lets them bind"),
    (at(PWD, may_bind=True), ONLY_CODES, Step.ENROL, "what they still have is out of their reach"),
    (at(BOTH), standing(WITH_APP, review=True), Step.REVIEW, "after a recovery: was it you?"),
    (at(PWD), standing(WITH_APP, review=True), Step.SECOND, "which is asked of nobody who is half way in (attack 98)"),
    (at(KEY), standing(WITH_KEYS, must_change=True), Step.FINISH, "a password that was not used need not be changed"),
    (at(KEY, then=("password_change",)), WITH_KEYS, Step.CHANGE, "unless they want to"),
    (at(BOTH, then=("enrol_passkey",)), WITH_APP, Step.ENROL, "a passkey beside the app"),
    (at(BOTH, then=("enrol_passkey",), errands=("enrol_passkey",)), WITH_BOTH, Step.FINISH, "a passkey done"),
    (
        at(BOTH, then=("enrol_totp",)),
        standing(WITH_BOTH, may_enrol=("passkey",)),
        Step.FINISH,
        "not allowed: no errand",
    ),
]


@pytest.mark.parametrize(("found", "owed", "step", "why"), CASES, ids=[case[3] for case in CASES])
def test_next_step(found: LoginFlow, owed: Standing, step: Step, why: str) -> None:
    assert next_step(found, owed) is step


ENROLMENTS = [
    (at(PWD), STRICT, ("passkey", "totp"), "the choice; what resists phishing comes first (N-13)"),
    (at(PWD), standing(STRICT, may_enrol=("totp",)), ("totp",), "the policy allows one"),
    (at(BOTH, then=("enrol_totp",)), WITH_APP, ("totp",), "an errand"),
    (at(BOTH, then=("enrol_passkey",)), WITH_APP, ("passkey",), "another errand"),
    (at(BOTH, acr=PHR), WITH_APP, ("passkey",), "the application wants a passkey"),
    (at(PWD, acr=PHR), STRICT, ("passkey",), "at once"),
]


@pytest.mark.parametrize(("found", "owed", "names", "why"), ENROLMENTS, ids=[case[3] for case in ENROLMENTS])
def test_what_may_be_enrolled(found: LoginFlow, owed: Standing, names: tuple[str, ...], why: str) -> None:
    assert enrolments(found, owed) == names


def session(*, age_s: int, amr: tuple[str, ...]) -> SsoSession:
    times = dict.fromkeys(("started_at", "seen_at", "expires_at", "chosen_at"), NOW)
    proved = NOW - timedelta(seconds=age_s)
    return SsoSession("sid", "alice", TWO_FACTORS, amr, auth_time=proved, address="", user_agent="", **times)


FULL = ("pwd", "otp", "mfa")
CONTINUES = [
    (None, Demand("/"), True, False, "nobody"),
    (session(age_s=10, amr=FULL), Demand("/", then=("password_change",)), True, True, "proved seconds ago"),
    (session(age_s=301, amr=FULL), Demand("/", then=("password_change",)), True, False, "proved too long ago (C-15)"),
    (session(age_s=3600, amr=PWD), Demand("/", acr=TWO_FACTORS), True, True, "step up with the factor one has"),
    (session(age_s=3600, amr=PWD), Demand("/", acr=TWO_FACTORS), False, False, "no enrolment from an old session"),
    (session(age_s=10, amr=PWD), Demand("/", acr=TWO_FACTORS), False, True, "enrolment right after the password"),
    (session(age_s=3600, amr=PWD), Demand("/", then=("enrol_totp",)), True, False, "an errand needs a fresh proof"),
    (session(age_s=10, amr=FULL), Demand("/", prompt=frozenset({"login"})), True, False, "asked to prove it again"),
    (session(age_s=10, amr=FULL), Demand("/", prompt=frozenset({"select_account"})), True, False, "asked to choose"),
    (session(age_s=10, amr=FULL), Demand("/", max_age_s=5), True, False, "asked for something fresher"),
]


@pytest.mark.parametrize(("found", "demand", "steps_up", "goes_on", "why"), CONTINUES, ids=[c[4] for c in CONTINUES])
def test_a_session_stands_in_for_the_first_steps(
    found: SsoSession | None, demand: Demand, steps_up: bool, goes_on: bool, why: str
) -> None:
    with clock.freeze(NOW):
        assert flow.continues(found, demand, steps_up=steps_up) is goes_on
