"""What is owed next: a table of cases (attack 98: no step can be skipped)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from idp import clock
from idp.authn import flow
from idp.authn.assurance import ONE_FACTOR, TWO_FACTORS, Demand
from idp.authn.flow import LoginFlow
from idp.authn.steps import Standing, Step, next_step
from idp.sessions import SsoSession

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PWD, BOTH = ("pwd",), ("pwd", "otp")
STRICT = Standing(require_second=True)
WITH_APP = Standing(require_second=True, second=("totp",), has_app=True, ever_bound=True)
ONLY_CODES = Standing(require_second=True, second=("recovery_code",), ever_bound=True)
LENIENT = Standing(require_second=False)


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
    (at(BOTH, then=("enrol_totp",)), WITH_APP, Step.ENROL, "another app"),
    (at(BOTH, then=("enrol_totp",), errands=("enrol_totp",)), WITH_APP, Step.FINISH, "another app done"),
]


@pytest.mark.parametrize(("found", "owed", "step", "why"), CASES, ids=[case[3] for case in CASES])
def test_next_step(found: LoginFlow, owed: Standing, step: Step, why: str) -> None:
    assert next_step(found, owed) is step


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


@pytest.mark.parametrize(("found", "demand", "has_second", "goes_on", "why"), CONTINUES, ids=[c[4] for c in CONTINUES])
def test_a_session_stands_in_for_the_first_steps(
    found: SsoSession | None, demand: Demand, has_second: bool, goes_on: bool, why: str
) -> None:
    with clock.freeze(NOW):
        assert flow.continues(found, demand, has_second=has_second) is goes_on
